"""Notices to phones: what is said, who wants to hear it, what arrived, and when waste is collected."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0003"
down_revision = "0002"

TIME = sa.DateTime(timezone=True)
UUID = pg.UUID(as_uuid=True)
TEXTS = pg.ARRAY(sa.Text)
NUMBERS = pg.ARRAY(sa.SmallInteger)


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("villages", TEXTS, nullable=False),
        sa.Column("topic", sa.String(16), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("publish_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("published_at", TIME),
        sa.Column("withdrawn_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("collection_on", sa.Date),
        sa.Column("subscriptions", sa.Integer, nullable=False),
        sa.Column("received", sa.Integer, nullable=False),
        sa.Column("opened", sa.Integer, nullable=False),
        sa.Column("told_received", sa.Integer, nullable=False),
        sa.Column("told_opened", sa.Integer, nullable=False),
        sa.Column("told_at", TIME),
        sa.CheckConstraint("status IN ('scheduled', 'published', 'withdrawn')", name="ck_notice_status"),
        sa.CheckConstraint("opened BETWEEN 0 AND received AND received <= subscriptions", name="ck_notice_counts"),
    )
    op.create_index("ix_notice_commune", "notice", ["commune", "id"])
    op.create_index("ix_notice_path", "notice", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index("ix_notice_due", "notice", ["publish_at"], postgresql_where=sa.text("status = 'scheduled'"))
    op.create_index(
        "ix_notice_untold",
        "notice",
        ["told_at"],
        postgresql_where=sa.text("received > told_received OR opened > told_opened"),
    )
    # One reminder for a village and a day, whichever process comes first.
    op.create_index(
        "uq_notice_collection",
        "notice",
        ["unit", "collection_on"],
        unique=True,
        postgresql_where=sa.text("collection_on IS NOT NULL"),
    )


def _phones() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("topics", TEXTS, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.UniqueConstraint("fingerprint", "unit", name="uq_subscription_phone"),
    )
    op.create_index("ix_subscription_path", "subscription", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index("ix_subscription_unit", "subscription", ["unit"])
    op.create_table(
        "push",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("notice_id", UUID, sa.ForeignKey("notice.id"), nullable=False),
        sa.Column("subscription_id", UUID, sa.ForeignKey("subscription.id", ondelete="SET NULL")),
        sa.Column("next_try_at", TIME),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("sent_at", TIME),
        sa.Column("received_at", TIME),
        sa.Column("opened_at", TIME),
    )
    op.create_index("ix_push_notice_id", "push", ["notice_id"])
    op.create_index("ix_push_subscription_id", "push", ["subscription_id"])
    op.create_index("ix_push_due", "push", ["next_try_at"], postgresql_where=sa.text("next_try_at IS NOT NULL"))


def _waste() -> None:
    op.create_table(
        "waste_rule",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("weekdays", NUMBERS, nullable=False),
        sa.Column("month_days", NUMBERS, nullable=False),
        sa.Column("at", sa.Time, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.CheckConstraint("(cardinality(weekdays) > 0) <> (cardinality(month_days) > 0)", name="ck_waste_rule_days"),
    )
    op.create_index("ix_waste_rule_unit", "waste_rule", ["unit"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_index("ix_waste_rule_path", "waste_rule", ["path"], postgresql_ops={"path": "text_pattern_ops"})


def upgrade() -> None:
    _notices()
    _phones()
    _waste()


def downgrade() -> None:
    for table in ("push", "subscription", "waste_rule", "notice"):
        op.drop_table(table)
