"""What changed, told as packages and directories."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll import oci
from atoll.checkpoints.changes import (
    Installed,
    by_directory,
    describe,
    installed,
    listed_files,
    name_and_version,
    packages_changed,
)
from hypothesis import given
from hypothesis import strategies as st

SITE = "lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("directory", "found"),
    [
        ("Typing_Extensions-4.1.dist-info", ("typing-extensions", "4.1")),
        ("a.b-1.0.post1.dist-info", ("a-b", "1.0.post1")),
        ("-1.0.dist-info", None),
        ("noversion.dist-info", None),
        ("a-1.egg-info", None),
    ],
)
def test_a_dist_info_says_name_and_version(directory: str, found: tuple[str, str] | None) -> None:
    assert name_and_version(directory) == found


@given(st.binary(max_size=300))
def test_no_list_of_files_breaks_it(content: bytes) -> None:
    for path in listed_files(content, SITE):
        assert isinstance(path, bytes)


def make_package(root: Path, name: str, record: str, direct_url: str = "") -> None:
    info = root / SITE / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text(record)
    if direct_url:
        (info / "direct_url.json").write_text(direct_url)


def test_packages_own_the_files_that_they_list(tmp_path: Path) -> None:
    make_package(tmp_path, "reef", "reef/x.py,,\n../../../bin/reef,,\n")
    make_package(tmp_path, "edit", "", '{"url": "file:///a%20b", "dir_info": {"editable": true}}')
    make_package(tmp_path, "odd", "", '["not", "an", "object"]')

    found = installed(tmp_path, tmp_path / SITE)

    assert found.versions == {"reef": "1.0", "edit": "1.0", "odd": "1.0"}
    assert found.owners[b"bin/reef"] == "reef"
    assert found.owners[f"{SITE}/reef/x.py".encode()] == "reef"
    assert found.editable == {"edit": "/a b"}


def test_an_environment_without_packages_has_none(tmp_path: Path) -> None:
    assert installed(tmp_path, tmp_path / SITE) == Installed({})


versions = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2"]))


@given(versions, versions)
def test_differences_of_packages_lead_from_one_to_the_other(
    before: dict[str, str], after: dict[str, str]
) -> None:
    state = dict(before)
    for item in packages_changed(before, after):
        assert state.get(item.name) == item.before
        if item.after is None:
            del state[item.name]
        else:
            state[item.name] = item.after
    assert state == after


def change(path: str, size: int = 1) -> oci.Change:
    return oci.Change(path.encode(), oci.Kind.FILE, size)


def test_an_uninstalled_package_of_its_own_uncovers_the_platforms() -> None:
    found = oci.Changes((), (), (change(f"{SITE}/rich/a.py"), change("bin/rich")))

    told = describe(found, Installed({}), base={"rich": "14"}, before={"rich": "15"})

    assert [(p.name, p.before, p.after) for p in told.packages] == [("rich", "15", "14")]
    assert told.directories == []


def test_files_of_a_new_package_are_told_once_and_others_by_directory() -> None:
    now = Installed({"reef": "1.0"}, {f"{SITE}/reef/a.py".encode(): "reef"})
    found = oci.Changes(
        (change(f"{SITE}/reef/a.py"), change(f"{SITE}/loose/b.py", 7), change("opt/c/d", 2)),
        (change("notes", 3),),
        (),
    )

    told = describe(found, now, base={}, before=None)

    assert [(p.name, p.before, p.after) for p in told.packages] == [("reef", None, "1.0")]
    assert [(d.path, d.files, d.size) for d in told.directories] == [
        (f"{SITE}/loose", 1, 7),
        ("notes", 1, 3),
        ("opt", 1, 2),
    ]
    assert (told.files, told.size) == (4, 13)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.integers(0, 1000)), max_size=20))
def test_sums_by_directory_lose_no_file_and_no_byte(files: list[tuple[bytes, int]]) -> None:
    told = by_directory(files)

    assert sum(one.files for one in told) == len(files)
    assert sum(one.size for one in told) == sum(size for _, size in files)
