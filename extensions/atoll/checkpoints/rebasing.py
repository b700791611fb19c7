"""Rebases: asked for by an environment's owner, installed by a job, saved as a checkpoint.

A rebase is a checkpoint that no server waits for. Its job is an ordinary one of the owner's; what that
leaves behind is kept until it is saved. Killed at any point, the next look goes on from what is written
down: the job's id is, before the job is submitted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from atoll import oci
from atoll.checkpoints import changes, rebase, rebase_store, retention, store
from atoll.checkpoints.directory import EnvironmentDirectory, QuotaError, Saved
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import Changes, CheckpointStatus, Trigger
from atoll.checkpoints.rebase import Plan
from atoll.checkpoints.rebase_jobs import ContainerOfJob, Jobs, Run
from atoll.checkpoints.rebase_notebook import notebook
from atoll.checkpoints.rebase_store import holder
from atoll.checkpoints.saving import saved_values
from atoll.checkpoints.store import CheckpointRow, HoldRow, OvertakenError
from atoll.checkpoints.targets import Targets
from atoll.kit import words
from atoll.kit.errors import (
    AtollError,
    ConflictError,
    FullError,
    TooLargeError,
    UnavailableError,
)
from atoll.kit.hub import Caller
from atoll.kit.names import new_id

_LOOK_S: Final = 0.5
_MOST: Final = 3  # of one user at a time: a whole environment is read for each
_CALLED_MOST: Final = 100  # characters of the note in a job's name
_CANCELLED: Final = "cancelled"
_FAILED: Final = "rebase_failed"
_GONE: Final = "What its job had installed is gone. Nothing is lost: ask for the rebase again."


class Rebasing:
    """Asks for rebases, and carries them out. Blocks."""

    def __init__(self, ground: Ground, targets: Targets) -> None:
        self._ground = ground
        self._targets = targets
        self.jobs: Jobs | None = None  # given by who has them: they need environments first

    def request(self, session: Session, caller: Caller, source: CheckpointRow) -> CheckpointRow:
        """The rebase of a ready checkpoint, or the one that is under way. Raises ConflictError."""
        if source.user != caller.name:
            raise ConflictError(
                f"This environment is {source.user}'s, who alone may rebase it.",
                hint="Start from it, and rebase what that server is saved as.",
            )
        if self.jobs is None:
            raise ConflictError("This platform runs no jobs, which a rebase needs.")
        if source.status != CheckpointStatus.READY or source.digest is None:
            raise ConflictError(
                f"This checkpoint is {source.status}: there is nothing to rebase.",
                hint="Choose one that is ready.",
            )
        contained = source.node is not None
        if contained != self.jobs.contained:
            raise ConflictError(
                "Servers and jobs run in different ways here, so that no job can rebase it.",
                hint="Export its requirements, and install them in a fresh start.",
            )
        if contained and not source.layers:
            raise ConflictError(
                "Nothing lies over this environment's base: there is nothing to rebase.",
                hint="Start fresh: that is the newest base.",
            )
        here = not contained and source.base == self._ground.base
        if here and source.platform_version == self._ground.platform.version:
            raise ConflictError(
                "This environment lies over the platform's newest base already.",
                hint="There is nothing to rebase.",
            )
        working = rebase_store.working(session, source.user)
        for row in working:
            if row.parent == source.digest and row.server_id == source.server_id:
                return row
        if len(working) >= _MOST:
            raise ConflictError(
                f"{len(working)} rebases of yours go on already.",
                hint="Wait for one of them, or cancel it: `atoll checkpoints cancel ID`.",
            )
        row = CheckpointRow(
            id=new_id("k"),
            version=1,
            server_id=source.server_id,
            user=source.user,
            server=source.server,
            trigger=Trigger.REBASE,
            note=source.note,
            parent=source.digest,
            status=CheckpointStatus.REQUESTED,
            message="Its packages are about to be installed over the newer base.",
        )
        store.add_checkpoint(session, row)
        session.add(HoldRow(holder=holder(row.id), digest=source.digest))
        return row

    def perform(self, id_: str) -> float | None:
        """Move a rebase on; the seconds until the next look, None where there is nothing to do here.

        Raises AtollError where it is to be tried again.
        """
        try:
            return self._step(id_)
        except OvertakenError:
            return _LOOK_S  # somebody else changed it first: another look
        except AtollError as error:
            self._held_up(id_, error)
            raise

    def _step(self, id_: str) -> float | None:
        with self._ground.database.read() as session:
            row = session.get(CheckpointRow, id_)
        jobs = self.jobs
        if row is None or row.trigger != Trigger.REBASE or jobs is None:
            return None
        if CheckpointStatus(row.status).final:
            return self._clear(jobs, row)
        if row.node is not None:
            return None  # its agent's
        run = jobs.look(row.job) if row.job is not None else None
        if row.cancelled and not self._ended(jobs, row, run):
            return _LOOK_S
        if row.cancelled:
            self._fail(row, _CANCELLED, "Cancelled.")
        elif run is None and row.status == CheckpointStatus.COPYING:
            self._fail(row, _FAILED, "Not rebased: its job was deleted.")
        elif run is None:
            self._begin(jobs, row)
        elif not run.final:
            self._tell(row, CheckpointStatus.COPYING, f"Packages are being installed: {run.told}")
        elif run.succeeded:
            return self._save(jobs, row)
        else:
            self._fail(row, _FAILED, f"Not rebased: {run.told} The log of its job says more.")
        return _LOOK_S

    def _ended(self, jobs: Jobs, row: CheckpointRow, run: Run | None) -> bool:
        """Whether nothing of the job runs any more; it is told to end."""
        if run is None or run.final:
            return True
        assert row.job is not None  # noqa: S101  # it has a run
        jobs.stop(row.job)
        return False

    def _begin(self, jobs: Jobs, row: CheckpointRow) -> None:
        """Write down what is to be installed and by which job, then submit that."""
        if row.job is None or row.rebase is None:
            plan = self._plan(row)
            if plan is None:
                self._fail(row, _FAILED, "Not rebased: what was to be rebased is gone.")
                return
            values: store.Values = {"job": new_id("j"), "rebase": plan.model_dump(mode="json")}
            with self._ground.database.write() as session:
                row = session.get_one(CheckpointRow, row.id)
                if row.job is None:  # else another service was quicker
                    values["status"] = CheckpointStatus.SCANNING
                    store.write_checkpoint(session, row, values)
        plan = Plan.model_validate(row.rebase)
        assert row.job is not None  # noqa: S101  # written down above
        called = row.note[:_CALLED_MOST] or "an environment"
        name = f"rebase of {called}.ipynb"
        try:
            jobs.begin(row.job, row.user, name, notebook(called), plan.parameters)
        except UnavailableError:
            raise
        except AtollError as error:
            self._fail(row, _FAILED, f"Not rebased: its job cannot be submitted. {error}")
            return
        self._tell(row, CheckpointStatus.COPYING, "Packages are about to be installed.")

    def _plan(self, row: CheckpointRow) -> Plan | None:
        """What is to be installed; None where the source is gone."""
        with self._ground.database.read() as session:
            source = store.owned_checkpoint(session, row.user, row.parent or "")
        if source is None or source.digest is None:
            return None
        contained = source.node is not None
        only = source.layers if contained else None
        try:
            with self._targets.content(source.repository) as content:
                urls = changes.sources(content, source.digest, only)
        except oci.MissingError:
            return None
        except oci.OciError as error:
            raise UnavailableError(
                f"What is to be rebased cannot be read: {error.detail}"
            ) from error
        base = {} if contained else self._ground.platform.packages
        said = Changes.model_validate(source.changes or {})
        return rebase.plan(source.packages, said, urls, base)

    def _save(self, jobs: Jobs, row: CheckpointRow) -> float | None:
        """What the job left behind: saved here where it is a directory, else by its node's agent."""
        assert row.job is not None  # noqa: S101  # it succeeded
        place = jobs.environment(row.job)
        if place is None:
            self._fail(row, _FAILED, f"Not rebased: {_GONE}")
        elif isinstance(place, Path):
            self._save_directory(row, place, _report(jobs, row.job))
        else:
            self._hand_over(row, place, _report(jobs, row.job))
        return _LOOK_S

    def _save_directory(self, row: CheckpointRow, place: Path, report: rebase.Report) -> None:
        self._tell(row, CheckpointStatus.PUBLISHING, "The rebased environment is being saved.")
        directory = self._ground.directory_at(place)
        with directory.lock() as mine:
            if not mine:
                return  # another service saves it
            try:
                saved = self._saved(row, directory)
            except oci.StoreFullError as error:
                raise FullError(error.detail, hint=error.hint) from error
            except oci.OciError as error:
                reason = "quota_exceeded" if isinstance(error, QuotaError) else _FAILED
                refused = isinstance(error, oci.LimitError)
                self._fail(row, reason, f"Not saved: {error}", refused=refused)
                return
            self._ready(row, saved, report)
        retention.apply(self._ground, row.server_id)

    def _saved(self, row: CheckpointRow, directory: EnvironmentDirectory) -> Saved | None:
        """The directory as an image; None where it is the base alone."""
        if not directory.whole():
            raise oci.MissingError(_GONE)
        with self._ground.database.read() as session:
            room = self._ground.room(session, row.user)
        saved = directory.save(
            self._ground.images,
            self._ground.base,
            row.id,
            created=self._ground.clock(),
            most_layers=self._ground.settings.most_layers,
            room=room,
        )
        if saved is None and directory.digest() not in (None, self._ground.base):
            return directory.as_saved(self._ground.images, row.parent)  # a kill came in between
        return saved

    def _ready(self, row: CheckpointRow, saved: Saved | None, report: rebase.Report) -> None:
        plan = Plan.model_validate(row.rebase)
        own = saved.packages if saved is not None else {}
        outcome = rebase.outcome(plan, report, {**self._ground.platform.packages, **own})
        if outcome.nothing:
            why = rebase.first_reason(outcome.left, outcome.names)
            message = f"Not rebased: not one of its packages could be installed. {why}"
            self._fail(row, _FAILED, message, outcome)
            return
        values: store.Values = {
            "status": CheckpointStatus.READY,
            "digest": self._ground.base,
            "base": self._ground.base,
            "base_name": self._ground.platform.name,
            "platform_version": self._ground.platform.version or None,
            "finished_at": self._ground.clock(),
        }
        if saved is not None:
            values = saved_values(self._ground, row, saved)
        values |= rebase.concluded(values, plan, outcome, row.parent)
        with self._ground.database.write() as session:
            again = session.get_one(CheckpointRow, row.id)
            if not CheckpointStatus(again.status).final:
                store.write_checkpoint(session, again, values)
                store.release_holds(session, holder(row.id))

    def _hand_over(self, row: CheckpointRow, place: ContainerOfJob, report: rebase.Report) -> None:
        """From now on it is a save of its node's agent, of a container that has ended."""
        kept = {**(row.rebase or {}), "report": report.model_dump(mode="json")}
        with self._ground.database.write() as session:
            again = session.get_one(CheckpointRow, row.id)
            if _out_of_hand(again) or again.cancelled:
                return
            values: store.Values = {
                "status": CheckpointStatus.REQUESTED,
                "message": "The rebased environment waits to be saved.",
                "node": place.node,
                "container": place.container,
                "image": place.image,
                "rebase": kept,
            }
            store.write_checkpoint(session, again, values)

    def _tell(self, row: CheckpointRow, status: CheckpointStatus, message: str) -> None:
        with self._ground.database.write() as session:
            again = session.get_one(CheckpointRow, row.id)
            if not _out_of_hand(again) and (again.status, again.message) != (status, message):
                told: store.Values = {"status": status, "message": message, "reason": None}
                store.write_checkpoint(session, again, told)

    def _fail(
        self,
        row: CheckpointRow,
        reason: str,
        message: str,
        outcome: rebase.Outcome | None = None,
        *,
        refused: bool = False,
    ) -> None:
        values: store.Values = {
            "status": CheckpointStatus.REFUSED if refused else CheckpointStatus.FAILED,
            "reason": reason,
            "message": message,
            "finished_at": self._ground.clock(),
        }
        if outcome is not None:
            values["left_out"] = [one.model_dump() for one in outcome.left]
        with self._ground.database.write() as session:
            again = session.get_one(CheckpointRow, row.id)
            if not _out_of_hand(again):
                store.write_checkpoint(session, again, values)
                store.release_holds(session, holder(row.id))

    def _held_up(self, id_: str, error: AtollError) -> None:
        """Say why it does not go on; it is tried again."""
        message = words.retried(error.while_retried)
        with self._ground.database.write() as session:
            row = session.get_one(CheckpointRow, id_)
            if not _out_of_hand(row) and row.message != message:
                store.write_checkpoint(session, row, {"reason": error.code, "message": message})

    def _clear(self, jobs: Jobs, row: CheckpointRow) -> float | None:
        if row.job is None:
            return None
        # another service may have submitted the job while this one was cancelled
        if not self._ended(jobs, row, jobs.look(row.job)):
            return _LOOK_S
        jobs.clear(row.job)
        return None


def _out_of_hand(row: CheckpointRow) -> bool:
    """Whether another service ended it meanwhile, or gave it to a node's agent."""
    return CheckpointStatus(row.status).final or row.node is not None


def _report(jobs: Jobs, job: str) -> rebase.Report:
    """What the job says of itself; an empty report where its notebook grew beyond what is given out."""
    try:
        return rebase.read_report(jobs.output(job))
    except TooLargeError:
        return rebase.Report()
