"""`python -m tests.benchmarks.listing WAY NAMESPACE`: lists pods once, as a process of its own.

Prints the seconds from asking to having them all, what the process had resident before (its imports and
its way to the cluster), and the most that it ever had (VmHWM), in megabytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

Listing = Callable[[], Awaitable[int]]


def _memory(field: str) -> float:
    """Megabytes, as the kernel counts them for this process."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    [found] = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(found) * 1024 / 1e6


async def _ours(namespace: str) -> Listing:
    """The platform's informer."""
    from atoll.kit.kube.access import Access
    from atoll.kit.kube.informer import Informer
    from atoll.kit.kube.objects import Pod

    access = Access.find(os.environ["KUBECONFIG"])
    informer = Informer(access, f"/api/v1/namespaces/{namespace}/pods", Pod)

    async def listed() -> int:
        running = asyncio.ensure_future(informer.run())
        await informer.wait_synced()
        running.cancel()
        return len(informer.snapshot())

    return listed


async def _bytes(namespace: str) -> Listing:
    """The same pages, one after the other, thrown away: what the API server alone takes."""
    import aiohttp
    from atoll.kit.kube.access import Access

    access = Access.find(os.environ["KUBECONFIG"])
    cursor = re.compile(rb'"continue":"([^"]+)"')

    async def listed() -> int:
        count, token = 0, ""
        connector = aiohttp.TCPConnector(ssl=access.tls)
        async with aiohttp.ClientSession(access.url, connector=connector) as session:
            while True:
                async with session.get(
                    f"/api/v1/namespaces/{namespace}/pods",
                    params={"limit": "500", "continue": token},
                    headers=access.headers(),
                ) as answer:
                    content = await answer.read()
                count += content.count(b'"phase":"Running"')
                found = cursor.search(content, 0, 4096)  # the list's own facts come first
                if found is None:
                    return count
                token = found[1].decode()

    return listed


async def _reflector(namespace: str) -> Listing:
    """KubeSpawner's, which keeps what it was sent as dictionaries."""
    from kubespawner.clients import load_config
    from kubespawner.reflector import ResourceReflector

    load_config()
    reflector = ResourceReflector(kind="pods", namespace=namespace)

    async def listed() -> int:
        await reflector._list_and_update()  # `start` goes on to watch
        return len(reflector.resources)

    return listed


async def _typed(namespace: str) -> Listing:
    """kubernetes_asyncio's typed objects."""
    from kubernetes_asyncio import client, config

    await config.load_kube_config(os.environ["KUBECONFIG"])
    api = client.CoreV1Api()

    async def listed() -> int:
        return len((await api.list_namespaced_pod(namespace)).items)

    return listed


async def main(way: str, namespace: str) -> None:
    """List, and say what it took."""
    ways = {"ours": _ours, "bytes": _bytes, "reflector": _reflector, "typed": _typed}
    listing = await ways[way](namespace)
    before = _memory("VmRSS")
    began = time.perf_counter()
    count = await listing()
    took = time.perf_counter() - began
    said = {"pods": count, "s": took, "before_mb": before, "most_mb": _memory("VmHWM")}
    print(json.dumps(said), flush=True)
    os._exit(0)  # the peers' open connections complain otherwise


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
