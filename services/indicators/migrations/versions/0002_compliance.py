"""Facts, heaps, statuses, the log of changes, observations, suspensions."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A unit is named by its key, code@valid_from: after a reorganisation a code may name another extent, and the old facts
# must not count for it. A fact of a unit nobody has described yet lies under "code@" until identity does.
FACT = (
    """
    CREATE TABLE fact (
        attribute text NOT NULL, entity text NOT NULL, source text NOT NULL,
        origin text NOT NULL CHECK (origin IN ('event', 'staff', 'partner')),
        unit text NOT NULL, period text NOT NULL,
        state text, numerator bigint, denominator bigint, withdrawn boolean NOT NULL,
        sequence bigint NOT NULL, cause text NOT NULL,
        observed_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (attribute, entity, source)
    )
    """,
    "CREATE INDEX ix_fact_unit ON fact (unit, attribute, entity, source)",
    # Everything any source ever said, also what came too late to count: as-of questions and audits start here.
    """
    CREATE TABLE fact_history (
        attribute text NOT NULL, entity text NOT NULL, source text NOT NULL,
        sequence bigint NOT NULL, cause text NOT NULL,
        origin text NOT NULL, unit text NOT NULL, period text NOT NULL,
        state text, numerator bigint, denominator bigint, withdrawn boolean NOT NULL,
        observed_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (attribute, entity, source, sequence, cause)
    )
    """,
    """
    CREATE TABLE tally (
        unit text NOT NULL, attribute text NOT NULL, source text NOT NULL, origin text NOT NULL,
        year text NOT NULL, state text NOT NULL, count bigint NOT NULL,
        PRIMARY KEY (unit, attribute, source, origin, year, state)
    )
    """,
)

STATUS = (
    """
    CREATE TABLE item (
        unit text NOT NULL, set_code text NOT NULL, item_code text NOT NULL,
        status text NOT NULL, flag boolean, numerator bigint, denominator bigint,
        since timestamptz NOT NULL, changed_at timestamptz NOT NULL, cause text NOT NULL,
        PRIMARY KEY (unit, set_code, item_code)
    )
    """,
    """
    CREATE TABLE sheet (
        unit text NOT NULL, set_code text NOT NULL,
        status text NOT NULL, met integer NOT NULL, total integer NOT NULL, changed_at timestamptz NOT NULL,
        PRIMARY KEY (unit, set_code)
    )
    """,
    # `position` is given by one sequencer after the writer has committed, so it is the order of commits without a gap:
    # a reader that has seen position n has seen everything up to n. `id` is only the order within one unit.
    """
    CREATE TABLE change (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        position bigint,
        unit text NOT NULL, code text NOT NULL, path text NOT NULL,
        set_code text NOT NULL, item_code text NOT NULL,
        before text NOT NULL, after text NOT NULL, flag boolean, numerator bigint, denominator bigint,
        met integer NOT NULL, total integer NOT NULL, cause text NOT NULL, at timestamptz NOT NULL,
        rolled boolean NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX uq_change_position ON change (position) WHERE position IS NOT NULL",
    "CREATE INDEX ix_change_pending ON change (id) WHERE position IS NULL",
    "CREATE INDEX ix_change_item ON change (unit, set_code, item_code, id)",
    # What must be rolled up: an item below changed, or (without set) a village was entered, renamed or ended.
    """
    CREATE TABLE stale (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        path text NOT NULL, set_code text, cause text NOT NULL DEFAULT ''
    )
    """,
)

INTAKE = (
    """
    CREATE TABLE observation (
        client text NOT NULL, id text NOT NULL, digest bytea NOT NULL,
        unit text NOT NULL, content jsonb NOT NULL, source text NOT NULL, evidence text NOT NULL,
        observed_at timestamptz NOT NULL, received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (client, id)
    )
    """,
    "CREATE INDEX ix_observation_received ON observation (received_at, client, id)",
    """
    CREATE TABLE suspension (
        id uuid PRIMARY KEY, set_code text NOT NULL, item_code text NOT NULL,
        unit text NOT NULL, path text NOT NULL,
        starts_on date NOT NULL, ends_on date,
        reason text NOT NULL, document text NOT NULL,
        created_by text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
        lifted_by text, lifted_at timestamptz,
        CHECK (ends_on IS NULL OR ends_on > starts_on)
    )
    """,
    "CREATE INDEX ix_suspension_set ON suspension (set_code, item_code)",
    # The day up to which figures that depend on the calendar are right.
    "CREATE TABLE calendar (one boolean PRIMARY KEY DEFAULT true CHECK (one), day date NOT NULL)",
)


def upgrade() -> None:
    for statement in (*FACT, *STATUS, *INTAKE):
        op.execute(statement)


def downgrade() -> None:
    for table in (
        "calendar",
        "suspension",
        "observation",
        "stale",
        "change",
        "sheet",
        "item",
        "tally",
        "fact_history",
        "fact",
    ):
        op.execute(f"DROP TABLE {table}")
