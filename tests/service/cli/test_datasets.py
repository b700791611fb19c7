"""`atoll datasets` and `atoll.dataset`, against the whole service."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.kit.home import Home

from .conftest import Shell


@pytest.fixture
def sales(home: Home) -> Path:
    folder = home.data / "sales"
    folder.mkdir(exist_ok=True)
    path = folder / "sales.csv"
    path.write_text("day,region,amount\n2026-01-01,north,3\n2026-01-02,süd,5\n2026-01-03,north,\n")
    return path


def test_a_path_that_is_here_is_meant_from_here(ada: Shell, sales: Path, home: Home) -> None:
    here = Shell(ada.url, sales.parent)
    added = here.json("datasets", "add", "from-here", sales.name)
    assert added["location"]["path"] == str(sales)
    assert added["status"] == "ready"


def test_a_path_that_is_nowhere_is_refused_with_the_places_it_was_looked_for(
    ada: Shell, home: Home
) -> None:
    said = ada.atoll("datasets", "add", "not-here", "nothing.csv", status=2).stderr
    said = " ".join(said.split())
    assert f"is not in {ada.folder}" in said
    assert f"There is nothing at 'nothing.csv' in {home.homes / 'ada'}." in said
    ada.atoll("datasets", "show", "not-here", status=4)


def test_a_path_that_is_not_here_is_meant_from_the_home(ada: Shell, home: Home) -> None:
    own = home.homes / "ada" / "own.csv"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("a\n1\n")
    added = ada.json("datasets", "add", "from-home", own.name)
    assert (added["location"]["path"], added["status"]) == (str(own), "ready")
    refused = ada.atoll("datasets", "change", "from-home", "--path", "gone.csv", status=2).stderr
    assert str(own.parent) in refused
    assert ada.json("datasets", "show", "from-home")["location"]["path"] == str(own)
    ada.atoll("datasets", "remove", "from-home", "--yes")


def test_a_name_that_is_taken_is_told_how_to_change_it(ada: Shell, sales: Path) -> None:
    ada.json("datasets", "add", "twice", str(sales))
    said = ada.atoll("datasets", "add", "twice", str(sales), status=5).stderr
    assert "atoll datasets change twice --path" in said
    ada.atoll("datasets", "remove", "twice", "--yes")


def test_a_dataset_is_added_looked_at_loaded_and_removed(ada: Shell, sales: Path) -> None:
    added = ada.json("datasets", "add", "sales", str(sales), "-m", "Orders")
    assert (added["status"], added["format"], added["rows"]) == ("ready", "csv", 3)
    assert "sales" in ada.atoll("datasets", "list", "--name", "sale").stdout
    shown = ada.atoll("datasets", "show", "sales").stdout
    assert 'atoll.dataset("ada:sales").to_pandas()' in shown
    assert "region" in shown
    assert "süd" in ada.atoll("datasets", "preview", "sales").stdout
    assert ada.json("datasets", "preview", "sales", "-n", "1") == [
        {"day": "2026-01-01", "region": "north", "amount": 3}
    ]
    code = (
        "import atoll\n"
        "sales = atoll.dataset('sales')\n"
        "frame = sales.to_pandas(columns=['amount'], where={'region': 'north'})\n"
        "print(sales.schema.names, len(frame), len(sales.sample()), len(sales.preview(2)))\n"
        "print(sales.to_arrow(limit=1).num_rows, [d.name for d in atoll.datasets('sales')])\n"
    )
    assert ada.python(code).splitlines() == [
        "['day', 'region', 'amount'] 2 3 2",
        "1 ['sales']",
    ]
    ada.atoll("datasets", "remove", "sales", "--yes")
    ada.atoll("datasets", "show", "sales", status=4)


def test_a_grant_lets_somebody_else_use_it_by_its_owners_name(ada: Shell, sales: Path) -> None:
    bob = ada.as_("bob")
    ada.json("datasets", "add", "shared", str(sales))
    bob.atoll("datasets", "show", "ada:shared", status=4)
    assert ada.json("datasets", "grant", "shared", "user:bob")["grants"] == ["user:bob"]
    assert "shared" in bob.atoll("datasets", "list").stdout
    ada.atoll("datasets", "grant", "shared")
    bob.atoll("datasets", "show", "ada:shared", status=4)
    refused = ada.atoll("datasets", "grant", "shared", "everybody", status=2)
    assert "everybody" in refused.stderr
    ada.atoll("datasets", "remove", "shared", "--yes")


def test_a_source_that_cannot_be_read_ends_with_1_and_says_why(ada: Shell, home: Home) -> None:
    missing = home.data / "none.csv"
    said = ada.atoll("datasets", "add", "missing", str(missing), status=1).stdout
    assert "failed" in said
    assert "none.csv" in said
    missing.write_text("a\n1\n")
    assert ada.json("datasets", "probe", "missing")["status"] == "ready"
    ada.atoll("datasets", "remove", "missing", "--yes")


def test_a_dataset_is_changed_as_the_message_says(ada: Shell, home: Home) -> None:
    (home.data / "odd").write_bytes("name;n\ncafé;1\n".encode("latin-1"))
    there = str(home.data / "odd")
    said = ada.atoll("datasets", "add", "odd", there, status=1).stdout
    assert "format" in said
    said = ada.atoll("datasets", "change", "odd", "--format", "csv", status=1).stdout
    assert "encoding=latin-1" in said
    found = ada.json("datasets", "change", "odd", "--option", "encoding=latin-1")
    assert (found["status"], found["rows"]) == ("ready", 1)
    assert found["location"] == {"path": there, "table": None, "options": {"encoding": "latin-1"}}
    found = ada.json("datasets", "change", "odd", "--option", "", "--path", f"{there}.away",
                     "--format", "", status=1)  # fmt: skip
    assert (found["format"], found["location"]["options"]) == (None, {})
    ada.atoll("datasets", "change", "odd", status=2)
    ada.atoll("datasets", "remove", "odd", "--yes")


def test_bad_input_is_told_in_a_sentence(ada: Shell) -> None:
    said = ada.atoll("datasets", "add", "x", "/etc/passwd", status=3).stderr
    assert "/etc/passwd" in said
    assert "lower-case letters" in ada.atoll("datasets", "add", "A b", "x.csv", status=2).stderr
    assert "--rows" in ada.atoll("datasets", "preview", "x", "--rows", "0", status=2).stderr


def test_removing_asks_first(ada: Shell, sales: Path) -> None:
    ada.json("datasets", "add", "dear", str(sales))
    ada.atoll("datasets", "remove", "dear", typed="n\n")
    ada.atoll("datasets", "show", "dear")
    ada.atoll("datasets", "remove", "dear", typed="y\n")
    ada.atoll("datasets", "show", "dear", status=4)
