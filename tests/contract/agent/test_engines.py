"""docker's and podman's containers are saved as containerd's are, from what they keep on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from atoll import oci
from atoll.agent.commit import commit
from atoll.agent.copying import Wishes
from atoll.agent.errors import (
    BaseGoneError,
    ContainerRemovedError,
    NoContainerError,
    RootlessError,
    RuntimeUnavailableError,
    SnapshotterError,
)
from atoll.agent.runtimes.choice import RuntimeName, runtime_of
from atoll.agent.runtimes.container import Base, Runtime, State
from atoll.agent.runtimes.docker import Docker
from atoll.agent.runtimes.storage import Storage
from atoll.oci.image import Compression
from atoll.oci.registry import RegistryStore

from tests.contract.agent.engines import (
    BASE,
    DockerEngine,
    Engine,
    PodmanEngine,
    running_engine,
    start,
)
from tests.contract.agent.node import until
from tests.contract.agent.saves import is_the_base_changed
from tests.contract.registry.servers import started

TOKEN = "planted-token-91c4"
FOREVER = "while :; do sleep 1000; done"


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Iterator[DockerEngine | PodmanEngine]:
    with running_engine(request.param) as started:
        yield started


@contextmanager
def seen(engine: Engine) -> Iterator[Runtime]:
    """The agent's view of it."""
    runtime = engine.runtime()
    try:
        yield runtime
    finally:
        runtime.close()


@pytest.fixture
def runtime(engine: Engine) -> Iterator[Runtime]:
    with seen(engine) as connected:
        yield connected


@pytest.fixture
def store(tmp_path: Path) -> oci.LayoutStore:
    return oci.LayoutStore(tmp_path / "saved")


def test_containers_are_found_in_every_state(engine: Engine, runtime: Runtime) -> None:
    identity = start(
        engine, f"echo hello > /srv/greeting; {FOREVER}", "--name", "ada", "-v", "/srv/v"
    )
    found = runtime.find("ada")
    assert (found.id, found.name, found.state) == (identity, "ada", State.RUNNING)
    assert found.pid is not None
    command = Path(f"/proc/{found.pid}/cmdline")
    until(lambda: b"/bin/sh" in command.read_bytes(), "runc starts it")
    assert found.image.name == BASE
    until((found.upper / "srv" / "greeting").exists, "it writes")
    assert any((lower / "etc" / "motd").exists() for lower in found.lowers)
    engine.call("pause", identity)
    assert runtime.find(identity).state is State.PAUSED
    engine.call("unpause", identity)
    assert runtime.find(identity[:20]).state is State.RUNNING
    engine.call("kill", identity)
    until(lambda: runtime.find("ada").state is State.EXITED, "it is killed")
    at_rest = runtime.find("ada")
    assert (at_rest.pid, at_rest.upper, at_rest.lowers) == (None, found.upper, found.lowers)
    assert {b"srv/v", b"etc/hosts", b"etc/resolv.conf", b"dev", b"proc"} <= set(at_rest.targets)
    engine.call("rm", "-v", identity)
    with pytest.raises(NoContainerError, match="'ada'"):
        runtime.find("ada")


def test_a_saved_container_has_its_image_and_its_change_and_no_token(
    engine: Engine, runtime: Runtime, store: oci.LayoutStore, tmp_path: Path
) -> None:
    script = "echo $TOKEN > /run/t; echo changed > /etc/motd; rm -r /srv/old; echo new > /srv/new"
    options = ("-e", f"TOKEN={TOKEN}", "--label", f"stolen={TOKEN}")
    identity = start(engine, script, *options, wait=True)
    saved = commit(runtime, identity, store, "saved", state=tmp_path / "state")
    root = tmp_path / "root"
    is_the_base_changed(store, saved, root, TOKEN)
    assert (root / "bin" / "sh").readlink() == Path("busybox")
    assert not (root / ".dockerenv").exists()
    assert not (root / "run" / "t").exists()
    engine.call("rm", identity)


@pytest.mark.parametrize(
    ("engine", "asked", "compression"),
    [
        ("docker", None, Compression.GZIP),  # Debian's, 20.10, reads no zstd
        ("podman", None, Compression.ZSTD),
        ("podman", Compression.GZIP, Compression.GZIP),
    ],
    ids=["docker", "podman", "podman, gzip"],
    indirect=["engine"],
)
def test_it_pulls_what_was_saved_from_a_registry_and_runs_it(
    engine: Engine,
    asked: Compression | None,
    compression: Compression,
    runtime: Runtime,
    tmp_path: Path,
) -> None:
    many = "/bin/busybox /bin/busybox /bin/busybox"  # more than one block of what is compressed
    script = f"echo kept > /srv/kept; rm -r /srv/old; cat {many} > /srv/many"
    identity = start(engine, script, wait=True)
    with (
        started(tmp_path / "registry") as registry,
        RegistryStore(registry.reached(), "users/ada") as remote,
    ):
        saved = commit(
            runtime,
            identity,
            remote,
            "saved",
            state=tmp_path / "state",
            wishes=Wishes(compression=asked),
        )
        layers = oci.load_image(remote, saved.image.digest).manifest.layers
        assert {layer.media_type for layer in layers} == {compression.value}
        image = f"{registry.address}/users/ada@{saved.image.digest}"
        plain = () if isinstance(engine, DockerEngine) else ("--tls-verify=false",)
        engine.call("pull", *plain, image)
    alone = ("--network", "host", "--cgroup-parent", f"/{engine.top.name}")
    script = "cat /srv/kept; test ! -e /srv/old && echo $ORIGIN"
    script += f"; cat {many} | /bin/busybox cmp - /srv/many && echo same"
    said = engine.call("run", "--rm", *alone, image, "/bin/sh", "-c", script)
    assert said.split() == ["kept", "base", "same"]
    engine.call("rm", identity)


def test_the_image_is_packed_once(
    engine: Engine, runtime: Runtime, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = start(engine, "echo x > /srv/x", wait=True)
    first = commit(runtime, identity, store, "one", state=tmp_path / "state")
    written = {path.name: path.stat().st_ino for path in (store.path / "blobs/sha256").iterdir()}
    second = commit(runtime, identity, store, "two", state=tmp_path / "state")
    assert second.base == first.base
    again = {path.name: path.stat().st_ino for path in (store.path / "blobs/sha256").iterdir()}
    assert written.items() <= again.items()
    engine.call("rm", identity)


def test_a_running_container_is_saved_live(
    engine: Engine, runtime: Runtime, store: oci.LayoutStore, tmp_path: Path
) -> None:
    script = "n=0; while :; do n=$((n+1)); echo $n > /srv/a; echo $n > /srv/b; done"
    identity = start(engine, script)
    upper = runtime.find(identity).upper
    until((upper / "srv/b").exists, "it writes")
    saved = commit(runtime, identity, store, "live", state=tmp_path / "state", live=True)
    oci.unpack(store, saved.image.digest, tmp_path / "root")
    numbers = [int((tmp_path / "root/srv" / name).read_text() or 0) for name in "ab"]
    assert 0 <= numbers[0] - numbers[1] <= 1 or 0 in numbers  # a shell empties before it writes
    assert saved.copied.frozen_s > 0
    assert runtime.find(identity).state is State.RUNNING
    engine.call("kill", identity)
    engine.call("rm", "-f", identity)


def test_a_container_removed_meanwhile_leaves_nothing(
    engine: Engine, runtime: Runtime, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = start(engine, "for n in 1 2 3 4 5 6 7 8 9; do echo $n > /srv/$n; done", wait=True)
    gone: list[str] = []

    def remove(done: int) -> None:
        if done and not gone:
            gone.append(engine.call("rm", identity))

    with pytest.raises(ContainerRemovedError):
        commit(runtime, identity, store, "x", state=tmp_path / "s", wishes=Wishes(progress=remove))
    assert store.images() == ()


def test_a_layer_that_was_tampered_with_is_not_taken_for_the_image(
    engine: Engine, runtime: Runtime, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = start(engine, "true", wait=True)
    found = runtime.find(identity)
    motd = next(lower / "etc/motd" for lower in found.lowers if (lower / "etc/motd").exists())
    before = (motd.read_bytes(), motd.stat())
    motd.write_bytes(b"tampers\n")
    try:
        with pytest.raises(BaseGoneError, match="not what they were"):
            commit(runtime, identity, store, "x", state=tmp_path / "state")
    finally:
        motd.write_bytes(before[0])
        os.utime(motd, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))
    assert store.images() == ()
    engine.call("rm", identity)


@pytest.mark.parametrize("kind", ["docker", "podman"])
def test_a_storage_driver_without_layers_of_changes_is_refused_by_name(kind: str) -> None:
    with running_engine(kind, "vfs") as engine:
        identity = start(engine, "true", wait=True)
        with pytest.raises(SnapshotterError, match="'vfs'") as caught, seen(engine) as runtime:
            runtime.find(identity)
        assert caught.value.code == "snapshotter_unsupported"


def test_a_store_of_another_account_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(RootlessError, match="rootless") as caught:
        Storage(tmp_path)
    assert caught.value.code == "store_rootless"


def test_nobody_there_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="none"):
        Storage(tmp_path / "none")
    docker = Docker(tmp_path / "none.sock")
    with pytest.raises(RuntimeUnavailableError, match=r"none\.sock"):
        docker.find("x")
    docker.close()


def test_a_container_is_found_by_the_name_of_its_runtime(engine: Engine) -> None:
    identity = start(engine, "true", wait=True)
    name = RuntimeName("docker" if isinstance(engine, DockerEngine) else "podman")
    address = engine.socket if isinstance(engine, DockerEngine) else engine.top / "root"
    with runtime_of(identity, name, address=address) as (runtime, found):
        assert found.id == identity
        with runtime.base(found) as base:
            assert isinstance(base, Base)
    engine.call("rm", identity)


def as_cri_o_writes(root: Path, identity: str) -> None:
    """Have a podman's container as CRI-O would have left it in the store, which is the same library's.

    CRI-O (internal/storage/runtime.go, internal/factory/container/container.go): records are volatile, the
    metadata is its own, and what the kubelet says of a container are annotations of the runtime's spec.
    """
    place, found = root / "overlay-containers", []
    for name in ("containers.json", "volatile-containers.json"):
        if (place / name).exists():
            records = json.loads((place / name).read_text())
            mine = [one for one in records if one["id"] == identity]
            (place / name).write_text(json.dumps([one for one in records if one not in mine]))
            found = mine or found
    [record] = found
    known = json.loads(record["metadata"])
    kubelets = {
        "io.kubernetes.container.name": "notebook",
        "io.kubernetes.pod.name": "jupyter-ada",
        "io.kubernetes.pod.namespace": "atoll",
        "io.kubernetes.pod.uid": "9a3c",
    }
    name = "k8s_notebook_jupyter-ada_atoll_9a3c_0"
    record["names"] = [name]
    record["metadata"] = json.dumps(
        {
            "pod-name": "k8s_jupyter-ada_atoll_9a3c_0",
            "pod-id": "5d" * 32,
            "image-name": known["image-name"],
            "image-id": record["image"],
            "name": name,
            "metadata-name": "notebook",
            "created-at": 1764374400,
        }
    )
    (place / "volatile-containers.json").write_text(json.dumps([record]))
    spec = place / identity / "userdata" / "config.json"
    document = json.loads(spec.read_text())
    document["annotations"] = {
        **kubelets,
        "io.container.manager": "cri-o",
        "io.kubernetes.cri-o.Labels": json.dumps(kubelets),
        "io.kubernetes.cri-o.Name": name,
    }
    spec.write_text(json.dumps(document))


def test_a_container_of_cri_os_is_found_by_its_pod_and_saved(
    store: oci.LayoutStore, tmp_path: Path
) -> None:
    with running_engine("podman") as engine, seen(engine) as runtime:
        identity = start(engine, "echo kept > /srv/notes", wait=True)
        image = runtime.find(identity).image
        as_cri_o_writes(engine.top / "root", identity)
        found = runtime.find("atoll/jupyter-ada/notebook")
        assert (found.id, found.state, found.image) == (identity, State.EXITED, image)
        with pytest.raises(NoContainerError):
            runtime.find("atoll/jupyter-eve/notebook")
        saved = commit(
            runtime, "atoll/jupyter-ada/notebook", store, "saved", state=tmp_path / "state"
        )
    oci.unpack(store, saved.image.digest, tmp_path / "root")
    assert (tmp_path / "root" / "srv" / "notes").read_text() == "kept\n"
