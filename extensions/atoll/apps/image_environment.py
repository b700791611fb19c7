"""Makes the user image's two Pythons work together; it runs while the image is built.

`/opt/atoll` is the platform's Python: it belongs to root, and server and jobs run on it. The environment
`/opt/environment` lies over it and belongs to the user: kernels and terminals run in it, and it is what
is saved. `python -m atoll.apps.image_environment environment` (as the user) and `… platform` (as root).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from atoll.checkpoints import skeleton
from atoll.checkpoints.base import PlatformBase

ENVIRONMENT: Final = Path("/opt/environment")
JUPYTER: Final = Path("/opt/atoll/share/atoll/jupyter")
"""Where the kernelspec is: not in the environment, so that its user cannot lose it."""

SERVER_SETTINGS: Final = """\
from atoll.server.trust import SignatureFile

c = get_config()  # noqa: F821
# not a login shell: /etc/profile would put the system's own pip first
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash"]}
# JupyterLab would install into the platform's own Python, and switch off there
c.LabApp.extension_manager = "readonly"
c.PluginManager.level = "user"
c.NotebookNotary.store_factory = SignatureFile  # Jupyter's own is an SQLite file in the home
"""
KERNEL_SETTINGS: Final = """\
c = get_config()  # noqa: F821
c.HistoryManager.hist_file = "/tmp/ipython-history.sqlite"  # not in the home: it may be a network's
"""
_SERVER: Final = """\
#!{python} -Ps
import sys
from atoll.apps.image_server import main
sys.exit(main())
"""


def make_environment(root: Path = ENVIRONMENT) -> None:
    """Make what lies at `root`, packages or nothing, an environment over this Python."""
    skeleton.make(root, root, PlatformBase.of_this_process())


def finish_platform(
    prefix: Path, beside: Path = JUPYTER, ipython: Path = Path("/etc/ipython")
) -> None:
    """The kernelspec, what Jupyter and IPython must know, and our program for servers."""
    skeleton.make_kernel(beside, ENVIRONMENT)
    (prefix / "etc/jupyter/jupyter_server_config.py").write_text(SERVER_SETTINGS, "utf-8")
    ipython.mkdir(exist_ok=True)
    (ipython / "ipython_config.py").write_text(KERNEL_SETTINGS, "utf-8")
    # -P and -s: no module is looked for in the folder of the program or below the user's home
    program = prefix / "bin/jupyterhub-singleuser"
    program.write_text(_SERVER.format(python=prefix / "bin/python"), "utf-8")


def variables(path: str) -> dict[str, str]:
    """What the image's `ENV` says, for the `PATH` of its base; a test compares the two."""
    return skeleton.variables(ENVIRONMENT, JUPYTER, PlatformBase.of_this_process(), path)


if __name__ == "__main__":
    if sys.argv[1:] == ["environment"]:
        make_environment()
    elif sys.argv[1:] == ["platform"]:
        finish_platform(Path(sys.prefix))
    else:
        sys.exit("usage: python -m atoll.apps.image_environment environment|platform")
