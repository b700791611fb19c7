"""Servers as pods of a cluster: KubeSpawner's options by the settings."""

from __future__ import annotations

import os
from typing import Any

from atoll.hub.profiles import Offers
from atoll.kit.home import Home
from atoll.kit.settings import SettingsError

from hub_config import storage
from hub_config.settings import HubSettings


def configure(c: Any, settings: HubSettings, home: Home) -> None:
    """Servers are pods, prepared and saved by the service. Raises SettingsError."""
    _check(settings)
    cluster = settings.kubernetes
    if cluster.kubeconfig:  # the client library reads it when it is imported
        os.environ["KUBECONFIG"] = cluster.kubeconfig
    from atoll.hub.pods import program  # so it is imported here

    c.JupyterHub.spawner_class = "atoll.hub.kubernetes.AtollKubeSpawner"
    spawner = c.AtollKubeSpawner
    spawner.service_url = cluster.service_url
    spawner.public_service_url = cluster.service_url
    spawner.namespace = cluster.servers_namespace
    spawner.image = settings.hub.image
    spawner.pull_secret = cluster.pull_secret
    spawner.kept_prefix = settings.registry.prefix
    spawner.hold_image = cluster.hold_image
    spawner.hold_port = cluster.hold_port
    spawner.grace_s = cluster.grace_s
    spawner.cmd = program(settings.hub.stop_grace_s)
    spawner.ready_timeout_s = settings.hub.start_timeout_s
    spawner.schedule_timeout_s = settings.hub.schedule_timeout_s
    spawner.contact = settings.hub.contact
    spawner.profiles = Offers(settings.hub.profiles)
    spawner.poll_interval = 5  # what the watch has seen; a server that died is seen soon
    spawner.http_timeout = 60  # after a restart of the hub, for a server to show that it is there
    storage.configure(c, settings.hub.storage, home)
    for name, value in settings.hub.kubespawner.items():
        setattr(spawner, name, value)


def _check(settings: HubSettings) -> None:
    missing = [
        name
        for name, value in (
            ("kubernetes.service_url", settings.kubernetes.service_url),
            ("hub.connect_url", settings.hub.connect_url),
        )
        if not value
    ]
    missing += [
        f"hub.profiles.{name}.image (or hub.image)"
        for name, one in settings.hub.profiles.items()
        if not (one.image or one.images or settings.hub.image)
    ]
    if missing:
        raise SettingsError(
            f'hub.spawner = "kubernetes" needs {", ".join(missing)}.',
            hint="The chart sets the addresses; docs/operators/settings.md lists every setting.",
        )
    options = {"hub": settings.hub.kubespawner} | {
        f"hub.profiles.{name}": one.kubespawner for name, one in settings.hub.profiles.items()
    }
    for where, values in options.items():
        if values.get("enable_user_namespaces"):
            raise SettingsError(
                f"{where}.kubespawner.enable_user_namespaces cannot be set: pods are watched, saved"
                " and protected in one namespace, and those of others would be lost.",
                hint="Leave it out; kubernetes.servers_namespace is the namespace of all servers.",
            )
