"""At which moments a test kills: `make test` looks at some of them, `make test-thorough` at the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import pytest
from _pytest.mark import ParameterSet

_EVERY: Final = 3


def moments(
    places: Sequence[str], often: Collection[str] | None = None
) -> list[str | ParameterSet]:
    """A test's parameters, of which `make test` looks at those `often`, by default at every third."""
    some = places[::_EVERY] if often is None else often
    return [
        place if place in some else pytest.param(place, marks=pytest.mark.thorough)
        for place in places
    ]
