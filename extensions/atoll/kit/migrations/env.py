"""Alembic's environment: it runs in the transaction that `Database.upgrade` has begun."""

from alembic import context
from atoll.kit.db import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
