"""Artifacts that belong to an image in a registry: the report of what changed, found from the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import InvalidImageError, MissingError
from .image import (
    INDEX,
    MANIFEST,
    Descriptor,
    Digest,
    Json,
    JsonObject,
    canonical,
    checked_digest,
    digest_of,
    parse,
)
from .registry import RegistryStore
from .registry_errors import refusal
from .store import put_blob, read_blob

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True)
class Referrer:
    """An artifact that belongs to an image: its manifest, and what kind of thing it is."""

    descriptor: Descriptor
    artifact_type: str


def attach(
    store: RegistryStore,
    subject: Descriptor,
    content: bytes,
    *,
    artifact_type: str,
    media_type: str,
    annotations: Mapping[str, str] | None = None,
) -> Referrer:
    """Stores `content` as an artifact of the image `subject`; it goes with `detach`.

    Where the registry has no referrers API, the list of an image's artifacts is kept under a tag,
    as the distribution specification 1.1 says; of two that are attached at once there, one may then
    be missing in the list.
    """
    layer = Descriptor(media_type, digest_of(content), len(content))
    empty = Descriptor(_EMPTY_TYPE, digest_of(_EMPTY), len(_EMPTY))
    put_blob(store, _EMPTY, empty.digest)
    put_blob(store, content, layer.digest)
    document: JsonObject = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": empty.document(),
        "layers": [layer.document()],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).document(),
    }
    if annotations:
        document["annotations"] = dict(annotations)
    manifest = canonical(document)
    digest = digest_of(manifest)
    first = not _keeps_lists(store, subject.digest) and not _listed(store, subject.digest)
    # so that it is found from the image even if we are killed before it is listed
    answer = store.put_manifest(manifest, MANIFEST, _tag(subject.digest) if first else digest)
    descriptor = Descriptor(MANIFEST, digest, len(manifest), dict(annotations or {}))
    referrer = Referrer(descriptor, artifact_type)
    if "oci-subject" not in answer.headers:  # the registry does not keep the list itself
        others = [one for one in _listed(store, subject.digest) if one.descriptor.digest != digest]
        _list(store, subject.digest, [*others, referrer])
    return referrer


def referrers(
    store: RegistryStore, digest: str, *, artifact_type: str | None = None
) -> tuple[Referrer, ...]:
    """The artifacts that belong to an image, of one kind or of all; none where it has none."""
    image, doing = checked_digest(digest), "listing what belongs to an image"
    found: list[Referrer] = []
    for answer in store.pages(store.session.path("referrers", image), doing):
        if answer.status == 404:
            found = _listed(store, image)
        elif answer.good:
            found += _parsed(answer.content)
        else:
            raise refusal(answer, doing, store.session.place)
    return tuple(one for one in found if artifact_type in (None, one.artifact_type))


def content(store: RegistryStore, referrer: Referrer) -> bytes:
    """What was attached, verified; raises `MissingError`, `DigestError`, `InvalidImageError`."""
    manifest = store.manifest(referrer.descriptor.digest)
    layers = parse(manifest, "artifact's manifest").get("layers")
    if (
        digest_of(manifest) != referrer.descriptor.digest
        or not isinstance(layers, list)
        or not layers
    ):
        raise InvalidImageError(f"The artifact {referrer.descriptor.digest} is damaged.")
    return read_blob(store, Descriptor.parse(layers[0], "artifact's content"))


def detach(store: RegistryStore, digest: str) -> None:
    """Removes all artifacts of an image, and their list; for an image that is deleted."""
    image = checked_digest(digest)
    for one in referrers(store, image):
        _gone(store, one.descriptor.digest)
    try:
        listed = store.resolve(_tag(image))
    except MissingError:
        return
    _gone(store, listed.digest)


def _gone(store: RegistryStore, digest: Digest) -> None:
    try:
        store.delete(digest)
    except MissingError:
        return  # somebody else was faster


def _tag(digest: Digest) -> str:
    """The tag of the list, by the specification's fallback: `sha256-…`."""
    return digest.replace(":", "-")


def _keeps_lists(store: RegistryStore, digest: Digest) -> bool:
    """Whether the registry has the referrers API."""
    url, doing = store.session.path("referrers", digest), "listing what belongs to an image"
    answer = store.session.request("GET", url, store.pull, doing)
    if not answer.good and answer.status != 404:
        raise refusal(answer, doing, store.session.place)
    return answer.good


def _listed(store: RegistryStore, digest: Digest) -> list[Referrer]:
    """What the image's tag lists, or is: an artifact that was to be listed."""
    try:
        text = store.manifest(store.resolve(_tag(digest)).digest)
    except MissingError:
        return []
    document = parse(text, "list of artifacts")
    if "subject" in document:
        alone = Descriptor(MANIFEST, digest_of(text), len(text))
        return [Referrer(alone, str(document.get("artifactType", "")))]
    return _parsed(text)


def _list(store: RegistryStore, digest: Digest, items: list[Referrer]) -> None:
    manifests: list[Json] = [
        {**item.descriptor.document(), "artifactType": item.artifact_type} for item in items
    ]
    document: JsonObject = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    store.put_manifest(canonical(document), INDEX, _tag(digest))


def _parsed(text: bytes) -> list[Referrer]:
    items = parse(text, "list of artifacts").get("manifests")
    if not isinstance(items, list):
        raise InvalidImageError("The registry's list of artifacts is no list.")
    return [
        Referrer(Descriptor.parse(item, "artifact"), str(item.get("artifactType", "")))
        for item in items
        if isinstance(item, dict)
    ]
