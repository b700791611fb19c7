"""The program of a local user server: JupyterHub's single-user server on a socket that it inherits.

`python -P -m atoll.hub.singleuser FD [options]`: the hub opened the socket FD, so no other process
can take the port, and a connection waits in its queue until the server answers. `-P` keeps the
user's home off the module path: a file json.py in it must not break the server.
"""

from __future__ import annotations

import os
import socket
import sys


def main() -> None:
    """Serve until told to end."""
    # 1.5 s of import for a format check of JSON schemas that nothing here asks for
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    from jupyter_server.serverapp import ServerApp
    from jupyterhub.singleuser.extension import JupyterHubSingleUser

    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # kernels and terminals do not get it
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)

    class Server(ServerApp):  # type: ignore[misc]  # no types
        """A Jupyter server that listens on the inherited socket."""

        def _find_http_port(self) -> None:
            """The port is ours already."""

        def _bind_http_server_tcp(self) -> bool:
            self.http_server.add_socket(listening)
            return True

    # no subclass: Jupyter Server finds this extension by the module that its class is in
    JupyterHubSingleUser.serverapp_class = Server
    JupyterHubSingleUser.launch_instance(sys.argv[2:])


if __name__ == "__main__":
    main()
