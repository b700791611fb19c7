"""Images in one repository of a registry: a store over the OCI distribution specification 1.1."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self, cast

from .allowance import Cancelled
from .errors import InvalidImageError, MissingError, OciError
from .image import (
    INDEX,
    MANIFEST,
    REF_NAME,
    Descriptor,
    Digest,
    Image,
    Json,
    checked_digest,
    digest_of,
    machine_architecture,
    parse,
)
from .registry_auth import scopes_for
from .registry_download import BlobStream
from .registry_errors import Answer, DeniedError, RegistryError, refusal
from .registry_http import Session
from .registry_settings import Registry, checked_repository, checked_tag
from .registry_upload import RegistryWriter, checked_answer, has_blob
from .store import Content, put_blob

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_ACCEPTED = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST))
_MOST_PAGES = 1000  # of a list, each of a hundred tags


class RegistryStore:
    """A `Store` in a registry. Several threads may use one; images are named by tags, or not at all.

    Every call raises `RegistryAwayError` where the registry is not reached for `Registry.patience`
    seconds, `DeniedError` where it does not let us, `CancelledError` when `cancelled` says so, and
    `RegistryError` for answers that make no sense. Nothing becomes an image before `publish`.
    """

    def __init__(
        self, registry: Registry, repository: str, *, cancelled: Cancelled | None = None
    ) -> None:
        """Connects at the first call; raises `InvalidImageError` for a repository's name that is none."""
        self.registry = registry
        self.repository = checked_repository(repository, registry.address)
        self.session = Session(registry, repository, cancelled=cancelled)
        self.pull = scopes_for(repository, "pull")
        self.push = scopes_for(repository, "pull,push")
        self._deleting = scopes_for(repository, "delete,pull,push")

    def __repr__(self) -> str:
        return f"<RegistryStore {self.session.place}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the store is of no use afterwards."""
        self.session.close()

    def has(self, digest: str) -> bool:
        """Whether the blob is there. Registries keep young blobs when they collect garbage."""
        return has_blob(self.session, self.pull, checked_digest(digest))

    def open(self, digest: str) -> BinaryIO:
        """The blob's bytes, not verified, as they come; raises `MissingError`. Close it."""
        return cast(BinaryIO, BlobStream(self.session, checked_digest(digest), self.pull))

    def writer(self) -> RegistryWriter:
        """Where a new blob goes: sent while it is written."""
        return RegistryWriter(self.session, self.push)

    def manifest(self, digest: str) -> bytes:
        """A manifest's bytes, not verified; raises `MissingError`."""
        return self._manifest(checked_digest(digest)).content

    def publish(self, image: Image, name: str = "") -> Descriptor:
        """Stores config and manifest, by digest and, where `name` is given, by that tag.

        Both at once: an image that was there before its tag would be lost if we were killed between.
        Raises `MissingError` that names a layer which is not in the repository, and `DigestError`
        where the registry afterwards has something else.
        """
        tag = checked_tag(name) if name else None
        put_blob(self, image.config_content, image.manifest.config.digest)
        for layer in image.manifest.layers:
            if not has_blob(self.session, self.push, layer.digest, layer.size):
                raise MissingError(
                    f"The registry has not all parts of the image: {layer.digest} "
                    f"({self.session.place}).",
                    hint="It was deleted while the image was made. Save again.",
                )
        media_type = image.descriptor.media_type
        self.put_manifest(image.manifest_content, media_type, tag or image.digest)
        if tag:
            checked_answer(self.session, self._manifest(image.digest, method="HEAD"), image.digest)
        names = {REF_NAME: tag} if tag else {}
        return Descriptor(media_type, image.digest, image.descriptor.size, names)

    def put_manifest(self, content: bytes, media_type: str, reference: str) -> Answer:
        """Stores a manifest under its digest or a tag and looks it up there; the registry's answer."""
        doing = "publishing an image"
        answer = self.session.request(
            "PUT", self.session.path("manifests", reference), self.push, doing,
            headers={"content-type": media_type}, content=content,
        )  # fmt: skip
        if not answer.good:
            raise refusal(answer, doing, self.session.place)
        digest = digest_of(content)
        checked_answer(self.session, answer, digest)
        seen = self._manifest(reference, method="HEAD")
        checked_answer(self.session, seen, digest)
        length = seen.headers.get("content-length", "")
        if length.isdecimal() and int(length) != len(content):
            raise RegistryError(
                f"The registry took the image {digest}, but has another one ({self.session.place}).",
                hint="Did somebody else give the same tag at the same time? Save again.",
            )
        return answer

    def resolve(self, reference: str) -> Descriptor:
        """What a tag or digest names: an image, or a list of images; raises `MissingError`."""
        answer = self._manifest(_reference(reference))
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        if not kind:
            kind = str(parse(answer.content, "manifest").get("mediaType", MANIFEST))
        digest = digest_of(answer.content)
        checked_answer(self.session, answer, digest)
        return Descriptor(kind, digest, len(answer.content))

    def image(self, reference: str, *, architecture: str | None = None) -> Descriptor:
        """The one image that a tag or digest names on Linux; `architecture` is this machine's where None.

        Raises `MissingError`, and `InvalidImageError` where a list has none for it.
        """
        found = self.resolve(reference)
        if found.media_type not in (INDEX, DOCKER_LIST):
            return found
        wanted = architecture or machine_architecture()
        items = parse(self.manifest(found.digest), "list of images").get("manifests")
        for item in items if isinstance(items, list) else []:
            if _platform(item) == ("linux", wanted):
                return Descriptor.parse(item, "image in a list")
        raise InvalidImageError(
            f"{self.session.place} has no image for linux/{wanted} at {reference}.",
            hint="Name the image of this platform.",
        )

    def tags(self) -> tuple[str, ...]:
        """All tags of the repository, sorted; none where there is no such repository."""
        found: list[str] = []
        doing = "listing tags"
        for answer in self.pages(self.session.path("tags", "list?n=100"), doing):
            if answer.status == 404:
                return ()
            if not answer.good:
                raise refusal(answer, doing, self.session.place)
            items = parse(answer.content, "list of tags").get("tags")
            found += [
                item for item in (items if isinstance(items, list) else []) if isinstance(item, str)
            ]
        return tuple(sorted(found))

    def pages(self, url: str, doing: str) -> Iterator[Answer]:
        """A list's answers, page after page; any of them may be a refusal."""
        for _ in range(_MOST_PAGES):
            answer = self.session.request("GET", url, self.pull, doing)
            yield answer
            following = _next(answer)
            if following is None:
                return
            url = self.session.allowed(following, answer.url)
        raise RegistryError(
            f"The registry's list goes on without end while {doing} ({self.session.place})."
        )

    def delete(self, digest: str) -> None:
        """Removes an image; its blobs go when the registry collects its garbage.

        Raises `MissingError`, and `UnsupportedError` where the registry does not allow it.
        """
        self._delete("manifests", checked_digest(digest), "deleting an image")

    def delete_blob(self, digest: str) -> None:
        """Removes a blob from the repository; the caller knows that no image needs it.

        Raises `MissingError`, and `UnsupportedError` where the registry does not allow it.
        """
        self._delete("blobs", checked_digest(digest), "deleting a blob")

    def mount(self, digest: str, repository: str) -> bool:
        """Takes a blob over from another repository of this registry; False where it does not."""
        doing = "mounting a blob"
        blob = checked_digest(digest)
        source = checked_repository(repository, self.registry.address)
        query = f"?mount={blob}&from={source}"
        try:
            answer = self.session.request(
                "POST", self.session.path("blobs/uploads") + query,
                scopes_for(self.repository, "pull,push", [source]), doing,
            )  # fmt: skip
        except DeniedError:
            return False  # we may not read there; copying may still be possible some other way
        if answer.status == 202:  # an upload has begun instead
            self.session.forget(self.session.location(answer), self.push)
            return False
        if answer.status in (401, 403, 404, 405):
            return False
        if not answer.good:
            raise refusal(answer, doing, self.session.place)
        return has_blob(self.session, self.push, blob)

    def adopt(self, source: Content, digest: Digest) -> bool:
        """Takes a blob over from another store without moving its bytes, where that is possible."""
        return (
            isinstance(source, RegistryStore)
            and source.registry.address == self.registry.address
            and source.repository != self.repository
            and self.mount(digest, source.repository)
        )

    def _manifest(self, reference: str, *, method: str = "GET") -> Answer:
        doing = "reading an image"
        answer = self.session.request(
            method, self.session.path("manifests", reference), self.pull, doing,
            headers={"accept": _ACCEPTED},
        )  # fmt: skip
        if answer.status == 404:
            raise MissingError(
                f"The registry has no image {reference} ({self.session.place}).",
                hint="It was deleted, or never complete.",
            )
        if not answer.good:
            raise refusal(answer, doing, self.session.place)
        return answer

    def _delete(self, kind: str, digest: Digest, doing: str) -> None:
        answer = self.session.request(
            "DELETE", self.session.path(kind, digest), self._deleting, doing
        )
        if not answer.good:
            raise _undeleted(answer, doing, self.session.place, digest)


def _undeleted(answer: Answer, doing: str, place: str, digest: Digest) -> OciError:
    if answer.status == 404:
        return MissingError(
            f"The registry has no {digest} ({place}).", hint="It was deleted before."
        )
    return refusal(answer, doing, place)


def _platform(item: Json) -> tuple[Json, Json] | None:
    found = item.get("platform") if isinstance(item, dict) else None
    return (found.get("os"), found.get("architecture")) if isinstance(found, dict) else None


def _reference(text: str) -> str:
    return checked_digest(text) if text.startswith("sha256:") else checked_tag(text)


def _next(answer: Answer) -> str | None:
    """The address of the next page: `</v2/…>; rel="next"`."""
    target, _, relation = answer.headers.get("link", "").partition(">")
    return target.strip().removeprefix("<") if "next" in relation else None
