"""The hub's settings: `[hub]` in the settings file, and the addresses that the supervisor sets."""

from __future__ import annotations

import getpass
import re
from typing import Annotated, Any, Final, Literal

from atoll.checkpoints.settings import RegistrySettings
from atoll.hub.profiles import DEFAULT_PROFILES, Profile, ProfileName
from atoll.hub.resources import in_order
from atoll.hub.storage import StorageSection
from atoll.kit.kube.settings import KubernetesSection
from atoll.kit.settings import Section
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

USER_NAME: Final = r"^[a-z0-9][a-z0-9._@+-]{0,62}$"
"""What a user may be called: a plain directory name, also on file systems that ignore case."""

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
UserName = Annotated[str, Field(pattern=USER_NAME)]
Url = Annotated[str, Field(pattern=r"^(https?://[^/\s]+/?)?$")]


def _listed(value: object) -> object:
    """Environment variables spell a list with commas."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


class HubSection(Section):
    """Who may log in, what servers are offered, and how long things may take."""

    # empty: who starts the platform
    admins: Annotated[list[UserName], BeforeValidator(_listed)] = Field(default_factory=list)
    named_servers: Annotated[int, Field(ge=0, le=100)] = 5  # beside the default one, for each user
    start_timeout_s: Seconds = 60  # from a server's process to its first answer
    stop_grace_s: Seconds = 5  # for a server to end by itself before it is killed
    cull_after_s: Annotated[int, Field(ge=0)] = 0  # idle servers are stopped and saved; 0: never
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    profiles: Annotated[dict[ProfileName, Profile], AfterValidator(in_order)] = DEFAULT_PROFILES
    contact: Annotated[str, Field(max_length=200)] = ""  # whom a refused user may ask, as read
    # servers as pods of a cluster
    spawner: Literal["local", "kubernetes"] = "local"
    image: str = ""  # of profiles that name none
    schedule_timeout_s: Seconds = 600  # for a node to have room, and for a volume to be there
    storage: StorageSection = StorageSection()
    kubespawner: dict[str, Any] = Field(default_factory=dict)  # KubeSpawner's own options
    extra_config: str = ""  # a Python file that is read last, with `c`, as JupyterHub's own
    # the supervisor, or the chart, sets these
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"  # where the hub's API listens
    port: Port = 8081
    connect_url: Url = ""  # the hub as servers reach it; empty: where it listens
    proxy_api_port: Port = 8001
    proxy_api_url: Url = ""  # empty: on this machine
    service_port: Port = 8010
    public_url: Annotated[str, Field(pattern=r"^https?://[^/]+/$")] = "http://127.0.0.1:8000/"
    database: str = ""  # an SQLAlchemy URL; empty: SQLite in ATOLL_HOME

    @property
    def administrators(self) -> list[str]:
        """Who administers the platform; the first is whom the printed link logs in."""
        return self.admins or [own_name(_account())]

    @property
    def api_url(self) -> str:
        """The hub's API, as other processes of this machine reach it."""
        return f"http://127.0.0.1:{self.port}/hub/api/"

    @property
    def service_url(self) -> str:
        """The service, as other processes of this machine reach it: not through the proxy."""
        return f"http://127.0.0.1:{self.service_port}/services/atoll/"


class HubSettings(BaseModel):
    """All sections that the hub reads."""

    hub: HubSection = HubSection()
    kubernetes: KubernetesSection = KubernetesSection()
    registry: RegistrySettings = RegistrySettings()


def own_name(account: str) -> str:
    """The user name of whoever has this system account; `admin` where it cannot be one."""
    name = account.lower()
    return name if re.fullmatch(USER_NAME, name) else "admin"


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's account may have no name
        return ""
