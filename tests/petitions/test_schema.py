"""What the migrations make is what the model says."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.petitions.model import Base
from tests.support.running import Running


async def test_tables_and_columns_of_the_model_are_those_of_the_database(app: Running) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        ours = set(Base.metadata.tables)

        def relevant(thing: object, name: str | None, kind: str, *_: object) -> bool:
            return kind != "table" or name in ours

        context = MigrationContext.configure(connection, opts={"include_object": relevant, "compare_type": False})
        # Trigram indexes are written in the migrations alone: the model has no word for their operator class.
        return [d for d in compare_metadata(context, Base.metadata) if not re.search(r"ix_\w+_fold", str(d))]

    async with app.runner.runtime.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
