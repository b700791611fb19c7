"""Where homes are kept in a cluster, and the directories that groups share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from atoll.hub.resources import ObjectName
from atoll.kit.kube.volumes import Directory
from atoll.kit.settings import Section

MountPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]{1,200}$")]


def _inside(path: str) -> str:
    """The path, if it leads nowhere else; raises ValueError."""
    if ".." in path.split("/"):
        raise ValueError("it must not lead out of the volume")
    return path


SubPath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9{}._-]+(/[A-Za-z0-9{}._-]+)*$"),
    AfterValidator(_inside),
]
ShareName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]

USER_LABEL: Final = "hub.jupyter.org/username"
HOME_VOLUME: Final = "home"
MEMORY_VOLUME: Final = "shared-memory"

AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]
Kind = Literal["dynamic", "nfs", "existing", "none"]


class Share(Section):
    """A directory that the members of groups share; read-only for those not in `writers`."""

    claim: ObjectName | None = None  # none: the homes' own claim, or their export
    jobs_claim: ObjectName | Literal[""] = ""  # the same in the jobs' namespace; empty: not in jobs
    path: SubPath | None = None  # in it; none: `shared/NAME`
    mount: MountPath | None = None  # none: `shared/NAME` beside the homes, as /srv/shared/NAME
    groups: list[str] = Field(default_factory=list)  # who sees it; empty: everybody
    writers: list[str] = Field(default_factory=list)  # groups that may write; empty: nobody

    def open_to(self, groups: Collection[str]) -> bool:
        """Whether a member of these groups sees it."""
        known = {*self.groups, *self.writers}
        return not self.groups or not known.isdisjoint(groups)

    def written_by(self, groups: Collection[str]) -> bool:
        """Whether a member of these groups may write."""
        return not set(self.writers).isdisjoint(groups)


class Volume(Section):
    """A claim that a profile mounts."""

    claim: ObjectName
    mount: MountPath
    path: SubPath | None = None  # in it; none: all of it
    read_only: bool = False


class StorageSection(Section):
    """Homes: a claim for each user, one export or claim with a directory for each, or none."""

    kind: Kind = "dynamic"
    mount: MountPath = "/home/jovyan"
    storage_class: str = ""  # dynamic: empty is the cluster's default class
    capacity: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?([KMGTP]i?)?$")] = "10Gi"
    access_modes: list[AccessMode] = ["ReadWriteOnce"]  # noqa: RUF012  # pydantic copies it
    delete_with_user: bool = False  # dynamic: a claim goes when its user is deleted in the hub
    claim: ObjectName | None = None  # existing, or nfs through a volume that stands for the export
    sub_path: SubPath = "homes/{username}"  # existing and nfs: a user's directory in it
    nfs_server: str = ""  # nfs without a claim
    nfs_path: str = ""
    shares: dict[ShareName, Share] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> StorageSection:
        if self.kind == "existing" and self.claim is None:
            raise ValueError("kind existing needs `claim`")
        if self.kind == "nfs" and self.claim is None and not (self.nfs_server and self.nfs_path):
            raise ValueError("kind nfs needs `claim`, or `nfs_server` and `nfs_path`")
        if "{username}" not in self.sub_path:
            raise ValueError("sub_path must contain {username}, or all users would share a home")
        for name, share in self.shares.items():
            if share.claim is None and self.kind not in ("nfs", "existing"):
                raise ValueError(
                    f"shares.{name} needs `claim`: homes of kind {self.kind} have none"
                )
        return self

    @property
    def on_one_node(self) -> bool:
        """Whether a home can be mounted on one node at a time, so that its servers must be there."""
        return self.kind == "dynamic" and self.access_modes == ["ReadWriteOnce"]

    @property
    def on_network(self) -> bool:
        """Whether homes may lie on a network file system, where SQLite does not belong."""
        return self.kind in ("nfs", "existing") or "ReadWriteMany" in self.access_modes


def home_volume(storage: StorageSection) -> dict[str, Any]:
    """The volume with the user's home, as a pod has it."""
    if storage.kind == "dynamic":
        return {"name": HOME_VOLUME, "persistentVolumeClaim": {"claimName": "{pvc_name}"}}
    if storage.kind == "none":
        return {"name": HOME_VOLUME, "emptyDir": {}}
    return {"name": HOME_VOLUME, **_source(storage, storage.claim)}


def home_claim(storage: StorageSection, own: str) -> str:
    """The claim that a user's home is in, whose own one would be called `own`; empty for none."""
    return own if storage.kind == "dynamic" else storage.claim or ""


def home_mount(storage: StorageSection) -> dict[str, Any]:
    """Where the home is in the server's container."""
    mount = {"name": HOME_VOLUME, "mountPath": storage.mount}
    if storage.kind in ("nfs", "existing"):
        mount["subPath"] = storage.sub_path
    return mount


def beside(user_label: str) -> dict[str, Any]:
    """The rule that a user's servers run on one node; the first one goes where it likes."""
    selector = {"matchLabels": {USER_LABEL: user_label}}
    return {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}


def known(storage: StorageSection) -> dict[str, str]:
    """The volume of the homes by their claim, where they have one, or one export."""
    return {storage.claim or "": HOME_VOLUME} if storage.kind in ("nfs", "existing") else {}


def shares(storage: StorageSection, groups: Collection[str]) -> list[Directory]:
    """What a member of these groups shares."""
    return [
        _directory(storage, name, share.claim or storage.claim or "", groups)
        for name, share in storage.shares.items()
        if share.open_to(groups)
    ]


def shares_in_jobs(storage: StorageSection, groups: Collection[str]) -> list[Directory]:
    """What of it her jobs have: a claim is of one namespace, and jobs have another."""
    return [
        _directory(storage, name, share.jobs_claim, groups)
        for name, share in storage.shares.items()
        if share.jobs_claim and share.open_to(groups)
    ]


def of_profile(volumes: Mapping[str, Volume]) -> list[Directory]:
    """What a profile has of its own."""
    return [
        Directory(f"volume-{name}", one.claim, one.mount, one.path, one.read_only)
        for name, one in volumes.items()
    ]


def shared_memory(size: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume and the mount of /dev/shm in this size, which counts as the server's memory."""
    volume = {"name": MEMORY_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": f"{size}i"}}
    return volume, {"name": MEMORY_VOLUME, "mountPath": "/dev/shm"}  # noqa: S108  # a mount point


def _directory(
    storage: StorageSection, name: str, claim: str, groups: Collection[str]
) -> Directory:
    """A share for a member of these groups, who sees it, in this claim."""
    share = storage.shares[name]
    beside_homes = (share.claim or storage.claim or "") in known(storage)
    return Directory(
        volume=f"share-{name}",
        claim=claim,
        mount=share.mount or f"/srv/shared/{name}",
        path=share.path or (f"shared/{name}" if beside_homes else None),
        read_only=not share.written_by(groups),
    )


def _source(storage: StorageSection, claim: str | None) -> dict[str, Any]:
    if claim is not None:
        return {"persistentVolumeClaim": {"claimName": claim}}
    return {"nfs": {"server": storage.nfs_server, "path": storage.nfs_path}}
