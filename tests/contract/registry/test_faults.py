"""A registry on a bad day: every transfer ends well, or with an error that says what to do."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import pytest
from atoll.oci.errors import CancelledError
from atoll.oci.image import digest_of
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_errors import RegistryAwayError, UploadLostError
from atoll.oci.registry_settings import Registry
from atoll.oci.store import load_image
from atoll.oci.unpack import unpack

from .blobs import LARGE, PIECE, error, pushed
from .faults import (
    Faults,
    answers,
    cuts_the_answer,
    loses_the_answer,
    resets,
    resets_after,
    says,
    slowly,
    waits,
)
from .servers import QUICK, Running, free_port
from .trees import MIB, contents, noise, saved, tree

TROUBLE = {
    "500": answers(500),
    "502": answers(502),
    "503 before reading": answers(503, read=False),
    "504": answers(504),
    "429": answers(429, retry_after="0"),
    "reset": resets,
    "reset after a part": resets_after(100_000),
    "lost answer": loses_the_answer,
}


WORST = ("503 before reading", "reset after a part", "lost answer")
PLACES = [("POST", "uploads"), ("PUT", "uploads"), ("HEAD", "blobs"), ("GET", "blobs")]


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        *((("PATCH", "uploads"), fault) for fault in TROUBLE),
        *((where, fault) for where in PLACES for fault in WORST),
    ],
    ids=str,
)
def test_passing_trouble_is_passed_over(
    broken: RegistryStore, faults: Faults, where: tuple[str, str], fault: str
) -> None:
    method, path = where
    faults.on(method, path, TROUBLE[fault], skip=1 if method == "PATCH" else 0)
    pushed(broken)
    assert not [rule for rule in faults.rules if rule.times]


@pytest.mark.parametrize("fault", WORST)
def test_a_small_blob_and_an_image_get_through_trouble(
    broken: RegistryStore, faults: Faults, fault: str, tmp_path: Path
) -> None:
    for method, path in (("PUT", "uploads"), ("PUT", "manifests"), ("HEAD", "manifests")):
        faults.on(method, path, TROUBLE[fault])
    image, _ = saved(broken, tree(tmp_path / "root"), "v1")
    faults.on("GET", "manifests", TROUBLE[fault])
    assert load_image(broken, image.digest).digest == image.digest


def test_a_chunk_goes_on_where_the_registry_has_got_to(
    broken: RegistryStore, faults: Faults
) -> None:
    """A registry that keeps what a broken connection had brought: its offset is asked, and counts."""
    faults.on("PATCH", "uploads", answers(503), skip=1)
    pushed(broken)
    asked = [seen for seen in faults.seen if seen.method == "GET" and "uploads" in seen.path]
    ranges = [seen.headers["content-range"] for seen in faults.seen if seen.method == "PATCH"]
    assert len(asked) == 1
    assert ranges == ["0-1048575", *["1048576-2097151"] * 2, f"2097152-{LARGE - 1}"]


def test_a_registry_that_asks_for_time_gets_it(broken: RegistryStore, faults: Faults) -> None:
    faults.on("PATCH", "uploads", answers(429, retry_after="1"))
    began = time.monotonic()
    pushed(broken)
    assert time.monotonic() - began >= 1


def test_a_registry_that_asks_for_more_time_than_there_is_is_away(
    broken: RegistryStore, faults: Faults
) -> None:
    faults.on(
        "POST",
        "uploads",
        answers(429, retry_after="3600", body=error("TOOMANYREQUESTS", "slow down")),
    )
    began = time.monotonic()
    with pytest.raises(RegistryAwayError, match=r"429.*slow down"):
        pushed(broken)
    assert time.monotonic() - began < 5


def test_a_forgotten_upload_begins_anew_while_its_beginning_is_at_hand(
    broken: RegistryStore, faults: Faults, registry: Running
) -> None:
    lost = answers(404, body=error("BLOB_UPLOAD_UNKNOWN"))
    faults.on("PATCH", "uploads", lost, skip=2)
    pushed(broken)
    assert faults.count("POST") == 2
    faults.on("PUT", "uploads", lost)
    pushed(broken, seed=2)


def test_a_forgotten_upload_of_a_large_blob_says_that_the_save_is_to_be_repeated(
    faults: Faults, registry: Running, repository: str
) -> None:
    reached = dataclasses.replace(
        registry.reached(chunk=PIECE, replay=2 * PIECE), address=faults.address
    )
    faults.on("PATCH", "uploads", answers(404, body=error("BLOB_UPLOAD_UNKNOWN")), skip=2)
    with RegistryStore(reached, repository) as store:
        with pytest.raises(UploadLostError, match="Save again"):
            pushed(store, 5 * MIB)
        blob = pushed(store, 5 * MIB)  # which then succeeds
    assert blob.digest in registry.blobs()


def test_a_registry_that_takes_less_in_one_request_gets_less(
    faults: Faults, registry: Running, repository: str
) -> None:
    faults.on("PATCH", "uploads", answers(413, read=False))
    reached = dataclasses.replace(registry.reached(), address=faults.address)
    with RegistryStore(reached, repository) as store:
        pushed(store, 20 * MIB)
    sizes = [int(seen.headers["content-length"]) for seen in faults.seen if seen.method == "PATCH"]
    assert sizes == [8 * MIB, *[4 * MIB] * 5]


def test_a_registry_that_wants_larger_pieces_gets_them(
    broken: RegistryStore, faults: Faults
) -> None:
    faults.on("POST", "uploads", says(oci_chunk_min_length="1500000"), times=9)
    pushed(broken)
    pushed(broken, PIECE + 10, seed=2)
    sizes = [int(seen.headers["content-length"]) for seen in faults.seen if seen.method == "PATCH"]
    assert sizes == [1_500_000, LARGE - 1_500_000]


def test_a_download_goes_on_where_it_broke(broken: RegistryStore, faults: Faults) -> None:
    faults.on("GET", "blobs/sha256", cuts_the_answer(MIB + 1))
    faults.on("GET", "blobs/sha256", cuts_the_answer(500_000))
    pushed(broken)
    ranges = [seen.headers.get("range") for seen in faults.seen if seen.method == "GET"]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(text and text.startswith("bytes=") for text in ranges[1:])


def test_a_download_begins_anew_where_the_registry_knows_no_ranges(
    broken: RegistryStore, faults: Faults
) -> None:
    faults.on("GET", "blobs/sha256", cuts_the_answer(MIB + 1))

    def whole(passing: object) -> None:
        del passing.headers["range"]  # type: ignore[attr-defined]
        passing.relay(passing.passed_on())  # type: ignore[attr-defined]

    faults.on("GET", "blobs/sha256", whole)
    pushed(broken)


def test_an_image_is_restored_over_a_connection_that_breaks(
    broken: RegistryStore, faults: Faults, tmp_path: Path
) -> None:
    image, _ = saved(broken, tree(tmp_path / "root", size=3 * MIB))
    faults.on("GET", "blobs/sha256", cuts_the_answer(MIB), skip=2)
    unpack(broken, image.digest, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "root")


def test_a_registry_that_is_not_there_is_said_to_be_away() -> None:
    address = f"127.0.0.1:{free_port()}"
    limits = {**QUICK, "patience": 0.3}
    told: list[str] = []
    began = time.monotonic()
    with (
        RegistryStore(
            Registry(address, plain_http=True, waits=told.append, **limits), "a"
        ) as store,
        pytest.raises(RegistryAwayError, match=f"{address} cannot be reached") as caught,
    ):
        store.has(digest_of(b"x"))
    assert caught.value.hint
    assert set(told) == {caught.value.detail}
    assert time.monotonic() - began < 3


def test_a_registry_that_says_nothing_is_given_up(faults: Faults, repository: str) -> None:
    forever = threading.Event()
    faults.on("HEAD", "blobs", waits(forever), times=9)
    reached = Registry(faults.address, plain_http=True, connect=1, silence=0.3, patience=0.5)
    try:
        with RegistryStore(reached, repository) as store, pytest.raises(RegistryAwayError):
            store.has(digest_of(b"x"))
    finally:
        forever.set()


def test_writing_waits_for_a_slow_registry(broken: RegistryStore, faults: Faults) -> None:
    """Three pieces are in memory at most: one being sent, one ready, one being filled."""
    going = threading.Event()
    faults.on("PATCH", "uploads", waits(going), times=99)
    data = noise(20 * MIB)
    written = []
    writer = broken.writer()

    def write() -> None:
        for start in range(0, len(data), MIB):
            writer.write(data[start : start + MIB])
            written.append(start)
        writer.commit(digest_of(data))

    thread = threading.Thread(target=write)
    thread.start()
    thread.join(0.7)  # far longer than writing takes
    assert len(written) <= 4
    going.set()
    thread.join(30)
    assert len(written) == 20
    assert broken.has(digest_of(data))


def test_a_slow_registry_is_no_broken_one(faults: Faults, repository: str) -> None:
    faults.on("PATCH", "uploads", slowly(2 * MIB), times=3)
    reached = Registry(faults.address, plain_http=True, silence=1.0, patience=5.0, chunk=PIECE)
    with RegistryStore(reached, repository) as store:
        began = time.monotonic()
        pushed(store)
    assert time.monotonic() - began > 1.0  # longer than a silence may be


def test_a_transfer_is_stopped_while_it_waits(
    faults: Faults, registry: Running, repository: str
) -> None:
    stop = threading.Event()
    faults.on("PATCH", "uploads", answers(503), times=999)
    reached = dataclasses.replace(
        registry.reached(patience=60.0, chunk=PIECE), address=faults.address
    )
    with RegistryStore(reached, repository, cancelled=stop.is_set) as store:
        writer = store.writer()
        writer.write(noise(3 * MIB))
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        with pytest.raises(CancelledError):
            writer.commit(digest_of(noise(3 * MIB)))
        writer.abort()
    assert time.monotonic() - began < 5
    assert registry.uploads(repository) == []
