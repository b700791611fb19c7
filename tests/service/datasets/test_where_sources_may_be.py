"""Locations: only where the operator allows, whatever is tried."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from atoll.datasets import client
from atoll.datasets.models import Dataset, DatasetStatus
from atoll.datasets.settings import DatasetSettings
from atoll.kit.errors import ForbiddenError, InvalidError
from atoll.kit.home import Home
from atoll.kit.names import directory_name

from .platform import Atoll


@pytest.fixture
def operators(tmp_path: Path) -> Path:
    folder = tmp_path / "operators"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(operators: Path) -> DatasetSettings:
    return DatasetSettings(roots=(operators,))


def table(folder: Path, name: str = "t.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("a\n1\n")
    return path


def refused(found: Dataset) -> str:
    assert (found.status, found.reason) == (DatasetStatus.FAILED, "forbidden")
    assert found.columns == []
    return found.message or ""


def test_the_platforms_data_the_operators_folders_and_ones_own_home(
    atoll: Atoll, operators: Path
) -> None:
    own = table(atoll.home.homes / "ada" / "deep")
    assert atoll.added("one", table(atoll.home.data)).status == DatasetStatus.READY
    assert atoll.added("two", table(operators)).status == DatasetStatus.READY
    assert atoll.added("three", own).status == DatasetStatus.READY
    found = atoll.added("four", "~/deep/t.csv")
    assert found.status == DatasetStatus.READY
    assert found.location is not None
    assert found.location.path == str(own)
    assert atoll.added("five", "deep/t.csv").status == DatasetStatus.READY


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/etc/shadow", "/", "/proc/self/environ", "/dev/zero", "/tmp"],
)
def test_anything_else_is_refused_and_nothing_is_kept(atoll: Atoll, path: str) -> None:
    with pytest.raises(ForbiddenError) as error:
        atoll.register("x", path)
    assert path in error.value.detail
    assert str(atoll.home.data) in (error.value.hint or "")
    assert atoll.send(client.datasets()).items == []


@pytest.mark.parametrize("path", ["t.csv", "deep/t.csv", "~/t.csv", "~root/x.csv", "t.csv/x"])
def test_a_path_that_is_not_absolute_and_names_nothing_is_refused(atoll: Atoll, path: str) -> None:
    if path == "t.csv/x":  # a folder in its name is a file
        table(atoll.home.homes / "ada")
    # `~root` is a folder's name: there is no such thing as others' homes
    with pytest.raises(InvalidError, match="There is nothing at") as error:
        atoll.register("x", path)
    assert str(atoll.home.homes / "ada") in error.value.detail
    assert atoll.send(client.datasets()).items == []


def test_an_absolute_path_may_be_of_what_comes_later(atoll: Atoll) -> None:
    assert atoll.added("x", atoll.home.data / "later.csv").reason == "not_found"


@pytest.mark.parametrize(
    "path", ["../t.csv", "{data}/../secrets/x", "{data}/a/../../t.csv", "..", "~/../bob/t.csv"]
)
def test_going_upwards_is_refused(atoll: Atoll, path: str) -> None:
    with pytest.raises(InvalidError, match=r"`\.\.`"):
        atoll.register("x", path.format(data=atoll.home.data))


@pytest.mark.parametrize("path", ["a\x00b", "a\nb", "x" * 4000, "s3://bucket/x", "file:///etc"])
def test_what_is_no_path_is_refused(atoll: Atoll, path: str) -> None:
    with pytest.raises(InvalidError):
        atoll.register("x", path)


def test_the_platforms_own_state_and_others_homes_are_closed(atoll: Atoll, home: Home) -> None:
    home.secret("hub-token")
    theirs = table(home.homes / "bob")
    for path in (home.secrets / "hub-token", home.service / "atoll.sqlite", theirs, home.homes):
        with pytest.raises(ForbiddenError):
            atoll.register("x", path)


def test_a_users_home_is_not_the_platforms_to_register(atoll: Atoll) -> None:
    own = table(atoll.home.homes / directory_name("root"))
    assert atoll.added("mine", own, who="admin").status == DatasetStatus.READY
    with pytest.raises(ForbiddenError):
        atoll.register("ours", own, who="admin", platform=True)


def test_the_home_is_the_one_that_the_spawner_names(atoll: Atoll) -> None:
    assert directory_name("Zoë Ünal/../x").startswith("zo")
    (atoll.home.homes / "ada-evil").mkdir()
    with pytest.raises(ForbiddenError):
        atoll.register("x", table(atoll.home.homes / "ada-evil"))


def test_a_link_that_leads_out_is_refused_at_once(atoll: Atoll) -> None:
    (atoll.home.data / "link.csv").symlink_to("/etc/passwd")
    (atoll.home.data / "up").symlink_to("/etc")
    for path in ("link.csv", "up/passwd", "up"):
        with pytest.raises(ForbiddenError):
            atoll.register("x", atoll.home.data / path)


def test_a_link_that_leads_out_later_is_refused_by_the_probe(atoll: Atoll) -> None:
    source = atoll.write("t.csv", "a\n1\n")
    found = atoll.added("t", source)
    source.unlink()
    source.symlink_to("/etc/passwd")

    stale = atoll.probed(atoll.send(client.probe("t")))

    assert (stale.status, stale.reason) == (DatasetStatus.STALE, "forbidden")
    assert stale.columns == found.columns


def test_a_link_in_a_folder_that_leads_out_is_refused(atoll: Atoll, tmp_path: Path) -> None:
    folder = atoll.home.data / "parts"
    folder.mkdir()
    (tmp_path / "secret.parquet").write_bytes(b"PAR1")
    (folder / "part-0.parquet").symlink_to(tmp_path / "secret.parquet")
    assert "part-0.parquet" in refused(atoll.added("parts", folder))


def test_a_link_within_what_is_allowed_is_followed(atoll: Atoll) -> None:
    source = atoll.write("real.csv", "a\n1\n")
    (atoll.home.data / "link.csv").symlink_to(source)
    assert atoll.added("t", atoll.home.data / "link.csv").status == DatasetStatus.READY


def test_what_is_neither_file_nor_folder_is_refused(atoll: Atoll) -> None:
    pipe = atoll.home.data / "pipe.csv"
    os.mkfifo(pipe)
    found = atoll.added("pipe", pipe)
    assert (found.status, found.reason) == (DatasetStatus.FAILED, "not_a_file")


def test_a_root_that_holds_the_platforms_state_does_not_open_it(tmp_path: Path, home: Home) -> None:
    from atoll.datasets.locations import allowed

    home.create()
    where = allowed("ada", home, DatasetSettings(roots=(Path("/"),)))
    assert where.inside(Path("/etc/hostname"))
    assert where.inside(home.data / "x")
    assert where.inside(home.homes / "ada" / "x")
    assert not where.inside(home.secrets / "hub-token")
    assert not where.inside(home.homes / "bob" / "x")
    assert not where.inside(home.path)
