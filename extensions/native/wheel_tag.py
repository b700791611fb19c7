"""Names the machine in the wheel's name where the wheel holds the native library."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "extensions/atoll/oci/libatoll_native.so"


class WheelTag(BuildHookInterface[Any]):
    """The library speaks C, not Python's own interface: one wheel for every Python, for one machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is put together."""
        if version == "standard" and Path(self.root, LIBRARY).exists():
            machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{machine}"
