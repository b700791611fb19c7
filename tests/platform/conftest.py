"""One platform for all tests that leave it running; those that end it start their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.kit.home import Home

from tests.platform.driver import Platform, running


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The real platform on a home of its own."""
    folder = Path(tempfile.mkdtemp(prefix="atoll-platform-"))
    with running(Home(folder / "home")) as started:
        yield started
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home for a platform that the test starts and ends itself."""
    return Home(tmp_path / "home")
