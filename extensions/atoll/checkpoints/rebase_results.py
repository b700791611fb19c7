"""The end of a rebase whose job ran in a container: compared with what was wanted, and written down."""

from __future__ import annotations

from sqlalchemy.orm import Session

from atoll.checkpoints import rebase, store
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import CheckpointStatus
from atoll.checkpoints.node_models import ImageSaved
from atoll.checkpoints.origins import Origin
from atoll.checkpoints.rebase import Plan, Report
from atoll.checkpoints.rebase_store import holder
from atoll.checkpoints.store import CheckpointRow


def rebased(
    session: Session,
    ground: Ground,
    row: CheckpointRow,
    *,
    of: Origin,
    told: ImageSaved,
    values: store.Values,
) -> None:
    """Make the rebase ready, or failed.

    `values` are a save's; where nothing lies over the base they are what its image was made for.
    """
    kept = dict(row.rebase or {})
    report = Report.model_validate(kept.pop("report", {}))
    plan = Plan.model_validate(kept)
    # the base's packages are the job's to tell; what was saved was read by the agent
    outcome = rebase.outcome(plan, report, {**report.installed, **told.packages})
    if outcome.nothing:
        why = rebase.first_reason(outcome.left, outcome.names)
        message = f"Not rebased: not one of its packages could be installed. {why}"
        values = {
            "status": CheckpointStatus.FAILED,
            "reason": "rebase_failed",
            "message": message,
            "left_out": [one.model_dump() for one in outcome.left],
        }
    elif not told.added:
        values = {**values, "status": CheckpointStatus.READY, "digest": of.parent, "base": of.base}
        values |= {"base_name": of.base_name, "message": None}
        values |= {"repository": None}  # nodes pull the job's image from where it is
        values |= rebase.concluded(values, plan, outcome, row.parent)
    else:
        values = {**values, "image": None}  # it is in a repository of ours
        values |= rebase.concluded(values, plan, outcome, row.parent)
    store.write_checkpoint(session, row, {**values, "finished_at": ground.clock()})
    store.release_holds(session, holder(row.id))
