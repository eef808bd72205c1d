"""The forum of villages and communes: who writes in it, threads, posts, and what readers report."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def _searchable(table: str) -> None:
    op.create_index(
        f"ix_{table}_fold", table, ["fold"], postgresql_using="gin", postgresql_ops={"fold": "gin_trgm_ops"}
    )


def _author() -> None:
    op.create_table(
        "forum_author",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("fold", sa.Text, sa.Computed("xaso_fold(name)", persisted=True)),
        sa.Column("shows_village", sa.Boolean, nullable=False),
        sa.Column("approved_at", TIME),
        sa.UniqueConstraint("fold", name="uq_forum_author_fold"),
    )


def _thread() -> None:
    op.create_table(
        "forum_thread",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("village", sa.Text),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("author", sa.Text, sa.ForeignKey("forum_author.account", ondelete="SET NULL")),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("pinned", sa.Boolean, nullable=False),
        sa.Column("posts", sa.Integer, nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.Column("begun_at", TIME, nullable=False),
        sa.Column("last_posted_at", TIME, nullable=False),
        sa.Column("fold", sa.Text, sa.Computed("xaso_fold(title)", persisted=True)),
        sa.CheckConstraint("status IN ('open', 'locked', 'hidden')", name="ck_forum_thread_status"),
        sa.CheckConstraint("posts >= 0", name="ck_forum_thread_posts"),
    )
    op.create_index("ix_forum_thread_active", "forum_thread", ["last_posted_at", "id"])
    op.create_index("ix_forum_thread_newest", "forum_thread", ["begun_at", "id"])
    op.create_index("ix_forum_thread_commune", "forum_thread", ["commune", "last_posted_at", "id"])
    op.create_index("ix_forum_thread_path", "forum_thread", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index(
        "ix_forum_thread_author", "forum_thread", ["author"], postgresql_where=sa.text("author IS NOT NULL")
    )
    _searchable("forum_thread")


def _post() -> None:
    op.create_table(
        "forum_post",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("thread_id", pg.UUID(as_uuid=True), sa.ForeignKey("forum_thread.id"), nullable=False),
        sa.Column("author", sa.Text, sa.ForeignKey("forum_author.account", ondelete="SET NULL")),
        sa.Column("commune", sa.Text),
        sa.Column("village", sa.Text),
        sa.Column("by_staff", sa.Boolean, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("written_at", TIME, nullable=False),
        sa.Column("edited_at", TIME),
        sa.Column("fold", sa.Text, sa.Computed("xaso_fold(body)", persisted=True)),
        sa.CheckConstraint("status IN ('pending', 'visible', 'hidden', 'withdrawn')", name="ck_forum_post_status"),
    )
    op.create_index("ix_forum_post_thread", "forum_post", ["thread_id", "id"])
    op.create_index(
        "ix_forum_post_author", "forum_post", ["author", "id"], postgresql_where=sa.text("author IS NOT NULL")
    )
    op.create_index("ix_forum_post_pending", "forum_post", ["id"], postgresql_where=sa.text("status = 'pending'"))
    _searchable("forum_post")


def _report() -> None:
    op.create_table(
        "forum_report",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("post_id", pg.UUID(as_uuid=True), sa.ForeignKey("forum_post.id"), nullable=False),
        sa.Column("reporter", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reported_at", TIME, nullable=False),
        sa.Column("settled_at", TIME),
        sa.UniqueConstraint("post_id", "reporter", name="uq_forum_report_post_id_reporter"),
    )
    op.create_index("ix_forum_report_open", "forum_report", ["post_id"], postgresql_where=sa.text("settled_at IS NULL"))
    op.create_index(
        "ix_forum_report_reporter", "forum_report", ["reporter"], postgresql_where=sa.text("reporter IS NOT NULL")
    )


def upgrade() -> None:
    _author()
    _thread()
    _post()
    _report()


def downgrade() -> None:
    for table in ("forum_report", "forum_post", "forum_thread", "forum_author"):
        op.drop_table(table)
