"""The Kubernetes runner: each job is a pod, which takes its job from the service and reports to it.

Pods are made, seen and removed here; what runs in them is `atoll.jobs.remote`. Who carries a job out
is decided by its claim in the database, so a pod may be made again as long as nobody has the job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from atoll.jobs import claims, manifests, pods
from atoll.jobs.claims import ClaimRow
from atoll.jobs.files import JobFiles
from atoll.jobs.ground import Shares, nothing_shared
from atoll.jobs.logfile import LogFile
from atoll.jobs.manifests import CONTAINER, JOB, Place
from atoll.jobs.pods import Circumstances, Stage
from atoll.jobs.resources import size_of
from atoll.jobs.runners import ContainerOfJob, Loop, Outcome, Said, Seen, Work
from atoll.kit.db import Database, now
from atoll.kit.errors import AtollError, InvalidError, UnavailableError
from atoll.kit.home import Home
from atoll.kit.kube.api import KubeApi, KubeConflictError, KubeNotFoundError
from atoll.kit.kube.informer import Informer
from atoll.kit.kube.objects import Pod
from atoll.kit.names import is_id

log = logging.getLogger(__name__)

Images = Callable[[str], tuple[str, str | None] | None]
"""The image of an environment's digest as nodes pull it, and its architecture; None for the platform's base."""

_TRIES: Final = 3  # a pod that ends before it takes its job is made again so often
_END_GRACE_S: Final = 5  # for a pod whose process has said its last word
_SLOW_CLAIM_S: Final = 20.0  # a pod that runs for longer without its job has a story to tell
_WORDS_EVERY_S: Final = 2.0
_LOG_LINES: Final = 100
_LOG_MOST: Final = 1 << 16
_KUEUE: Final = "/apis/kueue.x-k8s.io"


class KubernetesRunner:
    """Runs jobs as pods of one namespace."""

    def __init__(
        self,
        database: Database,
        home: Home,
        place: Place,
        *,
        api: KubeApi,
        informer: Informer[Pod],
        images: Images,
        shares: Shares = nothing_shared,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._place = place
        self._settings = place.settings
        self._api = api
        self._informer = informer
        self._images = images
        self._shares = shares
        self._clock = clock
        self._files = JobFiles(home, place.settings)
        self._words: dict[str, tuple[float, str]] = {}
        self._kueue = ""  # the version of its API, once it was asked for

    def start(self, work: Work) -> None:
        """Make the job's pod. Raises UnavailableError, KubeRefusedError with the cluster's words."""
        with self._database.read() as session:
            claim = claims.find(session, work.id)
        if claim is not None and not claim.open:
            return
        found = self._get(work.id) if claim is not None else None
        if found is not None:
            self._make_way(work.id, found)
        elif claim is not None and claim.tries >= _TRIES:
            self._settle(work.id, pods.NEVER)
        elif self._make(work) or claim is None:  # or made by one that was killed, or not answered
            with self._database.write() as session:
                claims.tried(session, work.id)

    def _make(self, work: Work) -> bool:
        """Make secret and pod; False where the pod is there."""
        image, architecture = self._images(work.environment) or (self._settings.image, None)
        if not image:
            raise InvalidError(
                "There is no image for jobs in the platform's base.",
                hint="An administrator sets jobs.image.",
            )
        wanted = self._settings.node_selector.get(manifests.ARCHITECTURE, architecture)
        if architecture not in (None, wanted):
            raise InvalidError(
                f"The environment was saved on {architecture}, and jobs run on {wanted}.",
                hint="Run it in an environment that was saved there, or in the base.",
            )
        size = size_of(work.resources, self._settings)
        shares = self._shares(work.user)  # as things stand now, not when it was submitted
        self._create("secrets", manifests.secret(work, self._place))
        pod = manifests.pod(
            work, size, image, self._place, shares=shares, architecture=architecture
        )
        return self._create("pods", pod)

    def look(self, id_: str) -> Seen:
        """How the job stands, by its claim and its pod."""
        pod = self._known(id_)  # before the claim: a pod ends after it has said its last word
        with self._database.read() as session:
            claim = claims.find(session, id_)
        if claim is None:
            return pods.seen(None, pod, Circumstances(self._clock(), 0))
        if pod is None and claim.result is None:
            pod, claim = self._get(id_), self._claim(id_)  # not seen yet, or gone: for certain
        words = self._words_about(pod) if claim.open else ""
        around = Circumstances(self._clock(), self._settings.pull_within_s, words)
        seen = pods.seen(claim, pod, around)
        if seen.outcome is None or claim.result is not None or claim.given_up:
            return seen
        if claim.open:
            self._keep_last_lines(id_, "")
        # from now on that stands: nothing begins after it, and nobody says anything else
        return seen if self._settle(id_, seen.outcome) else self.look(id_)

    def end(self, id_: str) -> bool:
        """Have the pod end, unless it comes to its end by itself. True once nothing can run."""
        with self._database.write() as session:
            claims.give_up(session, id_)
            claim = claims.make(session, id_)
            if claim.result is not None and not claim.given_up:
                return True  # its process has said its last word: `clear` removes the rest
            if not claim.ending:
                claims.end(session, id_)
        pod = self._known(id_) or self._get(id_)
        if pod is None:
            return True
        if pods.stuck(pod, self._clock()):
            self._delete(pod, grace_s=0)
        elif pod.metadata.deletion_timestamp is None:
            self._delete(pod, grace_s=_END_GRACE_S if claim.given_up else None)
        return False

    def clear(self, id_: str) -> None:
        """Remove the secret, then the pod; who is interrupted finds the pod and does both again."""
        self._words.pop(id_, None)
        self._api.delete(self._path("secrets", id_))
        pod = self._known(id_) or self._get(id_)
        if pod is None:
            return
        if pods.stuck(pod, self._clock()):
            self._delete(pod, grace_s=0)
        elif pod.metadata.deletion_timestamp is None:
            self._delete(pod, grace_s=_END_GRACE_S)

    def environment(self, id_: str) -> ContainerOfJob | None:
        """The pod's container, whose layer is there as long as the pod.

        Raises UnavailableError in the moment between the job's last word and the pod's end.
        """
        pod = self._get(id_)
        container = pod.container(CONTAINER) if pod is not None else None
        if pod is None or container is None:
            return None
        if container.state.terminated is None:
            raise UnavailableError("The job's pod has not ended yet.")
        image = container.image_id.removeprefix("docker-pullable://")
        where = f"{pod.metadata.namespace}/{pod.metadata.name}/{CONTAINER}"
        return ContainerOfJob(pod.spec.node_name, where, image) if "@sha256:" in image else None

    def remove(self, id_: str) -> None:
        """Remove the job's directory; its pod and its secret went with its end."""
        self._files.remove(id_)

    def kept(self) -> list[str]:
        """Ids of jobs that have a directory."""
        return self._files.kept()

    def left(self) -> list[str]:
        """Ids of jobs that have a secret or a pod."""
        params = {"labelSelector": self._place.labels}
        try:
            found = [self._api.get(self._path(kind), params) for kind in ("secrets", "pods")]
        except UnavailableError as error:  # pods are seen later; a secret opens nothing by itself
            log.warning("what jobs left in the cluster cannot be looked for: %s", error)
            return []
        names = {str(one["metadata"]["name"]) for page in found for one in page.get("items", [])}
        return sorted(filter(is_id, names))

    def alive(self) -> list[str]:
        """Ids of jobs that have a pod which nobody deletes yet, or whose node does not answer."""
        moment = self._clock()
        return [
            one.metadata.name
            for one in self._informer.snapshot().values()
            if is_id(one.metadata.name)
            and (one.metadata.deletion_timestamp is None or pods.stuck(one, moment))
        ]

    def watch(self, changed: Callable[[str], None]) -> Mapping[str, Loop]:
        """The loop that follows the pods."""

        def told(_: str, old: Pod | None, new: Pod | None) -> None:
            one = new or old
            if one is not None and JOB in one.metadata.labels:
                changed(one.metadata.name)

        self._informer.listen(told)
        return {"pods of jobs": self._informer.run}

    def log(self, id_: str, offset: int, most: int) -> tuple[bytes, int]:
        """A piece of the log."""
        return self._files.log(id_, offset, most)

    def output(self, id_: str) -> bytes | None:
        """The output notebook."""
        return self._files.output(id_)

    def close(self) -> None:
        """Close the connection to the cluster."""
        self._api.close()

    def _make_way(self, id_: str, pod: Pod) -> None:
        """A pod of this job is there: let it be, unless it can never take the job."""
        stuck = pods.stuck(pod, self._clock())
        if pods.stage(pod) is Stage.ENDED and pod.metadata.deletion_timestamp is None:
            self._keep_last_lines(id_, pods.how_it_ended(pod))
        elif not stuck:
            return
        self._delete(pod, grace_s=0)  # should it run on somewhere, it finds the job taken

    def _settle(self, id_: str, outcome: Outcome) -> bool:
        """Write down how the job ended; False where its process has just said something itself."""
        said = Said(
            status=outcome.status,
            reason=outcome.reason,
            message=outcome.message,
            failure=outcome.failure,
        )
        with self._database.write() as session:
            return claims.settle(session, id_, said.model_dump(mode="json"))

    def _keep_last_lines(self, id_: str, more: str) -> None:
        """Into the job's log: what a pod printed that never took its job, and how it ended."""
        try:
            said = self._last_lines(id_, _LOG_LINES) + more
        except AtollError:  # it has not printed anything
            said = more
        place = self._files.place(id_)
        place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if said:
            LogFile(place.log, self._settings.most_log).write(said)

    def _last_lines(self, id_: str, lines: int) -> str:
        params = {"container": CONTAINER, "tailLines": str(lines), "limitBytes": str(_LOG_MOST)}
        return self._api.text(f"{self._path('pods', id_)}/log", params)

    def _words_about(self, pod: Pod | None) -> str:
        """What Kubernetes says of a pod that waits, asked for now and then."""
        at = pods.stage(pod)
        if pod is None or at not in (Stage.GATED, Stage.CREATING, Stage.RUNNING):
            return ""
        name = pod.metadata.name
        asked, words = self._words.get(name, (float("-inf"), ""))
        if time.monotonic() - asked < _WORDS_EVERY_S:
            return words
        try:
            words = self._ask(pod, at)
        except AtollError:  # nothing to read yet, a cluster without Kueue, or with another one now
            words, self._kueue = "", ""
        self._words[name] = (time.monotonic(), words)
        return words

    def _ask(self, pod: Pod, at: Stage) -> str:
        if at is Stage.RUNNING:
            began = pods.moment(pod.status.start_time)
            slow = began is not None and (self._clock() - began).total_seconds() > _SLOW_CLAIM_S
            return self._last_lines(pod.metadata.name, 3) if slow else ""
        if at is Stage.GATED:
            self._kueue = self._kueue or self._api.get(_KUEUE)["preferredVersion"]["version"]
            label = {"labelSelector": f"kueue.x-k8s.io/job-uid={pod.metadata.uid}"}
            path = f"{_KUEUE}/{self._kueue}/namespaces/{self._place.namespace}/workloads"
            return _kueues_words(self._api.get(path, label))
        about = {"fieldSelector": f"involvedObject.uid={pod.metadata.uid}"}
        events = self._api.get(self._path("events"), about).get("items", [])
        return str(max(events, key=_when).get("message", "")) if events else ""

    def _claim(self, id_: str) -> ClaimRow:
        with self._database.write() as session:
            return claims.make(session, id_)

    def _known(self, id_: str) -> Pod | None:
        """The pod as it was told last."""
        return self._informer.get(self._place.namespace, id_) if self._informer.synced else None

    def _get(self, id_: str) -> Pod | None:
        """The pod as the cluster has it now."""
        try:
            return pods.read(self._api.get(self._path("pods", id_)))
        except KubeNotFoundError:
            return None

    def _create(self, kind: str, body: manifests.Manifest) -> bool:
        """Make an object; False where it is there."""
        try:
            self._api.create(self._path(kind), body)
        except KubeConflictError:
            return False
        return True

    def _delete(self, pod: Pod, *, grace_s: int | None) -> None:
        try:
            path = self._path("pods", pod.metadata.name)
            self._api.delete(path, uid=pod.metadata.uid, grace_s=grace_s)
        except KubeConflictError:
            return  # it is gone, and another one has its name: that is looked at next

    def _path(self, kind: str, name: str = "") -> str:
        path = f"/api/v1/namespaces/{self._place.namespace}/{kind}"
        return f"{path}/{name}" if name else path


def _when(event: Mapping[str, Any]) -> str:
    made = event["metadata"].get("creationTimestamp")
    return str(event.get("lastTimestamp") or event.get("eventTime") or made or "")


def _kueues_words(workloads: Mapping[str, Any]) -> str:
    """Why Kueue has not admitted a pod: the message of its workload."""
    for workload in workloads.get("items", []):
        for condition in workload.get("status", {}).get("conditions", []):
            if condition.get("type") == "QuotaReserved" and condition.get("status") != "True":
                return str(condition.get("message", ""))
    return ""
