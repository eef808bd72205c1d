"""Kinds of a digital team's activities: classes in digital skills are counted apart."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What was logged so far was logged as guidance, the only thing the form asked about; none of it counts as a class.
    # The default stays for processes of the release before, which log without a kind while they are being replaced.
    op.add_column("team_activity", sa.Column("kind", sa.Text(), nullable=False, server_default="support"))


def downgrade() -> None:
    op.drop_column("team_activity", "kind")
