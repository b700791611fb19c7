"""Containers of containerd, 1.6 to 2.x, by a few calls of its API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atoll.agent.errors import (
    AmbiguousError,
    BaseGoneError,
    ContainerRemovedError,
    NoContainerError,
    SnapshotterError,
)
from atoll.agent.runtimes.container import Base, Container, ImageReference, State
from atoll.agent.runtimes.containerd_content import ContainerdContent, leased, own_image
from atoll.agent.runtimes.grpc_channel import AbsentError, Channel
from atoll.agent.runtimes.mounts import living_targets
from atoll.agent.runtimes.overlay_mount import OverlayMount, parse_options
from atoll.agent.runtimes.spec import read_spec
from atoll.agent.runtimes.wire import Message, encode
from atoll.oci.image import parse

ADDRESS = Path("/run/containerd/containerd.sock")
NAMESPACE = "k8s.io"
_STATES = {1: State.CREATED, 2: State.RUNNING, 3: State.EXITED, 4: State.PAUSED, 5: State.RUNNING}
"""containerd.v1.types.Status; 5 is `pausing`, in which processes may still write."""
_NAME_LABEL = "nerdctl/name"
_POD = ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.container.name")
_OVERLAYS = frozenset({"overlay", "fuse3.fuse-overlayfs"})
_MAX_SPEC = 8 << 20  # bytes; a specification has tens of thousands


class Containerd:
    """The containers of one namespace. See `Runtime`."""

    def __init__(self, address: Path = ADDRESS, namespace: str = NAMESPACE) -> None:
        self._channel = Channel(address, namespace)
        self._namespace = namespace

    def find(self, container: str) -> Container:
        """The container of this id, beginning of an id, nerdctl name or `namespace/pod/container`."""
        record = self._record(container)
        identity = record.text(1)
        snapshotter, key = record.text(6), record.text(7)
        overlay = self._overlay(identity, snapshotter, key)
        state, pid = self._task(identity)
        spec = read_spec(
            parse(record.message(5).data(2), "container's specification", most=_MAX_SPEC)
        )
        labels = record.mapping(2)
        return Container(
            runtime="containerd",
            id=identity,
            name=_name(identity, labels),
            state=state,
            pid=pid,
            image=self._image(record.text(3)),
            snapshotter=snapshotter,
            upper=overlay.upper,
            lowers=overlay.lowers,
            targets=tuple(sorted({*spec.targets, *living_targets(pid)})),
            uids=spec.uids,
            gids=spec.gids,
            cgroup=spec.cgroup,
            labels=labels,
            annotations=spec.annotations,
        )

    @contextmanager
    def base(self, container: Container) -> Iterator[Base]:
        """The image whose layers the container's snapshot lies on, under a lease meanwhile.

        A name may have moved to another image since the container was made: what counts is the
        chain of layers that the snapshot has as its parent.
        """
        record = self._record(container.id)
        content = ContainerdContent(self._channel)
        try:
            stat = self._snapshot("Stat", record.text(6), record.text(7))
            parent = stat.message(1).text(2)
        except AbsentError as error:
            raise _removed(container.id) from error
        with leased(self._channel) as hold:
            image = own_image(self._channel, content, record.text(3), parent)
            if image is None:
                raise BaseGoneError(
                    f"containerd no longer has the image {record.text(3)!r} that the container"
                    f" {container.id} was made from.",
                    hint="Pull the same image again; a newer one of the same name will not do.",
                )
            hold(image.digest)
            yield Base(image.config, image, content)

    def version(self) -> str:
        """The version of containerd, such as `1.6.20`."""
        return self._channel.call("version.v1.Version/Version", b"").text(1)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def _record(self, container: str) -> Message:
        try:
            answer = self._channel.call("containers.v1.Containers/Get", encode((1, container)))
            return answer.message(1)
        except AbsentError:
            return self._by_name(container)

    def _by_name(self, container: str) -> Message:
        answer = self._channel.call("containers.v1.Containers/List", b"")
        found = [
            record
            for record in answer.messages(1)
            if container and (record.text(1).startswith(container) or container in _names(record))
        ]
        if not found:
            raise NoContainerError(
                f"containerd has no container {container!r} in the namespace {self._namespace!r}.",
                hint="Kubernetes uses the namespace k8s.io, ctr and nerdctl use default.",
            )
        if len(found) > 1:
            ids = ", ".join(sorted(record.text(1) for record in found)[:5])
            raise AmbiguousError(f"{container!r} could be any of {ids}.", hint="Give the whole id.")
        return found[0]

    def _task(self, identity: str) -> tuple[State, int | None]:
        """What its first process does; a container without a task has ended, or never ran."""
        request = encode((1, identity))
        try:
            process = self._channel.call("tasks.v1.Tasks/Get", request).message(1)
        except AbsentError:
            return State.EXITED, None
        state = _STATES.get(process.number(4), State.RUNNING)
        return state, None if state is State.EXITED else process.number(3) or None

    def _overlay(self, identity: str, snapshotter: str, key: str) -> OverlayMount:
        try:
            mounts = self._snapshot("Mounts", snapshotter, key).messages(1)
        except AbsentError as error:
            raise _removed(identity) from error
        if len(mounts) == 1 and mounts[0].text(1) in _OVERLAYS:
            options = [option.encode() for option in mounts[0].texts(4)]
            found = parse_options(options)
            if found is not None:
                return found
        if len(mounts) == 1 and mounts[0].text(1) == "bind" and snapshotter == "overlayfs":
            return OverlayMount(Path(mounts[0].text(2)), ())  # an image without layers
        raise SnapshotterError(
            f"The container {identity} uses the snapshotter {snapshotter!r}, which keeps no layer"
            " of changes.",
            hint="Only overlayfs and those built on it do; nothing of the container is lost.",
        )

    def _snapshot(self, method: str, snapshotter: str, key: str) -> Message:
        request = encode((1, snapshotter), (2, key))
        return self._channel.call(f"snapshots.v1.Snapshots/{method}", request)

    def _image(self, name: str) -> ImageReference:
        try:
            answer = self._channel.call("images.v1.Images/Get", encode((1, name)))
        except AbsentError:
            return ImageReference(name)
        return ImageReference(name, answer.message(1).message(3).text(2))


def _names(record: Message) -> set[str]:
    labels = record.mapping(2)
    return {labels.get(_NAME_LABEL, ""), "/".join(labels.get(key, "") for key in _POD)}


def _name(identity: str, labels: dict[str, str]) -> str:
    if all(key in labels for key in _POD):
        return "/".join(labels[key] for key in _POD)
    return labels.get(_NAME_LABEL) or identity


def _removed(identity: str) -> ContainerRemovedError:
    return ContainerRemovedError(
        f"The container {identity} is being removed: its layer of changes is gone.",
        hint="Nothing can be saved of it any more; the last checkpoint is still there.",
    )
