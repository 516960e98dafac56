"""The migrations of the schema, and how Alembic runs them."""
