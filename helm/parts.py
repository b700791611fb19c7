"""What the chart's values are made of: kinds of text, groups, and what every part of the platform has."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
Host = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?(:[0-9]{1,5})?)?$")]
Cidr = Annotated[str, Field(pattern=r"^[0-9a-fA-F:.]+/[0-9]{1,3}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Replicas = Annotated[int, Field(ge=0, le=20)]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^:]*$")]
Strings = dict[str, str]
Objects = list[dict[str, Any]]
"""Kubernetes' own objects, which Kubernetes checks."""


class Values(BaseModel):
    """A part of the values; unknown names are errors."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


def said(description: str, default: Any) -> Any:
    """A value with what it is for."""
    return Field(default=default, description=description, validate_default=True)


def part(description: str, kind: type[BaseModel]) -> Any:
    """A group of values."""
    return Field(default_factory=kind, description=description)


class Resources(Values):
    """What a container asks for and may use."""

    requests: dict[str, Quantity | int | float] = said("What it is given for certain.", {})
    limits: dict[str, Quantity | int | float] = said("What it may use at most.", {})


class Volume(Values):
    """A volume that keeps a part's state; it stays when the release is uninstalled."""

    enabled: bool = said("Keep the state on a volume; else it is lost with the pod.", True)
    size: Quantity = said("Its size.", "10Gi")
    storage_class: str = said("Its storage class; empty: the cluster's default one.", "")
    existing_claim: Name = said("A claim to use instead of a new one.", "")
    access_modes: list[Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]] = said(
        "How it may be mounted.", ["ReadWriteOnce"]
    )


class Workload(Values):
    """What all parts have."""

    enabled: bool = said("Whether the part is installed.", True)
    image: str = said("Its whole image reference; empty: by `images`.", "")
    resources: Resources = part("Its container's resources.", Resources)
    node_selector: Strings = said("Labels of the nodes that it may run on.", {})
    tolerations: Objects = said("Taints of nodes that it tolerates.", [])
    affinity: dict[str, Any] = said("Rules about nodes and other pods.", {})
    priority_class_name: str = said("Its priority class.", "")
    pod_labels: Strings = said("More labels of its pods.", {})
    pod_annotations: Strings = said("More annotations of its pods.", {})


class Program(Workload):
    """A part that is one of the platform's own programs."""

    extra_env: Objects = said("More environment variables (`name`, `value` or `valueFrom`).", [])
    extra_volumes: Objects = said("More volumes of its pod.", [])
    extra_volume_mounts: Objects = said("Where they are mounted.", [])


def asks(cpu: str, memory: str, most: str) -> Any:
    """Resources of a part: requests, and a limit of memory."""
    return Field(
        default_factory=lambda: Resources(
            requests={"cpu": cpu, "memory": memory}, limits={"memory": most}
        ),
        description="Its container's resources.",
    )


def volume(size: str) -> Any:
    """The volume of a part."""
    return Field(default_factory=lambda: Volume(size=size), description="Where its state is.")
