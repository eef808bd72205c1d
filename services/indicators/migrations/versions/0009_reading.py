"""Imports that are read in the background: files that wait to be read, that cannot be, or were put aside."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = (
    "ALTER TABLE import DROP CONSTRAINT import_state_check",
    """
    ALTER TABLE import ADD CONSTRAINT import_state_check CHECK (state IN (
        'reading', 'unreadable', 'discarded', 'previewed', 'queued', 'applied', 'refused', 'undoing', 'undone'))
    """,
    # Why a file cannot be read at all: a key of `layout.FILE_FAULTS` and what fills its words.
    "ALTER TABLE import ADD COLUMN refusal jsonb",
    # Said on the side like the progress: the import's own row is locked by who reads it.
    "ALTER TABLE import_progress ADD COLUMN stop boolean NOT NULL DEFAULT false",
    "DROP INDEX ix_import_waiting",
    "CREATE INDEX ix_import_waiting ON import (id) WHERE state IN ('reading', 'queued', 'undoing')",
)
DOWN = (
    "DROP INDEX ix_import_waiting",
    "UPDATE import SET state = 'refused' WHERE state IN ('reading', 'unreadable', 'discarded')",
    "CREATE INDEX ix_import_waiting ON import (id) WHERE state IN ('queued', 'undoing')",
    "ALTER TABLE import_progress DROP COLUMN stop",
    "ALTER TABLE import DROP COLUMN refusal",
    "ALTER TABLE import DROP CONSTRAINT import_state_check",
    """
    ALTER TABLE import ADD CONSTRAINT import_state_check CHECK (state IN (
        'previewed', 'queued', 'applied', 'refused', 'undoing', 'undone'))
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
