"""Who else may start from a checkpoint."""

import sqlalchemy as sa
from alembic import op

revision = "c0003"
down_revision = "c0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; nothing is shared yet."""
    op.create_table(
        "checkpoint_grants",
        sa.Column("checkpoint_id", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoints.id"],
            name="fk_checkpoint_grants_checkpoint_id_checkpoints",
        ),
        sa.PrimaryKeyConstraint("checkpoint_id", "principal", name="pk_checkpoint_grants"),
    )
    op.create_index("ix_checkpoint_grants_principal", "checkpoint_grants", ["principal"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("checkpoint_grants")
