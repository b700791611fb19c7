"""Where images and what is restored of them lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.oci.layout import LayoutStore


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "store")


@pytest.fixture
def final(tmp_path: Path) -> Path:
    """A directory that is not there yet, in an area of its own."""
    (tmp_path / "area").mkdir()
    return tmp_path / "area" / "final"
