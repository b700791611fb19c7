"""One save in a process of its own, modest as the agent: `SOCKET NAMESPACE CONTAINER REGISTRY STATE [live] [LAYER…]`.

The layers of its image that are named become one with what it changed. Prints a line when it begins; then the
seconds that the container stood still, the most memory that was resident, in bytes, and the new layers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from atoll import oci
from atoll.agent.commit import Saved, commit
from atoll.agent.copying import Wishes
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


def main(socket: str, namespace: str, container: str, target: str, state: str, *how: str) -> None:
    be_modest()
    print("it begins", flush=True)
    runtime = Containerd(Path(socket), namespace)
    own = frozenset(how) - {"live"}
    wishes = Wishes(own=own, most_layers=1 if own else 0)

    def saved_in(store: oci.LayoutStore | RegistryStore) -> Saved:
        return commit(
            runtime, container, store, "x", live="live" in how, state=Path(state), wishes=wishes
        )

    if target.startswith("/"):
        saved = saved_in(oci.LayoutStore(Path(target)))
    else:
        with RegistryStore(Registry(target, plain_http=True), "users/ada") as store:
            saved = saved_in(store)
    runtime.close()
    assert saved.copied.merged == bool(own)
    print(
        saved.copied.frozen_s,
        most_resident(),
        *(one.descriptor.digest for one in saved.copied.layers),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
