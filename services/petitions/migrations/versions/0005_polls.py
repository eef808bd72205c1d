"""Polls and surveys: what is asked, who took part, and apart from that what was answered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _poll() -> None:
    op.create_table(
        "poll",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("villages", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("introduction", sa.Text, nullable=False),
        sa.Column("questions", pg.JSONB, nullable=False),
        sa.Column("opens_on", sa.Date, nullable=False),
        sa.Column("closes_on", sa.Date, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("end_reason", sa.Text, nullable=False, server_default=""),
        sa.Column("answers", sa.Integer, nullable=False, server_default="0"),
        sa.Column("assisted", sa.Integer, nullable=False, server_default="0"),
        sa.Column("response", sa.Text, nullable=False, server_default=""),
        sa.Column("responded_on", sa.Date),
        sa.CheckConstraint(
            "purpose IN ('satisfaction', 'consultation', 'learning_needs', 'new_countryside')", name="ck_poll_purpose"
        ),
        sa.CheckConstraint("status IN ('draft', 'open', 'closed', 'withdrawn')", name="ck_poll_status"),
        sa.CheckConstraint("opens_on <= closes_on", name="ck_poll_days"),
        sa.CheckConstraint("0 <= assisted AND assisted <= answers", name="ck_poll_counts"),
        sa.CheckConstraint("(response = '') = (responded_on IS NULL)", name="ck_poll_response"),
    )
    op.create_index("ix_poll_commune", "poll", ["commune", "id"])
    op.create_index("ix_poll_path", "poll", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index("ix_poll_due", "poll", ["closes_on"], postgresql_where=sa.text("status = 'open'"))


def upgrade() -> None:
    _poll()
    op.create_table(
        "poll_participation",
        sa.Column("poll_id", pg.UUID(as_uuid=True), sa.ForeignKey("poll.id"), primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("sealed_answer", sa.LargeBinary),
    )
    op.create_index("ix_poll_participation_account", "poll_participation", ["account"])
    op.create_table(
        "poll_answer",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("poll_id", pg.UUID(as_uuid=True), sa.ForeignKey("poll.id"), nullable=False),
        sa.Column("village", sa.Text),
        sa.Column("paper_no", sa.Integer),
        sa.Column("choices", pg.JSONB, nullable=False),
        sa.Column("texts", pg.JSONB, nullable=False),
        sa.UniqueConstraint("poll_id", "paper_no", name="uq_poll_answer_poll_id_paper_no"),
    )


def downgrade() -> None:
    for table in ("poll_answer", "poll_participation", "poll"):
        op.drop_table(table)
