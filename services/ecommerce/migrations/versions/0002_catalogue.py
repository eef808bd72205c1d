"""Producers, products, listings and photos."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from chassis.db import UtcDateTime

revision = "0002"
down_revision = "0001"

UUID = pg.UUID(as_uuid=True)


def upgrade() -> None:
    # An equality on uuid and text beside a range in one exclusion constraint needs btree_gist.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.create_table(
        "producer",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("account", sa.Text),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.CheckConstraint("kind IN ('cooperative', 'household', 'firm')", name="ck_producer_kind"),
    )
    op.create_index("ix_producer_account", "producer", ["account"])
    op.create_index("ix_producer_unit", "producer", ["unit"])
    op.create_index("ix_producer_path", "producer", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    _product()
    _listing()
    op.create_table(
        "photo",
        sa.Column("product_id", UUID, sa.ForeignKey("product.id"), primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
        sa.Column("thumb", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", UtcDateTime, nullable=False),
    )
    # A JPEG does not get smaller by another compression; EXTERNAL spares the attempt.
    op.execute("ALTER TABLE photo ALTER COLUMN jpeg SET STORAGE EXTERNAL, ALTER COLUMN thumb SET STORAGE EXTERNAL")


def _product() -> None:
    op.create_table(
        "product",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("producer_id", UUID, sa.ForeignKey("producer.id"), nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("price", sa.BigInteger),
        sa.Column("price_unit", sa.Text, nullable=False),
        sa.Column("ocop_stars", sa.SmallInteger),
        sa.Column("ocop_decision", sa.Text, nullable=False),
        sa.Column("key_product", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("photo", sa.Text),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.Column("published_at", UtcDateTime),
        sa.CheckConstraint("status IN ('draft', 'published', 'withdrawn')", name="ck_product_status"),
        sa.CheckConstraint("price BETWEEN 1 AND 1000000000000", name="ck_product_price"),
        sa.CheckConstraint("ocop_stars BETWEEN 1 AND 5", name="ck_product_ocop_stars"),
        sa.CheckConstraint("ocop_stars IS NULL OR ocop_decision <> ''", name="ck_product_ocop_decision"),
        sa.CheckConstraint("status = 'draft' OR published_at IS NOT NULL", name="ck_product_published_at"),
    )
    op.create_index("ix_product_producer", "product", ["producer_id", "id"])
    op.create_index("ix_product_unit", "product", ["unit"])
    op.create_index("ix_product_path", "product", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index(
        "ix_product_catalogue", "product", ["published_at", "id"], postgresql_where=sa.text("status = 'published'")
    )
    op.execute("CREATE INDEX ix_product_fold ON product USING gin (xaso_fold(name || ' ' || description) gin_trgm_ops)")


def _listing() -> None:
    op.create_table(
        "listing",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("product_id", UUID, sa.ForeignKey("product.id"), nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("valid_from", UtcDateTime, nullable=False),
        sa.Column("valid_to", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("opened_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
        sa.CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="ck_listing_validity"),
    )
    op.create_index("ix_listing_product", "listing", ["product_id", "id"])
    op.create_index(
        "ix_listing_to_open",
        "listing",
        ["valid_from"],
        postgresql_where=sa.text("opened_at IS NULL AND ended_at IS NULL"),
    )
    op.create_index("ix_listing_to_end", "listing", ["valid_to"], postgresql_where=sa.text("ended_at IS NULL"))
    # Commands look before they insert, under the product's row lock; this is for whoever comes another way. The digest
    # keeps long addresses within an index row.
    op.execute(
        "ALTER TABLE listing ADD CONSTRAINT ex_listing_overlap EXCLUDE USING gist "
        "(product_id WITH =, channel WITH =, md5(url) WITH =, tstzrange(valid_from, valid_to) WITH &&)"
    )


def downgrade() -> None:
    for table in ("photo", "listing", "product", "producer"):
        op.drop_table(table)
