"""Descriptors, configs and manifests: exact JSON out, hostile JSON in."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from typing import NewType

from .errors import InvalidImageError

Digest = NewType("Digest", str)
"""`sha256:` and 64 hex digits."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
JsonObject = dict[str, Json]

MAX_JSON = 4 << 20
"""Bytes of one manifest, config or index; registries accept 4 MiB (distribution specification 1.1)."""

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Compression(Enum):
    """How a layer is compressed, with its media type."""

    ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
    GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
    NONE = "application/vnd.oci.image.layer.v1.tar"


_DOCKER_LAYERS = {"application/vnd.docker.image.rootfs.diff.tar.gzip": Compression.GZIP}


def compression_of(media_type: str) -> Compression:
    """How a layer of this media type is compressed; raises `InvalidImageError` for an unknown one."""
    for compression in Compression:
        if compression.value == media_type:
            return compression
    if media_type in _DOCKER_LAYERS:
        return _DOCKER_LAYERS[media_type]
    raise InvalidImageError(f"A layer is of the unknown type {media_type[:100]!r}.")


def packing(name: str) -> Compression | None:
    """The compression that is called `zstd` or `gzip` in settings; None for `auto`."""
    return None if name == "auto" else Compression[name.upper()]


def digest_of(content: bytes) -> Digest:
    """The digest of some bytes."""
    return Digest("sha256:" + sha256(content).hexdigest())


def checked_digest(text: object) -> Digest:
    """`text` as a digest; raises `InvalidImageError` for all but sha256 (nothing else is in use)."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise InvalidImageError(
            f"{str(text)[:100]!r} is no digest.", hint="A digest is sha256: and 64 hex digits."
        )
    return Digest(text)


def canonical(document: JsonObject) -> bytes:
    """The one encoding of a document: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def parse(content: bytes, what: str, *, most: int = MAX_JSON) -> JsonObject:
    """A JSON object; raises `InvalidImageError` for anything else, also for a key given twice."""
    if len(content) > most:
        raise InvalidImageError(f"The {what} has more than {most:,} bytes.")
    try:
        document = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_constant)
        canonical(document)  # so that what was read can be written: no half characters, no infinity
    except (ValueError, RecursionError) as error:
        raise InvalidImageError(f"The {what} is no valid JSON.") from error
    if not isinstance(document, dict):
        raise InvalidImageError(f"The {what} is no JSON object.")
    return document


def _object(value: Json, what: str) -> JsonObject:
    if not isinstance(value, dict):
        raise InvalidImageError(f"The {what} is no JSON object.")
    return value


def _list(value: Json, what: str) -> list[Json]:
    if not isinstance(value, list):
        raise InvalidImageError(f"The {what} is no list.")
    return value


def _strings(value: Json, what: str) -> dict[str, str]:
    """A map of strings; absent and null are empty (Go's encoders write null for an empty map)."""
    found: dict[str, str] = {}
    for key, text in _object({} if value is None else value, what).items():
        if not isinstance(text, str):
            raise InvalidImageError(f"The {what} hold something that is no text.")
        found[key] = text
    return found


def _text(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidImageError(f"The {what} is no text.")
    return value


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob is, how large (bytes), and its digest."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """The name under which an image layout lists this image; empty where it has none."""
        return self.annotations.get(REF_NAME, "")

    def document(self) -> JsonObject:
        """As JSON."""
        found: JsonObject = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return found

    @classmethod
    def parse(cls, value: Json, what: str) -> Descriptor:
        """From JSON; raises `InvalidImageError`."""
        found = _object(value, what)
        size = found.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
            raise InvalidImageError(f"The {what} gives no valid size.")
        return cls(
            _text(found.get("mediaType"), f"{what}'s media type"),
            checked_digest(found.get("digest")),
            size,
            _strings(found.get("annotations"), f"{what}'s annotations"),
        )


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image's config. What this library does not use of it is kept as it was."""

    document: JsonObject

    @property
    def content(self) -> bytes:
        """The canonical JSON."""
        return canonical(self.document)

    @property
    def labels(self) -> dict[str, str]:
        """The image's labels."""
        config = self.document.get("config")
        inner = _object({} if config is None else config, "image's config")
        return _strings(inner.get("Labels"), "image's labels")

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The digests of the layers' tar streams, uncompressed, lowest first."""
        rootfs = _object(self.document.get("rootfs"), "config's rootfs")
        return tuple(checked_digest(item) for item in _list(rootfs.get("diff_ids"), "diff_ids"))

    def cut(self, layers: int) -> ImageConfig:
        """This config with its `layers` lowest layers alone, and the history of those."""
        history = self.document.get("history")
        kept: list[Json] = []
        left = layers
        for step in _list([] if history is None else history, "config's history"):
            if not _object(step, "step of the history").get("empty_layer"):
                if not left:
                    break
                left -= 1
            kept.append(step)
        rootfs: JsonObject = {"type": "layers", "diff_ids": [*self.diff_ids[:layers]]}
        return ImageConfig({**self.document, "rootfs": rootfs, "history": kept})

    def appended(self, diff_id: Digest, *, created: datetime, comment: str) -> ImageConfig:
        """This config with one layer more on top."""
        rootfs: JsonObject = {"type": "layers", "diff_ids": [*self.diff_ids, diff_id]}
        history = self.document.get("history")
        before = _list([] if history is None else history, "config's history")
        step: JsonObject = {"created": timestamp(created), "created_by": comment}
        return ImageConfig(
            {
                **self.document,
                "created": timestamp(created),
                "rootfs": rootfs,
                "history": [*before, step],
            }
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image's manifest: its config and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def content(self) -> bytes:
        """The canonical JSON."""
        found: JsonObject = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config.document(),
            "layers": [layer.document() for layer in self.layers],
        }
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return canonical(found)

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """From bytes; raises `InvalidImageError` for anything but an image manifest."""
        found = parse(content, "manifest")
        kind = found.get("mediaType", MANIFEST)
        if kind in (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"):
            raise InvalidImageError(
                "The manifest lists several images.", hint="Name the one for this platform."
            )
        if found.get("schemaVersion") != 2 or kind not in (MANIFEST, _DOCKER_MANIFEST):
            raise InvalidImageError("The manifest is of an unknown kind.")
        config = Descriptor.parse(found.get("config"), "manifest's config")
        if config.media_type not in (CONFIG, _DOCKER_CONFIG):
            raise InvalidImageError("The manifest describes something that is no image.")
        layers = tuple(
            Descriptor.parse(item, "layer")
            for item in _list(found.get("layers"), "manifest's layers")
        )
        return cls(config, layers, _strings(found.get("annotations"), "manifest's annotations"))


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest with its config, and both as the bytes that their digests were taken of."""

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    manifest_content: bytes
    config_content: bytes

    @property
    def digest(self) -> Digest:
        """What names the image: the digest of its manifest."""
        return self.descriptor.digest

    @property
    def size(self) -> int:
        """Bytes of all layers as they are stored."""
        return sum(layer.size for layer in self.manifest.layers)


def build(
    config: ImageConfig, layers: Sequence[Descriptor], annotations: Mapping[str, str]
) -> Image:
    """The image of a config and layers; raises `InvalidImageError` where their numbers differ."""
    if len(config.diff_ids) != len(layers):
        raise InvalidImageError("The config and the manifest give different numbers of layers.")
    config_content = config.content
    described = Descriptor(CONFIG, digest_of(config_content), len(config_content))
    manifest = Manifest(described, tuple(_as_oci(layer) for layer in layers), dict(annotations))
    content = manifest.content
    descriptor = Descriptor(MANIFEST, digest_of(content), len(content))
    return Image(descriptor, manifest, config, content, config_content)


def _as_oci(layer: Descriptor) -> Descriptor:
    """A layer as OCI names it: docker's types do not belong into an OCI manifest."""
    return replace(layer, media_type=compression_of(layer.media_type).value)


def machine_architecture() -> str:
    """This machine's architecture as images name it: `amd64`, `arm64`."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def base_config(
    *, created: datetime, labels: Mapping[str, str], architecture: str | None = None
) -> ImageConfig:
    """The config of an image without layers; `architecture` is this machine's where None."""
    return ImageConfig(
        {
            "architecture": architecture or machine_architecture(),
            "os": "linux",
            "created": timestamp(created),
            "config": {"Labels": dict(labels)} if labels else {},
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [],
        }
    )


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC; a moment without a zone is a `ValueError`."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
