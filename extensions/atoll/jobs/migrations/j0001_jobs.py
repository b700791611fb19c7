"""Jobs, their notebooks, what they read, and queues."""

import sqlalchemy as sa
from alembic import op

revision = "j0001"
down_revision = None
branch_labels = ("jobs",)
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=True),
        sa.Column("kernel", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("choice", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=True),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("cell", sa.Integer(), nullable=False),
        sa.Column("cells", sa.Integer(), nullable=False),
        sa.Column("failure", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("timeout_s", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=True),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    for column in ("name", "status", "token_hash", "user"):
        op.create_index(f"ix_jobs_{column}", "jobs", [column])
    op.create_table(
        "job_notebooks",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_notebooks_job_id_jobs"),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_notebooks"),
    )
    op.create_table(
        "job_reads",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_reads_job_id_jobs"),
        sa.PrimaryKeyConstraint("job_id", "dataset_id", name="pk_job_reads"),
    )
    op.create_table(
        "job_queues",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_queues"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("job_queues", "job_reads", "job_notebooks", "jobs"):
        op.drop_table(table)
