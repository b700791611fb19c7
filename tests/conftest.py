"""What all tests share: one that did not run counts as a failure; the database they run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import DATABASES


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--database=postgres`."""
    parser.addoption(
        "--database",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help="what tests of the service run on",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take the choice."""
    DATABASES.kind = config.getoption("--database")


def pytest_runtest_setup() -> None:
    """The database's server runs."""
    DATABASES.begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """A test that had a folder of its own gives up the databases that belong to it."""
    yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if isinstance(folder, Path):
        DATABASES.forget(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> object:
    """A skipped test fails: a missing program or part must be seen, not passed over."""
    report: pytest.TestReport = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report
