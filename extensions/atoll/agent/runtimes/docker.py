"""Containers of docker: its API over its socket, and its image store on disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx

from atoll import oci
from atoll.agent.errors import (
    AmbiguousError,
    BaseGoneError,
    ContainerRemovedError,
    NoContainerError,
    RuntimeUnavailableError,
    SnapshotterError,
)
from atoll.agent.runtimes.container import Base, Container, IdRange, ImageReference, State
from atoll.agent.runtimes.containerd_content import chain_id
from atoll.agent.runtimes.mounts import id_map, living_targets
from atoll.agent.runtimes.spec import listed, mapped, relative, strings, text
from atoll.agent.runtimes.tar_split import tar_of
from atoll.oci.image import Compression, ImageConfig, JsonObject, checked_digest, parse

ADDRESS: Final = Path("/run/docker.sock")
_WITHIN_S: Final = 30.0
_OVERLAYS: Final = frozenset({"overlay2", "overlay"})
_STATES: Final = {
    "created": State.CREATED,
    "running": State.RUNNING,
    "restarting": State.RUNNING,
    "paused": State.PAUSED,
    "exited": State.EXITED,
}
_GOING: Final = frozenset({"removing", "dead"})
_OWN_MOUNTS: Final = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev", "/proc", "/sys")
_REMAPPED: Final = re.compile(r"/(\d+)\.(\d+)/overlay2?/")
_REMAP_SIZE: Final = 65536
_MAX_CONFIG: Final = 8 << 20
_ZSTD_SINCE: Final = 23  # moby/moby#41759


class Docker:
    """The containers of one docker daemon. See `Runtime`."""

    def __init__(self, address: Path = ADDRESS) -> None:
        self._address = address
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(address)),
            base_url="http://docker",
            timeout=_WITHIN_S,
        )

    def find(self, container: str) -> Container:
        """The container of this id, beginning of an id, or name."""
        found = self._get(f"/containers/{quote(container, safe='')}/json", container)
        identity, state = text(found, "Id"), mapped(found, "State")
        status = text(state, "Status")
        if status in _GOING:
            raise ContainerRemovedError(
                f"docker is removing the container {identity}.", hint="Nothing can be saved of it."
            )
        upper, lowers = _layers(found)
        pid = state.get("Pid")
        living = pid if isinstance(pid, int) and pid > 0 else None
        config = mapped(found, "Config")
        return Container(
            runtime="docker",
            id=identity,
            name=text(found, "Name").removeprefix("/"),
            state=_STATES.get(status, State.RUNNING),
            pid=living,
            image=ImageReference(text(config, "Image"), text(found, "Image")),
            snapshotter=text(found, "Driver"),
            upper=upper,
            lowers=lowers,
            targets=tuple(sorted({*_targets(found), *living_targets(living)})),
            uids=_ids(living, upper, "uid_map"),
            gids=_ids(living, upper, "gid_map"),
            labels=strings(config, "Labels"),
        )

    @contextmanager
    def base(self, container: Container) -> Iterator[Base]:
        """The container's image, which docker keeps as long as it has the container."""
        image = checked_digest(container.image.digest)
        daemon = self._get("/info", "")
        root = Path(text(daemon, "DockerRootDir")) / "image" / container.snapshotter
        try:
            content = (root / "imagedb/content/sha256" / image.removeprefix("sha256:")).read_bytes()
        except FileNotFoundError as error:
            raise BaseGoneError(
                f"docker no longer has the image {container.image.name!r} of the container.",
                hint="Pull or build the same image again.",
            ) from error
        config = ImageConfig(parse(content, "image's config", most=_MAX_CONFIG))
        names = listed(self._get(f"/images/{image}/json", container.id), "RepoDigests")
        digests = tuple(str(name).partition("@")[2] for name in names)
        yield Base(
            config,
            tars=_Layers(root / "layerdb/sha256", config),
            digests=digests,
            readable=readable(text(daemon, "ServerVersion")),
        )

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def _get(self, path: str, container: str) -> JsonObject:
        if not self._address.is_socket():
            raise self._away("there is no such socket")
        try:
            answer = self._client.get(path)
        except httpx.TransportError as error:
            raise self._away(str(error)) from error
        if answer.status_code == httpx.codes.OK:
            return parse(answer.content, "answer of docker", most=_MAX_CONFIG)
        said = answer.text[:300]
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NoContainerError(
                f"docker has no container {container!r}.", hint="`docker ps --all` lists them."
            )
        if answer.status_code == httpx.codes.BAD_REQUEST and "multiple" in said.lower():
            raise AmbiguousError(f"docker: {said}", hint="Give the whole id.")
        raise RuntimeUnavailableError(f"docker answered {answer.status_code} to {path}: {said}")

    def _away(self, why: str) -> RuntimeUnavailableError:
        return RuntimeUnavailableError(
            f"docker at {self._address} does not answer ({why}).",
            hint="Check that it runs, that --address is its socket, and that you are root.",
        )


def readable(version: str) -> Compression:
    """What a daemon of this version reads; gzip, as all do, of one that is not known."""
    major = re.match(r"\d{1,4}(?=\.)", version)
    new = major is not None and int(major[0]) >= _ZSTD_SINCE
    return Compression.ZSTD if new else Compression.GZIP


class _Layers:
    """The unpacked layers of one image. See `Tars`."""

    def __init__(self, database: Path, config: ImageConfig) -> None:
        self._database = database
        self._diff_ids = config.diff_ids

    def tar(self, diff_id: str) -> Iterator[bytes]:
        """The layer's tar; raises `MissingError`."""
        end = self._diff_ids.index(checked_digest(diff_id)) + 1
        here = self._database / chain_id(self._diff_ids[:end]).removeprefix("sha256:")
        try:
            cache = (here / "cache-id").read_text().strip()
        except OSError as error:
            raise oci.MissingError(f"docker has lost the layer {diff_id}.") from error
        driver = self._database.parents[1].name
        directory = self._database.parents[3] / driver / cache / "diff"
        yield from tar_of(here / "tar-split.json.gz", directory)


def _layers(found: JsonObject) -> tuple[Path, tuple[Path, ...]]:
    driver, data = text(found, "Driver"), mapped(mapped(found, "GraphDriver"), "Data")
    upper, lowers = text(data, "UpperDir"), text(data, "LowerDir")
    if driver not in _OVERLAYS or not upper:
        raise SnapshotterError(
            f"docker keeps the container with the storage driver {driver!r}, of which it shows no"
            " layer of changes.",
            hint="overlay2 does. For docker's containerd image store: --runtime containerd"
            " --namespace moby.",
        )
    return Path(upper), tuple(Path(lower) for lower in lowers.split(":") if lower)


def _targets(found: JsonObject) -> tuple[bytes, ...]:
    mounts = (
        text(mount, "Destination") for mount in listed(found, "Mounts") if isinstance(mount, dict)
    )
    tmpfs = mapped(mapped(found, "HostConfig"), "Tmpfs")
    return relative((*mounts, *tmpfs, *_OWN_MOUNTS))


def _ids(pid: int | None, upper: Path, which: str) -> tuple[IdRange, ...]:
    """The kernel's own, or at rest what the directory of a daemon with userns-remap is named after."""
    if pid is not None:
        try:
            return id_map(pid, which)
        except NoContainerError:
            pid = None  # it has just ended
    remapped = _REMAPPED.search(str(upper))
    if remapped is None:
        return ()
    return (IdRange(0, int(remapped[1 if which == "uid_map" else 2]), _REMAP_SIZE),)
