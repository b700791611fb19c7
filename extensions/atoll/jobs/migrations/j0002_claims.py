"""Who carries jobs out in a cluster, and what they ask for."""

import sqlalchemy as sa
from alembic import op

revision = "j0002"
down_revision = "j0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of claims; jobs from before asked for nothing."""
    op.add_column(
        "jobs", sa.Column("resources", sa.JSON(), nullable=False, server_default=sa.text("'{}'"))
    )
    op.create_table(
        "job_claims",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claimant", sa.String(), nullable=True),
        sa.Column("pod", sa.String(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(), nullable=True),
        sa.Column("heard_at", sa.DateTime(), nullable=True),
        sa.Column("cell", sa.Integer(), nullable=False),
        sa.Column("cells", sa.Integer(), nullable=True),
        sa.Column("ending", sa.Boolean(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_claims_job_id_jobs"),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_claims"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("job_claims")
    op.drop_column("jobs", "resources")
