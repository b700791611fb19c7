"""Which dataset it was that was made once: another of that name is an administrator's own."""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

revision = "d0002"
down_revision = "d0001"
branch_labels = None
depends_on = None

_WAIT = timedelta(minutes=1)  # for its turn to write, at most
_SEEDS = sa.table(
    "dataset_seeds",
    sa.column("name", sa.String()),
    sa.column("created_at", sa.DateTime()),
    sa.column("dataset_id", sa.String()),
)
_DATASETS = sa.table(
    "datasets",
    sa.column("id", sa.String()),
    sa.column("owner", sa.String()),
    sa.column("name", sa.String()),
    sa.column("created_at", sa.DateTime()),
)


def upgrade() -> None:
    """Add it; which it was of those that were made already, is told by the time.

    A dataset is created just before its seed. A younger one of that name came after it was removed,
    an older one was there before: of both nothing is followed.
    """
    op.add_column("dataset_seeds", sa.Column("dataset_id", sa.String(), nullable=True))
    connection = op.get_bind()
    for seed in connection.execute(sa.select(_SEEDS.c.name, _SEEDS.c.created_at)).all():
        made = connection.scalar(
            sa.select(_DATASETS.c.id).where(
                _DATASETS.c.owner == "",
                _DATASETS.c.name == seed.name,
                _DATASETS.c.created_at.between(seed.created_at - _WAIT, seed.created_at),
            )
        )
        told = sa.update(_SEEDS).where(_SEEDS.c.name == seed.name)
        connection.execute(told.values(dataset_id=made))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("dataset_seeds", "dataset_id")
