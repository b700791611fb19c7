"""Datasets that the operator's settings offer are there from the first start, and follow the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.datasets import client
from atoll.datasets.models import DatasetStatus, GrantRequest
from atoll.datasets.settings import DatasetSettings
from atoll.kit.errors import NotFoundError
from atoll.kit.home import Home
from atoll.kit.settings import Section, SettingsError, load
from pydantic import JsonValue, ValidationError

from .platform import Atoll, serving


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of the operator's."""
    found = tmp_path / "shared"
    found.mkdir()
    for number, name in enumerate(("orders", "moved"), 1):
        (found / f"{name}.csv").write_text("a,b\n" + "1,2\n" * number)
    return found


def offering(place: Path, **offered: dict[str, JsonValue]) -> DatasetSettings:
    """Settings with these datasets."""
    return DatasetSettings.model_validate({"roots": [place], "offered": offered})


def names(atoll: Atoll, who: str) -> set[str]:
    return {one.name for one in atoll.send(client.datasets(), who).items}


def test_they_are_there_for_those_to_whom_they_are_granted(home: Home, place: Path) -> None:
    orders: dict[str, JsonValue] = {"path": f"{place}/orders.csv", "description": "What is ordered"}
    payroll: dict[str, JsonValue] = {"path": f"{place}/moved.csv", "grants": ["user:bob"]}
    inside: dict[str, JsonValue] = {"path": "inside.csv", "format": "csv"}
    with serving(home, offering(place, orders=orders, payroll=payroll, inside=inside)) as atoll:
        atoll.write("inside.csv", "a\n1\n")
        atoll.rules.seed()
        found = atoll.probed("orders")
        assert (found.status, found.rows, found.owner) == (DatasetStatus.READY, 1, "")
        assert (found.description, found.grants) == ("What is ordered", ["everyone"])
        assert atoll.probed("inside").status == DatasetStatus.READY
        assert atoll.probed("payroll", "bob").status == DatasetStatus.READY
        assert "payroll" not in names(atoll, "ada")


def test_where_they_are_follows_the_settings_and_who_may_use_them_the_administrators(
    home: Home, place: Path
) -> None:
    with serving(home, offering(place, orders={"path": f"{place}/orders.csv"})) as atoll:
        atoll.rules.seed()
        before = atoll.probed("orders")
        atoll.send(client.grant("orders", GrantRequest(grants=["user:bob"])), "admin")
    moved: dict[str, JsonValue] = {"path": f"{place}/moved.csv", "description": "Since May"}
    with serving(home, offering(place, orders=moved)) as atoll:
        atoll.rules.seed()
        found = atoll.probed("orders", "bob")
        assert (found.id, found.rows, found.description) == (before.id, 2, "Since May")
        assert "orders" not in names(atoll, "ada")
        seen = found.probed_at
        atoll.rules.seed()
        assert atoll.send(client.dataset("orders"), "bob").probed_at == seen, "nothing was new"


def test_one_that_was_removed_stays_removed(home: Home, place: Path) -> None:
    with serving(home, offering(place, orders={"path": f"{place}/orders.csv"})) as atoll:
        atoll.rules.seed()
        atoll.send(client.remove("orders"), "admin")
        atoll.rules.seed()
        with pytest.raises(NotFoundError):
            atoll.send(client.dataset("orders"), "admin")


def test_one_that_an_administrator_had_under_that_name_is_left_alone(
    home: Home, place: Path
) -> None:
    with serving(home, offering(place, orders={"path": f"{place}/orders.csv"})) as atoll:
        path = atoll.write("own.csv", "a\n")
        atoll.register("orders", path, who="admin", platform=True)
        atoll.rules.seed()
        atoll.rules.seed()  # as the next start does
        found = atoll.send(client.dataset("orders"), "admin")
        assert found.location is not None
        assert found.location.path == str(path)


def test_one_that_an_administrator_registers_in_place_of_a_removed_one_is_never_overwritten(
    home: Home, place: Path
) -> None:
    salaries: dict[str, JsonValue] = {"path": f"{place}/moved.csv", "grants": ["group:hr"]}
    with serving(home, offering(place, salaries=salaries)) as atoll:
        atoll.rules.seed()
        atoll.send(client.remove("salaries"), "admin")
        path = atoll.write("published.csv", "a\n1\n")
        atoll.register("salaries", path, who="admin", platform=True, grants=["everyone"])
        before = atoll.probed("salaries")
        atoll.rules.seed()  # as the next start does
        after = atoll.send(client.dataset("salaries"), "admin")
        assert after.location is not None
        assert after.location.path == str(path), "everyone would see what is the group's"
        assert atoll.send(client.dataset("salaries"), "ada") == before
    moved: dict[str, JsonValue] = {"path": f"{place}/orders.csv", "description": "x"}
    with serving(home, offering(place, salaries=moved)) as atoll:
        atoll.rules.seed()
        assert atoll.send(client.dataset("salaries"), "ada") == before


def test_those_that_come_with_the_platform_never_become_others_that_everyone_may_use(
    home: Home, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(home, DatasetSettings()) as atoll:
        atoll.rules.seed()
        before = atoll.probed("flights")
    flights: dict[str, JsonValue] = {"path": f"{place}/moved.csv", "grants": ["group:hr"]}
    with serving(home, offering(place, flights=flights)) as atoll:
        atoll.rules.seed()
        assert atoll.send(client.dataset("flights")) == before
    assert "the dataset flights of the settings is not offered" in caplog.text


def test_what_leads_out_of_the_roots_is_not_offered_and_holds_up_no_other(
    home: Home, place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (place / "link.csv").symlink_to(tmp_path / "secret.csv")
    stolen: dict[str, JsonValue] = {"path": f"{place}/link.csv"}
    upwards: dict[str, JsonValue] = {"path": "../secrets/service-token"}
    orders: dict[str, JsonValue] = {"path": f"{place}/orders.csv"}
    with serving(home, offering(place, stolen=stolen, upwards=upwards, orders=orders)) as atoll:
        atoll.rules.seed()
        assert {"stolen", "upwards"}.isdisjoint(names(atoll, "admin"))
        assert atoll.probed("orders").status == DatasetStatus.READY
    assert "the dataset stolen of the settings is not offered" in caplog.text


@pytest.mark.parametrize("path", ["/etc/passwd", "/shared/../etc/passwd", "/sharedbutnot/x.csv"])
def test_a_path_in_none_of_the_roots_is_a_wrong_setting(path: str) -> None:
    given = {"roots": ["/shared"], "offered": {"x": {"path": path}}}
    with pytest.raises(ValidationError, match=r"datasets\.roots"):
        DatasetSettings.model_validate(given)


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "../a"])
def test_a_name_that_no_dataset_may_have_is_a_wrong_setting(name: str) -> None:
    with pytest.raises(ValidationError):
        DatasetSettings.model_validate({"offered": {name: {"path": "x.csv"}}})


def test_a_format_that_nothing_reads_is_a_wrong_setting_and_named_at_the_start(
    tmp_path: Path,
) -> None:
    class Settings(Section):
        datasets: DatasetSettings

    file = tmp_path / "settings.toml"
    file.write_text('[datasets.offered.orders]\npath = "orders.csv"\nformat = "foo"\n')
    with pytest.raises(SettingsError) as told:
        load(Settings, file, {})
    assert told.value.detail == (
        f"datasets.offered.orders.format = 'foo' (read from {file}): Value error, There is no"
        " reader for the format 'foo'. Formats that can be read: parquet, sqlite, csv; leave it out"
        " to find out."
    )
