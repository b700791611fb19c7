"""What servers in a cluster are started from and without, and images that are to be removed."""

import sqlalchemy as sa
from alembic import op

revision = "c0002"
down_revision = "c0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what the first version did not know; its servers were started with everything."""
    op.add_column(
        "servers", sa.Column("without", sa.JSON(), nullable=False, server_default=sa.text("'[]'"))
    )
    op.add_column("servers", sa.Column("settled_id", sa.String(), nullable=True))
    op.add_column("servers", sa.Column("ended_why", sa.String(), nullable=True))
    op.add_column("checkpoints", sa.Column("image", sa.String(), nullable=True))
    op.create_table(
        "removals",
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("wanted_at", sa.DateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("repository", "digest", name="pk_removals"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("removals")
    op.drop_column("checkpoints", "image")
    for name in ("ended_why", "settled_id", "without"):
        op.drop_column("servers", name)
