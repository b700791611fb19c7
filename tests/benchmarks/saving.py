"""One save in a process of its own, as modest as the agent: `SOCKET NAMESPACE CONTAINER REGISTRY STATE [live]`.

Prints a line when it begins; then the seconds that the container stood still, and the most memory that was
resident, in bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from atoll import oci
from atoll.agent.commit import commit
from atoll.agent.priority import be_modest
from atoll.agent.runtimes.containerd import Containerd
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import Registry


def most_resident() -> int:
    """The most bytes that were resident since this program began.

    `ru_maxrss` is inherited from the process that started it: it is the benchmark's own.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    [peak] = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


def main(socket: str, namespace: str, container: str, target: str, state: str, *live: str) -> None:
    be_modest()
    print("it begins", flush=True)
    runtime = Containerd(Path(socket), namespace)
    if target.startswith("/"):
        saved = commit(
            runtime,
            container,
            oci.LayoutStore(Path(target)),
            "x",
            live=bool(live),
            state=Path(state),
        )
    else:
        with RegistryStore(Registry(target, plain_http=True), "users/ada") as store:
            saved = commit(runtime, container, store, "x", live=bool(live), state=Path(state))
    runtime.close()
    print(saved.copied.frozen_s, most_resident())


if __name__ == "__main__":
    main(*sys.argv[1:])
