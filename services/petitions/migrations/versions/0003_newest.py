"""An index in the order of the public list: without it the newest fifty are found by reading and sorting all."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_petition_newest", "petition", ["filed_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_petition_newest", table_name="petition")
