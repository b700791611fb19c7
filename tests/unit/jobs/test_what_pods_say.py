"""What a job's pod says, as a table: pods and claims, and how the job stands by them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from atoll.jobs import pods
from atoll.jobs.claims import NOBODY, ClaimRow
from atoll.jobs.models import JobStatus
from atoll.jobs.pods import Circumstances
from atoll.jobs.runners import Phase

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SCHEDULED = {"type": "PodScheduled", "status": "True"}
SUCCEEDED = {"status": "succeeded", "step": [3, 3]}


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def claim(**values: Any) -> ClaimRow:
    row = ClaimRow(job_id="j", tries=1, claimant=None, cell=0, cells=None, ending=False)
    for name, value in values.items():
        setattr(row, name, value)
    return row


def taken(**values: Any) -> ClaimRow:
    began = NOW - timedelta(seconds=100)
    return claim(claimant="c", claimed_at=began, heard_at=NOW, **values)


IN_CELL = {"cell": 7, "cells": 9}


def pod(*conditions: Any, state: Any = None, metadata: Any = None, **status: Any) -> Any:
    if state is not None:
        status["containerStatuses"] = [{"name": "job", "image": "img:1", "state": state}]
    annotations = {"atoll.dev/memory": "4G"}
    return pods.read(
        {
            "metadata": {"name": "j", "annotations": annotations, **(metadata or {})},
            "spec": {"nodeName": "node-3"},
            "status": {"conditions": list(conditions), **status},
        }
    )


def waiting(reason: str, message: str = "", since_s: float = 10) -> Any:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(SCHEDULED, state=state, startTime=ago(since_s))


def ended(code: int = 1, reason: str = "Error", **rest: Any) -> Any:
    message = rest.pop("said", "")
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return pod(SCHEDULED, *rest.pop("also", ()), state=state, phase="Failed", **rest)


RUNNING = pod(SCHEDULED, state={"running": {"startedAt": ago(5)}}, phase="Running")
LEAVING = {"deletionTimestamp": ago(-30)}
STUCK = {"deletionTimestamp": ago(120)}


def look(row: ClaimRow | None, found: Any, words: str = "") -> Any:
    return pods.seen(row, found, Circumstances(NOW, 300, words))


@pytest.mark.parametrize(
    ("found", "words", "reason", "message"),
    [
        (
            pod({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. no new claims to"
                 " deallocate, preemption: 0/3 nodes are available: 3 No preemption victims."}),
            "", "unschedulable",
            "No node can take it now: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        ),
        (
            pod({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                 "message": "Scheduling is blocked due to non-empty scheduling gates"}),
            "", "gated",
            "The cluster's queue has not admitted it: Scheduling is blocked due to non-empty"
            " scheduling gates",
        ),
        (
            pod({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}),
            "insufficient unused quota for cpu", "gated",
            "The cluster's queue has not admitted it: insufficient unused quota for cpu",
        ),
        (pod(SCHEDULED), "", "creating", "Its pod is being set up on node-3."),
        (
            waiting("ContainerCreating"), 'Pulling image "x"', "creating",
            'Its pod is being set up on node-3: Pulling image "x"',
        ),
        (
            waiting("ImagePullBackOff", "not found"), "", "image_pull",
            "Its image img:1 cannot be pulled: not found. It is tried again.",
        ),
        (
            waiting("CreateContainerConfigError", 'secret "x" not found'), "", "container",
            'Its container cannot be started: secret "x" not found. It is tried again.',
        ),
        (RUNNING, "", "starting", "Its pod runs and is about to take the job."),
        (
            RUNNING, "The platform did not answer", "starting",
            "Its pod runs, but has not taken the job yet: The platform did not answer",
        ),
        (
            pod(SCHEDULED, metadata=LEAVING), "", "deleted",
            "Its pod was deleted before it began; another one follows.",
        ),
    ],
)  # fmt: skip
def test_what_a_job_waits_for_before_a_pod_has_it(
    found: Any, words: str, reason: str, message: str
) -> None:
    seen = look(claim(), found, words)

    assert seen.phase is Phase.STARTING
    assert (seen.reason, seen.message) == (reason, message)
    assert seen.again_s is not None


def test_a_pod_that_was_just_made_has_nothing_to_say() -> None:
    seen = look(claim(), pod())
    assert (seen.phase, seen.message) == (Phase.STARTING, None)


@pytest.mark.parametrize(
    "found", [None, ended(), ended(137, "OOMKilled"), pod(phase="Failed", reason="Evicted"),
              pod(SCHEDULED, metadata=STUCK)],
)  # fmt: skip
def test_before_a_pod_has_it_one_that_is_gone_is_made_again(found: Any) -> None:
    assert look(claim(), found).phase is Phase.ABSENT
    assert look(None, found).phase is Phase.ABSENT


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (waiting("ErrImagePull", "no such host", since_s=301), "image_pull"),
        (waiting("InvalidImageName", "couldn't parse"), "image_pull"),
        (waiting("CreateContainerError", "no such file", since_s=301), "container"),
    ],
)
def test_what_does_not_heal_in_time_fails_the_job_and_says_what_to_do(
    found: Any, reason: str
) -> None:
    outcome = look(claim(), found).outcome

    assert (outcome.status, outcome.reason) == (JobStatus.FAILED, reason)
    assert "administrator" in outcome.message


@pytest.mark.parametrize(
    ("row", "found", "status", "reason", "words"),
    [
        (taken(**IN_CELL), ended(137, "OOMKilled"), "failed", "oom_killed",
         "It used more than its memory limit of 4G in cell 7 and was killed."),
        (taken(**IN_CELL),
         pod(SCHEDULED, phase="Failed", reason="Evicted", message="The node was low on memory."),
         "failed", "evicted", "evicted by its node in cell 7 (The node was low on memory)."),
        (taken(**IN_CELL),
         ended(also=[{"type": "DisruptionTarget", "status": "True", "reason":
                      "EvictionByEvictionAPI", "message": "Eviction API: evicting"}]),
         "failed", "evicted", "by the cluster in cell 7 (Eviction API: evicting)."),
        (taken(**IN_CELL),
         ended(also=[{"type": "TerminationTarget", "status": "True", "reason":
                      "WorkloadEvictedDueToPreempted", "message": "Preempted by another job"}]),
         "failed", "evicted", "by the cluster's queue in cell 7 (Preempted by another job)."),
        (taken(), pod(SCHEDULED, phase="Failed", reason="DeadlineExceeded"), "failed",
         "time_limit", "beyond its time limit."),
        (taken(**IN_CELL), None, "failed", "deleted", "was deleted by somebody in cell 7."),
        (taken(), ended(metadata=LEAVING), "failed", "deleted", "was deleted by somebody."),
        (taken(), ended(139), "failed", "lost", "ended with the code 139 without a word."),
        (taken(ending=True), None, "stopped", "stopped", "It was stopped."),
        (taken(ending=True, result={"status": "stopped", "message": "It was stopped."}), RUNNING,
         "stopped", None, "It was stopped."),
        (taken(result={"status": "stopped", "step": [2, 3]}, **IN_CELL), None, "failed",
         "deleted", "was deleted by somebody in cell 7."),
        (taken(result=SUCCEEDED), None, "succeeded", None, ""),
        (taken(result=SUCCEEDED), ended(137, "OOMKilled"), "succeeded", None, ""),
        (taken(result={"status": "running"}), RUNNING, "failed", "lost", "without a word"),
        (taken(), ended(0, "Completed", said=json.dumps(SUCCEEDED)), "succeeded", None, ""),
        (taken(), ended(1, said="{"), "failed", "lost", "without a word"),
        (taken(), ended(1, said="[1]"), "failed", "lost", "without a word"),
        (claim(claimant=NOBODY), RUNNING, "failed", "start_failed", "could not be started"),
        (claim(claimant=NOBODY, result={"status": "failed", "reason": "image_pull",
                                        "message": "No image."}),
         None, "failed", "image_pull", "No image."),
    ],
)  # fmt: skip
def test_how_a_job_ended(
    row: ClaimRow, found: Any, status: str, reason: str | None, words: str
) -> None:
    seen = look(row, found)

    assert seen.phase is Phase.ENDED
    assert (seen.outcome.status, seen.outcome.reason) == (status, reason)
    assert words in (seen.outcome.message or "")


def test_a_job_that_has_begun_is_at_its_cell() -> None:
    seen = look(taken(**IN_CELL), RUNNING)
    assert (seen.phase, seen.cell, seen.cells) == (Phase.RUNNING, 7, 9)
    assert (seen.reason, seen.message) == (None, None)
    assert look(taken(), RUNNING).message == "Its kernel is coming up."


def test_why_a_job_was_told_to_end_is_said_by_its_pod_once_that_has_ended() -> None:
    row = taken(result={"status": "stopped", "step": [7, 9]}, **IN_CELL)
    leaving = pod(SCHEDULED, state={"running": {}}, phase="Running", metadata=LEAVING)
    stays = pod(SCHEDULED, state={"running": {}}, phase="Running", metadata=STUCK)
    evicted = pod(SCHEDULED, phase="Failed", reason="Evicted")

    for found in (RUNNING, leaving):
        seen = look(row, found)
        assert (seen.phase, seen.cell, seen.outcome) == (Phase.RUNNING, 7, None)
        assert seen.again_s is not None
    assert look(row, evicted).outcome.reason == "evicted"
    assert look(row, stays).outcome.reason == "deleted"


def test_a_pod_that_is_silent_is_said_to_be_and_goes_on() -> None:
    row = taken(**IN_CELL)
    row.heard_at = NOW - timedelta(seconds=95)
    seen = look(row, RUNNING)
    assert seen.phase is Phase.RUNNING
    assert seen.message == "Nothing was heard from its pod for 95 s; it may go on."


def test_a_pod_whose_node_is_gone_is_lost_only_once_it_is_silent_too() -> None:
    leaving = pod(SCHEDULED, state={"running": {}}, phase="Running", metadata=STUCK)
    assert look(taken(**IN_CELL), leaving).phase is Phase.RUNNING
    row = taken(**IN_CELL)
    row.heard_at = NOW - timedelta(seconds=95)
    outcome = look(row, leaving).outcome
    assert outcome.reason == "node_lost"
    assert "node-3" in outcome.message
