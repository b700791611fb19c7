"""What was installed is there again after a stop, whoever stopped the server and however."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import CheckpointStatus, Trigger

from tests.platform.driver import Platform, eventually, make_wheel

pytestmark = pytest.mark.platform


def test_a_package_is_there_after_stop_and_start_and_gone_in_a_fresh_start(
    platform: Platform, tmp_path: Path
) -> None:
    kim = platform.user("kim")
    kim.start()
    wheel = make_wheel(tmp_path, "seashell", "1.0")
    kim.lab().run("pip", "install", "--no-index", str(wheel))
    assert kim.lab().run("seashell").stdout == "seashell 1.0\n"
    kim.stop()
    saved = kim.saved()

    kim.start()
    assert kim.lab().run("seashell").stdout == "seashell 1.0\n"
    kim.stop()

    kim.start(environment="base")
    assert kim.lab().run("seashell", check=False).returncode == 127
    kim.stop()
    kim.saved()

    assert saved.environment is not None
    kim.start(environment=saved.environment)
    assert kim.lab().run("seashell").stdout == "seashell 1.0\n"
    wheel = make_wheel(tmp_path, "scallop", "2.0")
    kim.lab().run("pip", "install", "--no-index", str(wheel))
    kim.stop()

    kim.start()  # saying nothing, as JupyterHub's admin page: from what was saved last
    assert kim.lab().run("scallop").stdout == "scallop 2.0\n"
    assert kim.lab().run("seashell").stdout == "seashell 1.0\n"
    kim.stop()


def test_the_spawn_page_says_what_a_saved_environment_holds(
    platform: Platform, tmp_path: Path
) -> None:
    lou = platform.user("lou")
    assert "Continue" not in lou.http.get("hub/spawn/lou").text
    lou.start()
    lou.lab().run("pip", "install", "--no-index", str(make_wheel(tmp_path, "conch", "2.5")))
    lou.stop()
    lou.saved()
    page = lou.http.get("hub/spawn/lou").text
    assert "Continue where you stopped" in page
    assert "+ 1 package: conch 2.5" in page


def test_a_server_killed_with_9_is_saved_too(platform: Platform, tmp_path: Path) -> None:
    may = platform.user("may")
    may.start()
    may.lab().run("pip", "install", "--no-index", str(make_wheel(tmp_path, "limpet", "0.3")))
    may.lab().process.send_signal(signal.SIGKILL)
    may.saved()
    with may.connection() as service:
        newest = service.send(client.checkpoints(user="may", limit=1)).items[0]
    assert (newest.status, newest.trigger) == (CheckpointStatus.READY, Trigger.STOP)
    eventually(may.servers, lambda found: not found, 60)  # the hub has seen it too
    may.start()
    assert may.lab().run("limpet").stdout == "limpet 0.3\n"
    may.stop()


def test_a_start_waits_for_the_last_stop_to_be_saved(platform: Platform, tmp_path: Path) -> None:
    ned = platform.user("ned")
    ned.start()
    ned.lab().run("pip", "install", "--no-index", str(make_wheel(tmp_path, "whelk", "1.1")))
    size = 200_000_000
    big = ned.lab().run("sh", "-c", f"head -c {size} /dev/urandom > $VIRTUAL_ENV/big; echo ok")
    assert big.stdout == "ok\n"
    ned.stop()
    ned.start()  # at once
    assert ned.lab().run("whelk").stdout == "whelk 1.1\n"
    assert ned.lab().run("sh", "-c", "wc -c < $VIRTUAL_ENV/big").stdout.strip() == str(size)
    ned.stop()


def test_a_stop_while_the_service_is_stuck_ends_the_server_and_is_saved_later(
    platform: Platform, tmp_path: Path
) -> None:
    oda = platform.user("oda")
    oda.start()
    oda.lab().run("pip", "install", "--no-index", str(make_wheel(tmp_path, "nautilus", "7")))
    server = oda.lab().process
    service = psutil.Process(platform.pid("service"))
    service.suspend()
    try:
        oda.stop()
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    finally:
        service.resume()
    oda.saved()
    oda.start()
    assert oda.lab().run("nautilus").stdout == "nautilus 7\n"
    oda.stop()


def test_a_start_that_is_given_up_leaves_nothing_running(platform: Platform) -> None:
    pia = platform.user("pia")
    answer = pia.api("POST", "users/pia/server", json={})
    assert answer.status_code in (201, 202)
    pia.api("DELETE", "users/pia/server")
    eventually(pia.servers, lambda found: not found)
    pia.saved()
    ours = f"{platform.url}services/atoll/"
    eventually(lambda: _of_user("pia", ours), lambda found: not found)
    pia.start()
    pia.stop()


def _of_user(name: str, url: str) -> list[int]:
    """The processes that run for a user of this platform."""
    found = []
    for process in psutil.process_iter():
        try:
            variables = process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if variables.get("ATOLL_URL") == url and variables.get("JUPYTERHUB_USER") == name:
            found.append(process.pid)
    return found
