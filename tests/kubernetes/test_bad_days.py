"""Bad days of a cluster: whatever goes away, what users changed is there again, and they are told meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import httpx
import pytest
from atoll.checkpoints.models import ServerStatus, Trigger

from tests.kubernetes.away import without_agents, without_database, without_registry
from tests.kubernetes.driver import Platform, kubectl
from tests.kubernetes.test_stop_means_saved import UNSAVED, ended, progress
from tests.platform.driver import eventually, make_wheel

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

AWAY_S: Final = float(os.environ.get("ATOLL_AWAY_SECONDS", "30"))
"""How long the registry and the database are away: long enough to be told; a real day has minutes."""


def test_an_idle_server_is_stopped_and_saved(platform: Platform, tmp_path: Path) -> None:
    kay = platform.user("kay")
    kay.start(profile="brief")
    kay.install(make_wheel(tmp_path, "urchin", "1.0"))
    eventually(kay.servers, lambda found: not found, 180)
    assert kay.settled().environment is not None
    kay.start(profile="standard")
    assert kay.run("urchin") == "urchin 1.0\n"
    kay.stop()
    kay.settled()


def test_a_drain_waits_until_the_nodes_servers_are_saved(
    platform: Platform, tmp_path: Path
) -> None:
    lea = platform.user("lea")
    lea.start()
    lea.install(make_wheel(tmp_path, "abalone", "1.0"))
    node = lea.pod["spec"]["nodeName"]
    # the one node has the platform too, which on a real day goes on elsewhere
    drain = (
        "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force",
        "--pod-selector=atoll.dev/server=true",
    )  # fmt: skip
    try:
        with without_agents(platform):
            said = kubectl(*drain, "--timeout=15s", check=False)
            name = ended(lea)["metadata"]["name"]
            assert f"pod/{name} evicted" not in said
            assert lea.server().status in (ServerStatus.UNSAVED, ServerStatus.SAVING)
        kubectl(*drain, "--timeout=180s")
        assert not lea.pods()
        saved = lea.settled()
        assert node in str(saved.ended_why)
    finally:
        kubectl("uncordon", node)
    eventually(lea.servers, lambda found: not found, 90)
    lea.start()
    assert lea.run("abalone") == "abalone 1.0\n"
    lea.stop()
    lea.settled()


def test_a_proxy_that_is_lost_is_followed_by_one_that_knows_the_way_to_every_server(
    platform: Platform,
) -> None:
    moe = platform.user("moe")
    moe.start()
    lab = moe.lab()
    there = {"Authorization": f"token {lab.token}"}
    assert platform.answer(f"{lab.path}api/status", **there) == httpx.codes.OK
    platform.kill("proxy")
    platform.ready()
    platform.reached()
    eventually(
        lambda: platform.answer(f"{lab.path}api/status", **there),
        lambda code: code == httpx.codes.OK,
        20,
    )
    moe.stop()
    moe.settled()


def test_while_the_registry_is_away_a_stopped_server_waits_and_its_user_is_told(
    platform: Platform, tmp_path: Path
) -> None:
    nan = platform.user("nan")
    nan.start()
    nan.install(make_wheel(tmp_path, "barnacle", "1.0"))
    with without_registry(platform):
        until = time.monotonic() + AWAY_S
        nan.stop()
        told = eventually(nan.server, lambda one: "registry" in str(one.message), 60)
        assert told.status == ServerStatus.SAVING
        assert told.reason is not None
        assert "It is tried again; nothing is lost." in str(told.message)
        assert "registry" in nan.http.get("hub/spawn").text
        answer = nan.api("POST", "users/nan/server")
        assert answer.status_code in (201, 202), answer.text
        eventually(lambda: progress(nan), lambda said: any("registry" in one for one in said), 60)
        time.sleep(max(0.0, until - time.monotonic()))
        pod = ended(nan)
        assert pod["metadata"]["labels"][UNSAVED] == "true"
        assert nan.server().status == ServerStatus.SAVING
    nan.wait_ready()
    assert nan.run("barnacle") == "barnacle 1.0\n"
    nan.stop()
    nan.settled()


def test_a_pod_that_is_deleted_while_the_database_is_away_is_held_and_saved_later(
    platform: Platform, tmp_path: Path
) -> None:
    ola = platform.user("ola")
    ola.start()
    ola.install(make_wheel(tmp_path, "anemone", "1.0"))
    pod = ola.pod["metadata"]
    with without_database(platform):
        until = time.monotonic() + AWAY_S
        assert ola.run("anemone") == "anemone 1.0\n"  # who works goes on
        kubectl("delete", "pod", pod["name"], "-n", platform.servers, "--wait=false")
        time.sleep(max(0.0, until - time.monotonic()))
        assert ola.run("anemone") == "anemone 1.0\n"
        assert ola.pod["metadata"]["deletionTimestamp"]
    platform.ready()
    ola = platform.user("ola")
    assert ola.settled().environment is not None
    eventually(ola.servers, lambda found: not found, 90)
    ola.start()
    assert ola.run("anemone") == "anemone 1.0\n"
    ola.stop()
    ola.settled()


def test_a_server_over_its_ephemeral_storage_is_ended_and_its_user_told(
    platform: Platform, tmp_path: Path
) -> None:
    pia = platform.user("pia")
    pia.start(profile="tight")
    pia.install(make_wheel(tmp_path, "isopod", "1.0"))
    by_itself = eventually(lambda: [one for one in pia.checkpoints() if one.digest], bool, 120)[0]
    assert by_itself.trigger == Trigger.AUTOMATIC
    pia.sh("head -c 300000000 /dev/urandom > /opt/environment/big", check=False)
    eventually(pia.servers, lambda found: not found, 180)
    found = eventually(pia.server, lambda one: one.status == ServerStatus.SAVED, 120)
    # a node that evicts a pod removes its containers at once: it cannot be saved, but must be said
    assert "What was changed since the last save is lost" in str(found.message)
    assert "when it was saved by itself" in str(found.message)
    assert found.environment == by_itself.digest
    assert "storage" in str(found.ended_why)
    shown = pia.http.get("hub/spawn").text
    assert "ended by its node" in shown
    assert "is lost" in shown
    pia.start(profile="standard")
    assert pia.run("isopod") == "isopod 1.0\n"
    assert pia.sh("ls /opt/environment/big", check=False) == ""
    pia.stop()
    pia.settled()
