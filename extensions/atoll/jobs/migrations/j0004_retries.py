"""Jobs that are run again by themselves where they fail."""

import sqlalchemy as sa
from alembic import op

revision = "j0004"
down_revision = "j0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; jobs from before are run once."""
    op.add_column("jobs", sa.Column("retries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("retry_of", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("retried_by", sa.String(), nullable=True))
    op.create_index("ix_jobs_retried_by", "jobs", ["retried_by"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_jobs_retried_by", "jobs")
    for column in ("retried_by", "retry_of", "retries"):
        op.drop_column("jobs", column)
