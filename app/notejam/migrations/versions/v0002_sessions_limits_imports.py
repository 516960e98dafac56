"""Sessions that can be ended, limits in rate, the record of an import, indexes for the orders of lists."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only add: the release before goes on working with this schema."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    instant = sa.DateTime(timezone=True)

    # Empty for people who sign up at a pod of the release before; their next sign-in fills it.
    op.add_column("users", sa.Column("session_key", sa.String(32)))
    random = "replace(gen_random_uuid()::text, '-', '')" if is_postgres else "lower(hex(randomblob(16)))"
    op.execute(f"UPDATE users SET session_key = {random}")  # noqa: S608 - ours

    op.create_table(
        "ended_sessions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("expires_at", instant, nullable=False),
    )
    op.create_index("ended_sessions_expiry", "ended_sessions", ["expires_at"])
    op.create_table(
        "rate_limits",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
    )
    op.create_index("rate_limits_expiry", "rate_limits", ["expires_at"])
    op.create_table(
        "legacy_imports",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("legacy_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("new_id", sa.BigInteger),
        sa.Column("outcome", sa.Text, nullable=False),
    )

    # Built in one go, while writes wait: no installation has many notes before this revision.
    op.create_index("notes_pad_updated", "notes", ["pad_id", "updated_at", "id"])
    if is_postgres:
        name_key = sa.text('lower(name COLLATE "und-x-icu") COLLATE "C"')
        op.create_index("notes_user_name", "notes", ["user_id", name_key, "id"])
        op.create_index("notes_pad_name", "notes", ["pad_id", name_key, "id"])


def downgrade() -> None:
    """Drop what was added."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("notes_pad_name")
        op.drop_index("notes_user_name")
    op.drop_index("notes_pad_updated")
    for table in ("legacy_imports", "rate_limits", "ended_sessions"):
        op.drop_table(table)
    op.drop_column("users", "session_key")
