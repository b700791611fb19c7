"""Why a server's pod ended, for its user: what the pod says, and what only its node said."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from atoll.checkpoints.pods import PodList, cut_off, why_ended
from atoll.kit.errors import UnavailableError
from atoll.kit.kube.objects import Pod

OVER = "Pod ephemeral local storage usage exceeds the total limit of containers 200Mi. "


def pod(code: int | None = None, *, reason: str = "", phase: str = "Failed", of: str = "") -> Pod:
    """A pod whose server ended with this exit code; `of` is the reason of its container's end."""
    state = {} if code is None else {"terminated": {"exitCode": code, "reason": of}}
    status: dict[str, Any] = {
        "phase": phase,
        "containerStatuses": [{"name": "notebook", "state": state}],
    }
    if reason:
        status["reason"] = reason
    return msgspec.convert({"status": status}, Pod)


@pytest.mark.parametrize(
    ("ended", "evicted", "said"),
    [
        (pod(137, of="OOMKilled"), None, "more memory than its profile gives"),
        (pod(137, reason="Evicted"), OVER, f"ended by its node: {OVER.strip()}"),
        (pod(None, reason="Evicted"), OVER, f"ended by its node: {OVER.strip()}"),
        (pod(0, phase="Succeeded"), OVER, f"ended by its node: {OVER.strip()}"),
        (pod(1, phase="Running"), OVER, f"ended by its node: {OVER.strip()}"),
        (pod(137, reason="Evicted"), "", "ended by its node: it ran out of room."),
        (pod(3), None, "ended by itself (exit status 3)"),
    ],
)
def test_what_nobody_asked_for_is_told(ended: Pod, evicted: str | None, said: str) -> None:
    assert said in str(why_ended(ended, evicted))


@pytest.mark.parametrize(
    "ended",
    [pod(0, phase="Succeeded"), pod(143), pod(137, reason="DeadlineExceeded"), pod(None)],
)
def test_of_a_server_that_was_told_to_end_there_is_nothing_to_tell(ended: Pod) -> None:
    assert why_ended(ended) is None


@pytest.mark.parametrize(
    ("conditions", "since"),
    [
        ([], None),
        ([{"type": "Ready", "status": "True"}], None),
        ([{"type": "DiskPressure", "status": "Unknown"}], None),
        ([{"type": "Ready", "status": "Unknown", "lastTransitionTime": "then"}], "then"),
        ([{"type": "Ready", "status": "False"}], ""),
    ],
)
def test_a_node_is_silent_where_the_cluster_says_so(
    conditions: list[dict[str, str]], since: str | None
) -> None:
    class Api:
        def get(self, path: str) -> Any:
            assert path == "/api/v1/nodes/node-1"
            return {"status": {"conditions": conditions}}

    assert PodList(cast("Any", None), cast("Any", Api()), "servers").silent("node-1") == since


def test_a_node_of_which_nobody_can_tell_is_not_silent() -> None:
    class Api:
        def get(self, _: str) -> Any:
            raise UnavailableError("The API server is away.")

    assert PodList(cast("Any", None), cast("Any", Api()), "servers").silent("node-1") is None


def test_it_is_told_since_when_a_node_is_silent_where_that_is_known() -> None:
    told = cut_off("node-1", "2026-11-03T16:03:00+02:00")
    assert told == "Your server was ended: its node node-1 does not answer since 3 Nov, 14:03 UTC."
    assert cut_off("node-1", "") == "Your server was ended: its node node-1 does not answer."
