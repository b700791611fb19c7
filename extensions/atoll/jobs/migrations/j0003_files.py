"""The files that jobs are given."""

import sqlalchemy as sa
from alembic import op

revision = "j0003"
down_revision = "j0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; jobs from before were given none."""
    op.add_column("jobs", sa.Column("files", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(
        "jobs", sa.Column("files_size", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("listing", sa.JSON(), nullable=False),
        sa.Column("archive", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_files_job_id_jobs"),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_files"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("job_files")
    op.drop_column("jobs", "files_size")
    op.drop_column("jobs", "files")
