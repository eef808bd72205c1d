"""Production diaries, lots and their events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from chassis.db import UtcDateTime

revision = "0006"
down_revision = "0005"

UUID = pg.UUID(as_uuid=True)


def upgrade() -> None:
    op.create_table(
        "plot",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("producer_id", UUID, sa.ForeignKey("producer.id"), nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("growing_area_code", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_plot_producer", "plot", ["producer_id", "id"])
    op.create_index("ix_plot_unit", "plot", ["unit"])
    _diary()
    _lot()
    _step()


def _diary() -> None:
    op.create_table(
        "diary_entry",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("plot_id", UUID, sa.ForeignKey("plot.id"), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("work", sa.Text, nullable=False),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("quiet_days", sa.SmallInteger, nullable=False),
        sa.Column("done_by", sa.Text, nullable=False),
        sa.Column("households", sa.Integer, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("by_staff", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("replaces", UUID, sa.ForeignKey("diary_entry.id")),
        sa.Column("struck_at", UtcDateTime),
        sa.Column("struck_reason", sa.Text, nullable=False),
        sa.CheckConstraint("quiet_days BETWEEN 0 AND 365", name="ck_diary_entry_quiet_days"),
        sa.CheckConstraint("households >= 0", name="ck_diary_entry_households"),
        sa.CheckConstraint("struck_at IS NULL OR struck_reason <> ''", name="ck_diary_entry_struck"),
    )
    op.create_index("ix_diary_entry_plot", "diary_entry", ["plot_id", "day", "id"])
    op.create_index("uq_diary_entry_replaces", "diary_entry", ["replaces"], unique=True)


def _lot() -> None:
    op.create_table(
        "lot",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("producer_id", UUID, sa.ForeignKey("producer.id"), nullable=False),
        sa.Column("product_id", UUID, sa.ForeignKey("product.id"), nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("gtin", sa.Text, nullable=False),
        sa.Column("season_from", sa.Date, nullable=False),
        sa.Column("harvested_on", sa.Date, nullable=False),
        sa.Column("quantity", sa.Numeric(12, 3), nullable=False),
        sa.Column("uom", sa.Text, nullable=False),
        sa.Column("households", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("status_before_recall", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("published_at", UtcDateTime),
        sa.CheckConstraint("status IN ('open', 'shipped', 'recalled', 'closed')", name="ck_lot_status"),
        sa.CheckConstraint("season_from <= harvested_on", name="ck_lot_season"),
        sa.CheckConstraint("quantity > 0", name="ck_lot_quantity"),
        sa.CheckConstraint("households >= 0", name="ck_lot_households"),
        sa.CheckConstraint("(status = 'recalled') = (status_before_recall <> '')", name="ck_lot_recall"),
    )
    op.create_index("uq_lot_code", "lot", ["code"], unique=True)
    op.create_index("ix_lot_producer", "lot", ["producer_id", "id"])
    op.create_index("ix_lot_product", "lot", ["product_id", "id"])
    op.create_index("ix_lot_unit", "lot", ["unit"])
    op.create_index("ix_lot_path", "lot", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_table(
        "lot_plot",
        sa.Column("lot_id", UUID, sa.ForeignKey("lot.id"), primary_key=True),
        sa.Column("plot_id", UUID, sa.ForeignKey("plot.id"), primary_key=True),
    )
    op.create_index("ix_lot_plot_plot", "lot_plot", ["plot_id"])


def _step() -> None:
    op.create_table(
        "lot_step",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("lot_id", UUID, sa.ForeignKey("lot.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("quantity", sa.Numeric(12, 3), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by_staff", sa.Boolean, nullable=False),
        sa.Column("recorded_at", UtcDateTime, nullable=False),
        sa.Column("biz_step", sa.Text, nullable=False),
        sa.Column("epc_class", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event", pg.JSONB, nullable=False),
    )
    op.create_index("ix_lot_step_lot", "lot_step", ["lot_id", "at", "id"])
    op.create_index("uq_lot_step_event_id", "lot_step", ["event_id"], unique=True)
    # Programs ask for the events of one lot, of one kind of step, or of a time; each newest first.
    op.create_index("ix_lot_step_at", "lot_step", ["at", "id"])
    op.create_index("ix_lot_step_epc_class", "lot_step", ["epc_class", "at", "id"])


def downgrade() -> None:
    for table in ("lot_step", "lot_plot", "lot", "diary_entry", "plot"):
        op.drop_table(table)
