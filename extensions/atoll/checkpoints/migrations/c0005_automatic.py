"""How often what a running server changes is saved by itself."""

import sqlalchemy as sa
from alembic import op

revision = "c0005"
down_revision = "c0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what profiles did not say before: servers that run are saved as the settings say."""
    op.add_column("servers", sa.Column("save_every_s", sa.Integer(), nullable=True))
    op.add_column("servers", sa.Column("tried_at", sa.DateTime(), nullable=True))


def downgrade() -> None:
    """Drop it; what was saved by itself stays, as if its user had saved it."""
    checkpoints = sa.table("checkpoints", sa.column("trigger", sa.String()))
    automatic = sa.update(checkpoints).where(checkpoints.c.trigger == "automatic")
    op.execute(automatic.values(trigger="user"))
    for name in ("tried_at", "save_every_s"):
        op.drop_column("servers", name)
