"""What an OCI runtime specification says of a container: its mounts, id maps and cgroup, also at rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from atoll.agent.runtimes.container import IdRange
from atoll.oci.image import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Spec:
    """The part of config.json that the agent uses."""

    targets: tuple[bytes, ...]
    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    cgroup: str | None
    annotations: dict[str, str]


def read_spec(document: JsonObject) -> Spec:
    """What is there of it; what is missing or of the wrong type counts as absent."""
    linux = _object(document.get("linux"))
    mounts = (_object(mount).get("destination") for mount in _list(document.get("mounts")))
    path = linux.get("cgroupsPath")
    return Spec(
        targets=relative(mount for mount in mounts if isinstance(mount, str)),
        uids=_ranges(linux.get("uidMappings")),
        gids=_ranges(linux.get("gidMappings")),
        cgroup=_cgroup(path) if isinstance(path, str) and path else None,
        annotations=strings(document, "annotations"),
    )


def relative(paths: Iterable[str]) -> tuple[bytes, ...]:
    """Paths of mounts as an image has them: without a leading slash, in order, each once."""
    cleaned = {path.strip("/").encode("utf-8", "surrogateescape") for path in paths}
    return tuple(sorted(cleaned - {b""}))


def _cgroup(path: str) -> str:
    """`slice:prefix:name`, as the systemd driver writes it, is a path of nested slices."""
    parts = path.split(":")
    if len(parts) != 3:
        return "/" + path.strip("/")
    group, prefix, name = parts
    return _slice(group or "system.slice") + f"/{prefix}-{name}.scope"


def _slice(name: str) -> str:
    """`a-b.slice` lies in `a.slice` (systemd.slice(5))."""
    stem = name.removesuffix(".slice")
    if stem == "-":
        return ""
    parts = stem.split("-")
    return "".join("/" + "-".join(parts[: end + 1]) + ".slice" for end in range(len(parts)))


def _ranges(value: Json) -> tuple[IdRange, ...]:
    found = []
    for item in map(_object, _list(value)):
        numbers = [item.get(key, 0) for key in ("containerID", "hostID", "size")]
        inside, outside, size = (number if isinstance(number, int) else 0 for number in numbers)
        found.append(IdRange(inside, outside, size))
    return tuple(found)


def text(document: JsonObject, key: str) -> str:
    """A text of a runtime's record; empty where it is absent or something else."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def mapped(document: JsonObject, key: str) -> JsonObject:
    """An object of a runtime's record; empty where it is absent or something else."""
    return _object(document.get(key))


def listed(document: JsonObject, key: str) -> list[Json]:
    """A list of a runtime's record; empty where it is absent or something else."""
    return _list(document.get(key))


def strings(document: JsonObject, key: str) -> dict[str, str]:
    """The texts of an object of a runtime's record."""
    return {name: item for name, item in mapped(document, key).items() if isinstance(item, str)}


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
