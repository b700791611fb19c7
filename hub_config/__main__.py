"""Runs the hub: `python -m hub_config`, with ATOLL_HOME set."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run JupyterHub with this configuration until told to end."""
    # 1.5 s of import for a format check of JSON schemas that nothing here asks for
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    from atoll.hub.program import Hub

    Hub.launch_instance(["--config", str(Path(__file__).with_name("jupyterhub_config.py"))])


if __name__ == "__main__":
    main()
