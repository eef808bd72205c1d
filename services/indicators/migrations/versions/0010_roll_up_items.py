"""What waits to be rolled up says which row of the set changed: adding up all rows was most of the work."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Without it all rows of the set are added up.
UP = ("ALTER TABLE stale ADD COLUMN item_code text",)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE stale DROP COLUMN item_code")
