"""What a profile is made of: sizes, images, GPUs, and where a server may run, as typed values."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Protocol, TypeVar

from pydantic import Field, StringConstraints

from atoll.kit.settings import Section

ChoiceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
"""What a choice is called in requests; people read its title."""
Cpu = Annotated[float, Field(gt=0, le=10_000)]
Bytes = Annotated[str, StringConstraints(pattern=r"^[0-9]+[KMGT]$")]
"""Such as `4G`, in powers of 1024, as JupyterHub reads it."""
Image = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][^\s]{0,500}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,317}$")]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$")]

_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def number_of_bytes(text: str) -> int:
    """The bytes that `4G` means."""
    return int(text[:-1]) * _UNITS[text[-1]]


class Gpu(Section):
    """Whole GPUs, as the device plugin of the nodes counts them."""

    resource: Label = "nvidia.com/gpu"
    count: Annotated[int, Field(ge=1, le=1024)] = 1
    runtime_class: str = ""  # empty: the nodes' own


Order = Annotated[
    int, Field(description="What is lower comes first: charts sort names, and lose another order.")
]
Placed = TypeVar("Placed", bound="Ordered")


class Ordered(Protocol):
    """What stands among others in the operator's order."""

    @property
    def order(self) -> int:
        """What is lower comes first; equals stay as they were written."""
        ...


def in_order(found: dict[str, Placed]) -> dict[str, Placed]:
    """The same in the operator's order."""
    return dict(sorted(found.items(), key=lambda item: item[1].order))


class Size(Section):
    """How much of a node a server may use; what is not said is as the profile has it."""

    title: Annotated[str, Field(max_length=100)] = ""
    cpu: Cpu | None = None
    memory: Bytes | None = None
    cpu_guarantee: Cpu | None = None
    memory_guarantee: Bytes | None = None
    gpu: Gpu | None = None
    order: Order = 0


class ImageChoice(Section):
    """One of a profile's images."""

    title: Annotated[str, Field(min_length=1, max_length=100)]
    image: Image
    order: Order = 0


class Toleration(Section):
    """A taint that a server may run in spite of, as Kubernetes spells it."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""

    def manifest(self) -> dict[str, str]:
        """As a pod has it."""
        return {name: value for name, value in self.model_dump().items() if value}
