"""The service is killed at every point of a save and of a restore: nothing is lost, nothing is left."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from atoll import oci
from atoll.checkpoints import client
from atoll.checkpoints.models import CheckpointRequest, StartRequest
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit.errors import AtollError
from atoll.kit.home import Home

from tests.databases import variables
from tests.forked import Forked
from tests.moments import moments

from .conftest import FAST
from .platform import Atoll, Running, eventually, wheel


class Service:
    """The service as a process of its own, killed and started again."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.atoll = Atoll("")
        self._process: Forked | None = None
        home.create()

    def start(self, place_of_death: str = "", settings: CheckpointSettings = FAST) -> None:
        """Start it; it dies at the place once it is armed."""
        port = self.home.run / "port"
        port.unlink(missing_ok=True)
        (self.home.run / "armed").unlink(missing_ok=True)
        self._process = process = Forked(
            "tests.service.checkpoints.service_under_test",
            str(self.home.path),
            settings.model_dump_json(),
            place_of_death,
            env=variables(self.home),
        )
        eventually(lambda: port.exists() or process.poll(), bool)
        assert port.exists()
        for connection in self.atoll.connections.values():
            connection.close()
        self.atoll.connections.clear()
        self.atoll.url = f"http://127.0.0.1:{port.read_text()}/api/v1/"

    def arm(self) -> None:
        """From now on it dies where it was told to."""
        (self.home.run / "armed").touch()

    def dead(self) -> None:
        """Wait until it has died of its own accord."""
        assert self._process is not None
        assert self._process.wait(30) == -9

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def service(home: Home) -> Iterator[Service]:
    found = Service(home)
    yield found
    found.atoll.close()
    found.kill()


def debris(home: Home) -> set[str]:
    """What lies where only environments and whole images should be."""
    known = {"env", "index", "jupyter", "lock"}
    roots = [path for path in home.environments.glob("*/*") if path.is_dir()]
    found = {path.name for root in roots for path in root.iterdir()} - known
    store = oci.LayoutStore(home.images)
    store.collect(grace=0)
    kept = {image.digest for image in store.images()}
    for digest in list(kept):
        manifest = oci.load_image(store, digest).manifest
        kept |= {manifest.config.digest, *(layer.digest for layer in manifest.layers)}
    blobs = {f"sha256:{path.name}" for path in (home.images / "blobs" / "sha256").iterdir()}
    private = {path.name for path in (home.images / ".atoll").iterdir()}
    return found | (blobs ^ kept) | (private - {"lock"})


def end(service: Service, server: Running) -> None:
    """End the server as the hub does, which may find the service dead."""
    server.end()
    with suppress(AtollError):
        service.atoll.send(client.ended("ada", ""), "hub")


@pytest.mark.parametrize(
    "place",
    moments(
        [
            "atoll.checkpoints.automatic:Automatic.ask:before",
            "atoll.checkpoints.store:add_checkpoint:after",
            "atoll.checkpoints.automatic:Automatic.ask:after",
            "atoll.oci.layout:LayoutStore.publish:after",
            "atoll.checkpoints.saving:Saving._write_down:before",
            "atoll.checkpoints.saving:Saving._ready:after",
        ]
    ),
)
def test_an_automatic_checkpoint_is_there_once_wherever_the_service_is_killed(
    service: Service, tmp_path: Path, place: str
) -> None:
    settings = FAST.model_copy(update={"save_every_s": 1})
    service.start(place, settings)
    server = service.atoll.start()
    server.install(wheel(tmp_path, size=2_000_000))
    service.arm()
    service.dead()

    service.start(settings=settings)
    found = eventually(
        service.atoll.checkpoints, lambda all_: len(all_) == 1 and all_[0].status == "ready"
    )

    [checkpoint] = found
    assert checkpoint.trigger == "automatic"
    assert checkpoint.digest == service.atoll.server().environment
    assert debris(service.home) == set()
    service.atoll.stop(server)
    [kept] = service.atoll.checkpoints()
    assert (kept.id, kept.trigger) == (checkpoint.id, "stop")


@pytest.mark.parametrize(
    "place",
    moments(
        [
            "atoll.checkpoints.preparing:Preparing.settle:before",
            "atoll.checkpoints.saving:Saving._tell:before",
            "atoll.checkpoints.saving:Saving._tell:after",
            "atoll.oci.layout:LayoutWriter.write:after",
            "atoll.oci.layout:LayoutWriter.commit:before",
            "atoll.oci.layout:LayoutWriter.commit:after",
            "atoll.oci.layout:LayoutStore.publish:before",
            "atoll.oci.layout:LayoutStore.publish:after",
            "atoll.oci.index:Index.save:before",
            "atoll.oci.index:Index.save:after",
            "atoll.checkpoints.saving:Saving._write_down:before",
            "atoll.checkpoints.saving:Saving._write_down:after",
            "atoll.checkpoints.saving:Saving._ready:after",
            "atoll.checkpoints.retention:apply:after",
        ]
    ),
)
def test_a_stop_is_saved_wherever_the_service_is_killed(
    service: Service, tmp_path: Path, place: str
) -> None:
    service.start(place)
    server = service.atoll.start()
    server.install(wheel(tmp_path, size=2_000_000))
    service.arm()
    end(service, server)
    service.dead()

    service.start()
    saved = service.atoll.saved()

    [checkpoint] = service.atoll.checkpoints()
    assert checkpoint.digest == saved.environment
    assert checkpoint.changes is not None
    assert [p.name for p in checkpoint.changes.packages] == ["seashell"]
    assert debris(service.home) == set()
    fresh = service.atoll.start(environment="base")
    assert fresh.run("python", "-c", "import seashell", check=False).returncode == 1
    service.atoll.stop(fresh)
    back = service.atoll.start(environment=str(checkpoint.digest))
    assert back.run("seashell").stdout.split() == ["1.0", str(back.env)]


@pytest.mark.parametrize(
    "place",
    moments(
        [
            "atoll.checkpoints.preparing:Preparing._restore:before",
            "atoll.oci.tree:Tree.complete:before",
            "atoll.oci.unpack:_swap:before",
            "atoll.oci.unpack:_swap:after",
            "atoll.oci.index:Index.save:before",
            "atoll.oci.index:Index.save:after",
            "atoll.checkpoints.skeleton:make_kernel:after",
            "atoll.checkpoints.preparing:Preparing._prepared:before",
            "atoll.checkpoints.preparing:Preparing._prepared:after",
        ]
    ),
)
def test_going_back_is_carried_out_wherever_the_service_is_killed(
    service: Service, tmp_path: Path, place: str
) -> None:
    service.start(place)
    server = service.atoll.start()
    server.install(wheel(tmp_path, version="1.0"))
    old = service.atoll.save()
    server.install(wheel(tmp_path, version="2.0"))
    newer = service.atoll.stop(server)
    service.arm()
    with suppress(AtollError):
        request = StartRequest(environment=str(old.digest))
        service.atoll.send(client.start("ada", "", request), "hub")
    service.dead()

    service.start()
    back = service.atoll.start(environment=str(old.digest))

    assert back.preparation.fallback is None
    assert back.run("seashell").stdout.split()[0] == "1.0"
    assert debris(service.home) == set()
    service.atoll.stop(back)
    again = service.atoll.start(environment=str(newer.environment))
    assert again.run("seashell").stdout.split()[0] == "2.0"


def test_a_save_of_a_running_server_that_was_written_but_not_down_is_found_again(
    service: Service, tmp_path: Path
) -> None:
    service.start("atoll.checkpoints.saving:Saving._ready:before")
    server = service.atoll.start()
    server.install(wheel(tmp_path))
    service.arm()
    with suppress(AtollError):
        service.atoll.send(client.save(CheckpointRequest(server="-", note="kept")))
    service.dead()
    server.end()

    service.start()
    service.atoll.saved()
    [checkpoint] = eventually(service.atoll.checkpoints, lambda all_: all(c.digest for c in all_))

    assert checkpoint.note == "kept"
    assert checkpoint.changes is not None
    assert [p.name for p in checkpoint.changes.packages] == ["seashell"]


def test_what_was_to_be_removed_after_a_save_is_removed_by_the_next_service(
    service: Service, tmp_path: Path
) -> None:
    settings = FAST.model_copy(update={"keep_last": 1})
    service.start("atoll.checkpoints.store:delete_checkpoints:before", settings)
    server = service.atoll.start()
    server.install(wheel(tmp_path, version="1.0"))
    service.atoll.save()
    service.arm()
    server.install(wheel(tmp_path, version="2.0"))
    with suppress(AtollError):
        service.atoll.save()
    service.dead()

    service.start(settings=settings)

    [kept] = eventually(service.atoll.checkpoints, lambda all_: len(all_) == 1)
    assert kept.digest == service.atoll.server().environment
    assert debris(service.home) == set()


def test_killed_at_random_again_and_again_the_environment_goes_on(
    service: Service, tmp_path: Path
) -> None:
    dice = random.Random(7)
    service.start()
    server = service.atoll.start()
    for number in range(8):
        (server.env / f"n{number}").write_bytes(dice.randbytes(500_000))
        server.end()
        with suppress(AtollError):
            service.atoll.send(client.ended("ada", ""), "hub")
        time.sleep(dice.random() * 0.4)  # where it hits is the point
        service.kill()
        service.start()
        server = service.atoll.start()
        service.atoll.running[:-1] = []
        assert {path.name for path in server.env.glob("n*")} == {f"n{n}" for n in range(number + 1)}
    service.atoll.stop(server)
    assert debris(service.home) == set()
