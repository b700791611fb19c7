"""What every part of the checkpoints capability stands on: database, store of images, directories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from sqlalchemy.orm import Session

from atoll.checkpoints.base import PlatformBase
from atoll.checkpoints.directory import EnvironmentDirectory
from atoll.checkpoints.settings import CheckpointSettings
from atoll.checkpoints.store import ServerRow, is_known, stored_layers
from atoll.kit.db import Database, now
from atoll.kit.home import Home
from atoll.kit.names import directory_name, server_segment
from atoll.oci import LayoutStore, Limits


class Hub(Protocol):
    """What checkpoints need of the hub; `kit.hub_api.HubApi` is it. All block."""

    def stop_server(self, user: str, server: str) -> None:
        """Have the hub stop a server; returns when it has begun."""
        ...

    def running(self) -> set[tuple[str, str]]:
        """(user, server) of every server that the hub holds for running or starting."""
        ...

    def groups(self, user: str) -> frozenset[str] | None:
        """The groups that a user is in now; None where the hub has no such user."""
        ...


class Containment(StrEnum):
    """What is known of a server's container."""

    UNKNOWN = "unknown"  # nobody here looks after containers
    RUNNING = "running"
    LEAVING = "leaving"  # somebody has its pod deleted, which is held until it is saved
    ENDED = "ended"  # it will never run again; its layer is there while its pod is
    GONE = "gone"  # it has no pod any more: its node ends it, and removes its layer, within seconds


class Containers(Protocol):
    """What checkpoints need of whoever looks after containers; `pods.Pods` is it in a cluster."""

    def state(self, start_id: str) -> Containment:
        """How the container of this start stands, for certain. Blocks."""
        ...

    def leaving(self, start_id: str) -> bool:
        """Whether it may run while it is LEAVING or GONE, as far as is known. Does not block."""
        ...


class NoContainers:
    """Nobody looks after containers: who starts them tells how they stand."""

    def state(self, start_id: str) -> Containment:
        """Nothing is known."""
        del start_id
        return Containment.UNKNOWN

    def leaving(self, start_id: str) -> bool:
        """Nothing is known."""
        del start_id
        return False


class Ground:
    """The parts, opened once for each process."""

    def __init__(
        self,
        database: Database,
        home: Home,
        settings: CheckpointSettings,
        hub: Hub,
        clock: Callable[[], datetime] = now,
        *,
        containers: Containers | None = None,
    ) -> None:
        self.containers = containers or NoContainers()
        self.database = database
        self.home = home
        self.settings = settings
        self.hub = hub
        self.clock = clock
        self.images = LayoutStore(home.images)
        self.platform = PlatformBase.of_this_process(settings.base_name)
        self.base = str(self.platform.image(self.images))
        self.limits = Limits(size=settings.most_bytes, entries=settings.most_entries)

    def room(self, session: Session, user: str) -> int | None:
        """The bytes that are left of a user's quota, None where there is none."""
        most = self.settings.most_user_bytes
        if not most:
            return None
        return max(0, most - sum(stored_layers(session, user).values()))

    def unwritten(self, digest: str | None) -> bool:
        """Whether an environment was saved, but its checkpoint never written down: by a kill."""
        if digest is None or digest == self.base:
            return False
        with self.database.read() as session:
            return not is_known(session, digest)

    def directory(self, row: ServerRow) -> EnvironmentDirectory:
        """The environment directory of a server."""
        segment = server_segment(row.name)
        folder = segment if row.name == "" else directory_name(row.name)
        return self.directory_at(self.home.environments / directory_name(row.user) / folder)

    def directory_at(self, path: Path) -> EnvironmentDirectory:
        """An environment directory anywhere, such as a job's."""
        return EnvironmentDirectory(path, self.platform, self.limits)
