"""The register of staff that events tell of, and whether a member of staff uses a smartphone with Internet."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nothing is filled in: nobody was asked, and the service tells the posts there are when it starts.
    op.add_column("account", sa.Column("uses_smartphone", sa.Boolean(), nullable=True))
    op.create_table(
        "staff_post",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("contact_public", sa.Boolean(), nullable=False),
        sa.Column("mobile_internet", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_post")),
        sa.UniqueConstraint("account_id", "unit", name=op.f("uq_staff_post_account_id_unit")),
    )
    op.create_index("ix_staff_post_path", "staff_post", ["path"], postgresql_ops={"path": "text_pattern_ops"})


def downgrade() -> None:
    op.drop_table("staff_post")
    op.drop_column("account", "uses_smartphone")
