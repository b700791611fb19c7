"""What an agent tells of a save is no more than the service takes, whatever names a tenant gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll import oci
from atoll.agent.commit import Saved
from atoll.agent.copying import Copied
from atoll.agent.own import Own
from atoll.agent.told import seen, told
from atoll.agent.what_changed import Report
from atoll.checkpoints.models import Changes, DirectoryChange, Package, PackageKind
from atoll.checkpoints.node_client import looked, result
from atoll.checkpoints.node_models import (
    MOST_LISTED,
    RESULT_MOST,
    ImageSaved,
    LookResult,
    SaveResult,
    plain,
)
from atoll.kit.http import Call
from atoll.oci.image import MANIFEST

from tests.unit.agent.containers import ended

DIGEST = oci.Digest("sha256:" + "0" * 64)
PROXY_MOST = 1 << 20  # nginx's client_max_body_size, where nobody set it
LONG = "/".join(["\N{GRINNING FACE}" * 60] * 70)[:4096]  # four bytes for nearly each character


def saved(copied: Copied) -> Saved:
    """A save of a container that nobody sees here."""
    container = ended(Path("/nowhere"))
    image = oci.Descriptor(MANIFEST, DIGEST, 1)
    return Saved(container, image, DIGEST, Own(), copied, size=3, packed=2, entries=1, seconds=0.5)


def listing(name: str = "") -> Copied:
    """A thousand of each, and more, whose paths begin with the name."""
    paths = [f"{number:04}{name}".encode() for number in range(MOST_LISTED + 1)]
    return Copied(
        left_out=tuple(oci.LeftOut(path, "its owner is not in the container") for path in paths),
        torn=tuple(paths),
        secrets=dict.fromkeys(paths, "a key"),
    )


def report(name: str, count: int) -> Report:
    """So many packages and directories that changed, whose names begin so."""
    names = [plain(f"{number:05}{name}") for number in range(count)]
    changes = Changes(
        packages=[Package(name=one, kind=PackageKind.SYSTEM, after="1") for one in names],
        directories=[DirectoryChange(path=one, files=1, size=2) for one in names[:2000]],
        files=count,
        size=count * 2,
    )
    return Report(changes, dict.fromkeys((one[:200] for one in names), "1" * 200))


def sent(call: Call[None]) -> int:
    """The bytes of a request."""
    content = call.request()["content"]
    assert isinstance(content, str)
    return len(content.encode())


def as_result(copied: Copied, changed: Report | None) -> tuple[ImageSaved, int]:
    """What is told, and in how many bytes."""
    one = told(saved(copied), changed)
    return one, sent(result("node", "k-1", SaveResult(lease="l", result=one)))


@pytest.mark.parametrize("count", [0, 2000], ids=["paths alone", "packages too"])
@pytest.mark.parametrize("name", [LONG, "\x1b" * 600, '"' * 4000], ids=["wide", "esc", "quoted"])
def test_a_result_fits_whatever_it_lists(name: str, count: int) -> None:
    one, size = as_result(listing(name), report(name, count) if count else None)

    assert size < PROXY_MOST < RESULT_MOST
    assert one.secrets
    assert one.torn
    assert one.left_out
    assert ImageSaved.model_validate_json(one.model_dump_json(exclude_unset=True)).files == 1
    if count:
        assert one.changes is not None
        assert (one.changes.files, one.changes.size) == (count, count * 2)
        assert one.changes.packages
        assert one.changes.directories
        assert one.packages


def test_what_is_of_usual_length_is_told_whole_up_to_the_usual_numbers() -> None:
    one, size = as_result(listing("/srv/data/x.parquet"), report("-package", 1000))

    assert size < PROXY_MOST
    assert [len(listed) for listed in (one.secrets, one.torn, one.left_out)] == [MOST_LISTED] * 3
    assert one.changes is not None
    assert (len(one.changes.packages), len(one.changes.directories)) == (1000, 1000)
    assert len(one.packages) == 1000


def test_one_name_that_never_fits_keeps_nothing_else_out() -> None:
    changed = report("", 3)
    changed.changes.packages[0].name = "x" * (64 << 20)

    one, _ = as_result(Copied(), changed)

    assert one.changes is not None
    assert [package.name for package in one.changes.packages] == ["00001", "00002"]


def test_a_look_fits_too() -> None:
    changes = seen(report(LONG, 2000).changes)
    call = looked("node", LookResult(server="s", environment=DIGEST, changes=changes))

    assert sent(call) < PROXY_MOST
    assert changes.files == 2000
    assert changes.packages
    assert changes.directories
