"""The settings of checkpoints: `[checkpoints]`, `[nodes]` and `[registry]` in the settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from atoll.checkpoints.models import SaveEvery
from atoll.kit.settings import Section

Seconds = Annotated[float, Field(gt=0, le=86400)]


class CheckpointSettings(Section):
    """How environments are saved and kept."""

    base_name: str = ""  # what people read for the base; empty: the Python version and packages
    keep_last: Annotated[int, Field(ge=1, le=1000)] = 10  # of each server, beside pinned and held
    save_every_s: SaveEvery = 1800  # running servers whose profiles do not say; 0: never
    watch_every_s: Seconds = 2.0  # how soon a server that died by itself is noticed
    scan_every_s: Seconds = 5.0  # how often a running server is looked at for unsaved changes
    start_grace_s: Seconds = 300.0  # a prepared server that the hub never started is given up
    end_grace_s: Seconds = 10.0  # a stopped server's left-over processes are ended after it
    most_layers: Annotated[int, Field(ge=2, le=100)] = 8  # then the layers are merged into one
    most_bytes: Annotated[int, Field(ge=1)] = 1 << 40  # of one environment, over the base
    most_entries: Annotated[int, Field(ge=1)] = 2_000_000  # files and folders of one environment
    remove_after_s: Annotated[float, Field(ge=0, le=30 * 86400)] = 3600.0
    """From a registry, after the checkpoint was deleted: a node may be pulling it yet."""
    most_user_bytes: Annotated[int, Field(ge=0)] = 0  # stored, of one user; 0: no limit
    versions_back: Annotated[int, Field(ge=0, le=1000)] = 4
    """How many minor versions of the platform older a saved environment may be and still start."""


class NodeSettings(Section):
    """Saves that the agents of nodes carry out, and who is an agent."""

    per_node: Annotated[int, Field(ge=1, le=64)] = 1  # saves at a time on one node
    at_once: Annotated[int, Field(ge=1, le=10_000)] = 16  # in the cluster: the registry's load
    lease_s: Annotated[float, Field(ge=1, le=3600)] = 60.0  # an agent silent for longer has died
    compression: Literal["auto", "zstd", "gzip"] = (
        "auto"  # gzip where a node's runtime reads no zstd
    )
    setuid: bool = True  # setuid and setgid bits and file capabilities are saved, too
    save_within_s: Annotated[float, Field(ge=60, le=7 * 86400)] = 6 * 3600.0  # a layer, sent too
    look_every_s: Seconds = 15.0  # at each running container, for what is unsaved in it
    name: str = ""  # of this very machine, where its agent has the secret `agent-token`
    service_account: str = ""  # namespace:name of the agents in Kubernetes
    audience: str = "atoll-agent"  # of their projected tokens
    api_url: str = "https://kubernetes.default.svc"
    api_token: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    api_ca: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")


class RegistrySettings(Section):
    """The registry that containers are saved to; none: an image layout on this machine."""

    address: str = ""  # host or host:port, as agents and the service reach it
    prefix: Annotated[
        str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$")
    ] = "atoll"
    pull_address: str = ""  # as nodes name it when they pull; empty: as `address`
    plain_http: bool = False
    issuer: str = ""  # as in the registry's auth.token; empty: it asks for no token
    service: str = "registry"  # likewise
    token_s: Annotated[float, Field(ge=60, le=3600)] = 600.0  # how long a push token is good
