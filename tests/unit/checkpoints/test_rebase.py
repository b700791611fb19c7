"""What a rebase hands to an installer, and what it makes of what the job says."""

from __future__ import annotations

import json

import pytest
from atoll.checkpoints import rebase
from atoll.checkpoints.models import Changes, DirectoryChange, Package, PackageKind
from atoll.checkpoints.rebase import REPORT, Plan, Report, outcome, plan, read_report


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("--index-url=http://evil.example", "1"),
        ("-r", "1"),
        ("x @ file:///etc/passwd", "1"),
        ("x", "1 --pre"),
        ("x", "1; python_version>'3'"),
        ("x", "1,<2"),
        ("x", "-1"),
        ("x\ny", "1"),
        ("x", "1\n--extra-index-url http://evil.example"),
        ("x", ""),
        ("", "1"),
        (".", "1"),
        ("x[extra]", "1"),
        ("../x", "1"),
        ("x" * 101, "1"),
        ("x", "1" * 101),
        ("x", "1.0.zip"),
        ("x", "1.0.whl"),
        ("x", "1.0.tar.gz"),
        ("x", "1.0.TGZ"),
        ("x", "1.0+local.zip"),
        ("x", "1.0.tar.bz2"),
        ("x", "1.0.tlz"),
        ("пакет", "1"),
    ],
)
def test_what_is_no_package_is_never_handed_on(name: str, version: str) -> None:
    found = plan({name: version, "real": "1.0+cu118"}, Changes(), {}, {})
    assert found.parameters == {"install": ["real==1.0+cu118"], "remove": []}
    [left] = found.left
    assert left.path.isprintable()
    gone = Changes(packages=[Package(name=name, before="1")])
    if version == "1":
        assert plan({}, gone, {}, {}).remove == []


def test_only_the_difference_to_the_newer_base_is_installed() -> None:
    found = plan(
        {"same": "1", "newer": "2", "own": "1"}, Changes(), {}, {"same": "1", "newer": "3"}
    )
    assert found.install == {"newer": "2", "own": "1"}


def test_what_came_from_elsewhere_what_is_no_python_and_files_are_named() -> None:
    changes = Changes(
        packages=[
            Package(name="numpy", before="1", after=None),
            Package(name="libgomp", after="1", kind=PackageKind.SYSTEM),
        ],
        directories=[DirectoryChange(path="/opt/tools", files=2, size=10)],
    )
    found = plan({"ours": "1"}, changes, {"ours": "git+https://host.example/x\x1b[2J"}, {})
    assert (found.install, found.remove) == ({}, ["numpy"])
    assert [one.path for one in found.left] == ["ours 1", "libgomp 1", "/opt/tools"]
    assert "git+https://host.example/x\\x1b" in found.left[0].reason


def test_what_is_missing_in_another_version_or_does_not_import_is_said() -> None:
    wanted = Plan(install={"a": "1", "b": "1", "c": "1", "d": "1"}, remove=["e"])
    report = Report(failed={"a": "no such thing"}, imports={"c": "ImportError: libx"}, broken=["!"])
    found = outcome(wanted, report, {"b": "2", "c": "1", "d": "1", "e": "1"})
    assert [(one.path, one.reason) for one in found.left] == [
        ("a 1", "no such thing"),
        ("b 1", "2 is in its place"),
        ("c 1", "it does not import: ImportError: libx"),
        ("e", "it was removed before, and is there again"),
        ("pip check", "!"),
    ]
    assert found.names == ["a", "b", "c"]
    assert not found.nothing
    assert outcome(wanted, Report(), {}).nothing
    assert not outcome(Plan(), Report(), {}).nothing


@pytest.mark.parametrize(
    "output",
    [
        None,
        b"",
        b"[]",
        b"{not json",
        b'{"cells": 1}',
        b'{"cells": [{"outputs": [1]}]}',
        json.dumps({"cells": [{"outputs": [{"data": {REPORT: {"failed": [1]}}}]}]}).encode(),
        json.dumps(
            {"cells": [{"outputs": [{"data": {REPORT: {"broken": ["x"] * 1001}}}]}]}
        ).encode(),
        b"[" * 100_000,
    ],
)
def test_a_job_that_says_nothing_of_use_is_no_report(output: bytes | None) -> None:
    assert read_report(output) == Report()


def test_what_a_job_says_reaches_no_terminal_as_it_is() -> None:
    said = {"failed": {"a\x1b[2J": "b\x1b[2J" + "x" * 5000}}
    document = {"cells": [{"outputs": [{"data": {REPORT: said}}]}]}
    [(name, why)] = read_report(json.dumps(document).encode()).failed.items()
    assert (name + why).isprintable()
    assert len(why) < 1100


def test_many_that_are_missing_are_counted() -> None:
    wanted = Plan(install={f"p{number}": "1" for number in range(9)})
    sentence = outcome(wanted, Report(), {"p8": "1"}).sentence(9)
    assert sentence is not None
    assert sentence.startswith("8 of 9 packages are not in it as they were: p0, p1, p2, p3, p4 …")
    assert rebase.first_reason(outcome(wanted, Report(), {}).left, ["p0"]) == "it is not installed"
