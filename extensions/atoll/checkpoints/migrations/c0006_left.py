"""Saves that their servers did not wait for, since their node is silent."""

import sqlalchemy as sa
from alembic import op

revision = "c0006"
down_revision = "c0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add of which start such a save is: there is none yet."""
    op.add_column("checkpoints", sa.Column("left_id", sa.String(), nullable=True))


def downgrade() -> None:
    """Drop it; a server would take what still waits for its own stop's."""
    rows = sa.table(
        "checkpoints", *(sa.column(name, sa.String()) for name in ("left_id", "status", "reason"))
    )
    waits = rows.c.left_id.is_not(None) & rows.c.status.not_in(("ready", "refused", "failed"))
    op.execute(sa.update(rows).where(waits).values(status="failed", reason="discarded"))
    op.drop_column("checkpoints", "left_id")
