"""The settings of jobs: `[jobs]` in the settings file."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from atoll.jobs.models import CAPTURED_MOST, Cpu, Memory
from atoll.kit.settings import Section

Seconds = Annotated[float, Field(gt=0, le=86400)]
Bytes = Annotated[int, Field(ge=1 << 10, le=1 << 40)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,317}$")]
Path = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]{1,200}$")]
# What a claim or a directory may be called: lower-case parts, and {username} for the user's slug.
Pattern = Annotated[str, StringConstraints(pattern=r"^(([a-z0-9.-]|\{username\})+)?$")]
SubPath = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._/-]|\{username\})*$")]


def _not_ours(name: str) -> str:
    if name.startswith("ATOLL_"):
        raise ValueError("what begins with ATOLL_ is the platform's own")
    return name


Variable = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_not_ours)
]

DEFAULT_QUEUE: Final = "default"


class Toleration(Section):
    """A taint that a job may run in spite of, as Kubernetes spells it."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""

    def manifest(self) -> dict[str, str]:
        """As a pod has it."""
        return {name: value for name, value in self.model_dump().items() if value}


class JobSettings(Section):
    """How many jobs run at once, how long, where, and what is kept of them."""

    runner: Literal["local", "kubernetes"] = Field(
        default="local",
        description="What carries jobs out: processes beside the service, or pods of the cluster.",
    )
    places: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=2, description="How many jobs run at once."
    )
    places_per_user: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=0, description="How many of them may be one user's; 0: all."
    )
    timeout_s: Annotated[int, Field(ge=1, le=30 * 86400)] = Field(
        default=86400, description="The time limit of a job that names none."
    )
    timeout_most_s: Annotated[int, Field(ge=1, le=30 * 86400)] = Field(
        default=30 * 86400, description="The longest limit that a job may name."
    )
    start_within_s: Seconds = Field(
        default=120.0, description="Seconds for a job's kernel to answer."
    )
    grace_s: Seconds = Field(
        default=10.0, description="Seconds from being asked to end until being killed."
    )
    look_every_s: Seconds = Field(
        default=0.5, description="How often a running job's progress is read."
    )
    keep_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=90, description="Days that finished jobs, their logs and outputs are kept."
    )
    most_notebook: Bytes = Field(
        default=20 << 20, description="Most bytes of a submitted notebook."
    )
    most_files: Annotated[int, Field(ge=0, le=CAPTURED_MOST)] = Field(
        default=16 << 20, description="Most bytes of the files that a job is given; 0: none."
    )
    most_log: Bytes = Field(default=50 << 20, description="Bytes of a log that are kept.")
    most_output: Bytes = Field(
        default=20 << 20, description="Bytes of all cells' outputs together that are kept."
    )
    kernels: tuple[str, ...] = Field(
        default=(), description="Kernels that environments may bring, beside the platform's."
    )

    # in a cluster
    image: str = Field(default="", description="The image of jobs that run in the platform's base.")
    cpu: Cpu = Field(default=1.0, description="CPUs of a job that asks for none.")
    cpu_most: Cpu = Field(default=8.0, description="Most CPUs that a job may ask for.")
    memory: Memory = Field(default="2G", description="Memory of a job that asks for none.")
    memory_most: Memory = Field(default="32G", description="Most memory that a job may ask for.")
    gpu_most: Annotated[int, Field(ge=0, le=1024)] = Field(
        default=0, description="Most GPUs that a job may ask for; 0: none."
    )
    gpu_resource: Label = Field(
        default="nvidia.com/gpu", description="What the nodes' device plugin calls a GPU."
    )
    gpu_runtime_class: str = Field(
        default="", description="The runtime class of jobs with GPUs; empty: the nodes' own."
    )
    disk: Annotated[str, StringConstraints(pattern=r"^([0-9]+[KMGT])?$")] = Field(
        default="", description="What a job may write to its node's disk; empty: no limit."
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels of the nodes on which jobs run."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, description="Taints that jobs run in spite of: key, operator, …"
    )
    kueue_queue: str = Field(
        default="",
        description="The Kueue LocalQueue that admits jobs' pods, if Kueue is installed.",
    )
    variables: dict[Variable, str] = Field(
        default_factory=dict,
        description="Environment variables of jobs' pods, such as PIP_INDEX_URL; no secrets.",
    )
    home_claim: Pattern = Field(
        default="",
        description="The claim with a user's home, such as `claim-{username}`; empty: a job's home"
        " is an empty one.",
    )
    home_sub_path: SubPath = Field(
        default="", description="The user's directory in that claim, such as `homes/{username}`."
    )
    home_mount: Path = Field(default="/home/jovyan", description="Where a job finds the home.")
    pull_within_s: Seconds = Field(
        default=300.0, description="Seconds after which an image that cannot be had fails a job."
    )
    deliver_within_s: Seconds = Field(
        default=3600.0,
        description="Seconds that a job's pod keeps its result for a service that is away.",
    )
