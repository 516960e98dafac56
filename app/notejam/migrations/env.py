"""How Alembic runs the migrations. schema.py opens the connection, holds the lock, and hands it over."""

from alembic import context

from notejam.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    transaction_per_migration=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
