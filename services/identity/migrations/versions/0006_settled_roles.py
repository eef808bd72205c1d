"""Roles that did not go over in a reorganisation: who settled them, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("unsettled_role", sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("unsettled_role", sa.Column("settled_by", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("unsettled_role", "settled_by")
    op.drop_column("unsettled_role", "settled_at")
