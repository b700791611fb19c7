"""Containers of podman and CRI-O: their common store on disk (containers/storage), read and never written."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.agent.cgroups import freezer_of
from atoll.agent.errors import (
    AmbiguousError,
    BaseGoneError,
    ContainerRemovedError,
    FreezeError,
    NoContainerError,
    RootlessError,
    RuntimeUnavailableError,
    SnapshotterError,
)
from atoll.agent.runtimes.container import Base, Container, IdRange, ImageReference, State
from atoll.agent.runtimes.mounts import living_targets
from atoll.agent.runtimes.spec import Spec, listed, read_spec, text
from atoll.agent.runtimes.tar_split import tar_of
from atoll.agent.runtimes.users import process_on
from atoll.oci.image import ImageConfig, Json, JsonObject, Manifest, digest_of, parse

ROOT: Final = Path("/var/lib/containers/storage")
_MAX_RECORDS: Final = 64 << 20
_LOCK_WITHIN_S: Final = 10.0
_POD: Final = (
    "io.kubernetes.pod.namespace",
    "io.kubernetes.pod.name",
    "io.kubernetes.container.name",
)


class Storage:
    """The containers of one store. See `Runtime`."""

    def __init__(self, root: Path = ROOT) -> None:
        """Raises `RuntimeUnavailableError`, `RootlessError`, `SnapshotterError` for a store that is none."""
        self._root = root
        try:
            owner = root.stat().st_uid
        except OSError as error:
            raise RuntimeUnavailableError(
                f"There is no container store at {root} ({error.strerror}).",
                hint="`podman info` shows the store as graphRoot; give it as --address.",
            ) from error
        if owner != 0:
            raise RootlessError(
                f"The store {root} belongs to an account of its own (rootless podman).",
                hint="Its owner can use `podman commit`.",
            )
        drivers = sorted(
            path.name.removesuffix("-containers") for path in root.glob("*-containers")
        )
        if drivers and "overlay" not in drivers:
            raise SnapshotterError(
                f"The store {root} uses the storage driver {drivers[0]!r}, which keeps no layer of"
                " changes.",
                hint="Only overlay does.",
            )

    def find(self, container: str) -> Container:
        """The container of this id, beginning of an id, name, or `namespace/pod/container`."""
        with self._locked("overlay-containers/containers.lock"):
            record = self._record(container)
        identity = text(record, "id")
        layers = self._layers()
        chain = list(_chain(layers, text(record, "layer")))
        if not chain or not (upper := self._diff(chain[0])).is_dir():
            raise ContainerRemovedError(
                f"The container {identity} is being removed: its layer of changes is gone.",
                hint="Nothing can be saved of it any more; the last checkpoint is still there.",
            )
        spec = self._spec(identity)
        pid = process_on(upper)
        image = self._image_record(text(record, "image"))
        metadata = _document(text(record, "metadata"))
        names = [str(name) for name in listed(record, "names")]
        return Container(
            runtime="podman",
            id=identity,
            name=names[0] if names else identity,
            state=_state(pid, spec),
            pid=pid,
            image=ImageReference(text(metadata, "image-name"), text(image, "digest")),
            snapshotter="overlay",
            upper=upper,
            lowers=tuple(self._diff(layer) for layer in chain[1:]),
            targets=tuple(sorted({*spec.targets, *living_targets(pid)})),
            uids=spec.uids or _ids(record, "uidmap"),
            gids=spec.gids or _ids(record, "gidmap"),
            cgroup=spec.cgroup,
            annotations=spec.annotations,
        )

    @contextmanager
    def base(self, container: Container) -> Iterator[Base]:
        """The container's image, which the store keeps as long as it has the container."""
        with self._locked("overlay-containers/containers.lock"):
            record = self._record(container.id)
        identity = text(record, "image")
        place = self._root / "overlay-images" / identity
        try:
            content = (place / "manifest").read_bytes()
            manifest = Manifest.parse(content)
            packed = (place / _file_of(manifest.config.digest)).read_bytes()
        except (FileNotFoundError, oci.InvalidImageError) as error:
            raise BaseGoneError(
                f"The store no longer has the image {container.image.name!r} of the container.",
                hint="Pull or build the same image again.",
            ) from error
        config = ImageConfig(parse(packed, "image's config"))
        descriptor = oci.Descriptor(_kind(content), digest_of(content), len(content))
        image = oci.Image(descriptor, manifest, config, content, packed)
        yield Base(
            config, image, tars=_Tars(self._root, self._layers(), self._image_record(identity))
        )

    def close(self) -> None:
        """Nothing is open in between."""

    def _record(self, container: str) -> JsonObject:
        records = self._records("overlay-containers/containers.json")
        records += self._records("overlay-containers/volatile-containers.json")
        exact = [record for record in records if container in self._names(record)]
        found = exact or [
            record for record in records if container and text(record, "id").startswith(container)
        ]
        if not found:
            raise NoContainerError(
                f"The store {self._root} has no container {container!r}.",
                hint="`podman ps --all` (or `crictl ps --all`) lists them.",
            )
        if len(found) > 1:
            ids = ", ".join(sorted(text(record, "id") for record in found)[:5])
            raise AmbiguousError(f"{container!r} could be any of {ids}.", hint="Give the whole id.")
        return found[0]

    def _names(self, record: JsonObject) -> Iterator[str]:
        yield text(record, "id")
        yield from (str(name) for name in listed(record, "names"))
        annotations = self._spec(text(record, "id")).annotations
        if all(key in annotations for key in _POD):
            yield "/".join(annotations[key] for key in _POD)

    def _spec(self, identity: str) -> Spec:
        path = self._root / "overlay-containers" / identity / "userdata" / "config.json"
        try:
            return read_spec(
                parse(path.read_bytes(), "container's specification", most=_MAX_RECORDS)
            )
        except FileNotFoundError:
            return read_spec({})  # created by hand (buildah), never run

    def _layers(self) -> dict[str, JsonObject]:
        with self._locked("overlay-layers/layers.lock"):
            records = self._records("overlay-layers/layers.json")
            records += self._records("overlay-layers/volatile-layers.json")
        return {text(record, "id"): record for record in records}

    def _image_record(self, identity: str) -> JsonObject:
        records = self._records("overlay-images/images.json")
        return next((record for record in records if text(record, "id") == identity), {})

    def _diff(self, layer: str) -> Path:
        return self._root / "overlay" / layer / "diff"

    def _records(self, name: str) -> list[JsonObject]:
        try:
            content = (self._root / name).read_bytes()
        except FileNotFoundError:
            return []
        found = json.loads(content) if len(content) <= _MAX_RECORDS else []
        return [record for record in found if isinstance(record, dict)]

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """As a reader among podman's processes; raises `RuntimeUnavailableError` where one keeps it."""
        try:
            descriptor = os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield  # nobody has written there yet
            return
        try:
            until = time.monotonic() + _LOCK_WITHIN_S
            while not _shared(descriptor):
                if time.monotonic() > until:
                    raise RuntimeUnavailableError(
                        f"The store {self._root} is locked by another process.",
                        hint="Is a podman command hanging? Try again.",
                    )
                time.sleep(0.02)  # the lock has no time limit of its own
            yield
        finally:
            os.close(descriptor)


class _Tars:
    """The unpacked layers of one image. See `Tars`."""

    def __init__(self, root: Path, layers: dict[str, JsonObject], image: JsonObject) -> None:
        self._root = root
        self._own = {
            text(layers[layer], "diff-digest"): layer
            for layer in _chain(layers, text(image, "layer"))
        }

    def tar(self, diff_id: str) -> Iterator[bytes]:
        """The layer's tar; raises `MissingError`."""
        layer = self._own.get(diff_id)
        if layer is None:
            raise oci.MissingError(f"The store has lost the layer {diff_id}.")
        notes = self._root / "overlay-layers" / f"{layer}.tar-split.gz"
        yield from tar_of(notes, self._root / "overlay" / layer / "diff")


def _chain(layers: dict[str, JsonObject], layer: str) -> Iterator[str]:
    """The layer and those below it, the topmost first."""
    seen: set[str] = set()
    while layer in layers and layer not in seen:
        seen.add(layer)
        yield layer
        layer = text(layers[layer], "parent")


def _shared(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _file_of(key: str) -> str:
    """The name of the file for a datum whose key is none that a file could have."""
    return "=" + base64.b64encode(key.encode()).decode()


def _kind(manifest: bytes) -> str:
    return str(
        parse(manifest, "manifest").get("mediaType", "application/vnd.oci.image.manifest.v1+json")
    )


def _state(pid: int | None, spec: Spec) -> State:
    if pid is None:
        return State.EXITED
    try:
        return State.PAUSED if freezer_of(spec.cgroup or "", pid=pid).frozen() else State.RUNNING
    except FreezeError:
        return State.RUNNING


def _ids(record: JsonObject, key: str) -> tuple[IdRange, ...]:
    found = []
    for item in listed(record, key):
        if isinstance(item, dict):
            numbers = (item.get(name) for name in ("container_id", "host_id", "size"))
            found.append(IdRange(*(number if isinstance(number, int) else 0 for number in numbers)))
    return () if all(one.inside == one.outside for one in found) else tuple(found)


def _document(content: str) -> JsonObject:
    value: Json = json.loads(content) if content else {}
    return value if isinstance(value, dict) else {}
