"""Datasets, grants, and which of the platform's own were made."""

import sqlalchemy as sa
from alembic import op

revision = "d0001"
down_revision = None
branch_labels = ("datasets",)
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("wanted_format", sa.String(), nullable=True),
        sa.Column("location", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("probe_at", sa.DateTime(), nullable=False),
        sa.Column("format", sa.String(), nullable=True),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("partitions", sa.JSON(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("rows_exact", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("source_modified_at", sa.DateTime(), nullable=True),
        sa.Column("probed_at", sa.DateTime(), nullable=True),
        sa.Column("sample", sa.String(), nullable=True),
        sa.Column("seen", sa.String(), nullable=True),
        sa.Column("refused", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.UniqueConstraint("owner", "name", name="uq_datasets_owner"),
    )
    for column in ("name", "probe_at", "status"):
        op.create_index(f"ix_datasets_{column}", "datasets", [column])
    op.create_table(
        "dataset_grants",
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name="fk_dataset_grants_dataset_id_datasets",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_id", "principal", name="pk_dataset_grants"),
    )
    op.create_index("ix_dataset_grants_principal", "dataset_grants", ["principal"])
    op.create_table(
        "dataset_seeds",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_dataset_seeds"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("dataset_seeds", "dataset_grants", "datasets"):
        op.drop_table(table)
