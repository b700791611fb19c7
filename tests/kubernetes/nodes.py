"""How this cluster's nodes keep containerd, as values of the chart."""

from __future__ import annotations

import os
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil


def values() -> dict[str, Any]:
    """Where the tests run on the node itself (CONTAINERD_ADDRESS): by containerd's configuration.

    Nothing elsewhere, where it is in its usual places.
    """
    address = os.environ.get("CONTAINERD_ADDRESS")
    if not address:
        return {}
    config = _config(address)
    images = config.get("plugins", {}).get("io.containerd.cri.v1.images", {})
    found: dict[str, Any] = {
        "agents": {
            "containerdSocket": address,
            "containerdState": config["state"],
            "containerdRoot": config["root"],
        }
    }
    if "registry" in images:
        found["registry"] = {"nodes": {"certsDir": images["registry"]["config_path"]}}
    return found


def _config(address: str) -> dict[str, Any]:
    """The configuration of the containerd that listens at this address."""
    for process in psutil.process_iter(["name", "cmdline"]):
        command = process.info["cmdline"] or []
        if process.info["name"] != "containerd":
            continue
        for option, value in pairwise(command):
            if option in ("-c", "--config"):
                config = tomllib.loads(Path(value).read_text("utf-8"))
                if config.get("grpc", {}).get("address") == address:
                    return config
    raise AssertionError(f"no containerd listens at {address}")
