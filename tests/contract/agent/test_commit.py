"""A container saved by us: what other tools unpack and run is what the container had, and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from atoll import oci
from atoll.agent.commit import Saved, commit, one_at_a_time
from atoll.agent.copying import Wishes
from atoll.agent.errors import (
    BusyError,
    ContainerRemovedError,
    ContainerRunningError,
    NotOursError,
    SecretsError,
)
from atoll.agent.runtimes.containerd import Containerd
from atoll.oci.image import Compression
from atoll.oci.registry import RegistryStore

from tests.contract.agent.node import BASE, Node, until
from tests.contract.registry.servers import started
from tests.unit.oci.trees import differences

TOKEN = "planted-token-7d1f"
FOREVER = "while :; do sleep 1000; done"
WORK = """
echo changed > /etc/motd; echo new > "/srv/with space"; chmod 4755 "/srv/with space"
ln "/srv/with space" /srv/link; ln -s /etc/motd /srv/symlink
rm /srv/old/one; rm -r /home; mkdir -p /home/ada; echo mine > /home/ada/notes
mv /srv/old /srv/older; mkfifo /srv/pipe; mkdir /srv/old; touch -d 2001-02-03 /srv/old/three
"""


@pytest.fixture
def store(tmp_path: Path) -> oci.LayoutStore:
    return oci.LayoutStore(tmp_path / "saved")


def save(
    runtime: Containerd, identity: str, store: oci.Store, state: Path, **more: object
) -> Saved:
    return commit(runtime, identity, store, "saved", state=state, **more)  # type: ignore[arg-type]


def paths(store: oci.LayoutStore, saved: Saved) -> dict[str, oci.Kind]:
    """What the new layers hold."""
    found: dict[str, oci.Kind] = {}
    for layer in saved.copied.layers:
        with oci.open_layer(store, layer.descriptor, layer.diff_id) as reader:
            found |= {oci.shown(entry.path): entry.kind for entry in reader}
    return found


def everything(store: oci.LayoutStore, digest: str) -> bytes:
    """The manifest, the config and all layers of an image, unpacked."""
    image = oci.load_image(store, digest)
    found = [image.manifest_content, image.config_content]
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        with oci.open_layer(store, layer, diff_id) as reader:
            found += [part for entry in reader for part in (entry.path, reader.read())]
    return b"\n".join(found)


@contextmanager
def merged(runtime: Containerd, identity: str, point: Path) -> Iterator[Path]:
    """The container's root as it sees it, without what is mounted over it."""
    found = runtime.find(identity)
    point.mkdir()
    layers = ":".join(map(str, (found.upper, *found.lowers)))
    mount = ["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={layers}", str(point)]
    subprocess.run(mount, check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def test_umoci_unpacks_what_the_container_had(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run(WORK, wait=True)
    saved = save(runtime, identity, store, tmp_path / "state")
    plain = oci.LayoutStore(tmp_path / "plain")  # this umoci knows no zstd
    oci.export(store, saved.image.digest, plain, name="x", compression=Compression.GZIP)
    bundle = tmp_path / "bundle"
    unpack = ["umoci", "unpack", "--image", f"{plain.path}:x", str(bundle)]
    subprocess.run(unpack, check=True, capture_output=True)
    with merged(runtime, identity, tmp_path / "merged") as had:
        assert (had / "srv" / "older" / "two").exists()
        different = differences(had, bundle / "rootfs")
    assert set(different) <= {b"srv/pipe", b"run"}
    node.remove(identity)


def test_containerd_runs_what_was_saved_with_the_change_and_nothing_else(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run(WORK, wait=True)
    saved = save(runtime, identity, store, tmp_path / "state")
    assert set(paths(store, saved)) == {
        *("etc/motd", "home", "home/ada", "home/ada/notes"),
        *("srv/with space", "srv/link", "srv/symlink", "srv/old", "srv/old/three"),
        *("srv/older", "srv/older/two", "etc", "srv"),
    }
    node.load(store, "again")
    script = "cat /etc/motd /srv/link /home/ada/notes; ls /srv /srv/old /srv/older /home"
    seen = node.output("again:saved", script).split()
    assert seen == [
        *("changed", "new", "mine", "/home:", "ada"),
        *("/srv:", "link", "old", "older", "symlink", "with", "space"),
        *("/srv/old:", "three", "/srv/older:", "two"),
    ]
    node.remove(identity)
    node.ctr("images", "rm", "again:saved")


def test_a_second_save_of_a_container_from_a_saved_image_lies_on_the_first(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    one = node.run("echo one > /srv/one", wait=True)
    first = save(runtime, one, store, tmp_path / "state")
    node.load(store, "first")
    two = node.run("echo two > /srv/two; rm /srv/one", image="first:saved", wait=True)
    second = save(runtime, two, store, tmp_path / "state")
    assert second.base == first.image.digest
    assert paths(store, second)["srv/one"] is oci.Kind.WHITEOUT
    assert oci.load_image(store, second.image.digest).config.labels == {"dev.atoll.test": "base"}
    for identity in (one, two):
        node.remove(identity)
    node.ctr("images", "rm", "first:saved")


def test_no_secret_of_the_running_container_gets_into_the_image(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    account = tmp_path / "serviceaccount"
    account.mkdir()
    (account / "token").write_text(TOKEN)
    where = "/var/run/secrets/kubernetes.io/serviceaccount"
    identity = node.run(
        f"cat {where}/token > /run/copy; cat {where}/token > /tmp/copy; mkdir -p /var/tmp;"
        " echo $TOKEN > /var/tmp/copy; echo work > /srv/work",
        options=(
            *("--env", f"TOKEN={TOKEN}", "--label", f"stolen={TOKEN}"),
            *("--mount", f"type=bind,src={account},dst={where},options=rbind:ro"),
        ),
        wait=True,
    )
    saved = save(runtime, identity, store, tmp_path / "state")
    assert TOKEN.encode() not in everything(store, saved.image.digest)
    assert set(paths(store, saved)) == {"srv", "srv/work", "var", "var/tmp"}
    image = oci.load_image(store, saved.image.digest)
    assert image.config.labels == {"dev.atoll.test": "base"}
    reasons = {oci.shown(item.path): item.reason for item in saved.copied.left_out}
    assert "temporary" in reasons["tmp"]
    assert "temporary" in reasons["var/tmp/copy"]
    node.remove(identity)


def test_what_exists_only_because_something_is_mounted_there_is_left_out(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 me")
    (tmp_path / "data").mkdir()
    identity = node.run(
        "echo big > /srv/volume/data; echo mine > /srv/mine",
        options=(
            *("--mount", f"type=bind,src={tmp_path / 'data'},dst=/srv/volume,options=rbind:rw"),
            *("--mount", f"type=bind,src={tmp_path / 'hosts'},dst=/etc/hosts,options=rbind:ro"),
        ),
        wait=True,
    )
    saved = save(runtime, identity, store, tmp_path / "state")
    assert {"srv/mine"} == set(paths(store, saved)) - {"srv", "etc"}
    reasons = {oci.shown(item.path): item.reason for item in saved.copied.left_out}
    assert reasons["srv/volume"] == reasons["etc/hosts"] == "something is mounted here"
    node.remove(identity)


def test_a_private_image_warns_of_secrets_and_a_shared_one_is_refused(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----"
    identity = node.run(f"echo '{key}' > /srv/notes.txt; echo x > /srv/.netrc", wait=True)
    with pytest.raises(SecretsError, match=r"/srv/\.netrc, /srv/notes\.txt") as caught:
        save(runtime, identity, store, tmp_path / "state", wishes=Wishes(shared=True))
    assert caught.value.code == "secrets_found"
    assert [image.name for image in store.images()] == []
    saved = save(runtime, identity, store, tmp_path / "state")
    assert sorted(saved.copied.secrets) == [b"srv/.netrc", b"srv/notes.txt"]
    node.remove(identity)


def test_a_container_from_another_image_is_not_the_platforms(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    one = node.run("echo one > /srv/one", wait=True)
    first = save(runtime, one, store, tmp_path / "state")
    wishes = Wishes(image=first.image.digest)
    with pytest.raises(NotOursError, match="not started from") as caught:
        save(runtime, one, store, tmp_path / "state", wishes=wishes)
    assert caught.value.code == "container_not_ours"
    save(runtime, one, store, tmp_path / "state", wishes=Wishes(image=first.base))
    unknown = Wishes(image="sha256:" + "0" * 64)
    save(runtime, one, store, tmp_path / "state", wishes=unknown)
    node.remove(one)


def test_a_container_that_changed_nothing_is_its_own_image(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run("echo x > /tmp/x", wait=True)
    saved = save(runtime, identity, store, tmp_path / "state")
    assert saved.image.digest == saved.base == runtime.find(identity).image.digest
    assert saved.copied.layers == []
    node.remove(identity)


def test_a_running_container_is_saved_only_where_that_was_asked_for(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run(FOREVER)
    with pytest.raises(ContainerRunningError, match="--live"):
        save(runtime, identity, store, tmp_path / "state")
    assert store.images() == ()
    node.remove(identity)


def test_a_paused_container_is_saved_and_stays_paused(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run(f"echo x > /srv/x; {FOREVER}")
    until((runtime.find(identity).upper / "srv" / "x").exists, "it writes")
    node.ctr("tasks", "pause", identity)
    saved = save(runtime, identity, store, tmp_path / "state")
    assert "srv/x" in paths(store, saved)
    assert node.state(identity) == "PAUSED"
    node.ctr("tasks", "resume", identity)
    node.remove(identity)


def test_a_live_save_is_one_moment_of_a_container_that_writes(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    script = (
        "n=0; mkdir /srv/w; while :; do n=$((n+1)); echo $n > /srv/w/$n;"
        " rm -f /srv/w/$((n-40)); echo $n > /srv/last; done"
    )
    identity = node.run(script)
    upper = runtime.find(identity).upper
    until((upper / "srv" / "w" / "50").exists, "it writes")
    saved = save(runtime, identity, store, tmp_path / "state", live=True)
    last = int((upper / "srv" / "last").read_text() or 0)
    until(lambda: int((upper / "srv" / "last").read_text() or 0) > last, "it goes on")
    root = tmp_path / "root"
    oci.unpack(store, saved.image.digest, root)
    numbers = sorted(int(path.name) for path in (root / "srv" / "w").iterdir())
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert all((root / "srv" / "w" / str(n)).read_text() == f"{n}\n" for n in numbers[:-1])
    assert 39 <= len(numbers) <= 41
    assert saved.copied.torn == ()
    assert saved.copied.frozen_s > 0
    node.remove(identity)


MAPPER = """
import mmap, os, time
with open("/srv/map", "w+b") as file:
    file.write(bytes(8192))
    file.flush()
    mapped = mmap.mmap(file.fileno(), 0)
    mapped[:6] = b"before"
    open("/signs/ready", "w").close()
    while not os.path.exists("/signs/go"):
        time.sleep(0.01)
    mapped[:6] = b"after!"
    open("/signs/done", "w").close()
    time.sleep(1000)
"""


def test_a_live_save_has_what_was_written_through_memory_after_it_was_read(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    signs = tmp_path / "signs"
    signs.mkdir()
    (signs / "mapper.py").write_text(MAPPER)
    mounts = [(Path("/usr"), "ro"), (Path(sys.base_prefix), "ro")]
    options = [
        f"type=bind,src={path},dst={path},options=rbind:{how}" for path, how in dict(mounts).items()
    ]
    options.append(f"type=bind,src={signs},dst=/signs,options=rbind:rw")
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    identity = node.run(
        f"{python} -I -S /signs/mapper.py",
        options=tuple(part for option in options for part in ("--mount", option)),
    )
    until((signs / "ready").exists, "the file is mapped")

    def write(done: int) -> None:
        if done >= 8192 and not (signs / "done").exists():
            (signs / "go").touch()
            until((signs / "done").exists, "it writes")

    saved = save(
        runtime, identity, store, tmp_path / "state", live=True, wishes=Wishes(progress=write)
    )
    oci.unpack(store, saved.image.digest, tmp_path / "root")
    assert (tmp_path / "root/srv/map").read_bytes()[:6] == b"after!"
    node.remove(identity)


def test_a_container_removed_while_it_is_saved_leaves_nothing(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run("for n in 1 2 3 4 5 6 7 8 9; do echo $n > /srv/$n; done", wait=True)
    removed = threading.Event()

    def remove(done: int) -> None:
        if done and not removed.is_set():
            removed.set()
            node.remove(identity)

    with pytest.raises(ContainerRemovedError) as caught:
        save(runtime, identity, store, tmp_path / "state", wishes=Wishes(progress=remove))
    assert removed.is_set()
    assert caught.value.code == "container_removed"
    assert store.images() == ()


def test_one_save_of_a_container_at_a_time(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run("echo x > /srv/x", wait=True)
    with one_at_a_time(runtime.find(identity), tmp_path / "state"):
        with pytest.raises(BusyError) as caught:
            save(runtime, identity, store, tmp_path / "state")
        assert caught.value.code == "save_running"
    save(runtime, identity, store, tmp_path / "state")
    node.remove(identity)


def test_a_registry_gets_the_base_from_the_node_and_then_only_the_change(
    node: Node, runtime: Containerd, tmp_path: Path
) -> None:
    identity = node.run("echo x > /srv/x", wait=True)
    with (
        started(tmp_path / "registry") as registry,
        RegistryStore(registry.reached(), "users/ada") as store,
    ):
        saved = save(runtime, identity, store, tmp_path / "state")
        assert store.image("saved").digest == saved.image.digest
        before = registry.blobs()
        node.ctr("tasks", "rm", identity)
        node.ctr("tasks", "start", "-d", identity)
        node.ended(identity)
        again = save(runtime, identity, store, tmp_path / "state")
        assert len(registry.blobs() - before) <= 3  # layer, config, manifest
        archive = tmp_path / "archive"
        reference = f"docker://{registry.address}/users/ada@{again.image.digest}"
        copy = ["skopeo", "copy", "--src-tls-verify=false", reference, f"oci:{archive}:x"]
        subprocess.run(copy, check=True, capture_output=True)
    node.remove(identity)


def agent(node: Node, *arguments: str | Path, state: Path) -> subprocess.CompletedProcess[bytes]:
    """`atoll-agent` as an operator runs it."""
    return subprocess.run(command(node, *arguments, state=state), capture_output=True, check=False)


def command(node: Node, verb: str | Path, *arguments: str | Path, state: Path) -> list[str]:
    more = ["--state", str(state)] if verb == "commit" else []
    where = ["--address", str(node.socket), "--namespace", node.namespace, *more]
    where += ["--runtime", "containerd"]
    program = str(Path(sys.executable).parent / "atoll-agent")
    return [program, str(verb), *map(str, arguments), *where]


def test_the_command_saves_and_tells_what_it_did(node: Node, tmp_path: Path) -> None:
    identity = node.run("echo x > /srv/x; echo y > /tmp/y", wait=True)
    layout = tmp_path / "layout"
    done = agent(
        node, "commit", identity, "ada", "--layout", layout, "-o", "json", state=tmp_path / "s"
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["digest"] == oci.LayoutStore(layout).images()[0].digest
    assert (told["layers"], told["size"], told["runtime"]) == (1, 2, "containerd")
    assert [item["path"] for item in told["left_out"]] == ["tmp"]
    plain = agent(node, "commit", identity, "ada", "--layout", layout, state=tmp_path / "s")
    assert plain.stdout.decode().strip() == told["digest"] or plain.stdout.startswith(b"sha256:")
    assert b"2 B" in plain.stderr
    node.remove(identity)


def test_the_command_shows_what_differs(node: Node, tmp_path: Path) -> None:
    identity = node.run("echo x > /srv/x; rm /etc/motd", wait=True)
    done = agent(node, "diff", identity, "-o", "json", state=tmp_path / "s")
    told = json.loads(done.stdout)
    found = {entry["path"]: (entry["kind"], entry["size"]) for entry in told["entries"]}
    assert found["srv/x"] == ("file", 2)
    assert found["etc/motd"] == ("whiteout", 0)
    assert b"/srv/x" in agent(node, "diff", identity, state=tmp_path / "s").stdout
    node.remove(identity)


def test_the_commands_errors_are_sentences_with_an_exit_status(node: Node, tmp_path: Path) -> None:
    missing = agent(node, "diff", "nobody", state=tmp_path / "s")
    assert missing.returncode == 4
    assert b"no container 'nobody'" in missing.stderr
    assert b"Traceback" not in missing.stderr
    identity = node.run(FOREVER)
    layout = ("--layout", tmp_path / "layout")
    running = agent(node, "commit", identity, "x", *layout, state=tmp_path / "s")
    assert running.returncode == 5
    assert b"is running" in running.stderr
    nowhere = agent(node, "commit", identity, "no-host", "--live", state=tmp_path / "s")
    assert nowhere.returncode == 5
    assert b"host/repository:tag" in nowhere.stderr
    node.remove(identity)


def test_a_killed_command_leaves_no_image_nothing_frozen_and_the_next_one_works(
    node: Node, runtime: Containerd, tmp_path: Path
) -> None:
    identity = node.run(
        "cat /bin/busybox /bin/busybox /bin/busybox /bin/busybox > /srv/b; mkfifo /srv/p;"
        " for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat /srv/b > /srv/b$n; done;"
        f" echo done > /srv/zz; {FOREVER}"
    )
    until((runtime.find(identity).upper / "srv" / "zz").exists, "it has written", 20)
    layout = tmp_path / "layout"
    asked = command(
        node, "commit", identity, "x", "--live", "--layout", layout, state=tmp_path / "s"
    )
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as killed:
        until(lambda: any(layout.glob(".atoll/write-*")), "it writes a layer", 20)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
    store = oci.LayoutStore(layout)
    assert store.images() == ()
    assert node.state(identity) == "RUNNING"
    again = agent(node, "commit", identity, "x", "--live", "--layout", layout, state=tmp_path / "s")
    assert again.returncode == 0, again.stderr.decode()
    assert [image.name for image in oci.LayoutStore(layout).images()] == ["x"]
    assert not any(layout.glob(".atoll/write-*"))
    assert node.ctr("leases", "ls", "-q").split() == []
    assert BASE in node.ctr("images", "ls", "-q")
    node.remove(identity)
