"""How units succeeded each other, and what of their figures people must settle."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UP = (
    # One link of a reorganisation. Units are named by their keys, code@valid_from; `followed` says that whatever is
    # known of single things in the predecessor counts for the successor from that day on: it went over whole.
    """
    CREATE TABLE succession (
        change_set text NOT NULL, predecessor text COLLATE "C" NOT NULL, successor text COLLATE "C" NOT NULL,
        effective_on date NOT NULL, level text NOT NULL,
        numerator bigint, denominator bigint, named_shares jsonb NOT NULL, legal_basis text NOT NULL,
        successors integer NOT NULL, predecessors integer NOT NULL,
        followed boolean NOT NULL, successor_group text NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(), carried_at timestamptz,
        PRIMARY KEY (predecessor, successor, change_set)
    )
    """,
    "CREATE INDEX ix_succession_successor ON succession (successor)",
    "CREATE INDEX ix_succession_waiting ON succession (successor) WHERE carried_at IS NULL",
    # What could not be carried: for people of the successor to accept, to answer otherwise, or to put aside.
    """
    CREATE TABLE settlement (
        id uuid PRIMARY KEY,
        unit text COLLATE "C" NOT NULL, path text NOT NULL, measure text NOT NULL, change_set text NOT NULL,
        effective_on date NOT NULL, reason text NOT NULL, parts jsonb NOT NULL,
        state text, numerator bigint, denominator bigint,
        status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'accepted', 'entered', 'dismissed')),
        document text NOT NULL DEFAULT '', decided_by text, decided_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (unit, measure, change_set)
    )
    """,
    "CREATE INDEX ix_settlement_path ON settlement (path text_pattern_ops, id) WHERE status = 'open'",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE settlement")
    op.execute("DROP TABLE succession")
