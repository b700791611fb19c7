"""What looks like secrets in a checkpoint, by path."""

import sqlalchemy as sa
from alembic import op

revision = "c0007"
down_revision = "c0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the paths: of what was saved before, its message alone names them."""
    op.add_column(
        "checkpoints", sa.Column("secrets", sa.JSON(), server_default="[]", nullable=False)
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("checkpoints", "secrets")
