"""A container that is saved must be there: what is gone is gone, what cannot be looked at is not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import cast

import pytest
from atoll import oci
from atoll.agent.copying import still_there
from atoll.agent.errors import ContainerRemovedError
from atoll.agent.runtimes.container import Runtime

from tests.unit.agent.containers import ended

NOBODY = cast(Runtime, None)  # who is asked later


def test_a_layer_that_is_not_there_is_a_removed_container(tmp_path: Path) -> None:
    with pytest.raises(ContainerRemovedError), still_there(NOBODY, ended(tmp_path / "gone")):
        pass


def test_a_disk_that_is_away_is_no_removed_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three of these a stop would be given up as lost."""

    def fails(_: Path) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "lstat", fails)
    with pytest.raises(oci.UnreadableError), still_there(NOBODY, ended(tmp_path)):
        pass
