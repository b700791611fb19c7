"""One save in a process of its own, as modest as the agent: `SOCKET NAMESPACE CONTAINER REGISTRY STATE [live]`.

Prints the seconds that the container stood still, and the most memory that was resident, in bytes.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from atoll import oci
from atoll.agent.commit import commit
from atoll.agent.priority import be_modest
from atoll.agent.runtimes.containerd import Containerd
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import Registry


def main(socket: str, namespace: str, container: str, target: str, state: str, *live: str) -> None:
    be_modest()
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
    print(saved.copied.frozen_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
