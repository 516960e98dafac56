"""The record of migrations that took something away, where older code learns that it cannot serve."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, empty: nothing has been taken away so far."""
    op.create_table(
        "schema_contracts",
        sa.Column("revision", sa.String(32), primary_key=True),
        sa.Column("safe_from", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("schema_contracts")
