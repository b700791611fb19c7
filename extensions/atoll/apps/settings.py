"""The service's settings: `[service]` and a section for each capability."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from atoll.checkpoints.settings import CheckpointSettings, NodeSettings, RegistrySettings
from atoll.datasets.settings import DatasetSettings
from atoll.hub.storage import StorageSection
from atoll.jobs.settings import JobSettings
from atoll.kit.kube.settings import KubernetesSection
from atoll.kit.settings import Section

Port = Annotated[int, Field(ge=1, le=65535)]


class ServiceSection(Section):
    """Where the service listens and where the hub is; the supervisor sets these."""

    host: str = "127.0.0.1"
    port: Port = 8010
    hub_api_url: str = "http://127.0.0.1:8081/hub/api/"
    url: str = "http://127.0.0.1:8000/services/atoll/"  # as kernels and browsers reach it
    database: str = ""  # SQLAlchemy URL; empty: SQLite in ATOLL_HOME
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"


class HubStorage(BaseModel):
    """What the service reads of the hub's section: which directories jobs share with servers."""

    storage: StorageSection = StorageSection()


class ServiceSettings(BaseModel):
    """All sections that the service reads."""

    service: ServiceSection = ServiceSection()
    checkpoints: CheckpointSettings = CheckpointSettings()
    nodes: NodeSettings = NodeSettings()
    registry: RegistrySettings = RegistrySettings()
    datasets: DatasetSettings = DatasetSettings()
    jobs: JobSettings = JobSettings()
    kubernetes: KubernetesSection = KubernetesSection()
    hub: HubStorage = HubStorage()
