"""A registry without room, or with a quota that is used up, says so at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from atoll.oci.errors import StoreFullError
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_errors import RegistryError

from .blobs import error, pushed
from .faults import (
    Fault,
    Faults,
    answers,
)
from .servers import started
from .trees import MIB, run


def test_a_full_registry_says_so_and_takes_images_again_when_there_is_room(tmp_path: Path) -> None:
    storage = tmp_path / "small"
    storage.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=24m", "none", storage)
    try:
        with (
            started(tmp_path / "registry", storage=storage) as running,
            RegistryStore(running.reached(), "a") as store,
        ):
            began = time.monotonic()
            with pytest.raises(StoreFullError, match="No room is left in the registry") as caught:
                pushed(store, 40 * MIB)
            assert caught.value.hint
            assert time.monotonic() - began < 8
            assert running.blobs() == set()
            run("mount", "-o", "remount,size=80m", storage)
            blob = pushed(store, 10 * MIB)
            assert running.blobs() == {blob.digest}
    finally:
        run("umount", storage)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (answers(507), "No room"),
        (answers(500, body=error("UNKNOWN", "unknown error", "write /x: no space left on device")),
         "no space left on device"),
    ],
)  # fmt: skip
def test_a_full_disk_is_not_tried_again(
    broken: RegistryStore, faults: Faults, fault: Fault, words: str
) -> None:
    faults.on("PATCH", "uploads", fault, times=99)
    with pytest.raises(StoreFullError, match=words):
        pushed(broken)
    assert faults.count("PATCH") == 1


def test_a_quota_is_told_from_a_missing_right(broken: RegistryStore, faults: Faults) -> None:
    body = error("DENIED", "adding 5 GiB will exceed the storage quota")
    faults.on("POST", "uploads", answers(403, body=body))
    with pytest.raises(RegistryError, match="quota is used up"):
        pushed(broken)
    faults.on("POST", "uploads", answers(403, body=error("DENIED", "requested access is denied")))
    with pytest.raises(RegistryError, match="does not allow"):
        pushed(broken)
