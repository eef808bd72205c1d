"""Documents of the catalogue in all their editions, which change is in force, what must be judged because of it."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Editions are never changed: what was in force on a day is asked for years later. `shipped` ones came with a
    # release; of `applied` ones the newest is in force, unless it was withdrawn.
    """
    CREATE TABLE criteria_edition (
        kind text NOT NULL CHECK (kind IN ('set', 'overlay', 'measures')), code text NOT NULL,
        origin text NOT NULL CHECK (origin IN ('shipped', 'applied')), version integer NOT NULL,
        digest text NOT NULL, content text NOT NULL, withdrawn boolean NOT NULL DEFAULT false,
        applied_by text NOT NULL, applied_at timestamptz NOT NULL,
        PRIMARY KEY (kind, code, origin, version)
    )
    """,
    # Every flush compares the number with that of the catalogue it judged by.
    "CREATE TABLE criteria_version (one boolean PRIMARY KEY DEFAULT true CHECK (one), number bigint NOT NULL)",
    "INSERT INTO criteria_version (number) VALUES (0)",
    # Units whose items must be judged again, set by set; `after` is the path of the last unit done.
    """
    CREATE TABLE criteria_work (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        set_code text NOT NULL, cause text NOT NULL, after text NOT NULL DEFAULT ''
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("criteria_work", "criteria_version", "criteria_edition"):
        op.execute(f"DROP TABLE {table}")
