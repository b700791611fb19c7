"""The loops that move servers and checkpoints on: one step for each key, slow work in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from atoll.checkpoints import retention
from atoll.checkpoints.automatic import Automatic
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import ServerStatus
from atoll.checkpoints.naming import checked_server
from atoll.checkpoints.nodes import Nodes
from atoll.checkpoints.preparing import Preparing
from atoll.checkpoints.rebasing import Rebasing
from atoll.checkpoints.removals import Removals
from atoll.checkpoints.saving import BUSY_S, Saving
from atoll.checkpoints.store import (
    OvertakenError,
    ServerRow,
    change_server,
    find_server,
    server_subject,
    unsettled_servers,
    working_checkpoints,
)
from atoll.checkpoints.watching import Watching
from atoll.kit import words
from atoll.kit.errors import AtollError
from atoll.kit.loops import Reconciler

_THREADS: Final = 8  # as many steps at a time; most of each is waiting for disks and processes
_SWEEP_EVERY_S: Final = 3600.0  # for what killed and failed saves left behind

T = TypeVar("T")


class _Threads:
    """Threads of a loop's own: long saves must not take those that answer requests."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns, done in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


class ServerReconciler:
    """Moves servers from status to status. Keys are USER/SEGMENT, as in events."""

    name = "server"

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._threads = _Threads("server")
        preparing, watching = Preparing(ground), Watching(ground)
        self._watching, self._automatic = watching, Automatic(ground)
        self._work: dict[ServerStatus, Callable[[ServerRow], float | None]] = {
            ServerStatus.PREPARING: preparing.prepare,
            ServerStatus.PREPARED: watching.give_up,
            ServerStatus.RUNNING: self._look_at,
            ServerStatus.UNSAVED: preparing.settle,
        }

    async def pending(self) -> Iterable[str]:
        """Servers that are not at rest."""
        return await self._threads.run(self._pending)

    async def reconcile(self, key: str) -> float | None:
        """One step for the server."""
        return await self._threads.run(lambda: self._step(key))

    def _pending(self) -> list[str]:
        with self._ground.database.read() as session:
            return [server_subject(row) for row in unsettled_servers(session)]

    def _step(self, key: str) -> float | None:
        user, _, segment = key.rpartition("/")
        with self._ground.database.read() as session:
            row = find_server(session, user, checked_server(segment))
        work = self._work.get(ServerStatus(row.status)) if row is not None else None
        if row is None or work is None:  # at rest, or its checkpoint's turn
            return None
        try:
            return work(row)
        except OvertakenError:
            return BUSY_S  # somebody else changed it first: another look
        except AtollError as error:
            self._tell(row, error)
            raise

    def _look_at(self, row: ServerRow) -> float:
        """One look at a running server, which may be due to be saved; the seconds until the next."""
        again_s = self._watching.watch(row)
        due_s = self._automatic.ask(row)
        return again_s if due_s is None else min(again_s, max(BUSY_S, due_s))

    def _tell(self, row: ServerRow, error: AtollError) -> None:
        """Say why it does not go on; it is tried again."""
        message = words.retried(error.while_retried)
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.status == row.status and again.message != message:
                change_server(session, again, reason=error.code, message=message)


class CheckpointReconciler:
    """Carries out checkpoints. Keys are their ids."""

    name = "checkpoint"

    def __init__(self, ground: Ground, nodes: Nodes, rebasing: Rebasing) -> None:
        self._ground = ground
        self._nodes = nodes
        self._rebasing = rebasing
        self._threads = _Threads("checkpoint")
        self._saving = Saving(ground)
        self._next_sweep = 0.0

    async def pending(self) -> Iterable[str]:
        """Checkpoints that are not final, oldest first."""
        return await self._threads.run(self._pending)

    async def reconcile(self, key: str) -> float | None:
        """Carry the checkpoint out, or see that its node's agent does."""
        return await self._threads.run(lambda: self._step(key))

    def _step(self, key: str) -> float | None:
        for perform in (self._rebasing.perform, self._saving.perform):
            if (again_s := perform(key)) is not None:
                return again_s
        return self._nodes.look_after(key)

    def _pending(self) -> list[str]:
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP_EVERY_S
            retention.sweep(self._ground)
        self._nodes.count()
        with self._ground.database.read() as session:
            return [row.id for row in working_checkpoints(session)]


class RemovalReconciler:
    """Removes images from the registry. Keys are REPOSITORY@DIGEST."""

    name = "removal"

    def __init__(self, removals: Removals) -> None:
        self._removals = removals
        self._threads = _Threads("removal")
        self._next_sweep = time.monotonic() + _SWEEP_EVERY_S

    async def pending(self) -> Iterable[str]:
        """Images that no checkpoint names any more."""
        return await self._threads.run(self._pending)

    async def reconcile(self, key: str) -> float | None:
        """Remove the image, if it is time."""
        return await self._threads.run(lambda: self._removals.step(key))

    def _pending(self) -> list[str]:
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP_EVERY_S
            self._removals.sweep()
        return self._removals.pending()


def reconcilers(ground: Ground, nodes: Nodes, rebasing: Rebasing) -> list[Reconciler]:
    """The loops of this capability, one of each kind for a process."""
    return [
        ServerReconciler(ground),
        CheckpointReconciler(ground, nodes, rebasing),
        RemovalReconciler(Removals(ground, nodes.targets)),
    ]
