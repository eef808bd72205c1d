"""Entries (written here) and effects (of entries written elsewhere)."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "entry",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
    )
    # No unique constraint on what took effect: it is the inbox that must keep a second effect away.
    op.create_table(
        "effect",
        sa.Column("position", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
