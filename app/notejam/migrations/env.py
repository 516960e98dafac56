"""How Alembic runs the migrations. schema.py opens the connection, holds the lock, and hands it over."""

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script

from notejam import schema
from notejam.models import Base

connection = context.config.attributes["connection"]


def record(
    ctx: MigrationContext,  # noqa: ARG001 - Alembic's signature, here and below
    step: MigrationInfo,
    heads: Collection[Any],  # noqa: ARG001
    run_args: Mapping[str, Any],  # noqa: ARG001
) -> None:
    """Keep with the schema what a migration takes away; within its own transaction."""
    for script in step.up_revisions:
        if isinstance(script, Script):
            schema.record(connection, script, applied=step.is_upgrade)


context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    transaction_per_migration=True,
    on_version_apply=record,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
