"""Containers of a real CRI-O are found as Kubernetes names them, and saved at rest and alive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll import oci
from atoll.agent.commit import commit
from atoll.agent.errors import NoContainerError
from atoll.agent.runtimes.container import State
from atoll.agent.runtimes.storage import Storage
from atoll.oci.registry import RegistryStore

from tests.contract.agent.aftermath import WRITE
from tests.contract.agent.crio import BASE, Crio, running_crio
from tests.contract.agent.node import until
from tests.contract.agent.saves import is_the_base_changed
from tests.contract.registry.servers import Running, started

pytestmark = pytest.mark.crio
TOKEN = "planted-token-91c4"
NAME = "atoll/jupyter-ada/notebook"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def crio(registry: Running) -> Iterator[Crio]:
    with running_crio(registry.address) as running:
        yield running


@pytest.fixture
def runtime(crio: Crio) -> Storage:
    return crio.runtime()


def test_a_container_is_found_by_its_pod_in_every_state(crio: Crio, runtime: Storage) -> None:
    identity = crio.start("echo hello > /srv/greeting; while :; do sleep 1000; done")
    found = runtime.find(NAME)
    assert (found.id, found.state, found.image.name) == (identity, State.RUNNING, BASE)
    assert found.pid is not None
    until((found.upper / "srv" / "greeting").exists, "it writes")
    assert any((lower / "etc" / "motd").exists() for lower in found.lowers)
    with pytest.raises(NoContainerError):
        runtime.find("atoll/jupyter-eve/notebook")

    crio.call("stop", "--timeout", "0", identity)
    at_rest = runtime.find(NAME)
    assert (at_rest.id, at_rest.state, at_rest.pid) == (identity, State.EXITED, None)
    assert (at_rest.upper, at_rest.lowers, at_rest.image) == (
        found.upper,
        found.lowers,
        found.image,
    )
    assert {b"etc/hosts", b"etc/resolv.conf", b"dev", b"proc"} <= set(at_rest.targets)
    crio.call("rm", identity)
    with pytest.raises(NoContainerError):
        runtime.find(NAME)


def test_an_ended_container_is_saved_with_its_image_and_its_change_and_no_token(
    crio: Crio, runtime: Storage, store: oci.LayoutStore, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "token").write_text(TOKEN)
    identity = crio.start(
        "cp /var/run/secrets/token /run/t; echo changed > /etc/motd; rm -r /srv/old; echo new > /srv/new",
        wait=True,
        envs=[{"key": "TOKEN", "value": TOKEN}],
        mounts=[{"container_path": "/var/run/secrets", "host_path": str(secret), "readonly": True}],
    )
    saved = commit(runtime, NAME, store, "saved", state=tmp_path / "state")
    root = tmp_path / "root"
    is_the_base_changed(store, saved, root, TOKEN)
    assert TOKEN not in "".join(
        path.read_text("latin-1") for path in root.rglob("*") if path.is_file()
    )
    crio.call("rm", identity)


def test_it_starts_from_what_was_saved_and_that_is_saved_again(
    crio: Crio, runtime: Storage, registry: Running, tmp_path: Path
) -> None:
    image = BASE
    with RegistryStore(registry.reached(), "users/ada") as remote:
        for name in ("first", "second"):
            identity = crio.start(f"echo {name} > /srv/{name}", name, image=image, wait=True)
            saved = commit(runtime, identity, remote, name, state=tmp_path / "state")
            crio.call("rm", identity)
            image = f"{registry.address}/users/ada@{saved.image.digest}"
            crio.call("pull", image)
    identity = crio.start(
        "cat /srv/first /srv/second; echo $ORIGIN", "third", image=image, wait=True
    )
    assert crio.printed("third").split() == ["first", "second", "base"]
    found = runtime.find(identity)
    assert (found.image.name, found.image.digest) == (image, saved.image.digest)
    crio.call("rm", identity)


def test_a_container_is_saved_while_it_writes_and_goes_on(
    crio: Crio, runtime: Storage, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = crio.start(WRITE)
    counter = runtime.find(NAME).upper / "srv" / "n"
    until(counter.exists, "it writes")
    saved = commit(runtime, NAME, store, "saved", live=True, state=tmp_path / "state")
    oci.unpack(store, saved.image.digest, tmp_path / "root")
    at_that_moment = int((tmp_path / "root" / "srv" / "n").read_text())
    until(lambda: int(counter.read_text() or 0) > at_that_moment, "it goes on")
    assert crio.state(identity) == "CONTAINER_RUNNING"
    crio.call("rm", "--force", identity)
