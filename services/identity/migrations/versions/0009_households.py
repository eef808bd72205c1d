"""Households of villages with their digital addresses, and what the register of each commune comes to."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "household",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("place_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("digital_address", sa.Boolean(), nullable=False),
        sa.Column("livelihood", sa.Text(), nullable=True),
        sa.Column("poverty", sa.Text(), nullable=True),
        sa.Column("reviewed_year", sa.Integer(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_household")),
        sa.CheckConstraint("people > 0", name=op.f("ck_household_people")),
        sa.CheckConstraint("(poverty IS NULL) = (reviewed_year IS NULL)", name=op.f("ck_household_review")),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name=op.f("ck_household_end")),
    )
    op.create_index(
        "uq_household_number",
        "household",
        ["path", "number"],
        unique=True,
        postgresql_ops={"path": "text_pattern_ops"},
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "household_register",
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in (
                "villages",
                "villages_recorded",
                "villages_reviewed",
                "year",
                "households",
                "households_located",
                "people",
                "households_in_all",
                "offices",
                "offices_located",
            )
        ),
        sa.PrimaryKeyConstraint("unit", name=op.f("pk_household_register")),
    )
    op.create_index(
        "ix_household_register_path", "household_register", ["path"], postgresql_ops={"path": "text_pattern_ops"}
    )


def downgrade() -> None:
    op.drop_table("household_register")
    op.drop_table("household")
