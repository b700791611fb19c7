"""A registry that loses, changes or makes up what it holds is found out."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.oci.errors import DigestError
from atoll.oci.image import Digest, digest_of
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_errors import RegistryError
from atoll.oci.store import load_image

from .blobs import LARGE, error, pushed
from .faults import (
    Faults,
    answers,
    changes_bytes,
    says,
    sends_other_bytes,
)
from .servers import Running
from .trees import MIB, noise, saved, tree


@pytest.mark.parametrize(
    "location",
    [
        "http://[",
        "http://a:b/",
        "ftp://a/b",
        "http://u:p@a/",
        "https:///x",
        "http://a\\b:99999/",
    ],
)
def test_an_address_that_makes_no_sense_is_refused(
    broken: RegistryStore, faults: Faults, location: str
) -> None:
    faults.on("POST", "uploads", says(location=location))
    with pytest.raises(RegistryError):
        pushed(broken)


def test_a_registry_that_loses_pieces_without_a_word_is_found_out(
    broken: RegistryStore, faults: Faults
) -> None:
    """As some cloud registries do: the second piece is accepted, but not counted."""
    faults.on("PATCH", "uploads", says(range="0-1048575"), times=99)
    with pytest.raises(RegistryError, match=r"says that it has no more|it answered 416"):
        pushed(broken)


def test_a_registry_without_ranges_is_believed_until_the_end(
    broken: RegistryStore, faults: Faults
) -> None:
    faults.on("PATCH", "uploads", says(range=""), times=9)
    pushed(broken)


@pytest.mark.parametrize("method", ["PUT", "HEAD"])
def test_a_registry_that_lies_about_a_digest_is_not_believed(
    broken: RegistryStore, faults: Faults, method: str
) -> None:
    faults.on(
        method, "blobs", says(docker_content_digest=digest_of(b"else")), skip=method == "HEAD"
    )
    with pytest.raises(DigestError):
        pushed(broken)


def test_a_registry_that_lies_about_a_size_is_not_believed(
    broken: RegistryStore, faults: Faults
) -> None:
    faults.on("HEAD", "blobs", says(content_length="17"), skip=1)
    with pytest.raises(DigestError, match="17 bytes"):
        pushed(broken)


@pytest.mark.parametrize(("method", "skip"), [("PUT", 0), ("HEAD", 0), ("GET", 0)])
def test_a_registry_that_lies_about_an_image_is_not_believed(
    broken: RegistryStore, faults: Faults, method: str, skip: int, tmp_path: Path
) -> None:
    if method == "GET":
        image, _ = saved(broken, tree(tmp_path / "root"))
    faults.on(method, "manifests", changes_bytes if method == "GET" else says(
        docker_content_digest=digest_of(b"else")), skip=skip)  # fmt: skip
    with pytest.raises(DigestError):
        if method == "GET":
            load_image(broken, image.digest)
        else:
            saved(broken, tree(tmp_path / "root"))


def test_bytes_changed_on_their_way_there_are_found_by_the_registry(
    broken: RegistryStore, faults: Faults, registry: Running
) -> None:
    faults.on("PATCH", "uploads", sends_other_bytes)
    with pytest.raises(DigestError):
        pushed(broken, seed=3)
    assert digest_of(noise(LARGE, seed=3)) not in registry.blobs()


def test_bytes_changed_on_their_way_back_are_found_by_us(
    broken: RegistryStore, faults: Faults
) -> None:
    faults.on("GET", "blobs/sha256", changes_bytes)
    with pytest.raises(DigestError):
        pushed(broken)


def test_what_a_registry_says_is_shown_without_its_control_characters(
    broken: RegistryStore, faults: Faults
) -> None:
    body = error("DENIED", "\\u001b[31mred\\nline " + "x" * 5000)
    faults.on("POST", "uploads", answers(403, body=body))
    with pytest.raises(RegistryError) as caught:
        pushed(broken)
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_an_answer_without_end_is_not_read_to_its_end(
    broken: RegistryStore, faults: Faults
) -> None:
    faults.on("GET", "manifests", answers(200, body=b"[" * (5 * MIB)))
    with pytest.raises(DigestError):
        load_image(broken, Digest(digest_of(b"x")))
