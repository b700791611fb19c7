"""Where a saved container goes: a registry's repository, or an image layout on this machine."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.kit.errors import InvalidError
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import Password, Reference, Registry

_AUTH_FILES: Final = (
    "REGISTRY_AUTH_FILE",  # podman, skopeo, buildah
    "DOCKER_CONFIG",  # a directory
)
_SECOND_CHOICE_S: Final = 10.0
"""Patience with a registry that may have what is on this node too."""


@dataclass(frozen=True, slots=True)
class Target:
    """A store, the image's name in it, and how people write that."""

    store: oci.Store
    name: str
    shown: str


@contextmanager
def target_of(image: str, *, layout: Path | None, plain_http: bool) -> Iterator[Target]:
    """The target that a command line names; raises `InvalidError`, `InvalidImageError`.

    A registry's password comes from the files that `docker login` and `podman login` write.
    """
    if layout is not None:
        yield Target(oci.LayoutStore(layout), image, f"{layout}:{image}")
        return
    reference = Reference.parse(image)
    if reference.digest is not None:
        raise InvalidError(
            f"{image} names an image that exists; a new one has no digest yet.",
            hint="Give host/repository:tag.",
        )
    with registry(reference, plain_http=plain_http) as store:
        yield Target(store, reference.tag or "latest", str(reference))


@contextmanager
def base_elsewhere(
    name: str, *, plain_http: bool, cancelled: oci.Cancelled | None = None
) -> Iterator[oci.Content | None]:
    """The repository that an image's name leads to; None where the name leads to no registry."""
    host = name.partition("/")[0]
    try:
        reference = Reference.parse(name.partition("@")[0])
    except oci.InvalidImageError:
        reference = None
    if reference is None or not ("." in host or ":" in host):  # as docker tells hosts from users
        yield None
        return
    with registry(
        reference, plain_http=plain_http, patience=_SECOND_CHOICE_S, cancelled=cancelled
    ) as store:
        yield store


def registry(
    reference: Reference,
    *,
    plain_http: bool,
    patience: float | None = None,
    cancelled: oci.Cancelled | None = None,
) -> RegistryStore:
    """The repository of an image in a registry, with the login of this account."""
    settings = Registry(
        reference.registry, credentials=password_for(reference.registry), plain_http=plain_http
    )
    if patience is not None:
        settings = replace(settings, patience=patience, connect=min(settings.connect, patience))
    return RegistryStore(settings, reference.repository, cancelled=cancelled)


def password_for(address: str) -> Password | None:
    """The login for a registry, None where there is none in the files (containers-auth.json(5))."""
    for path in _login_files():
        try:
            logins = json.loads(path.read_bytes()).get("auths", {})
            packed = logins.get(address, {}).get("auth", "")
            user, colon, password = base64.b64decode(packed, validate=True).decode().partition(":")
        except FileNotFoundError:
            continue
        except (ValueError, AttributeError, binascii.Error) as error:
            raise InvalidError(
                f"The file of registry logins {path} is not what docker or podman write.",
                hint="Log in again with `docker login` or `podman login`.",
            ) from error
        if colon:
            return Password(user, password)
    return None


def _login_files() -> Iterator[Path]:
    named, docker = (os.environ.get(variable) for variable in _AUTH_FILES)
    if named:
        yield Path(named)
    yield Path(docker) / "config.json" if docker else Path.home() / ".docker" / "config.json"
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    yield Path(runtime) / "containers" / "auth.json"
    yield Path("/run/containers") / str(os.getuid()) / "auth.json"
