"""Villages, residential clusters, loudspeakers, bulletins, cameras."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)
UUID = pg.UUID(as_uuid=True)
SPEAKER_STATES = ("unknown", "init", "ready", "disconnected", "sleeping", "lost")
CAMERA_STATES = ("online", "offline", "unknown", "maintenance")


def _one_of(column: str, values: tuple[str, ...], name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=name)


def _villages() -> None:
    op.create_table(
        "village",
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("clusters", sa.Integer, nullable=False),
        sa.Column("clusters_in_earshot", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.CheckConstraint("clusters_in_earshot BETWEEN 0 AND clusters", name="ck_village_earshot"),
    )
    op.create_index("ix_village_commune", "village", ["commune", "unit"])
    op.create_table(
        "cluster",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("retired_at", TIME),
    )
    op.execute("CREATE UNIQUE INDEX uq_cluster_name ON cluster (unit, xaso_fold(name)) WHERE retired_at IS NULL")
    op.create_index("ix_cluster_unit_id", "cluster", ["unit", "id"])


def _loudspeakers() -> None:
    op.create_table(
        "loudspeaker",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("smart", sa.Boolean, nullable=False),
        sa.Column("device_id", sa.Text, nullable=False, unique=True),
        sa.Column("sealed_secret", sa.LargeBinary),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_since", TIME, nullable=False),
        sa.Column("birth", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("silenced", sa.Boolean, nullable=False),
        sa.Column("last_heartbeat_at", TIME),
        sa.Column("clock_skew_seconds", sa.Integer),
        sa.Column("last_acknowledged_at", TIME),
        sa.Column("registered_at", TIME, nullable=False),
        sa.Column("retired_at", TIME),
        _one_of("state", SPEAKER_STATES, "ck_loudspeaker_state"),
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_loudspeaker_name ON loudspeaker (unit, xaso_fold(name)) WHERE retired_at IS NULL"
    )
    op.create_index("ix_loudspeaker_unit_id", "loudspeaker", ["unit", "id"])
    op.create_index("ix_loudspeaker_path", "loudspeaker", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index(
        "ix_loudspeaker_watched",
        "loudspeaker",
        ["last_heartbeat_at"],
        postgresql_where=sa.text("retired_at IS NULL AND state IN ('ready', 'init')"),
    )
    op.create_table(
        "coverage",
        sa.Column("loudspeaker_id", UUID, sa.ForeignKey("loudspeaker.id"), primary_key=True),
        sa.Column("cluster_id", UUID, sa.ForeignKey("cluster.id"), primary_key=True),
    )
    op.create_index("ix_coverage_cluster_id", "coverage", ["cluster_id"])
    _intervals("loudspeaker_interval", "loudspeaker", SPEAKER_STATES)
    op.create_table(
        "hub_status",
        sa.Column("one", sa.Boolean, primary_key=True),
        sa.Column("connected", sa.Boolean, nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.CheckConstraint("one", name="ck_hub_status_single"),
    )


def _intervals(table: str, owner: str, states: tuple[str, ...]) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column(f"{owner}_id", UUID, sa.ForeignKey(f"{owner}.id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("until", TIME),
        sa.CheckConstraint("until IS NULL OR until >= since", name=f"ck_{table}_order"),
        _one_of("state", states, f"ck_{table}_state"),
    )
    op.create_index(f"ix_{table}_owner", table, [f"{owner}_id", "id"])
    op.create_index(f"uq_{table}_open", table, [f"{owner}_id"], unique=True, postgresql_where=sa.text("until IS NULL"))


def _bulletins() -> None:
    op.create_table(
        "bulletin",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("cancelled_at", TIME),
    )
    op.create_index("ix_bulletin_unit_id", "bulletin", ["unit", "id"])
    op.create_index("ix_bulletin_expires_at", "bulletin", ["expires_at"])
    op.create_table(
        "delivery",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("bulletin_id", UUID, sa.ForeignKey("bulletin.id"), nullable=False),
        sa.Column("loudspeaker_id", UUID, sa.ForeignKey("loudspeaker.id"), nullable=False),
        sa.Column("next_send_at", TIME),
        sa.Column("first_sent_at", TIME),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("cancel_sent_at", TIME),
        sa.UniqueConstraint("bulletin_id", "loudspeaker_id", name="uq_delivery_target"),
    )
    op.create_index("ix_delivery_loudspeaker_id", "delivery", ["loudspeaker_id"])
    op.create_index(
        "ix_delivery_due", "delivery", ["next_send_at"], postgresql_where=sa.text("next_send_at IS NOT NULL")
    )
    op.create_table(
        "acknowledgement",
        sa.Column("delivery_id", UUID, sa.ForeignKey("delivery.id"), primary_key=True),
        sa.Column("stage", sa.Text, primary_key=True),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("device_at", TIME),
        sa.Column("seconds", sa.Float),
    )


def _cameras() -> None:
    op.create_table(
        "camera",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("place", sa.String(16), nullable=False),
        sa.Column("sealed_url", sa.LargeBinary),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_since", TIME, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("in_hub", sa.Boolean, nullable=False),
        sa.Column("next_probe_at", TIME),
        sa.Column("last_probed_at", TIME),
        sa.Column("last_result", sa.Text),
        sa.Column("last_milliseconds", sa.Integer),
        sa.Column("registered_at", TIME, nullable=False),
        sa.Column("retired_at", TIME),
        _one_of("state", CAMERA_STATES, "ck_camera_state"),
        _one_of("place", ("public_place", "main_road"), "ck_camera_place"),
    )
    op.execute("CREATE UNIQUE INDEX uq_camera_name ON camera (unit, xaso_fold(name)) WHERE retired_at IS NULL")
    op.create_index("ix_camera_unit_id", "camera", ["unit", "id"])
    op.create_index("ix_camera_path", "camera", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index("ix_camera_due", "camera", ["next_probe_at"], postgresql_where=sa.text("retired_at IS NULL"))
    _intervals("camera_interval", "camera", CAMERA_STATES)


def upgrade() -> None:
    _villages()
    _loudspeakers()
    _bulletins()
    _cameras()


def downgrade() -> None:
    for table in (
        "acknowledgement",
        "delivery",
        "bulletin",
        "camera_interval",
        "camera",
        "hub_status",
        "loudspeaker_interval",
        "coverage",
        "loudspeaker",
        "cluster",
        "village",
    ):
        op.drop_table(table)
