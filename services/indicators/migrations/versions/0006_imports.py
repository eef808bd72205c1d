"""Documents, file imports with what was undone of them, and how far a stream of observations was taken."""

from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    # What figures rest on: scans handed in with an entry, and every imported file as it came.
    """
    CREATE TABLE evidence_file (
        id uuid PRIMARY KEY, unit text NOT NULL, path text NOT NULL,
        purpose text NOT NULL CHECK (purpose IN ('evidence', 'import')),
        name text NOT NULL, media_type text NOT NULL, size integer NOT NULL, digest bytea NOT NULL,
        content bytea NOT NULL, created_by text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX ix_evidence_file_digest ON evidence_file (digest)",
    # Scans and workbooks are compressed already.
    "ALTER TABLE evidence_file ALTER COLUMN content SET STORAGE EXTERNAL",
    "ALTER TABLE observation ADD COLUMN document uuid REFERENCES evidence_file (id)",
    "CREATE INDEX ix_observation_document ON observation (document) WHERE document IS NOT NULL",
    "CREATE INDEX ix_observation_unit ON observation (unit, received_at)",
    """
    CREATE TABLE import (
        id uuid PRIMARY KEY, document uuid NOT NULL REFERENCES evidence_file (id),
        unit text NOT NULL, path text NOT NULL, set_code text NOT NULL, level text NOT NULL,
        state text NOT NULL CHECK (state IN ('previewed', 'queued', 'applied', 'refused', 'undoing', 'undone')),
        mode text CHECK (mode IN ('all', 'valid')),
        sheet text NOT NULL, rows integer NOT NULL, valid integer NOT NULL, faults integer NOT NULL,
        accepted integer NOT NULL DEFAULT 0, restored integer NOT NULL DEFAULT 0, kept integer NOT NULL DEFAULT 0,
        actor jsonb,
        created_by text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
        applied_by text, applied_at timestamptz, undone_by text, undone_at timestamptz
    )
    """,
    "CREATE INDEX ix_import_path ON import (path text_pattern_ops, id)",
    "CREATE INDEX ix_import_document ON import (document)",
    "CREATE INDEX ix_import_waiting ON import (id) WHERE state IN ('queued', 'undoing')",
    # The values that are right, in the order of the file, some hundreds to a row.
    """
    CREATE TABLE import_chunk (
        import uuid NOT NULL REFERENCES import (id), number integer NOT NULL, content bytea NOT NULL,
        PRIMARY KEY (import, number)
    )
    """,
    """
    CREATE TABLE import_fault (
        import uuid NOT NULL REFERENCES import (id), number integer NOT NULL,
        cell text NOT NULL, measure text NOT NULL, reason text NOT NULL, params jsonb NOT NULL,
        PRIMARY KEY (import, number)
    )
    """,
    # What an undo left as it was, since something newer had replaced it.
    """
    CREATE TABLE import_kept (
        import uuid NOT NULL REFERENCES import (id), number integer NOT NULL,
        cell text NOT NULL, unit text NOT NULL, measure text NOT NULL, period text NOT NULL,
        cause text NOT NULL, observed_at timestamptz NOT NULL,
        PRIMARY KEY (import, number)
    )
    """,
    # How far a running import is. Its own row is locked meanwhile, so this is told on the side.
    """
    CREATE TABLE import_progress (
        import uuid PRIMARY KEY REFERENCES import (id), done integer NOT NULL, total integer NOT NULL,
        at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # Up to which position a partner's stream of observations is committed.
    """
    CREATE TABLE observation_stream (
        client text NOT NULL, stream text NOT NULL, position bigint NOT NULL,
        accepted bigint NOT NULL, duplicate bigint NOT NULL, rejected bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (client, stream)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE observation DROP COLUMN document")
    op.execute("DROP INDEX ix_observation_unit")
    for table in (
        "observation_stream",
        "import_progress",
        "import_kept",
        "import_fault",
        "import_chunk",
        "import",
        "evidence_file",
    ):
        op.execute(f"DROP TABLE {table}")
