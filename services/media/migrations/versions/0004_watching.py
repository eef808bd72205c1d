"""Rules that watch cameras and what they saw."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"

TIME = sa.DateTime(timezone=True)
UUID = pg.UUID(as_uuid=True)
KINDS = ("no_picture", "frozen", "covered", "zone", "line")
VERDICTS = ("new", "confirmed", "false_alarm")


def _one_of(column: str, values: tuple[str, ...], name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=name)


def _rules() -> None:
    op.create_table(
        "camera_rule",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("camera_id", UUID, sa.ForeignKey("camera.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("points", pg.JSONB, nullable=False),
        sa.Column("share", sa.Integer, nullable=False),
        sa.Column("from_minute", sa.Integer, nullable=False),
        sa.Column("to_minute", sa.Integer, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("streak", sa.Integer, nullable=False),
        sa.Column("warning", sa.Boolean, nullable=False),
        sa.Column("last_alert_at", TIME),
        sa.Column("said_at", TIME, nullable=False),
        sa.Column("removed_at", TIME),
        _one_of("kind", KINDS, "ck_camera_rule_kind"),
        sa.CheckConstraint("checks BETWEEN 1 AND 60", name="ck_camera_rule_checks"),
        sa.CheckConstraint(
            "from_minute BETWEEN 0 AND 1439 AND to_minute BETWEEN 0 AND 1439", name="ck_camera_rule_hours"
        ),
    )
    op.create_index("ix_camera_rule_camera_id", "camera_rule", ["camera_id", "id"])
    op.create_index(
        "uq_camera_rule_kind",
        "camera_rule",
        ["camera_id", "kind"],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL AND kind NOT IN ('zone', 'line')"),
    )


def _watches() -> None:
    op.create_table(
        "camera_watch",
        sa.Column("camera_id", UUID, sa.ForeignKey("camera.id"), primary_key=True),
        sa.Column("rules_active", sa.Integer, nullable=False),
        sa.Column("working", sa.Boolean, nullable=False),
        sa.Column("next_look_at", TIME),
        sa.Column("last_look_at", TIME),
        sa.Column("last_result", sa.Text),
        sa.Column("evaluated_at", TIME),
        sa.Column("fingerprint", sa.LargeBinary),
    )
    op.create_index(
        "ix_camera_watch_due", "camera_watch", ["next_look_at"], postgresql_where=sa.text("rules_active > 0")
    )
    op.create_index("ix_camera_watch_working", "camera_watch", ["evaluated_at"], postgresql_where=sa.text("working"))


def _alerts() -> None:
    op.create_table(
        "camera_alert",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("camera_id", UUID, sa.ForeignKey("camera.id"), nullable=False),
        sa.Column("rule_id", UUID, sa.ForeignKey("camera_rule.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("judged_at", TIME),
        sa.Column("judged_by", sa.Text),
        sa.Column("judged_name", sa.Text, nullable=False),
        sa.Column("has_snapshot", sa.Boolean, nullable=False),
        sa.Column("snapshot", sa.LargeBinary),
        _one_of("kind", KINDS, "ck_camera_alert_kind"),
        _one_of("verdict", VERDICTS, "ck_camera_alert_verdict"),
    )
    op.create_index("ix_camera_alert_camera_id", "camera_alert", ["camera_id", "id"])
    op.create_index("ix_camera_alert_rule_id", "camera_alert", ["rule_id", "id"])
    op.create_index("ix_camera_alert_unit", "camera_alert", ["unit"])
    op.create_index("ix_camera_alert_path", "camera_alert", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index(
        "ix_camera_alert_judged_by", "camera_alert", ["judged_by"], postgresql_where=sa.text("judged_by IS NOT NULL")
    )
    op.create_index(
        "ix_camera_alert_snapshot", "camera_alert", ["created_at"], postgresql_where=sa.text("has_snapshot")
    )


def upgrade() -> None:
    _rules()
    _watches()
    _alerts()


def downgrade() -> None:
    for table in ("camera_alert", "camera_watch", "camera_rule"):
        op.drop_table(table)
