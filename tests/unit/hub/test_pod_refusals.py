"""What a user is told when a pod could not be started."""

from __future__ import annotations

import pytest
from atoll.hub import pod_refusals
from atoll.hub.pod_refusals import Attempt
from atoll.hub.pod_states import Step, Trouble

ATTEMPT = Attempt(image="example.org/x:1", memory="4 GB", contact="#ml in the chat")
QUOTA = (
    'pods "a" is forbidden: exceeded quota: team, requested: requests.cpu=2,requests.memory=4Gi,'
    " used: requests.cpu=9,requests.memory=30Gi, limited: requests.cpu=10,requests.memory=64Gi"
)


def _step(trouble: Trouble, detail: str = "", message: str = "x: y", **values: object) -> Step:
    return Step(60, message, trouble, detail, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("trouble", list(Trouble))
def test_every_refusal_says_what_happened_that_work_is_safe_and_what_to_do(
    trouble: Trouble,
) -> None:
    said = str(pod_refusals.refusal(_step(trouble, "KUBERNETES' WORDS"), ATTEMPT, 600))
    assert "Your saved environments are safe." in said
    assert "Kubernetes says: KUBERNETES' WORDS" in said
    assert "Ask #ml in the chat." in said
    assert said.index("safe.") < said.index("Kubernetes says")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            _step(Trouble.ENDED, exit_code=255),
            "ended while it was starting (exit status 255)",
        ),
        (
            _step(Trouble.ENDED, "StartError: exec: /opt/atoll/bin/x: no such file or directory"),
            "lacks the program that a server needs",
        ),
        (_step(Trouble.IMAGE, "no match for platform in manifest"), "another kind of processor"),
        (_step(Trouble.MEMORY), "needed more memory than its 4 GB"),
        (
            _step(Trouble.NO_NODE, message="waiting for a node: 0 of 2 can take it (2 too small)"),
            "No node had room for your server within 600 s: 0 of 2 can take it (2 too small).",
        ),
        (_step(Trouble.IMAGE, container="atoll-hold"), "A part of the platform"),
        (_step(Trouble.ENDED, container="theirs"), "The container theirs"),
    ],
)
def test_what_happened_is_told_in_words(step: Step, said: str) -> None:
    assert said in str(pod_refusals.refusal(step, ATTEMPT, 600))


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ('0/1 nodes: persistentvolumeclaim "claim-ada" not found.', "The volume with your home"),
        ('MountVolume.SetUp failed for volume "home" : timed out', "The volume with your home"),
        ("unmounted volumes=[home], unattached volumes=[]", "The volume with your home"),
        (
            '0/1 nodes: persistentvolumeclaim "models" is being deleted.',
            "The volume of the claim models, which your server needs,",
        ),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            "A volume that your server needs",
        ),
        ('MountVolume.SetUp failed for volume "pvc-8fab" : x', "A volume that your server needs"),
    ],
)
def test_a_volume_is_the_homes_only_where_kubernetes_says_so(detail: str, said: str) -> None:
    attempt = Attempt(image="x", home_claim="claim-ada")
    refusal = str(pod_refusals.refusal(_step(Trouble.VOLUME, detail), attempt, 8))
    assert f"{said} was not there within 8 s. Your saved environments are safe." in refusal
    assert "Your home is not touched." in refusal


def test_where_gpus_are_scarce_their_numbers_are_told() -> None:
    step = _step(Trouble.NO_NODE, "0/2 nodes: Insufficient nvidia.com/gpu")
    scarce = Attempt(image="x", scarce="waits: all 2 GPU in use; bo asked before you", contact="us")
    said = str(pod_refusals.refusal(step, scarce, 8))
    assert "within 8 s: y. GPUs: all 2 GPU in use; bo asked before you." in said
    assert "Ask us." in said


def test_another_processor_is_seen_in_the_log_too() -> None:
    attempt = Attempt(image="x", log="exec /opt/atoll/bin/jupyterhub-singleuser: exec format error")
    said = str(pod_refusals.refusal(_step(Trouble.ENDED, exit_code=1), attempt))
    assert "another kind of processor" in said
    assert attempt.log in said


def test_a_used_up_quota_says_how_much_of_what() -> None:
    refusal = pod_refusals.by_cluster(403, QUOTA, "ada")
    assert refusal.status_code == 429
    assert "The quota team" in str(refusal)
    assert "asks for requests.cpu=2,requests.memory=4Gi" in str(refusal)
    assert "Ask ada." in str(refusal)
    assert "waiting for the quota" in pod_refusals.quota_step(QUOTA).message


def test_a_quota_is_waited_for_only_where_it_could_ever_be_enough() -> None:
    assert pod_refusals.over_quota(QUOTA)
    assert not pod_refusals.over_quota(
        QUOTA.replace("requested: requests.cpu=2", "requested: requests.cpu=11")
    )
    assert not pod_refusals.over_quota("failed quota: team: must specify requests.cpu")
    half = "exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=1, limited: requests.cpu=1"
    assert pod_refusals.over_quota(half)


def test_what_the_cluster_does_not_accept_is_told_in_its_own_words() -> None:
    said = str(pod_refusals.by_cluster(403, 'violates PodSecurity "restricted:latest": x', ""))
    assert "security rules do not accept" in said
    assert 'violates PodSecurity "restricted:latest": x' in said


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "no"}', "no"),
        ('{"message": "no"}', "no"),
        ("<html>", "<html>"),
        ("[1]", "[1]"),
        (None, ""),
    ],
)
def test_kubernetes_own_sentence_is_found_in_any_answer(body: object, words: str) -> None:
    assert pod_refusals.words_of(body) == words
