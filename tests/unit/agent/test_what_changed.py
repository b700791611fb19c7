"""The report of what a container changed: packages of three kinds, and the rest by directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from atoll.agent.what_changed import Report, what_changed
from atoll.checkpoints.models import PackageKind

from tests.unit.agent.containers import ended

ENV = "opt/environment/lib/python3.11/site-packages"
PLATFORM = "opt/atoll/lib/python3.11/site-packages"
STATUS = """Package: {name}
Status: install ok installed
Version: {version}
Description: something
 with a second line

"""


def package(root: Path, name: str, version: str, place: str = ENV, files: int = 3) -> None:
    """As pip installs it: a dist-info with a RECORD, a folder of files, and a script."""
    beside = root / place
    record = [f"{name}-{version}.dist-info/RECORD,,", f"../../../bin/{name},sha256=x,9"]
    for number in range(files):
        path = beside / name / f"m{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{version}\n" * 10)
        record.append(f"{name}/m{number}.py,sha256=x,1")
    script = root / place.split("/lib/", maxsplit=1)[0] / "bin" / name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text("#!/bin/sh")
    info = beside / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("\n".join(record))
    (info / "INSTALLER").write_text("pip\n")


def deletion(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


class Box:
    """A container's upper directory, a layer of its user's, and a base, as plain directories."""

    def __init__(self, top: Path) -> None:
        self.upper, self.own, self.base = (top / name for name in ("upper", "own", "base"))
        for root in (self.upper, self.own, self.base):
            root.mkdir()

    def report(self, own: int = 1) -> Report:
        container = ended(self.upper, self.own, self.base, targets=(b"home",))
        return what_changed(container, own)

    def packages(self) -> set[tuple[str, str | None, str | None]]:
        return {(p.name, p.before, p.after) for p in self.report().changes.packages}

    def directories(self, own: int = 1) -> dict[str, tuple[int, int]]:
        return {d.path: (d.files, d.size) for d in self.report(own).changes.directories}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_packages_are_added_upgraded_and_removed_against_the_base(box: Box) -> None:
    for name in ("pandas", "numpy", "old"):
        package(box.base, name, "1.0")
    package(box.own, "polars", "2.1")
    package(box.upper, "pandas", "3.0")
    deletion(box.upper / ENV / "pandas-1.0.dist-info")
    deletion(box.upper / ENV / "old-1.0.dist-info")
    deletion(box.upper / ENV / "old")
    deletion(box.upper / "opt/environment/bin/old")

    assert box.packages() == {
        ("pandas", "1.0", "3.0"),
        ("old", "1.0", None),
        ("polars", None, "2.1"),
    }
    assert box.report().packages == {"pandas": "3.0", "polars": "2.1"}
    assert box.directories() == {}  # all of it belongs to packages
    assert box.report(own=0).packages == {"pandas": "3.0"}


def test_what_a_users_own_layer_added_and_the_upper_took_away_is_no_change(box: Box) -> None:
    package(box.own, "polars", "2.1")
    for path in (f"{ENV}/polars", f"{ENV}/polars-2.1.dist-info", "opt/environment/bin/polars"):
        deletion(box.upper / path)

    assert box.report().changes.count == 0
    assert {(p.name, p.after) for p in box.report(own=0).changes.packages} == {("polars", None)}


def test_the_platforms_and_the_users_python_are_told_apart(box: Box) -> None:
    package(box.base, "numpy", "1.0", PLATFORM)
    package(box.upper, "numpy", "2.0", ENV)

    assert box.packages() == {("numpy", None, "2.0")}


def test_a_directory_made_anew_hides_what_the_base_has_in_it(box: Box) -> None:
    package(box.base, "numpy", "1.0")
    (box.upper / ENV).mkdir(parents=True)
    os.setxattr(box.upper / ENV, "trusted.overlay.opaque", b"y")
    package(box.upper, "torch", "5.0")

    assert box.packages() == {("numpy", "1.0", None), ("torch", None, "5.0")}


def test_conda_and_system_packages_have_their_kind(box: Box) -> None:
    meta = box.upper / "opt/conda/conda-meta"
    meta.mkdir(parents=True)
    (meta / "libblas-3.9.0-12_mkl.json").write_text("{}")
    (meta / "history").write_text("")
    (meta / "attrs-25.1-py_0.json").write_text("{}")
    package(box.upper, "attrs", "25.1", "opt/conda/lib/python3.11/site-packages")
    for root, version, more in ((box.base, "1", ""), (box.upper, "2", "git")):
        status = root / "var/lib/dpkg/status"
        status.parent.mkdir(parents=True)
        text = STATUS.format(name="bash", version=version)
        text += STATUS.format(name="gone", version="1").replace("ok installed", "ok config-files")
        status.write_text(text + (STATUS.format(name=more, version="9") if more else ""))

    found = {(p.kind, p.name, p.before, p.after) for p in box.report().changes.packages}

    assert found == {
        (PackageKind.CONDA, "libblas", None, "3.9.0"),
        (PackageKind.CONDA, "attrs", None, "25.1"),
        (PackageKind.SYSTEM, "bash", "1", "2"),
        (PackageKind.SYSTEM, "git", None, "9"),
    }


def test_other_files_are_summed_up_by_directory_and_what_is_not_saved_is_not_told(box: Box) -> None:
    for path, size in (
        ("opt/tools/bin/x", 100),
        ("opt/tools/y", 11),
        ("etc/motd", 5),
        ("run/x", 7),
        ("tmp/x", 7),
        ("home/ada/x", 7),
        ("top", 3),
        (f"{ENV}/mine/a.py", 9),
        (f"{ENV}/mine/__pycache__/a.pyc", 9),
    ):
        (box.upper / path).parent.mkdir(parents=True, exist_ok=True)
        (box.upper / path).write_bytes(b"x" * size)

    assert box.directories() == {
        "/etc": (1, 5),
        "/opt/tools": (2, 111),
        "/top": (1, 3),
        f"/{ENV}/mine": (1, 9),
    }
    changes = box.report().changes
    assert (changes.files, changes.size) == (5, 128)


def test_an_edit_inside_a_package_that_stays_is_told_by_its_directory(box: Box) -> None:
    package(box.base, "numpy", "1.0")
    edited = box.upper / ENV / "numpy" / "m0.py"
    edited.parent.mkdir(parents=True)
    edited.write_text("mine")

    assert box.packages() == set()
    assert box.directories() == {f"/{ENV}/numpy": (1, 4)}


def test_names_cannot_forge_a_line_and_links_are_not_followed(box: Box) -> None:
    place = box.upper / ENV
    place.mkdir(parents=True)
    (place / "evil-1.0\n2.dist-info").mkdir()
    (place / "evil-1.0\n2.dist-info" / "RECORD").symlink_to("/etc/shadow")
    (box.upper / "opt" / "a\nb").mkdir()
    (box.upper / "opt" / "a\nb" / "x").write_text("x")
    dpkg = box.upper / "var/lib/dpkg"
    dpkg.mkdir(parents=True)
    (dpkg / "status").symlink_to("/var/lib/dpkg/status")

    told = box.report().changes

    assert [(p.name, p.after) for p in told.packages] == [("evil", "1.0\\x0a2")]
    assert "/opt/a\\nb" in {d.path for d in told.directories}


def test_too_many_directories_are_told_together(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atoll.agent.what_changed._MOST", 5)
    for number in range(20):
        (box.upper / f"opt/d{number}").mkdir(parents=True)
        (box.upper / f"opt/d{number}" / "x").write_text("x")

    found = box.directories()

    assert len(found) == 6
    assert sum(files for files, _ in found.values()) == 20
