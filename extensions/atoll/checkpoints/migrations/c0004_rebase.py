"""What a checkpoint's image was made for, and the job that rebases one."""

import sqlalchemy as sa
from alembic import op

revision = "c0004"
down_revision = "c0003"
branch_labels = None
depends_on = None

_COLUMNS = ("platform_version", "python_version", "architecture", "job", "container")


def upgrade() -> None:
    """Add what images did not tell before: of those that are saved already nothing is known."""
    for name in _COLUMNS:
        op.add_column("checkpoints", sa.Column(name, sa.String(), nullable=True))
    op.add_column("checkpoints", sa.Column("rebase", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drop it; what was rebased stays, as if its user had saved it, and what goes on fails."""
    checkpoints = sa.table(
        "checkpoints", *map(sa.column, ("trigger", "status", "reason", "message"))
    )
    holds = sa.table("holds", sa.column("holder", sa.String()))
    rebases = sa.update(checkpoints).where(checkpoints.c.trigger == "rebase")
    op.execute(
        rebases.where(checkpoints.c.status.not_in(("ready", "refused", "failed"))).values(
            status="failed",
            reason="rebase_failed",
            message="Not rebased: the platform went back to a version that rebases nothing.",
        )
    )
    op.execute(rebases.values(trigger="user"))
    op.execute(sa.delete(holds).where(holds.c.holder.startswith("rebase:")))
    op.drop_column("checkpoints", "rebase")
    for name in reversed(_COLUMNS):
        op.drop_column("checkpoints", name)
