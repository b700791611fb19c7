"""Carrying out an order on this node: the container saved into the target, and what there is to tell."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.agent.commit import STATE, Saved, commit
from atoll.agent.copying import Wishes, scan_of
from atoll.agent.looking import Notes, unsaved
from atoll.agent.runtimes.choice import RuntimeName, runtime_of
from atoll.agent.runtimes.container import Container
from atoll.agent.target import base_elsewhere
from atoll.agent.told import seen, told
from atoll.agent.what_changed import Report, what_changed
from atoll.agent.work import Work
from atoll.checkpoints.models import Changes
from atoll.checkpoints.node_models import (
    ImageSaved,
    LookOrder,
    Phase,
    RegistryTarget,
    SaveOrder,
)
from atoll.kit import words
from atoll.oci.image import packing
from atoll.oci.publish import BASE_DIGEST
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_referrers import attach
from atoll.oci.registry_settings import AccessToken, Reference, Registry, TokenSource

log = logging.getLogger(__name__)

_CHECKPOINT: Final = "dev.atoll.checkpoint/id"
_PARENT: Final = "dev.atoll.checkpoint/parent"
_SERVER: Final = "dev.atoll.checkpoint/server"
CHANGES: Final = "application/vnd.atoll.changes.v1+json"
"""The type of the report of what changed, a referrer of the image in a registry."""


@dataclass(frozen=True, slots=True)
class ContainerSaver:
    """Saves containers of this node's runtimes. `state` is where locks and notes lie."""

    state: Path = STATE
    runtime: RuntimeName = RuntimeName.AUTO
    address: Path | None = None
    namespace: str | None = None

    def save(self, work: Work) -> ImageSaved:
        """Put the image into the target; raises AtollError, OciError."""
        order = work.order
        with (
            _target(work) as store,
            runtime_of(
                order.container, self.runtime, address=self.address, namespace=self.namespace
            ) as (runtime, found),
            _elsewhere(work) as elsewhere,
        ):
            wishes = _wishes(work, _scanned(work, found))
            saved = commit(
                runtime,
                found.id,
                store,
                _name(order),
                live=order.live,
                state=self.state,
                wishes=wishes,
                elsewhere=elsewhere,
                annotations={
                    _CHECKPOINT: order.checkpoint,
                    _PARENT: order.parent,
                    **({_SERVER: order.server} if order.server else {}),
                    BASE_DIGEST: order.base,
                },
                clock=lambda: _published_at(work),
            )
            report = self._report(saved)
            if report is not None and isinstance(store, RegistryStore):
                _attach(store, saved, report)
            return told(saved, report)

    def look(self, order: LookOrder) -> Changes:
        """What the container has that is not saved; raises AtollError, OciError."""
        limits = oci.Limits(entries=order.entries)
        with runtime_of(
            order.container, self.runtime, address=self.address, namespace=self.namespace
        ) as (_, container):
            try:
                return seen(unsaved(container, order.environment, self.state, limits))
            except OSError as error:
                raise oci.SourceError(f"The container went away meanwhile ({error}).") from error

    def _report(self, saved: Saved) -> Report | None:
        """What changed against the base; None where that cannot be told. The image is there already."""
        container, notes = saved.container, Notes(self.state)
        try:
            if saved.copied.cut_ns:
                here = what_changed(container).changes.packages
                notes.write(container, saved.image.digest, saved.copied.cut_ns, here)
            else:
                notes.forget(container)
            return what_changed(container, len(saved.own.lowers)) if saved.copied.layers else None
        except (OSError, oci.OciError) as error:
            log.warning("it is not told what changed: %s", error)
            return None


def _scanned(work: Work, container: Container) -> int:
    """The logical bytes that are to be saved; raises LimitError for more than there is room for."""
    limits = work.order.limits
    room = limits.room if limits.room is not None else limits.size
    total = scan_of(container, oci.Limits(size=limits.size, entries=limits.entries)).size
    if total > room:
        raise oci.LimitError(f"It has {words.size(total)} to save.")
    return total


def _wishes(work: Work, total: int) -> Wishes:
    limits = work.order.limits
    room = limits.room if limits.room is not None else limits.size
    return Wishes(
        image=work.order.parent,
        own=frozenset(work.order.layers),
        most_layers=work.order.most_layers,
        secrets=frozenset(os.fsencode(path) for path in work.order.secrets if "\\" not in path),
        shared=work.order.shared,
        setuid=work.order.setuid,
        compression=packing(work.order.compression),
        limits=oci.Limits(
            size=min(limits.size, room), entries=limits.entries, seconds=limits.seconds
        ),
        progress=lambda done: work.tell(Phase.COPYING, done, max(done, total)),
        cancelled=work.cancelled,
    )


def _attach(store: RegistryStore, saved: Saved, report: Report) -> None:
    """Puts the report beside the image in the registry, for other tools; the service has its own."""
    content = report.changes.model_dump_json().encode()
    try:
        attach(store, saved.image, content, artifact_type=CHANGES, media_type=CHANGES)
    except oci.OciError as error:
        log.warning("the report of what changed is not in the registry: %s", error)


def _published_at(work: Work) -> datetime:
    """The time now: it is asked for when all is copied."""
    work.tell(Phase.PUBLISHING, work.how_far.done, work.how_far.total)
    return datetime.now(UTC)


def _name(order: SaveOrder) -> str:
    """What the image is listed as in its target."""
    return order.target.tag if order.target.kind == "registry" else order.checkpoint


@contextmanager
def _target(work: Work) -> Iterator[oci.Store]:
    target = work.order.target
    if target.kind == "layout":
        yield oci.LayoutStore(Path(target.path))
        return
    with RegistryStore(
        _registry(work, target), target.repository, cancelled=work.cancelled
    ) as store:
        yield store


@contextmanager
def _elsewhere(work: Work) -> Iterator[oci.Content | None]:
    """Where the image of the container came from: the same registry, with our token, or another."""
    target = work.order.target
    reference = _reference(work.order)
    if target.kind == "registry" and reference and reference.registry == target.address:
        if reference.repository == target.repository:
            yield None  # the target itself
            return
        with RegistryStore(
            _registry(work, target), reference.repository, cancelled=work.cancelled
        ) as store:
            yield store
        return
    image, cancelled = work.order.image, work.cancelled
    with base_elsewhere(image, plain_http=False, cancelled=cancelled) as content:
        yield content


def _reference(order: SaveOrder) -> Reference | None:
    try:
        return Reference.parse(order.image)
    except oci.InvalidImageError:
        return None


def _registry(work: Work, target: RegistryTarget) -> Registry:
    return Registry(
        target.address, credentials=_tokens(work), plain_http=target.plain_http, waits=work.wait
    )


def _tokens(work: Work) -> TokenSource | None:
    """The newest token of the work, whenever the registry wants one."""
    if work.token is None:
        return None

    def newest() -> AccessToken:
        token = work.token
        assert token is not None  # noqa: S101  # renewed, never taken away
        return AccessToken(token.value, token.expires)

    return newest
