"""Images that no checkpoint names any more are removed from their registry, by digest."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from atoll import oci
from atoll.checkpoints import metrics, needs
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import CheckpointStatus
from atoll.checkpoints.store import CheckpointRow, RemovalRow
from atoll.checkpoints.targets import Targets, save_of, tag_of
from atoll.kit.errors import AtollError
from atoll.kit.loops import back_off
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_errors import UnsupportedError
from atoll.oci.registry_referrers import detach

log = logging.getLogger(__name__)

_NEVER: Final = timedelta(days=1)  # until a registry that allows no deleting is asked again
_LOOK: Final = timedelta(minutes=10)  # at one that somebody holds without a checkpoint


class Removals:
    """What is to go from the registry. Blocks. Keys are REPOSITORY@DIGEST.

    A checkpoint's row goes first, with a note of its image. The image goes when its time of grace is
    over and nobody needs it: no checkpoint of the same digest, no hold, no server that is at it or
    runs from it. A child needs its own manifest alone, which names the layers that both have. Nobody
    can begin to need it meanwhile: only what is written down can be held, or started from.
    """

    def __init__(self, ground: Ground, targets: Targets) -> None:
        self._ground = ground
        self._targets = targets
        self._grace = timedelta(seconds=ground.settings.remove_after_s)

    def pending(self) -> list[str]:
        """All that are noted; the figure in `/metrics` follows."""
        with self._ground.database.read() as session:
            rows = session.execute(select(RemovalRow.repository, RemovalRow.digest)).all()
        metrics.removals_waiting(len(rows))
        return [f"{repository}@{digest}" for repository, digest in rows]

    def step(self, key: str) -> float | None:
        """Remove one, if it is time; the seconds until the next look, None where it is done with."""
        repository, _, digest = key.rpartition("@")
        if (wait := self._begun(repository, digest)) is None or wait > 0:
            return wait
        try:
            with self._targets.deleting(repository) as there:
                _remove(there, digest)
        except UnsupportedError as error:
            return self._failed(repository, digest, error, _NEVER)
        except (oci.OciError, AtollError) as error:
            return self._failed(repository, digest, error, None)
        with self._ground.database.write() as session:
            row = session.get(RemovalRow, (repository, digest))
            if row is not None:
                session.delete(row)
        metrics.removed("removed")
        log.info("removed %s from the registry's %s", digest, repository)
        return None

    def sweep(self) -> int:
        """Notes what saves left in the registry and no checkpoint names; how many there are.

        Agents tag each image with its checkpoint's id and the attempt. Where there is no such
        checkpoint, or it failed or was made by a later attempt, that is what a killed save left.
        """
        with self._ground.database.read() as session:
            repositories = set(session.scalars(select(CheckpointRow.repository).distinct()))
        found = 0
        for repository in sorted(one for one in repositories if one is not None):
            try:
                with self._targets.deleting(repository) as there:
                    found += self._left(repository, there)
            except (oci.OciError, AtollError) as error:
                log.warning("%s is not swept: %s", repository, error)
        return found

    def _left(self, repository: str, there: RegistryStore) -> int:
        tags = {tag: save for tag in there.tags() if (save := save_of(tag)) is not None}
        with self._ground.database.read() as session:
            kept = {tag for tag, save in tags.items() if _may_be_needed(session, save, tag)}
        found = 0
        for tag in sorted(set(tags) - kept):
            try:
                digest = there.resolve(tag).digest
            except oci.MissingError:
                continue  # removed since it was listed
            with self._ground.database.write() as session:
                if session.get(RemovalRow, (repository, digest)) is None:
                    wanted = self._ground.clock()
                    row = RemovalRow(
                        repository=repository, digest=digest, wanted_at=wanted, attempts=0
                    )
                    session.add(row)
                    found += 1
        return found

    def _begun(self, repository: str, digest: str) -> float | None:
        """Seconds to wait; 0 to remove it now; None where there is nothing to do."""
        now = self._ground.clock()
        with self._ground.database.write() as session:
            row = session.get(RemovalRow, (repository, digest))
            if row is None:
                return None
            named = _named(session, digest)
            if repository in named:
                session.delete(row)  # noted again when that one is deleted
                return None
            due = max(row.wanted_at + self._grace, row.not_before or row.wanted_at)
            if due > now:
                return (due - now).total_seconds()
            if named or digest in needs.digests_held(session):
                row.not_before = now + _LOOK
                return _LOOK.total_seconds()
            row.attempts += 1
        return 0.0

    def _failed(
        self, repository: str, digest: str, error: Exception, pause: timedelta | None
    ) -> float:
        now: datetime = self._ground.clock()
        with self._ground.database.write() as session:
            row = session.get(RemovalRow, (repository, digest))
            if row is None:
                return 0.0
            later = pause or timedelta(seconds=back_off(row.attempts))
            first = row.message is None
            row.message, row.not_before = str(error)[:2000], now + later
        metrics.removed("failed")
        log.log(
            logging.WARNING if first else logging.INFO,
            "%s is not removed from the registry's %s yet: %s",
            digest, repository, error,
        )  # fmt: skip
        return later.total_seconds()


def _remove(there: RegistryStore, digest: str) -> None:
    try:
        detach(there, digest)
        there.delete(digest)
    except oci.MissingError:
        return  # it is gone: by hand, or by us before a kill


def _named(session: Session, digest: str) -> set[str | None]:
    """The repositories of the checkpoints that are this image."""
    return set(
        session.scalars(select(CheckpointRow.repository).where(CheckpointRow.digest == digest))
    )


def _may_be_needed(session: Session, id_: str, tag: str) -> bool:
    """Whether the save of this id goes on, or has made a checkpoint with the image of this tag."""
    row = session.get(CheckpointRow, id_)
    if row is None:
        return False
    if row.status == CheckpointStatus.READY:
        return tag == tag_of(id_, row.attempts)
    return not CheckpointStatus(row.status).final
