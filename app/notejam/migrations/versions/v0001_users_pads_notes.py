"""Users, pads and notes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("email", sa.String(75), nullable=False),
        sa.Column("password", sa.String(255), nullable=False),
    )
    # Unique without regard to case. The collation is pinned, so that no server's language has a say.
    key = 'lower(email COLLATE "C")' if is_postgres else "lower(email)"
    op.create_index("users_email_unique", "users", [sa.text(key)], unique=True)
    op.create_table(
        "pads",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    )
    op.create_index("pads_user", "pads", ["user_id"])
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("pad_id", sa.Integer, sa.ForeignKey("pads.id", ondelete="CASCADE")),
    )
    op.create_index("notes_user_updated", "notes", ["user_id", "updated_at", "id"])
    op.create_index("notes_pad", "notes", ["pad_id"])


def downgrade() -> None:
    """Drop the three tables."""
    op.drop_table("notes")
    op.drop_table("pads")
    op.drop_table("users")
