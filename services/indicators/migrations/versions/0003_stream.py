"""What the stream needs: offsets with their cluster, the fence of units, facts and history that are cheap to write."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Codes, ids and keys are compared byte by byte: quicker, and the same order as Python's, which decides ties.
BYTES = {
    "fact": ("attribute", "entity", "source", "unit", "cause"),
    "fact_history": ("attribute", "entity", "source", "unit", "cause"),
    "tally": ("unit", "attribute", "source", "origin", "year", "state"),
    "item": ("unit", "set_code", "item_code"),
    "sheet": ("unit", "set_code"),
}

UP = (
    "ALTER TABLE fact_history DROP CONSTRAINT fact_history_pkey",
    *(
        f"ALTER TABLE {table} " + ", ".join(f'ALTER COLUMN {name} TYPE text COLLATE "C"' for name in names)
        for table, names in BYTES.items()
    ),
    # The period of the heap a fact lies in, so that taking it out again needs no arithmetic.
    "ALTER TABLE fact ADD COLUMN heap_period text NOT NULL DEFAULT ''",
    """
    UPDATE fact SET heap_period = CASE WHEN period = '' THEN
        to_char(observed_at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY') ELSE left(period, 4) END
    """,
    # A fact is written again in its own page as long as there is room.
    "ALTER TABLE fact SET (fillfactor = 80)",
    "DROP INDEX ix_fact_unit",
    "CREATE INDEX ix_fact_unit ON fact (unit, attribute)",
    # One index serves as-of (unit, attribute), the words of one fact, and the question whether a late word is known.
    # A word of another unit than the winner's is followed by a withdrawn line, so that a unit's lines tell by
    # themselves what counted for it.
    "CREATE INDEX ix_fact_history_unit ON fact_history (unit, attribute, entity)",
    "ALTER TABLE item ADD COLUMN unknown integer NOT NULL DEFAULT 0",
    # How many transactions wrote a commune and its villages (or a unit above): the fence of what is kept in memory.
    'CREATE TABLE epoch (commune text COLLATE "C" PRIMARY KEY, value bigint NOT NULL)',
    # Up to where the effect of each partition is committed. Offsets of another cluster mean nothing.
    """
    CREATE TABLE stream_offset (
        topic text NOT NULL, partition integer NOT NULL, cluster text NOT NULL, next_offset bigint NOT NULL,
        changed_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (topic, partition)
    )
    """,
)
DOWN = (
    "DROP TABLE stream_offset",
    "DROP TABLE epoch",
    "ALTER TABLE item DROP COLUMN unknown",
    "DROP INDEX ix_fact_history_unit",
    "DROP INDEX ix_fact_unit",
    "CREATE INDEX ix_fact_unit ON fact (unit, attribute, entity, source)",
    "ALTER TABLE fact RESET (fillfactor)",
    "ALTER TABLE fact DROP COLUMN heap_period",
    *(
        f"ALTER TABLE {table} " + ", ".join(f'ALTER COLUMN {name} TYPE text COLLATE "default"' for name in names)
        for table, names in BYTES.items()
    ),
    # Lines that only say that a fact left a unit have the order of the word that moved it.
    """
    DELETE FROM fact_history a USING fact_history b
    WHERE a.ctid > b.ctid AND (a.attribute, a.entity, a.source, a.sequence, a.cause)
        = (b.attribute, b.entity, b.source, b.sequence, b.cause)
    """,
    "ALTER TABLE fact_history ADD PRIMARY KEY (attribute, entity, source, sequence, cause)",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
