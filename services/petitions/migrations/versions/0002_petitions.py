"""Petitions, their timeline, photos, unsent drafts, and the officers who have acted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# One sequence for all years: taking a number locks nothing, so that filing never waits for filing. Numbers may have
# gaps (a rolled-back filing takes its number with it), and the seventh digit comes by itself.
NUMBERING = (
    "CREATE SEQUENCE petition_number",
    """
    CREATE FUNCTION petition_code(year integer) RETURNS text LANGUAGE sql VOLATILE AS $$
        SELECT 'PA-' || year || '-' || lpad(n::text, greatest(6, length(n::text)), '0')
        FROM nextval('petition_number') AS n
    $$
    """,
)


def _petition() -> None:
    op.create_table(
        "petition",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("village", sa.Text),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False, server_default=""),
        sa.Column("lat", sa.Float),
        sa.Column("lon", sa.Float),
        sa.Column("reporter", sa.Text),
        sa.Column("contact_phone", sa.LargeBinary),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("department", sa.Text),
        sa.Column("assignee", sa.Text),
        sa.Column("rating", sa.SmallInteger),
        sa.Column("rating_comment", sa.Text, nullable=False, server_default=""),
        sa.Column("fold", sa.Text, sa.Computed("xaso_fold(description || ' ' || place)", persisted=True)),
        sa.UniqueConstraint("code", name="uq_petition_code"),
        sa.CheckConstraint(
            "status IN ('filed', 'routed', 'answered', 'closed', 'reopened')", name="ck_petition_status"
        ),
        sa.CheckConstraint("channel IN ('web', 'phone', 'partner')", name="ck_petition_channel"),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="ck_petition_rating"),
        sa.CheckConstraint("(lat IS NULL) = (lon IS NULL)", name="ck_petition_position"),
    )
    op.create_index("ix_petition_filed", "petition", ["commune", "filed_at", "id"])
    op.create_index("ix_petition_due", "petition", ["commune", "due_at", "id"])
    op.create_index("ix_petition_path", "petition", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index(
        "ix_petition_reporter",
        "petition",
        ["reporter", "filed_at"],
        postgresql_where=sa.text("reporter IS NOT NULL"),
    )
    op.create_index("ix_petition_public", "petition", ["filed_at", "id"], postgresql_where=sa.text("public"))
    op.create_index(
        "ix_petition_open",
        "petition",
        ["due_at", "id"],
        postgresql_where=sa.text("status IN ('filed', 'routed', 'reopened')"),
    )
    op.create_index(
        "ix_petition_fold", "petition", ["fold"], postgresql_using="gin", postgresql_ops={"fold": "gin_trgm_ops"}
    )


def _entry() -> None:
    op.create_table(
        "entry",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("petition_id", pg.UUID(as_uuid=True), sa.ForeignKey("petition.id"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("by_staff", sa.Boolean, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("author_name", sa.Text, nullable=False, server_default=""),
        sa.Column("body", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("ix_entry_petition", "entry", ["petition_id", "id"])


def _draft_and_photo() -> None:
    op.create_table(
        "draft",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("token_hash", name="uq_draft_token_hash"),
    )
    op.create_index("ix_draft_created", "draft", ["created_at"])
    op.create_table(
        "photo",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("petition_id", pg.UUID(as_uuid=True), sa.ForeignKey("petition.id")),
        sa.Column("draft_id", pg.UUID(as_uuid=True), sa.ForeignKey("draft.id", ondelete="CASCADE")),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("image", sa.LargeBinary, nullable=False),
        sa.Column("thumb", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("(petition_id IS NULL) <> (draft_id IS NULL)", name="ck_photo_owner"),
    )
    # A JPEG does not shrink any further, so PostgreSQL need not try.
    op.execute("ALTER TABLE photo ALTER COLUMN image SET STORAGE EXTERNAL, ALTER COLUMN thumb SET STORAGE EXTERNAL")
    op.create_index("ix_photo_petition", "photo", ["petition_id"], postgresql_where=sa.text("petition_id IS NOT NULL"))
    op.create_index("ix_photo_draft", "photo", ["draft_id"], postgresql_where=sa.text("draft_id IS NOT NULL"))


def upgrade() -> None:
    for statement in NUMBERING:
        op.execute(statement)
    _petition()
    _entry()
    _draft_and_photo()
    op.create_table(
        "officer",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_officer_path", "officer", ["path"], postgresql_ops={"path": "text_pattern_ops"})


def downgrade() -> None:
    for table in ("officer", "photo", "draft", "entry", "petition"):
        op.drop_table(table)
    op.execute("DROP FUNCTION petition_code(integer)")
    op.execute("DROP SEQUENCE petition_number")
