"""A process that speaks as much of Kubernetes' API as jobs need, and runs pods as processes.

For what has to be quick, or hurt at a chosen moment; the truth is told by `tests/kubernetes`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from atoll.kit.processes import marked
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.listening import listening, server_for

Object = dict[str, Any]


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Cluster:
    """What is in the cluster, and who watches it."""

    folder: Path
    run: bool = True  # pods are run as processes; else they stay as they are told to be
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    version: int = 0
    log: list[tuple[int, str, str]] = field(default_factory=list)  # version, kind, line
    watchers: list[tuple[str, asyncio.Queue[str]]] = field(default_factory=list)
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    away: bool = False
    silent: bool = False  # no kubelet answers: what is deleted stays
    refuse: str = ""  # what it says to who wants to make a pod

    def told(self, kind: str, change: str, thing: Object) -> None:
        """Count on, and tell who watches."""
        self.version += 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        line = json.dumps({"type": change, "object": thing}) + "\n"
        self.log.append((self.version, kind, line))
        for watched, queue in self.watchers:
            if watched == kind:
                queue.put_nowait(line)

    def set_status(self, pod: Object, **status: Any) -> None:
        """Change a pod's status."""
        if self.objects.get(("pods", pod["metadata"]["name"])) is pod:
            pod["status"] = {**pod.get("status", {}), **status}
            self.told("pods", "MODIFIED", pod)

    def begin(self, coroutine: Any) -> None:
        """Have it done beside."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Nothing is awaited here, so a fault of this program would else be told to nobody."""
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logging.getLogger(__name__).error("the cluster under test", exc_info=task.exception())

    async def run_pod(self, pod: Object) -> None:
        """As scheduler and kubelet."""
        [container] = pod["spec"]["containers"]
        scheduled = {"type": "PodScheduled", "status": "True"}
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "nohome"),
            "LANG": "C.UTF-8",
        }
        for one in container["env"]:
            environ[one["name"]] = one.get("value") or self._value_from(pod, one["valueFrom"])
        log = (self.folder / f"{pod['metadata']['uid']}.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *container["command"][1:], env=environ, stdout=log, stderr=log,
            stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        log.close()
        self.processes[pod["metadata"]["uid"]] = process
        running = {"name": "job", "state": {"running": {"startedAt": now()}}}
        self.set_status(
            pod, phase="Running", startTime=now(), conditions=[scheduled],
            containerStatuses=[running],
        )  # fmt: skip
        code = await process.wait()
        left = await asyncio.to_thread(marked, "ATOLL_POD", pod["metadata"]["uid"])
        for one in left:  # with its first process a container ends
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self.ended(pod, code)

    def ended(self, pod: Object, code: int) -> None:
        """Its container has ended."""
        code = 128 - code if code < 0 else code
        ended = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}
        self.set_status(
            pod,
            phase="Succeeded" if code == 0 else "Failed",
            containerStatuses=[{"name": "job", "state": ended}],
        )
        del self.processes[pod["metadata"]["uid"]]
        if "deletionTimestamp" in pod["metadata"]:
            self.gone("pods", pod["metadata"]["name"])

    def _value_from(self, pod: Object, source: Object) -> str:
        if "fieldRef" in source:
            return str(pod["metadata"]["uid"])
        wanted = source["secretKeyRef"]
        secret = self.objects["secrets", wanted["name"]]
        return str(secret["stringData"][wanted["key"]])

    async def end_pod(self, pod: Object, grace_s: float) -> None:
        """As the kubelet: ask it, then kill it."""
        process = self.processes.get(pod["metadata"]["uid"])
        if process is None:
            self.gone("pods", pod["metadata"]["name"])
            return
        with suppress(ProcessLookupError):
            if grace_s > 0:
                process.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), grace_s)
            os.killpg(process.pid, signal.SIGKILL)

    def gone(self, kind: str, name: str) -> None:
        """The object is there no more."""
        thing = self.objects.pop((kind, name), None)
        if thing is not None:
            self.told(kind, "DELETED", thing)


def problem(code: int, message: str) -> JSONResponse:
    return JSONResponse({"kind": "Status", "code": code, "message": message}, code)


class Server:
    """The API server."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def collection(self, request: Request) -> Response:
        """Create, list, watch."""
        cluster, kind = self.cluster, request.path_params["kind"]
        if cluster.away:
            return problem(503, "the server is away")
        if request.method == "POST":
            return self.create(kind, await request.json())
        asked = request.query_params
        if asked.get("watch"):
            return StreamingResponse(self.watched(kind, int(asked["resourceVersion"])))
        labels = dict(one.split("=") for one in asked.get("labelSelector", "").split(",") if one)
        found = [
            thing
            for (of, _), thing in cluster.objects.items()
            if of == kind and labels.items() <= thing["metadata"].get("labels", {}).items()
        ]
        return JSONResponse({"metadata": {"resourceVersion": str(cluster.version)}, "items": found})

    def create(self, kind: str, thing: Object) -> Response:
        """A new object."""
        cluster, key = self.cluster, (kind, thing["metadata"]["name"])
        if kind == "pods" and cluster.refuse:
            return problem(403, cluster.refuse)
        if key in cluster.objects:
            return problem(409, f"{kind} {key[1]!r} already exists")
        thing["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        cluster.objects[key] = thing
        if kind == "pods":
            thing["status"] = {"phase": "Pending"}
        cluster.told(kind, "ADDED", thing)
        if kind == "pods" and cluster.run:
            cluster.begin(cluster.run_pod(thing))
        return JSONResponse(thing, 201)

    async def watched(self, kind: str, since: int) -> AsyncIterator[str]:
        """Changes from now on, after what came since then."""
        cluster = self.cluster
        queue: asyncio.Queue[str] = asyncio.Queue()
        cluster.watchers.append((kind, queue))
        try:
            for version, of, line in list(cluster.log):
                if of == kind and version > since:
                    yield line
            while not cluster.away:
                with suppress(TimeoutError):
                    yield await asyncio.wait_for(queue.get(), 0.2)
        finally:
            cluster.watchers.remove((kind, queue))

    async def single(self, request: Request) -> Response:
        """Get, delete, patch."""
        cluster = self.cluster
        kind, name = request.path_params["kind"], request.path_params["name"]
        thing = cluster.objects.get((kind, name))
        if cluster.away or thing is None:
            return problem(503 if cluster.away else 404, f"{kind} {name!r} not found")
        if request.method == "GET":
            return JSONResponse(thing)
        if request.method == "PATCH":
            return self.patch(kind, thing, await request.json())
        options = await request.json() if await request.body() else {}
        uid = options.get("preconditions", {}).get("uid")
        if uid not in (None, thing["metadata"]["uid"]):
            return problem(409, "the UID in the precondition does not match")
        if kind != "pods":
            cluster.gone(kind, name)
            return JSONResponse(thing)
        wanted = options.get("gracePeriodSeconds")
        grace_s = thing["spec"]["terminationGracePeriodSeconds"] if wanted is None else wanted
        due = datetime.now(UTC) + timedelta(seconds=grace_s)
        thing["metadata"]["deletionTimestamp"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
        cluster.told(kind, "MODIFIED", thing)
        if not cluster.silent:
            cluster.begin(cluster.end_pod(thing, grace_s))
        return JSONResponse(thing)

    def patch(self, kind: str, thing: Object, operations: list[Object]) -> Response:
        """A JSON patch of objects in objects."""
        for one in operations:
            *parents, last = (part.replace("~1", "/") for part in one["path"].split("/")[1:])
            place = thing
            for part in parents:
                place = place[part]
            if one["op"] == "test" and place.get(last) != one["value"]:
                return problem(422, f"testing {one['path']} failed")
            if one["op"] == "add":
                place[last] = one["value"]
        self.cluster.told(kind, "MODIFIED", thing)
        return JSONResponse(thing)

    async def printed(self, request: Request) -> Response:
        """A pod's log."""
        pod = self.cluster.objects.get(("pods", request.path_params["name"]))
        path = self.cluster.folder / f"{pod['metadata']['uid'] if pod else ''}.log"
        if pod is None or not path.exists():
            return problem(404, "no such pod")
        return PlainTextResponse(path.read_bytes())

    async def control(self, request: Request) -> Response:
        """What a test tells the cluster to do; or how many pods there are."""
        cluster = self.cluster
        if request.method == "GET":
            return JSONResponse({"pods": sum(kind == "pods" for kind, _ in cluster.objects)})
        told = await request.json()
        cluster.run = told.get("run", cluster.run)
        cluster.away = told.get("away", cluster.away)
        cluster.refuse = told.get("refuse", cluster.refuse)
        cluster.silent = told.get("silent", cluster.silent)
        if told.get("empty"):
            for of, name in list(cluster.objects):
                if of in ("pods", "secrets"):
                    cluster.gone(of, name)
        if "node" in told:
            node = cluster.objects["nodes", told["node"]]
            node["status"] = told["status"]
            cluster.told("nodes", "MODIFIED", node)
        if "pod" in told:
            cluster.set_status(cluster.objects["pods", told["pod"]], **told["status"])
        return JSONResponse({})


def build(cluster: Cluster) -> Starlette:
    """Its routes; at its end all pods are killed."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        for process in list(cluster.processes.values()):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    path, server = "/api/v1/namespaces/{namespace}/{kind}", Server(cluster)
    return Starlette(
        routes=[
            Route("/control", server.control, methods=["GET", "POST"]),
            Route(f"{path}/{{name}}/log", server.printed),
            Route("/api/v1/{kind}", server.collection, methods=["GET", "POST"]),
            Route("/api/v1/{kind}/{name}", server.single, methods=["GET", "DELETE"]),
            Route(path, server.collection, methods=["GET", "POST"]),
            Route(f"{path}/{{name}}", server.single, methods=["GET", "DELETE", "PATCH"]),
        ],
        lifespan=lifespan,
    )


def main(folder: str, run: str) -> None:
    """Serve until ended; writes a kubeconfig into the folder."""
    place = Path(folder)
    with listening() as ear:
        config = {
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [
                {"name": "it", "cluster": {"server": f"http://127.0.0.1:{ear.getsockname()[1]}"}}
            ],
            "users": [{"name": "it", "user": {}}],
        }
        draft = place / "kubeconfig.draft"
        draft.write_text(json.dumps(config))
        draft.replace(place / "kubeconfig")
        app = build(Cluster(place, run=run == "run"))
        server_for(app).run(sockets=[ear])


if __name__ == "__main__":
    main(*sys.argv[1:])
