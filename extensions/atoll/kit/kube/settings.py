"""The settings of a cluster: `[kubernetes]` in the settings file, read by hub and service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from atoll.kit.settings import Section

Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class KubernetesSection(Section):
    """Where servers and jobs run in a cluster, and how the platform reaches it."""

    enabled: bool = Field(
        default=False, description="Servers are pods of a cluster: the service looks after them."
    )
    kubeconfig: str = Field(
        default="",
        description="A kubeconfig file; empty: the pod's own account, inside of a cluster.",
    )
    servers_namespace: Namespace = Field(
        default="atoll-servers", description="The namespace of users' servers."
    )
    jobs_namespace: Namespace = Field(default="atoll-jobs", description="The namespace of jobs.")
    service_url: str = Field(
        default="",
        description="The service as pods reach it, such as http://atoll-service.atoll:8010/services/atoll/.",
    )
    pull_secret: str = Field(
        default="",
        description="The secret, in both namespaces, with which nodes pull saved environments.",
    )
    hold_image: str = Field(
        default="", description="The image of atoll-hold, which runs beside each server."
    )
    hold_port: Port = Field(
        default=8889, description="Its port in the pod; no program of a user should need it."
    )
    grace_s: Annotated[int, Field(ge=1, le=86400)] = Field(
        default=600,
        description="Seconds that a pod deleted by somebody else is held for its save, at most.",
    )
    admission_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0,
        description="The port on which the service answers Kubernetes about evictions (HTTPS); 0: none.",
    )
    admission_certificate: str = Field(default="", description="Its certificate's file.")
    admission_key: str = Field(default="", description="Its key's file.")
    cordon_stops: bool = Field(
        default=True,
        description="Servers on a node that was cordoned are stopped, and so saved, one after the other.",
    )
