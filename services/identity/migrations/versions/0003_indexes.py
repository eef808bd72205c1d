"""An index under every foreign key, so that a parent is changed without reading its children whole."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = (
    ("authorization_code", "account_id"),
    ("authorization_code", "client_id"),
    ("client_consent", "client_id"),
    ("role_grant", "account_id"),
    ("token_family", "client_id"),
)


def upgrade() -> None:
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table, column in reversed(INDEXES):
        op.drop_index(f"ix_{table}_{column}", table_name=table)
