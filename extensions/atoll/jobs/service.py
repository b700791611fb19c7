"""The rules of jobs, and how the capability is put together.

The composition root builds it so (everything but `identify` blocks)::

    jobs = Jobs(database, home, settings.jobs, checkpoints.environments, hub_api, service_url=…)
    api.state.jobs = jobs
    api.include_router(atoll.jobs.routes.router)             # prefix /api/v1 is in the router
    api.include_router(atoll.jobs.run_routes.router)         # likewise
    auth = HubAuth(hub_api_url, issued=jobs.identify)
    for reconciler in jobs.reconcilers():                    # name: "job"
        supervise(reconciler.name, run)  # run_reconciler, each time with a new queue
    for name, loop in jobs.watch(queue.add).items():
        supervise(name, loop)

Events of the kind `job` are added to the reconciler's queue by subject.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from atoll.jobs import bundle, notebooks, resources, store, views
from atoll.jobs.ground import Environments, Ground, Users, holder
from atoll.jobs.identities import Identities
from atoll.jobs.models import (
    Inspection,
    InspectRequest,
    Job,
    JobFile,
    JobRequest,
    JobStatus,
    JobTarget,
    LogChunk,
    Queue,
)
from atoll.jobs.reconciler import JobReconciler
from atoll.jobs.reports import Reports
from atoll.jobs.runners import Loop, Runner
from atoll.jobs.runners.local import LocalRunner
from atoll.jobs.settings import DEFAULT_QUEUE, JobSettings
from atoll.jobs.store import JobRow
from atoll.jobs.tokens import PREFIX
from atoll.kit.db import Database, now
from atoll.kit.errors import AtollError, ConflictError, InvalidError, NotFoundError
from atoll.kit.events import record
from atoll.kit.home import Home
from atoll.kit.hub import Caller
from atoll.kit.loops import Reconciler
from atoll.kit.names import directory_name, is_id, new_id, server_name
from atoll.kit.paging import Page

MIGRATIONS: Final = Path(__file__).parent / "migrations"

OF_A_SERVER: Final = ("server", "last")
"""Choices of an environment that mean a server's."""

_BESIDE_NOTEBOOK: Final = 4 << 20

_NAME_MOST: Final = 100  # characters of a server's name; the hub allows fewer


class Jobs:
    """Jobs."""

    def __init__(
        self,
        database: Database,
        home: Home,
        settings: JobSettings,
        environments: Environments,
        users: Users,
        *,
        service_url: str,
        runner: Runner | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        runner = runner or LocalRunner(home, environments.materialise, settings)
        self.ground = Ground(database, home, settings, environments, runner, service_url, clock)
        self._database = database
        self._settings = settings
        self._runner = runner
        self._identities = Identities(database, users)
        local = isinstance(runner, LocalRunner)
        self.reports = None if local else Reports(database, home, settings, clock)

    @property
    def most_body(self) -> int:
        """How many bytes a request may have that holds a notebook, parameters and files."""
        settings = self._settings
        return settings.most_notebook + settings.most_files * 4 // 3 + _BESIDE_NOTEBOOK

    @property
    def runner(self) -> Runner:
        """What carries them out."""
        return self._runner

    def reconcilers(self) -> list[Reconciler]:
        """The loop that carries everything out."""
        return [JobReconciler(self.ground)]

    def watch(self, changed: Callable[[str], None]) -> Mapping[str, Loop]:
        """Loops that run beside it, by name; they tell the ids of jobs that it should look at."""
        return self._runner.watch(changed)

    def close(self) -> None:
        """Close the runner's connections."""
        self._runner.close()

    def create(self, caller: Caller, request: JobRequest, id_: str | None = None) -> Job:
        """Submit a notebook. Raises InvalidError, TooLargeError, ConflictError, which say why not.

        `id_` is the job's, where that had to be known before.
        """
        settings = self._settings
        notebooks.check(request.notebook)
        kernel = notebooks.kernel_of(request.notebook, self._kernels(caller.name))
        notebooks.check_parameters(request.notebook, kernel, request.parameters)
        document = notebooks.packed(request.notebook, settings.most_notebook)
        self._check_queue(request.queue)
        resources.check(request.resources, settings)
        timeout_s = request.timeout_s or settings.timeout_s
        if timeout_s > settings.timeout_most_s:
            raise InvalidError(
                f"A job may run for {settings.timeout_most_s} s at most; {timeout_s} were asked for."
            )
        server = _server(caller, request)
        if request.server and request.environment in OF_A_SERVER:
            self.ground.environments.check(caller.name, server or "")
        files = self._files(caller, request)
        row = JobRow(
            id=id_ or new_id("j"),
            created_at=self.ground.clock(),
            user=caller.name,
            name=_shown_name(request.name),
            folder=_folder(request, files),
            server=server,
            kernel=kernel.name,
            language=kernel.language,
            parameters=dict(request.parameters),
            choice=request.environment,
            queue=request.queue,
            target=JobTarget.DONE,
            status=JobStatus.QUEUED,
            cells=notebooks.code_cells(request.notebook),
            timeout_s=timeout_s,
            retries=request.retries,
            resources=request.resources.model_dump(exclude_none=True),
        )
        with self._database.write() as session:
            store.add_job(session, row, document, files)
        if request.environment.startswith("sha256:"):
            self._hold_now(row)
        return self.show(caller, row.id)

    def page(
        self,
        caller: Caller,
        *,
        user: str | None,
        status: JobStatus | None,
        name: str | None,
        cursor: str | None,
        limit: int,
    ) -> Page[Job]:
        """The caller's jobs, newest first; administrators may name a user, or `*` for everybody."""
        if user not in (None, caller.name) and not caller.admin:
            raise NotFoundError("There is no such user.")
        owner = None if user == "*" else user or caller.name
        after = cursor if cursor is not None and is_id(cursor) else None
        statuses = [status] if status is not None else []
        with self._database.read() as session:
            rows = store.page(
                session, user=owner, statuses=statuses, name=name, after=after, limit=limit
            )
            items = views.job_views(session, rows[:limit], self._settings)
        return Page(items=items, next=rows[limit - 1].id if len(rows) > limit else None)

    def show(self, caller: Caller, id_: str) -> Job:
        """One job of the caller's."""
        with self._database.read() as session:
            return self._view(session, _visible(session, caller, id_))

    def log(self, caller: Caller, id_: str, offset: int, most: int) -> LogChunk:
        """A piece of the log from the byte `offset`: at most `most` bytes, cut between characters."""
        with self._database.read() as session:
            final = JobStatus(_visible(session, caller, id_).status).final
        piece, size = self._runner.log(id_, offset, most)
        at_end = offset + len(piece) >= size
        if not (at_end and final):
            piece = _whole_characters(piece)
        following = min(offset, size) + len(piece)
        return LogChunk(
            text=piece.decode("utf-8", "replace"),
            next_offset=following,
            complete=final and following >= size,
        )

    def output(self, caller: Caller, id_: str) -> bytes:
        """The output notebook as it is now; raises ConflictError before there is one."""
        with self._database.read() as session:
            row = _visible(session, caller, id_)
        content = self._runner.output(id_)
        if content is None:
            raise ConflictError(
                f"This job is {row.status} and has no output notebook"
                f"{'' if JobStatus(row.status).final else ' yet'}.",
                hint=None if JobStatus(row.status).final else "It is there once the job runs.",
            )
        return content

    def notebook(self, caller: Caller, id_: str) -> bytes:
        """The notebook as submitted."""
        with self._database.read() as session:
            return store.notebook_of(session, _visible(session, caller, id_).id)

    def files(self, caller: Caller, id_: str) -> list[JobFile]:
        """The files that the job was given, by path."""
        with self._database.read() as session:
            found = store.listing_of(session, _visible(session, caller, id_).id)
        return [JobFile(path=path, size=size) for path, size in found]

    def stop(self, caller: Caller, id_: str) -> Job:
        """Have the job stopped; one that has ended stays as it is."""
        with self._database.write() as session:
            row = _visible(session, caller, id_)
            if not JobStatus(row.status).final and row.target != JobTarget.STOPPED:
                store.change_job(session, row, target=JobTarget.STOPPED)
            return self._view(session, row)

    def again(self, caller: Caller, id_: str) -> Job:
        """Submit the same notebook with the same parameters anew, for the caller.

        The choice of the environment is repeated, not the digest: what was missing the last time
        may be installed by now.
        """
        with self._database.read() as session:
            row = _visible(session, caller, id_)
            document = store.notebook_of(session, row.id)
        return self.create(
            caller,
            JobRequest(
                name=row.name,
                folder=row.folder,
                notebook=json.loads(document),
                parameters=row.parameters,
                environment=row.choice,
                server=row.server,
                queue=row.queue,
                timeout_s=row.timeout_s,
                retries=row.retries,
                resources=store.resources_of(row),
                files_of=row.id if row.files else None,
            ),
        )

    def delete(self, caller: Caller, id_: str) -> None:
        """Delete a job that has ended, with its log and output."""
        with self._database.write() as session:
            row = _visible(session, caller, id_)
            if not JobStatus(row.status).final:
                raise ConflictError(f"This job is {row.status}.", hint="Stop it first.")
            store.delete_job(session, row)
        self._runner.remove(id_)

    def inspect(self, caller: Caller, request: InspectRequest) -> Inspection:
        """What the form to run this notebook is made from."""
        notebooks.check(request.notebook)
        kernel = notebooks.kernel_of(request.notebook, self._kernels(caller.name))
        with self._database.read() as session:
            name = _shown_name(request.name)
            folder = "" if request.folder == "." else request.folder
            last = store.last_of_name(session, caller.name, name, folder)
        return Inspection(
            parameters=notebooks.parameters(request.notebook),
            kernel=kernel.name,
            code_cells=notebooks.code_cells(request.notebook),
            last_values=last.parameters if last is not None and request.name else {},
            resources=resources.limits(self._settings),
        )

    def queues(self) -> list[Queue]:
        """The queues."""
        with self._database.read() as session:
            line = store.line(session, DEFAULT_QUEUE, self._settings)
        return [
            Queue(name=line.name, places=line.places, running=line.active, queued=len(line.waiting))
        ]

    async def identify(self, token: str, *, fresh: bool) -> Caller | None:
        """Who calls with a token that was issued to a job; None for other tokens and ended jobs."""
        if not token.startswith(PREFIX):
            return None
        return await asyncio.to_thread(self._identities.caller, token, fresh=fresh)

    def record_read(self, job_id: str, dataset_id: str) -> None:
        """Note that a job read a dataset."""
        with self._database.write() as session:
            row = session.get(JobRow, job_id)
            known = session.get(store.ReadRow, (job_id, dataset_id))
            if row is not None and known is None:
                session.add(store.ReadRow(job_id=job_id, dataset_id=dataset_id))
                record(session, "job", job_id, "changed", store.audience(row.user))

    def _files(self, caller: Caller, request: JobRequest) -> store.Files | None:
        """The files that were sent, checked and packed; or those of an earlier job of the caller's."""
        if request.files_of is None:
            if not request.files:
                return None
            bundle.check(request.files, request.folder, self._settings.most_files)
            listing = sorted((file.path, len(file.content)) for file in request.files)
            return store.Files(tuple(listing), bundle.pack(request.files))
        if request.files:
            raise InvalidError("`files` and `files_of` cannot both be said.")
        with self._database.read() as session:
            found = store.files_of(session, _visible(session, caller, request.files_of).id)
        if found is None:
            raise InvalidError("That job was given no files.")
        bundle.check_places([path for path, _ in found.listing], request.folder)
        return found

    def _hold_now(self, row: JobRow) -> None:
        """Hold the environment that was named; where that cannot be, the job never was."""
        try:
            self.ground.environments.ensure(row.user, row.server, row.choice, holder(row.id))
        except AtollError:
            with self._database.write() as session:
                again = session.get(JobRow, row.id)
                if again is not None:
                    store.delete_job(session, again)
                self.ground.environments.release(session, holder(row.id))
            raise

    def _kernels(self, user: str) -> dict[str, str]:
        """Name → language of the kernels that a job of this user may ask for."""
        local = self.ground.home.homes / directory_name(user) / ".local/share/jupyter"
        folders = [Path(sys.prefix) / "share/jupyter", local]
        return {
            "python3": "python",
            **notebooks.kernels_in(folders),
            **dict.fromkeys(self._settings.kernels, ""),
        }

    def _check_queue(self, name: str) -> None:
        if name != DEFAULT_QUEUE:
            raise InvalidError(
                f"There is no queue {name[:60]!r}.", hint=f"There is {DEFAULT_QUEUE!r}."
            )

    def _view(self, session: Session, row: JobRow) -> Job:
        return views.job_views(session, [row], self._settings)[0]


def _visible(session: Session, caller: Caller, id_: str) -> JobRow:
    """The job; raises NotFoundError where there is none, or none of the caller's."""
    row = session.get(JobRow, id_) if is_id(id_) else None
    if row is None or (row.user != caller.name and not caller.admin):
        raise NotFoundError("There is no such job.")
    return row


def _server(caller: Caller, request: JobRequest) -> str | None:
    """The server whose environment is meant, by JupyterHub's name; None where none is."""
    if request.server is not None:
        if len(request.server) > _NAME_MOST:
            raise InvalidError("No server has such a long name.")
        return server_name(request.server)
    if caller.server is not None:
        return caller.server
    return "" if request.environment in OF_A_SERVER else None


def _folder(request: JobRequest, files: store.Files | None) -> str:
    """Where the job starts, in the home itself where that has no name that can be shown."""
    plain = request.folder != "." and (files or request.folder.isprintable())
    return request.folder if plain else ""


def _shown_name(name: str) -> str:
    """The name without what would break a line or a terminal; surrogates have no place in text."""
    clean = "".join(char if char.isprintable() else "�" for char in name)
    return clean.strip() or "notebook.ipynb"


def _whole_characters(piece: bytes) -> bytes:
    """The piece without a character at its end that is cut in two."""
    for back in range(1, min(4, len(piece)) + 1):
        byte = piece[-back]
        if byte & 0xC0 == 0x80:
            continue  # inside a character
        length = 2 if byte >> 5 == 6 else 3 if byte >> 4 == 14 else 4 if byte >> 3 == 30 else 1
        return piece[:-back] if length > back else piece
    return piece
