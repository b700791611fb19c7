"""Prints what is in an image as CycloneDX JSON; it runs in the image, with the standard library alone.

`sbom.py NAME VERSION PLACE…`: Debian's packages, the Python and npm packages found below each place, and
what a place that begins with `pkg:` names itself. The same packages give the same bytes: no time, no
random serial number.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Final
from urllib.parse import quote

LICENSE_MOST: Final = 100  # characters; some packages put the whole text where the name belongs
DPKG: Final = Path("/var/lib/dpkg/status")

Component = dict[str, object]


def component(purl: str, name: str, version: str, place: str, licence: str = "") -> Component:
    """One package, and where it lies."""
    found: Component = {"type": "library", "bom-ref": purl, "name": name, "version": version}
    if licence:
        found["licenses"] = [{"license": {"name": licence}}]
    return {**found, "purl": purl, "evidence": {"occurrences": [{"location": place}]}}


def python_packages(place: Path) -> Iterator[Component]:
    """What pip or uv installed below a place."""
    for file in place.rglob("*.dist-info/METADATA"):
        about = message_from_bytes(file.read_bytes())
        name, version = str(about["Name"]), str(about["Version"])
        normal = re.sub(r"[-_.]+", "-", name).lower()
        licence = str(about["License-Expression"] or about["License"] or "").strip()
        if len(licence) > LICENSE_MOST or "\n" in licence:
            licence = ""
        yield component(f"pkg:pypi/{normal}@{version}", name, version, str(file.parent), licence)


def npm_packages(place: Path) -> Iterator[Component]:
    """What npm installed below a place."""
    for file in place.rglob("node_modules/**/package.json"):
        folder = file.parent
        if folder.parent.name != "node_modules" and not folder.parent.name.startswith("@"):
            continue  # part of a package
        about = json.loads(file.read_text("utf-8"))
        name, version = str(about.get("name", "")), str(about.get("version", ""))
        if name and version:
            licence = about.get("license", "")
            licence = licence if isinstance(licence, str) else ""
            purl = f"pkg:npm/{quote(name, safe='/')}@{version}"
            yield component(purl, name, version, str(folder), licence)


def debian_packages() -> Iterator[Component]:
    """What dpkg installed, none where there is no dpkg."""
    if not DPKG.exists():
        return
    listing = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"
    told = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={listing}"],  # noqa: S607  # the image's own
        check=True,
        capture_output=True,
        text=True,
    )
    for line in told.stdout.splitlines():
        status, name, version, architecture = line.split("\t")
        if status == "installed":
            purl = f"pkg:deb/debian/{name}@{quote(version)}?arch={architecture}"
            yield component(purl, name, version, str(DPKG))


def named(purl: str) -> Component:
    """A package that says itself what it is: `pkg:generic/node@24.19.0`."""
    name, _, version = purl.rpartition("/")[2].partition("@")
    return component(purl, name, version, "/")


def document(image: str, version: str, components: Iterable[Component]) -> dict[str, object]:
    """The bill of materials; a package that lies in two places is one component with both."""
    merged: dict[str, Component] = {}
    places: dict[str, set[str]] = {}
    for found in components:
        purl = str(found["purl"])
        merged.setdefault(purl, found)
        (occurrence,) = found["evidence"]["occurrences"]  # type: ignore[index]  # made above
        places.setdefault(purl, set()).add(occurrence["location"])
    for purl, found in merged.items():
        found["evidence"] = {"occurrences": [{"location": one} for one in sorted(places[purl])]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "bom-ref": image, "name": image, "version": version}
        },
        "components": [merged[purl] for purl in sorted(merged)],
    }


def main(image: str, version: str, *places: str) -> None:
    """Print it."""
    components = list(debian_packages())
    for place in places:
        if place.startswith("pkg:"):
            components.append(named(place))
        else:
            components += [*python_packages(Path(place)), *npm_packages(Path(place))]
    json.dump(document(image, version, components), sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
