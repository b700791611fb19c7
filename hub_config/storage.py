"""Where homes are in a cluster: claims of users by KubeSpawner, or a place that is there."""

from __future__ import annotations

from typing import Any

from atoll.hub.storage import StorageSection
from atoll.kit.home import Home


def configure(c: Any, settings: StorageSection, _home: Home) -> None:
    """KubeSpawner makes claims where homes are `dynamic`; their names are remembered."""
    spawner = c.AtollKubeSpawner
    spawner.storage = settings
    spawner.storage_pvc_ensure = settings.kind == "dynamic"
    if settings.storage_class:
        spawner.storage_class = settings.storage_class
    spawner.pvc_name_template = "claim-{username}"  # a user's servers share the home
    spawner.delete_pvc = settings.delete_with_user
    spawner.storage_capacity = settings.capacity
    spawner.storage_access_modes = list(settings.access_modes)
    spawner.remember_pvc_name = True
    spawner.working_dir = settings.mount
