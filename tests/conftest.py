"""What all tests share: one that did not run counts as a failure; the database they run on; and which
of them stay together where several processes run them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

import tests.exploring  # noqa: F401  # how many examples, and which: for every property test
from tests.databases import DATABASES

# Seconds of every process's imports for checks of formats that no document has, as in the product.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

_ANSWER_S: Final = 60.0  # of a busy machine
TOGETHER = ("tests/browser", "tests/contract/agent", "tests/demos")
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
    """Take the choice; have answers to tests waited for longer than httpx does by itself (5 s)."""
    DATABASES.kind = config.getoption("--database")
    for phase in ("connect", "read", "write", "pool"):
        setattr(DEFAULT_TIMEOUT_CONFIG, phase, _ANSWER_S)


class Together(LoadScopeScheduling):
    """Gives each process whole modules, so that what a module shares is made once, and whole folders.

    What took longest in the last run begins first: at the end no process works alone.
    """

    _KEY: Final = "atoll/seconds"

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        self._cache: pytest.Cache | None = getattr(config, "cache", None)
        self._last: dict[str, float] = self._cache.get(self._KEY, {}) if self._cache else {}
        self._took = Counter[str]()

    def keep(self) -> None:
        """Write down for the next run how long everything took."""
        if self._cache:
            self._cache.set(self._KEY, {**self._last, **self._took})

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """Called by xdist."""
        self._took[self._split_scope(self.registered_collections[node][item_index])] += duration
        super().mark_test_complete(node, item_index, duration)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(max(self.workqueue, key=self._seconds), last=False)
        super()._assign_work_unit(node)

    def _seconds(self, scope: str) -> float:
        guessed = 10.0 if scope in TOGETHER else 0.5  # of a test, where it has not run here before
        return self._last.get(scope, guessed * len(self.workqueue[scope]))

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return next((folder for folder in TOGETHER if module.startswith(f"{folder}/")), module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Called by xdist, whose own groups by marks do nothing with pytest 9.2."""
    together = Together(config, log)
    config.add_cleanup(together.keep)
    return together


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
