"""Starting, ending and starting again; what cannot be started says why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from atoll.apps.platform_state import Phase
from atoll.kit.home import Home
from atoll.kit.processes import ProcessId

from tests.platform.driver import (
    START_S,
    Platform,
    atoll,
    choose_port,
    end,
    eventually,
    make_wheel,
    running,
)

pytestmark = pytest.mark.platform


def test_a_second_up_finds_the_first_and_prints_a_new_link(platform: Platform) -> None:
    supervisor = platform.pid("supervisor")
    again = atoll(platform.home, "up")
    assert "hub/way-in?token=" in again.stdout
    assert "It was up already" in again.stdout
    assert platform.pid("supervisor") == supervisor
    assert "`atoll down` first" in atoll(platform.home, "up", "--port", "1").stdout


def test_the_owner_of_the_platform_logs_in_without_a_password(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOLL_HOME", str(platform.home.path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    command = [sys.executable, "-m", "atoll.apps.cli"]
    subprocess.run([*command, "login"], stdin=subprocess.DEVNULL, check=True, timeout=60)
    done = subprocess.run([*command, "whoami"], capture_output=True, text=True, check=True)
    assert "Administrator" in done.stdout


def test_down_saves_the_running_servers_and_up_brings_them_back(home: Home, tmp_path: Path) -> None:
    port = choose_port()
    with running(home, port) as platform:
        ada = platform.user("ada")
        ada.start()
        ada.lab().run("pip", "install", "--no-index", str(make_wheel(tmp_path, "cowrie", "4.0")))
        server = ada.lab().process
        said = atoll(home, "down").stdout
        assert "stopping ada/-" in said
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
        assert platform.status.phase is Phase.DOWN
        assert "not running" in atoll(home, "down").stdout

        atoll(home, "up", "--detach", "--port", str(port))
        ada = platform.user("ada")
        assert "cowrie 4.0" in ada.http.get("hub/spawn/ada").text
        ada.start()
        assert ada.lab().run("cowrie").stdout == "cowrie 4.0\n"


def test_down_after_the_supervisor_was_killed_ends_in_order_all_the_same(home: Home) -> None:
    with running(home) as platform:
        ada = platform.user("ada")
        ada.start()
        server = ProcessId.of(ada.lab().process.pid)
        assert server is not None
        parts = [part.process for part in platform.status.parts]
        os.kill(platform.pid("supervisor"), signal.SIGKILL)
        atoll(home, "down")
        assert not server.alive()
        assert not [part for part in parts if part is None or part.alive()]


def test_a_wrong_setting_stops_the_start_with_its_name_and_where_it_was_read(home: Home) -> None:
    home.create()
    home.settings.write_text("[hub]\nnamed_servers = -3\n")
    done = atoll(home, "up", "--detach", check=False)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "hub.named_servers = -3" in said
    assert "atoll.toml" in said.replace(" ", "")  # a line may end within a path
    assert "greater than or equal to 0" in said


def test_an_unknown_setting_stops_the_start(home: Home) -> None:
    home.create()
    home.settings.write_text("[hub]\nprofles = {}\n")
    done = atoll(home, "up", "--detach", check=False)
    assert done.returncode != 0
    assert "hub.profles" in done.stdout + done.stderr


def test_a_port_that_is_taken_is_said_at_once(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = atoll(home, "up", "--detach", "--port", str(port), check=False)
    assert done.returncode != 0
    assert f"Port {port} is in use" in " ".join((done.stdout + done.stderr).split())


def test_idle_servers_are_culled_and_saved_where_the_operator_wants_it(home: Home) -> None:
    home.create()
    home.settings.write_text("[hub]\ncull_after_s = 1\n")
    with running(home) as platform:
        assert platform.pid("culler")
        ada = platform.user("ada")
        # Not waited for until it is ready: it may be culled before anybody has seen that.
        assert ada.api("POST", "users/ada/server", json={}).status_code in (201, 202)
        eventually(ada.servers, lambda found: not found, START_S)
        ada.saved()
        assert "Culling server ada" in (home.logs / "culler.log").read_text()


def test_status_tells_what_runs(platform: Platform) -> None:
    said = atoll(platform.home, "status").stdout
    assert platform.url in said
    for part in ("proxy", "hub", "service"):
        assert f"{part:<8} pid {platform.pid(part)}" in said


def test_ctrl_c_in_the_foreground_ends_in_order(home: Home, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "atoll.apps.cli", "up", "--home", str(home.path)]
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen([*argv, "--port", str(choose_port())], stdout=out, stderr=out)
    platform = Platform(home)
    try:
        eventually(said.read_text, lambda text: "way-in?token=" in text, 60)
        assert "the password" in said.read_text()
        parts = [part.process for part in platform.status.parts]
        platform.user("ada").start()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "stopping ada/-" in said.read_text()
        assert not [part for part in parts if part is None or part.alive()]
    finally:
        end(platform)
        process.wait(60)


def test_a_part_that_cannot_start_ends_the_start_and_shows_its_log(home: Home) -> None:
    home.create()
    (home.hub / "jupyterhub.sqlite").write_bytes(b"this is no database" * 100)
    done = atoll(home, "up", "--detach", "--port", str(choose_port()), check=False)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "The hub does not start" in said
    assert "file is not a database" in said
    assert Platform(home).status.phase is Phase.DOWN
    assert not [part for part in Platform(home).status.parts if part.running]
