"""A container saved by us: what other tools unpack and run is what the container had, and no more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from atoll import oci
from atoll.agent.copying import Wishes
from atoll.agent.errors import (
    NotOursError,
    SecretsError,
)
from atoll.agent.runtimes.containerd import Containerd
from atoll.oci.image import Compression
from atoll.oci.registry import RegistryStore

from tests.contract.agent.node import Node
from tests.contract.agent.saves import everything, merged, paths, save
from tests.contract.registry.servers import started
from tests.unit.oci.trees import differences

TOKEN = "planted-token-7d1f"
WORK = """
echo changed > /etc/motd; echo new > "/srv/with space"; chmod 4755 "/srv/with space"
ln "/srv/with space" /srv/link; ln -s /etc/motd /srv/symlink
rm /srv/old/one; rm -r /home; mkdir -p /home/ada; echo mine > /home/ada/notes
mv /srv/old /srv/older; mkfifo /srv/pipe; mkdir /srv/old; touch -d 2001-02-03 /srv/old/three
"""


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
