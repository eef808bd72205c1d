"""The searched text of a product holds its producer's name too: one index then answers for all words of a search.

Asking the product's words and the producer's words apart means that a word which is common with producers ("hợp tác
xã") brings every product, whatever the other words say.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# FOR SHARE: a product that is entered while its producer is being renamed waits for the new name.
UP = (
    "DROP INDEX ix_producer_fold",
    "ALTER TABLE producer DROP COLUMN fold",
    "ALTER TABLE product ALTER COLUMN fold DROP EXPRESSION",
    """
    CREATE FUNCTION product_fold() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE producer_name text;
    BEGIN
        SELECT name INTO producer_name FROM producer WHERE id = NEW.producer_id FOR SHARE;
        NEW.fold := xaso_fold(NEW.name || ' ' || NEW.description || ' ' || coalesce(producer_name, ''));
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER product_fold BEFORE INSERT OR UPDATE OF name, description, producer_id ON product
    FOR EACH ROW EXECUTE FUNCTION product_fold()
    """,
    """
    CREATE FUNCTION producer_renamed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE product SET fold = xaso_fold(name || ' ' || description || ' ' || NEW.name) WHERE producer_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER producer_renamed AFTER UPDATE OF name ON producer
    FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION producer_renamed()
    """,
    """
    UPDATE product SET fold = xaso_fold(product.name || ' ' || product.description || ' ' || producer.name)
    FROM producer WHERE producer.id = product.producer_id
    """,
)
DOWN = (
    "DROP TRIGGER producer_renamed ON producer",
    "DROP FUNCTION producer_renamed",
    "DROP TRIGGER product_fold ON product",
    "DROP FUNCTION product_fold",
    "DROP INDEX ix_product_fold",
    "ALTER TABLE product DROP COLUMN fold",
    "ALTER TABLE product ADD COLUMN fold text GENERATED ALWAYS AS (xaso_fold(name || ' ' || description)) STORED",
    "CREATE INDEX ix_product_fold ON product USING gin (fold gin_trgm_ops)",
    "ALTER TABLE producer ADD COLUMN fold text GENERATED ALWAYS AS (xaso_fold(name)) STORED",
    "CREATE INDEX ix_producer_fold ON producer USING gin (fold gin_trgm_ops)",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
