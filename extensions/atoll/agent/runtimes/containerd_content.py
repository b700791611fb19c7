"""What containerd has of images: blobs to read, the image a snapshot lies on, and leases on it."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import BinaryIO, Final

from atoll import oci
from atoll.agent import processes
from atoll.agent.runtimes.grpc_channel import AbsentError, Channel
from atoll.agent.runtimes.wire import Message, encode, encode_map
from atoll.oci.image import INDEX, MAX_JSON, checked_digest, parse

_LISTS = frozenset({INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"})
OWNER_LABEL: Final = "dev.atoll.agent/owner"
_LEASE_PREFIX = "atoll-agent-"
_EXPIRE_LABEL = "containerd.io/gc.expire"
LEASE_FOR: Final = timedelta(hours=6)
"""As long as the longest save may take; containerd then drops the lease of a killed agent itself."""


class ContainerdContent:
    """The content store, to read. See `oci.Content`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def has(self, digest: str) -> bool:
        """Whether the blob is there and complete."""
        try:
            self._channel.call("content.v1.Content/Info", encode((1, checked_digest(digest))))
        except AbsentError:
            return False
        return True

    def open(self, digest: str) -> BinaryIO:
        """The blob's bytes as they come, not verified; raises `MissingError`."""
        if not self.has(digest):
            raise oci.MissingError(
                f"containerd has no {digest}.",
                hint="It keeps no packed layers where discard_unpacked_layers is set.",
            )
        answers = self._channel.stream("content.v1.Content/Read", encode((1, digest)))
        return io.BufferedReader(_Stream(answers), 1 << 20)

    def manifest(self, digest: str) -> bytes:
        """A manifest's bytes, not verified; raises `MissingError`."""
        with self.open(digest) as file:
            return file.read(MAX_JSON + 1)


class _Stream(io.RawIOBase):
    """Answers of Content.Read as a file."""

    def __init__(self, answers: Iterator[Message]) -> None:
        self._answers = answers
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            answer = next(self._answers, None)
            if answer is None:
                return 0
            self._rest = memoryview(answer.data(2))
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def close(self) -> None:
        if not self.closed and hasattr(self._answers, "close"):
            self._answers.close()
        super().close()


@contextmanager
def leased(channel: Channel) -> Iterator[Callable[[str], None]]:
    """A lease, removed at the end; the function that is given puts a blob under it.

    What a blob's labels refer to (a manifest's config and layers) stays with it. Leases that killed
    agents left are removed first.
    """
    remove_leases(channel)
    identity = f"{_LEASE_PREFIX}{secrets.token_hex(8)}"
    until = (datetime.now(UTC) + LEASE_FOR).strftime("%Y-%m-%dT%H:%M:%SZ")
    request = encode((1, identity)) + encode_map(
        3, {_EXPIRE_LABEL: until, OWNER_LABEL: processes.mine()}
    )
    channel.call("leases.v1.Leases/Create", request)

    def hold(digest: str) -> None:
        resource = encode((1, digest), (2, "content"))
        channel.call("leases.v1.Leases/AddResource", encode((1, identity), (2, resource)))

    try:
        yield hold
    finally:
        _remove(channel, identity)


def remove_leases(channel: Channel) -> int:
    """Removes leases whose agent was killed; how many. Those of agents elsewhere expire by themselves."""
    removed = 0
    for lease in channel.call("leases.v1.Leases/List", b"").messages(1):
        owner = lease.mapping(3).get(OWNER_LABEL, "")
        if lease.text(1).startswith(_LEASE_PREFIX) and processes.ended(owner):
            _remove(channel, lease.text(1))
            removed += 1
    return removed


def _remove(channel: Channel, identity: str) -> None:
    with suppress(AbsentError):  # expired, or another agent was faster
        channel.call("leases.v1.Leases/Delete", encode((1, identity)))


def own_image(
    channel: Channel, content: ContainerdContent, name: str, parent: str
) -> oci.Image | None:
    """The image whose layers are the snapshot `parent`: the one of this name, else any that fits."""
    named = channel.call("images.v1.Images/List", encode((1, f'name=="{name}"')))
    for answer in (named, channel.call("images.v1.Images/List", b"")):
        for digest in dict.fromkeys(image.message(3).text(2) for image in answer.messages(1)):
            for image in _images(content, digest):
                if _lies_on(parent, image.config.diff_ids):
                    return image
    return None


def _images(content: ContainerdContent, digest: str) -> Iterator[oci.Image]:
    """The image of this digest, or those of an index that are here; nothing where they are not."""
    try:
        document = parse(content.manifest(digest), "manifest")
        if document.get("mediaType") not in _LISTS and "manifests" not in document:
            yield oci.load_image(content, digest)
            return
    except (oci.MissingError, oci.InvalidImageError, oci.DigestError):
        return
    listed = document.get("manifests")
    for item in listed if isinstance(listed, list) else []:
        found = item.get("digest") if isinstance(item, dict) else None
        if isinstance(found, str) and content.has(found):
            with suppress(oci.MissingError, oci.InvalidImageError, oci.DigestError):
                yield oci.load_image(content, found)


def _lies_on(parent: str, diff_ids: Iterable[str]) -> bool:
    """Whether these layers are the snapshot; one made for other ids has them after its name."""
    chain = chain_id(diff_ids)
    return parent == chain or (bool(chain) and parent.startswith(chain + "-"))


def chain_id(diff_ids: Iterable[str]) -> str:
    """What names a stack of layers (image specification, config.md); empty for none."""
    chain = ""
    for diff_id in diff_ids:
        chain = "sha256:" + sha256(f"{chain} {diff_id}".encode()).hexdigest() if chain else diff_id
    return chain
