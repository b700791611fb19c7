"""Blobs of noise for a registry, larger than one piece of an upload, and what registries say of errors."""

from __future__ import annotations

from atoll.oci.image import Descriptor, digest_of
from atoll.oci.registry import RegistryStore
from atoll.oci.store import chunks, put_blob

from .trees import MIB, noise

PIECE = MIB
LARGE = 2 * PIECE + 500_000  # three pieces


def pushed(store: RegistryStore, size: int = LARGE, seed: int = 1) -> Descriptor:
    """Pushes a blob of noise and reads it back."""
    data = noise(size, seed)
    digest = digest_of(data)
    put_blob(store, data, digest)
    blob = Descriptor("text/plain", digest, size)
    assert b"".join(chunks(store, blob)) == data
    return blob


def error(code: str, message: str = "", detail: str = "") -> bytes:
    return f'{{"errors":[{{"code":"{code}","message":"{message}","detail":"{detail}"}}]}}'.encode()
