"""What a rebase installs, and what came of it: the difference to a base as names and versions.

Names and versions were read from an environment that its owner could write anything into. They reach
an installer only where they look like a package's name and version, so never as an option, a path or a
URL; what was installed from a URL is not fetched by its name, which may be anybody's in an index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from atoll.checkpoints.models import Changes, LeftOut, PackageKind
from atoll.checkpoints.node_models import plain
from atoll.kit import words

REPORT: Final = "application/vnd.atoll.rebase.v1+json"
"""The media type of what the job's last cell shows."""
INSTALL: Final = "install"
REMOVE: Final = "remove"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]{0,99}")
_ARCHIVE: Final = re.compile(r".*\.(?:whl|zip|tar|t?(?:bz2?|gz|xz|lz|lzma))", re.IGNORECASE)
"""An installer takes what ends so for a file, and installs that from where it lies."""
_SHOWN_MOST: Final = 200  # characters of what is shown of something that is no package's
_MOST: Final = 20_000  # packages of one environment
_NAMED: Final = 5  # in a message


def _short(text: str) -> str:
    return plain(text[:1000])


Word = Annotated[str, Field(max_length=200), AfterValidator(plain)]
Why = Annotated[str, AfterValidator(_short)]
Listed = Annotated[dict[Word, Why], Field(max_length=_MOST)]


class Plan(BaseModel):
    """What a job is to do, and what is left to the environment's owner. Kept with the checkpoint."""

    install: dict[str, str] = {}  # name → version
    remove: list[str] = []
    left: list[LeftOut] = []

    @property
    def parameters(self) -> dict[str, list[str]]:
        """What the job's notebook is given."""
        return {
            INSTALL: [f"{name}=={version}" for name, version in self.install.items()],
            REMOVE: list(self.remove),
        }


class Report(BaseModel):
    """What the job says of itself; whoever owns the environment could make it say anything."""

    installed: Listed = {}  # of those that were wanted: name → version
    failed: Listed = {}  # name → the installer's last words
    imports: Listed = {}  # name → why it does not import
    broken: Annotated[list[Why], Field(max_length=1000)] = []  # new complaints of `pip check`


class Outcome(BaseModel):
    """What the new environment has not as it was; `nothing` where not one package came over."""

    left: list[LeftOut] = []
    names: list[str] = []
    nothing: bool = False

    def sentence(self, wanted: int) -> str | None:
        """For people; None where everything is there."""
        if not self.names:
            return None
        named = ", ".join(self.names[:_NAMED]) + (" …" if len(self.names) > _NAMED else "")
        return (
            f"{len(self.names)} of {words.count(wanted, 'package')} are not in it as they were:"
            f" {named}. The list of what is not in it says why."
        )


def plan(
    packages: Mapping[str, str],
    changes: Changes,
    sources: Mapping[str, str],
    base: Mapping[str, str],
) -> Plan:
    """What to install over `base` (where its packages are known) to have `packages` again.

    `sources` are the URLs of those that were installed from one.
    """
    found = Plan()
    for name, version in sorted(packages.items()):
        shown = plain(f"{name} {version}"[:_SHOWN_MOST])
        if not _is_package(name, version):
            found.left.append(LeftOut(path=shown, reason="no name and version of a package"))
        elif name in sources:
            source = plain(sources[name][:_SHOWN_MOST])
            why = f"it was installed from {source}: install it from there again"
            found.left.append(LeftOut(path=shown, reason=why))
        elif base.get(name) != version:
            found.install[name] = version
    for one in changes.packages:
        if one.kind is not PackageKind.PYTHON:
            version = one.after or f"{one.before}, removed"
            why = f"a {one.kind.value} package, which a rebase does not install"
            found.left.append(LeftOut(path=plain(f"{one.name} {version}"), reason=why))
        elif one.after is None and _NAME.fullmatch(one.name):
            found.remove.append(one.name)
    for place in changes.directories:
        amount = f"{words.count(place.files, 'file')}, {words.size(place.size)}"
        why = f"{amount} of no package: they stay in the environment that was rebased"
        found.left.append(LeftOut(path=plain(place.path), reason=why))
    return found


def _is_package(name: str, version: str) -> bool:
    said = _NAME.fullmatch(name) is not None and _VERSION.fullmatch(version) is not None
    return said and _ARCHIVE.fullmatch(version) is None


def outcome(plan: Plan, report: Report, packages: Mapping[str, str]) -> Outcome:
    """What came of it: `packages` is what was read from what was saved, and from its base."""
    found = Outcome(left=list(plan.left))
    there = 0
    for name, version in plan.install.items():
        got = packages.get(name)
        there += got is not None
        if got is None:
            why = report.failed.get(name) or "it is not installed"
        elif got != version:
            failed = report.failed.get(name)
            why = f"{got} is in its place" + (f": {failed}" if failed else "")
        elif name in report.imports:
            why = f"it does not import: {report.imports[name]}"
        else:
            continue
        found.left.append(LeftOut(path=f"{name} {version}", reason=plain(why)))
        found.names.append(name)
    for name in plan.remove:
        if name in packages:
            found.left.append(
                LeftOut(path=name, reason="it was removed before, and is there again")
            )
    found.left += [LeftOut(path="pip check", reason=line) for line in report.broken]
    found.nothing = bool(plan.install) and not there
    return found


def read_report(output: bytes | None) -> Report:
    """What the job's output notebook says; an empty report where that is none."""
    try:
        cells = json.loads(output or b"{}").get("cells", [])
        shown = [item.get("data", {}) for cell in cells for item in cell.get("outputs", [])]
        said = [data[REPORT] for data in shown if REPORT in data]
        return Report.model_validate(said[-1]) if said else Report()
    except (ValueError, AttributeError, TypeError, RecursionError, ValidationError):
        return Report()


def first_reason(left: Iterable[LeftOut], names: Iterable[str]) -> str:
    """Why the first of these packages is not there."""
    first = next(iter(names), "")
    return next((one.reason for one in left if one.path.startswith(f"{first} ")), "")


def concluded(
    values: Mapping[str, object], plan: Plan, outcome: Outcome, source: str | None
) -> dict[str, object]:
    """What a rebase says otherwise than a save: what it was made from, and what is not in it."""
    said = outcome.sentence(len(plan.install))
    warned = values.get("message")
    left = [one.model_dump() for one in outcome.left]
    already = values.get("left_out")
    return {
        "parent": source,
        "reason": values.get("reason") or ("incomplete" if said else None),
        "message": " ".join(str(one) for one in (warned, said) if one) or None,
        "left_out": [*left, *(already if isinstance(already, list) else [])],
    }
