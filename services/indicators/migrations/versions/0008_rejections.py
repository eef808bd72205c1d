"""What was refused of what partners report, counted so that it never grows beyond sources, reasons and days."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UP = (
    # `province` is where the observations were about, empty where no unit has the code; `examples` the last few of the
    # day: id, unit and measure as they were sent, and when.
    """
    CREATE TABLE rejection (
        day date NOT NULL, source text COLLATE "C" NOT NULL, reason text NOT NULL, province text NOT NULL,
        count bigint NOT NULL, examples jsonb NOT NULL, last_at timestamptz NOT NULL,
        PRIMARY KEY (day, source, reason, province)
    )
    """,
    "CREATE INDEX ix_rejection_source ON rejection (source, day)",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE rejection")
