"""What all tests share: one that did not run counts as a failure; the database they run on; and which
of them stay together where several processes run them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.databases import DATABASES

# Seconds of every process's imports for checks of formats that no document has, as in the product.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

TOGETHER = ("tests/browser", "tests/contract/agent", "tests/demos", "tests/platform")
"""Folders whose tests one process runs: they share a platform, or a containerd, or build on each other."""


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


class Together(LoadScopeScheduling):
    """Gives each process whole modules, so that what a module shares is made once, and whole folders."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return next((folder for folder in TOGETHER if module.startswith(f"{folder}/")), module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """Called by xdist, whose own groups by marks do nothing with pytest 9.2."""
    return Together(config, log)


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
