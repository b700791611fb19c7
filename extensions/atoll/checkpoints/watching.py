"""Looking at running servers: do their processes live, and what is unsaved?"""

from __future__ import annotations

import time
from threading import Lock
from typing import Final

import psutil

from atoll import oci
from atoll.checkpoints import changes, store, views
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import ServerStatus, ServerTarget
from atoll.checkpoints.store import ServerRow
from atoll.kit.processes import marked

_SEEN_S: Final = 1.0  # how long one look at all processes counts
_TWICE_S: Final = 0.3  # before a server without processes is believed to be gone


class Watching:
    """Looks at a running server: do its processes live, and what is unsaved?"""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._next_scan: dict[str, float] = {}
        self._looked = float("-inf")
        self._living: frozenset[str] = frozenset()
        self._look = Lock()

    def watch(self, row: ServerRow) -> float:
        """One look; the seconds until the next."""
        settings = self._ground.settings
        if row.contained:
            return settings.start_grace_s  # whoever started its container tells when it ends
        if row.running_id is not None and not self._lives(row.running_id):
            self._gone(row)
            return 0.0
        if time.monotonic() >= self._next_scan.get(row.id, 0.0):
            began = time.monotonic()
            self._scan(row)
            took = time.monotonic() - began
            # at most a twentieth of one processor goes into looking
            self._next_scan[row.id] = time.monotonic() + max(settings.scan_every_s, 20 * took)
        return settings.watch_every_s

    def give_up(self, row: ServerRow) -> float | None:
        """A prepared server that the hub never started is at rest again after a while."""
        assert row.prepared_at is not None  # noqa: S101  # it is prepared
        waited = (self._ground.clock() - row.prepared_at).total_seconds()
        if waited < self._ground.settings.start_grace_s:
            return self._ground.settings.start_grace_s - waited
        if (row.user, row.name) in self._ground.hub.running():
            return self._ground.settings.start_grace_s
        self._gone(row)
        return 0.0

    def _gone(self, row: ServerRow) -> None:
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.status == row.status and again.running_id == row.running_id:
                store.change_server(
                    session,
                    again,
                    target=ServerTarget.SAVED,
                    status=ServerStatus.UNSAVED,
                    ended_at=self._ground.clock(),
                    message="The server ended; its environment is about to be saved.",
                )

    def _scan(self, row: ServerRow) -> None:
        directory = self._ground.directory(row)
        try:
            found = directory.changed()
        except oci.OciError:
            return  # it changes under our eyes, or is gone: the next look tells
        unsaved: dict[str, object] | None = None
        if found.files:
            described = changes.describe(
                found,
                directory.installed(),
                base=self._ground.platform.packages,
                before=row.packages,
            )
            unsaved = described.model_dump(mode="json")
        if unsaved == row.unsaved:
            return
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.status == ServerStatus.RUNNING and again.environment == row.environment:
                store.change_server(session, again, unsaved=unsaved)

    def _lives(self, start_id: str) -> bool:
        """Whether a process of this start lives. One pass over all processes serves all servers."""
        with self._look:
            if time.monotonic() - self._looked > _SEEN_S:
                self._living = _marks()
                self._looked = time.monotonic()
            if start_id in self._living:
                return True
        time.sleep(_TWICE_S)  # a process that is just being executed shows no environment
        return bool(marked(views.MARK, start_id))


def _marks() -> frozenset[str]:
    """The starts of which some process lives."""
    found = set()
    for process in psutil.process_iter():
        try:
            found.add(process.environ().get(views.MARK, ""))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # ended meanwhile, or another account's: no server of ours
    return frozenset(found)
