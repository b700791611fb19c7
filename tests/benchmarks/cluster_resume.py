"""A server resumed on a node that lacks its environment, beside a plain pull of the same bytes.

The environment has a gigabyte of files changed, in one layer over the profile's image. Before each start the
node is made to lack it: its references are removed from containerd, with the garbage collected at once, and it
is looked that the layer's blob is gone; the layers of the profile's image stay, as on any node that runs
others' servers. The peer is the same image as others make it, its layer packed with gzip, pulled by the same
kubelet for a server of plain KubeSpawner.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atoll import oci
from atoll.oci.image import Compression
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import Registry
from atoll.oci.store import load_image

from tests.benchmarks.plain_hub import PlainHub, plain_hub
from tests.benchmarks.rows import Row, at_most
from tests.benchmarks.servers import PLAIN, change, gone, ours, saved, start, stop
from tests.kubernetes.driver import kubectl, objects, run
from tests.kubernetes.hub_on_host import SERVERS, Guest
from tests.kubernetes.where import REGISTRY
from tests.platform.driver import eventually

CHANGED_MB = 1000
ROUNDS = 3
MOST = 1.5
_PULLED = re.compile(r"Successfully pulled image .* in ([0-9a-zµ.]+) \(")
_UNITS = {"m": 60.0, "s": 1.0, "ms": 0.001}


def _ctr(*arguments: str) -> str:
    return run("ctr", "-n", "k8s.io", *arguments)


@dataclass(frozen=True)
class Images:
    """The environment, and the same as a plain image: what a node has of them."""

    digests: tuple[str, ...]
    layers: tuple[str, ...]  # the newest one of each, as it is packed
    unpacked: str  # the snapshot of it, which both share

    def forget(self) -> None:
        """Have the node lack them."""
        for line in _ctr("images", "ls").splitlines()[1:]:
            name, _, digest = line.split()[:3]
            if digest in self.digests:
                _ctr("images", "rm", "--sync", name)
        eventually(self._left, lambda left: not left)

    def _left(self) -> set[str]:
        snapshots = {line.split()[0] for line in _ctr("snapshots", "ls").splitlines()}
        blobs = set(_ctr("content", "ls", "-q").split())
        return (blobs & {*self.layers, *self.digests}) | (snapshots & {self.unpacked})


def _chain(diff_ids: Sequence[str]) -> str:
    """What containerd calls the unpacked layers, one over the other (OCI's ChainID)."""
    chain = diff_ids[0]
    for one in diff_ids[1:]:
        chain = f"sha256:{hashlib.sha256(f'{chain} {one}'.encode()).hexdigest()}"
    return chain


def pulled(namespace: str, pod: str) -> float:
    """Seconds of the pull of the server's image, as the kubelet says."""

    def said() -> list[str]:
        events = objects("events", namespace)
        about = [one for one in events if one["involvedObject"]["name"] == pod]
        about = [one for one in about if "notebook" in one["involvedObject"].get("fieldPath", "")]
        return [found[1] for one in about if (found := _PULLED.search(one["message"]))]

    [took] = eventually(said, bool)
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9.]+)(ms|m|s)", took))


def _prepare(guest: Guest) -> str:
    """An environment with so much changed; its digest."""
    start(guest, environment="base")
    change(guest, CHANGED_MB, secrets.token_hex(3))
    stop(guest)
    print(f"  saved {saved(guest):.1f} s after the stop", flush=True)
    gone(guest)
    digest = guest.server().environment
    assert digest is not None
    return str(digest)


def _ours(guest: Guest, images: Images) -> tuple[float, float]:
    """Seconds from the click to the lab, and of the pull."""
    images.forget()
    took = start(guest, environment=images.digests[0])
    pull = pulled(SERVERS, guest.pod["metadata"]["name"])
    stop(guest)
    saved(guest)
    gone(guest)
    return took, pull


def _plain(hub: PlainHub, guest: Guest, images: Images) -> tuple[float, float]:
    """The same, of plain KubeSpawner and the plain image."""
    images.forget()
    kubectl("delete", "events", "--all", "-n", hub.namespace)
    took = start(guest)
    [pod] = objects("pods", hub.namespace)
    pull = pulled(hub.namespace, pod["metadata"]["name"])
    stop(guest)
    eventually(lambda: objects("pods", hub.namespace), lambda found: not found)
    return took, pull


def measure() -> list[Row]:
    """The figures, for the cluster that KUBECONFIG names; on its node, whose containerd is asked."""
    registry = Registry(REGISTRY, plain_http=True)
    repository = f"bench-{secrets.token_hex(3)}/plain"
    mine, plain = [], []
    with (
        tempfile.TemporaryDirectory(prefix="atoll-bench-") as name,
        ours(Path(name) / "ours") as host,
        RegistryStore(registry, repository) as target,
    ):
        guest = host.user("dee")
        digest = _prepare(guest)
        with RegistryStore(registry, "kept/dee") as source:
            began = time.perf_counter()
            other = oci.export(source, digest, target, name="1", compression=Compression.GZIP)
            print(f"  packed with gzip in {time.perf_counter() - began:.0f} s", flush=True)
            both = (load_image(source, digest), load_image(target, other.digest))
        layers = tuple(str(one.manifest.layers[-1].digest) for one in both)
        assert both[0].config.diff_ids == both[1].config.diff_ids
        images = Images((digest, other.digest), layers, _chain(both[0].config.diff_ids))
        image = f"{REGISTRY}/{repository}@{other.digest}"
        with plain_hub(Path(name) / "plain", image, PLAIN) as hub:
            somebody = hub.user("dee")
            for _ in range(ROUNDS):
                plain.append(_plain(hub, somebody, images))
                mine.append(_ours(guest, images))
        images.forget()  # gigabytes, which nobody needs on the node
        target.delete(other.digest)
    (starts, pulls), (plain_starts, plain_pulls) = zip(*mine, strict=True), zip(*plain, strict=True)
    what = f"{CHANGED_MB / 1000:g} GB changed, on a node that lacks it"
    pull = "the kubelet's pull of a plain image"
    print(f"  pulls: {statistics.median(pulls):.1f} s, {statistics.median(plain_pulls):.1f} s")
    return [
        at_most(f"resume, click to lab: {what}", starts, plain_pulls, pull, MOST),
        at_most(f"its pull alone: {what}", pulls, plain_pulls, pull, MOST),
        at_most(
            f"resume, click to lab, beside a start: {what}", starts, plain_starts,
            "plain KubeSpawner, the plain image", MOST,
        ),
    ]  # fmt: skip
