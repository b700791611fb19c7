"""Directories of claims in a pod: volumes and mounts, built from plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of a claim, and where a container has it."""

    volume: str  # what the volume is called, if the claim has none yet
    claim: str
    mount: str
    path: str | None = None  # in the claim; none: all of it
    read_only: bool = False


def mounted(
    directories: Iterable[Directory], known: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The volumes and the mounts; `known` are the pod's volumes of claims that it has already.

    A claim is one volume, whatever is mounted of it: a pod that has it twice never starts.
    """
    names = dict(known or {})
    volumes, mounts = [], []
    for one in directories:
        if one.claim not in names:
            names[one.claim] = one.volume
            claim = {"claimName": one.claim}
            volumes.append({"name": one.volume, "persistentVolumeClaim": claim})
        mount: dict[str, Any] = {"name": names[one.claim], "mountPath": one.mount}
        if one.path:
            mount["subPath"] = one.path
        if one.read_only:
            mount["readOnly"] = True
        mounts.append(mount)
    return volumes, mounts
