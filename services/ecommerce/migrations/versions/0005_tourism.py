"""Tourism points, their picture, and requests to come."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from chassis.db import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KINDS = ("garden", "farm", "craft_village", "heritage", "homestay", "landscape")


def upgrade() -> None:
    _point()
    op.create_table(
        "tourism_photo",
        sa.Column("point_id", UUID(as_uuid=True), sa.ForeignKey("tourism_point.id"), primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
        sa.Column("thumb", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", UtcDateTime, nullable=False),
    )
    op.execute(
        "ALTER TABLE tourism_photo ALTER COLUMN jpeg SET STORAGE EXTERNAL, ALTER COLUMN thumb SET STORAGE EXTERNAL"
    )
    _booking()


def _point() -> None:
    op.create_table(
        "tourism_point",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("producer_id", UUID(as_uuid=True), sa.ForeignKey("producer.id")),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("lat", sa.Float),
        sa.Column("lon", sa.Float),
        sa.Column("open_days", sa.ARRAY(sa.SmallInteger), nullable=False),
        sa.Column("opens", sa.Time),
        sa.Column("closes", sa.Time),
        sa.Column("price_note", sa.Text, nullable=False),
        sa.Column("phone", sa.Text, nullable=False),
        sa.Column("takes_bookings", sa.Boolean, nullable=False),
        sa.Column("group_limit", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("opens_again_on", sa.Date),
        sa.Column("photo", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.Column("published_at", UtcDateTime),
        sa.Column("fold", sa.Text, sa.Computed("xaso_fold(name || ' ' || description)", persisted=True)),
        sa.CheckConstraint(f"kind IN {KINDS}", name="ck_tourism_point_kind"),
        sa.CheckConstraint("status IN ('draft', 'published', 'closed')", name="ck_tourism_point_status"),
        sa.CheckConstraint("status = 'draft' OR published_at IS NOT NULL", name="ck_tourism_point_published_at"),
        sa.CheckConstraint("(status = 'closed') = (opens_again_on IS NOT NULL)", name="ck_tourism_point_closed"),
        sa.CheckConstraint("(lat IS NULL) = (lon IS NULL)", name="ck_tourism_point_position"),
        sa.CheckConstraint("(opens IS NULL) = (closes IS NULL) AND opens < closes", name="ck_tourism_point_hours"),
        sa.CheckConstraint("open_days <@ '{1,2,3,4,5,6,7}'::smallint[]", name="ck_tourism_point_open_days"),
    )
    op.create_index("ix_tourism_point_producer", "tourism_point", ["producer_id", "id"])
    op.create_index("ix_tourism_point_unit", "tourism_point", ["unit"])
    op.create_index("ix_tourism_point_path", "tourism_point", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index(
        "ix_tourism_point_public",
        "tourism_point",
        ["published_at", "id"],
        postgresql_where=sa.text("status <> 'draft'"),
    )
    op.create_index(
        "ix_tourism_point_to_open", "tourism_point", ["opens_again_on"], postgresql_where=sa.text("status = 'closed'")
    )
    op.execute("CREATE INDEX ix_tourism_point_fold ON tourism_point USING gin (fold gin_trgm_ops)")


def _booking() -> None:
    op.create_table(
        "tourism_booking",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("point_id", UUID(as_uuid=True), sa.ForeignKey("tourism_point.id"), nullable=False),
        sa.Column("code", sa.Text, nullable=False, unique=True),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("people", sa.Integer, nullable=False),
        # Name, telephone and words of the visitor, encrypted; gone some weeks after the day.
        sa.Column("contact", sa.LargeBinary),
        sa.Column("account", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("answered_at", UtcDateTime),
        sa.CheckConstraint(
            "status IN ('requested', 'accepted', 'declined', 'expired')", name="ck_tourism_booking_status"
        ),
        sa.CheckConstraint("people BETWEEN 1 AND 500", name="ck_tourism_booking_people"),
    )
    op.create_index("ix_tourism_booking_point", "tourism_booking", ["point_id", "id"])
    op.create_index(
        "ix_tourism_booking_account", "tourism_booking", ["account"], postgresql_where=sa.text("account IS NOT NULL")
    )
    op.create_index(
        "ix_tourism_booking_to_expire",
        "tourism_booking",
        ["expires_at"],
        postgresql_where=sa.text("status = 'requested'"),
    )
    op.create_index(
        "ix_tourism_booking_to_forget", "tourism_booking", ["day"], postgresql_where=sa.text("contact IS NOT NULL")
    )


def downgrade() -> None:
    for table in ("tourism_booking", "tourism_photo", "tourism_point"):
        op.drop_table(table)
