"""Reorganisations of units: change sets, successions, roles that people must settle."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "change_set",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("sources", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("counts", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_set")),
    )
    op.create_table(
        "succession",
        sa.Column("predecessor", sa.Text(), nullable=False),
        sa.Column("predecessor_from", sa.Date(), nullable=False),
        sa.Column("successor", sa.Text(), nullable=False),
        sa.Column("successor_from", sa.Date(), nullable=False),
        sa.Column("change_set", sa.Text(), nullable=False),
        sa.Column("numerator", sa.BigInteger(), nullable=True),
        sa.Column("denominator", sa.BigInteger(), nullable=True),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(numerator IS NULL) = (denominator IS NULL) AND numerator > 0 AND numerator <= denominator",
            name=op.f("ck_succession_share"),
        ),
        sa.ForeignKeyConstraint(["change_set"], ["change_set.id"], name=op.f("fk_succession_change_set")),
        sa.PrimaryKeyConstraint(
            "predecessor", "predecessor_from", "successor", "successor_from", name=op.f("pk_succession")
        ),
    )
    op.create_index("ix_succession_successor", "succession", ["successor", "successor_from"])
    op.create_index("ix_succession_change_set", "succession", ["change_set"])
    op.create_table(
        "unsettled_role",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("change_set", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("unit_from", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["change_set"], ["change_set.id"], name=op.f("fk_unsettled_role_change_set")),
        sa.ForeignKeyConstraint(["grant_id"], ["role_grant.id"], name=op.f("fk_unsettled_role_grant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unsettled_role")),
    )
    op.create_index("ix_unsettled_role_change_set", "unsettled_role", ["change_set"])
    op.create_index("ix_unsettled_role_grant_id", "unsettled_role", ["grant_id"])


def downgrade() -> None:
    for table in ("unsettled_role", "succession", "change_set"):
        op.drop_table(table)
