"""Charges, bank notices and who pays online."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from chassis.db import UtcDateTime

revision = "0007"
down_revision = "0006"

UUID = pg.UUID(as_uuid=True)


def _text(name: str, *, default: str | None = None) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, server_default=default)


def _place() -> "list[sa.Column[str]]":
    return [_text("unit"), _text("commune"), _text("path")]


def upgrade() -> None:
    op.create_table(
        "household",
        sa.Column("id", UUID, primary_key=True),
        *_place(),
        _text("number"),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_household_commune", "household", ["commune", "unit", "number"])
    op.create_index("ix_household_unit", "household", ["unit"])
    op.create_table(
        "payee",
        sa.Column("id", UUID, primary_key=True),
        *_place(),
        _text("name"),
        _text("service"),
        _text("bank_bin"),
        _text("account"),
        _text("holder"),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.CheckConstraint(
            "service IN ('electricity', 'water', 'waste', 'tuition', 'public_administration', 'other')",
            name="ck_payee_service",
        ),
    )
    op.create_index("ix_payee_path", "payee", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index("ix_payee_account", "payee", ["account", "bank_bin"])
    _charge()
    _business()
    _notice()
    op.create_table(
        "collecting_year",
        _text("commune"),
        sa.Column("year", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("commune", "year", name="pk_collecting_year"),
    )
    op.create_table(
        "payment_told",
        sa.Column("household_id", UUID, sa.ForeignKey("household.id"), nullable=False),
        sa.Column("year", sa.SmallInteger, nullable=False),
        _text("unit"),
        _text("commune"),
        sa.Column("paid_online", sa.Integer, nullable=False),
        sa.Column("services", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("household_id", "year", name="pk_payment_told"),
    )
    op.create_index("ix_payment_told_commune", "payment_told", ["commune", "year"])


def _charge() -> None:
    op.create_table(
        "charge",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("payee_id", UUID, sa.ForeignKey("payee.id"), nullable=False),
        sa.Column("household_id", UUID, sa.ForeignKey("household.id"), nullable=False),
        _text("period"),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        _text("code"),
        _text("token"),
        _text("state"),
        _text("means"),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("paid_at", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("code", name="uq_charge_code"),
        sa.UniqueConstraint("token", name="uq_charge_token"),
        sa.CheckConstraint("state IN ('open', 'paid', 'cancelled')", name="ck_charge_state"),
        sa.CheckConstraint("means IN ('', 'bank', 'cash')", name="ck_charge_means"),
        sa.CheckConstraint("amount BETWEEN 1 AND 1000000000000 AND received >= 0", name="ck_charge_amount"),
        sa.CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="ck_charge_paid_at"),
    )
    op.create_index("ix_charge_payee", "charge", ["payee_id", "period"])
    op.create_index("ix_charge_household", "charge", ["household_id", "paid_at"])
    # Nobody is charged twice for one service of one month; what was cancelled may be charged anew.
    op.create_index(
        "uq_charge_once",
        "charge",
        ["payee_id", "household_id", "period"],
        unique=True,
        postgresql_where=sa.text("state <> 'cancelled'"),
    )


def _business() -> None:
    op.create_table(
        "business",
        sa.Column("id", UUID, primary_key=True),
        *_place(),
        _text("name"),
        _text("registration"),
        _text("bank_bin"),
        _text("account"),
        _text("holder"),
        _text("code"),
        _text("means"),
        _text("evidence"),
        sa.Column("online_since", sa.Date),
        sa.Column("ended_on", sa.Date),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("code", name="uq_business_code"),
        sa.CheckConstraint("means IN ('', 'vietqr', 'documented')", name="ck_business_means"),
        sa.CheckConstraint("(means = '') = (online_since IS NULL)", name="ck_business_online"),
        sa.CheckConstraint("means <> 'documented' OR evidence <> ''", name="ck_business_evidence"),
    )
    op.create_index("ix_business_path", "business", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index("ix_business_account", "business", ["account", "bank_bin"])
    op.create_index(
        "uq_business_registration",
        "business",
        ["commune", "registration"],
        unique=True,
        postgresql_where=sa.text("ended_on IS NULL"),
    )


def _notice() -> None:
    op.create_table(
        "bank_notice",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("payee_id", UUID, sa.ForeignKey("payee.id")),
        sa.Column("charge_id", UUID, sa.ForeignKey("charge.id")),
        sa.Column("business_id", UUID, sa.ForeignKey("business.id")),
        _text("bank_bin"),
        _text("account"),
        _text("transaction_id"),
        sa.Column("amount", sa.BigInteger, nullable=False),
        _text("description"),
        sa.Column("paid_at", UtcDateTime, nullable=False),
        _text("state"),
        _text("source"),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("refunded", sa.BigInteger, nullable=False),
        _text("refund_reason"),
        sa.Column("refunded_at", UtcDateTime),
        sa.UniqueConstraint("bank_bin", "account", "transaction_id", name="uq_bank_notice_transaction"),
        sa.CheckConstraint("amount > 0 AND refunded BETWEEN 0 AND amount", name="ck_bank_notice_amount"),
        sa.CheckConstraint("payee_id IS NOT NULL OR business_id IS NOT NULL", name="ck_bank_notice_whose"),
        sa.CheckConstraint("(refunded > 0) = (refunded_at IS NOT NULL)", name="ck_bank_notice_refunded"),
    )
    op.create_index("ix_bank_notice_payee", "bank_notice", ["payee_id", "id"])
    op.create_index("ix_bank_notice_charge", "bank_notice", ["charge_id"])
    op.create_index("ix_bank_notice_business", "bank_notice", ["business_id"])


def downgrade() -> None:
    for table in ("payment_told", "collecting_year", "bank_notice", "business", "charge", "payee", "household"):
        op.drop_table(table)
