"""Personal data at rest: sealed values open only where they belong, and the index tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from chassis import migrations
from chassis.db import chassis_metadata, make_engine
from chassis.errors import Invalid
from services.identity.accounts import personal
from services.identity.model import Base
from services.identity.sealing import SealBroken, Sealer
from services.identity.settings import Settings
from tests.support.running import settings_for


def sealer(secret: str = "k" * 32) -> Sealer:
    return Sealer(Settings(data_key=SecretStr(secret)))


@given(st.text())
def test_what_was_sealed_opens_again(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    one = sealer()
    assert one.open(one.seal(value, "account.phone"), "account.phone") == value


def test_a_seal_is_bound_to_its_key_its_column_and_its_bytes() -> None:
    one = sealer()
    sealed = one.seal("0912345678", "account.phone")
    assert sealed != one.seal("0912345678", "account.phone"), "equal values must not look equal"
    spoiled = bytes([*sealed[:-1], sealed[-1] ^ 1])
    for reader, value, column in (
        (one, sealed, "account.citizen"),
        (one, spoiled, "account.phone"),
        (one, b"\x02" + sealed[1:], "account.phone"),
        (one, b"", "account.phone"),
        (sealer("other" * 8), sealed, "account.phone"),
    ):
        with pytest.raises(SealBroken):
            reader.open(value, column)


def test_the_index_finds_equal_values_of_one_column_with_one_key() -> None:
    one = sealer()
    index = one.index("0912345678", "account.phone")
    assert index == sealer().index("0912345678", "account.phone")
    others = {one.index("0912345679", "account.phone"), one.index("0912345678", "account.citizen")}
    assert index not in others | {sealer("other" * 8).index("0912345678", "account.phone")}


def test_a_short_key_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="32 characters"):
        sealer("short")


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("0912345678", "0912345678"),
        (" 0912 345 678 ", "0912345678"),
        ("+84 (912) 345-678", "0912345678"),
        ("84912345678", "0912345678"),
        ("0084912345678", "0912345678"),
        ("02203.123.456", "02203123456"),
        ("912345678", None),
        ("00912345678", None),
        ("09123456789012", None),
        ("٠٩١٢٣٤٥٦٧٨", None),
        ("", None),
        ("0912345678\n0912345679", None),
    ],
)
def test_phone_numbers_have_one_form(typed: str, number: str | None) -> None:
    assert personal.phone_or_none(typed) == number


@pytest.mark.parametrize("typed", ["12345", "03012345678x", "0301234567890", ""])
def test_citizen_numbers_have_twelve_digits(typed: str) -> None:
    assert personal.citizen("030 123 456 789") == "030123456789"
    with pytest.raises(Invalid):
        personal.citizen(typed)


async def test_the_migrations_make_the_tables_of_the_model(database: Callable[[str], str]) -> None:
    settings = settings_for(Settings, database("schema"))
    await migrations.upgrade(settings, "services.identity")
    chassis = set(chassis_metadata.tables)

    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        table = name if kind == "table" else item.table.name
        return table not in chassis and table != "alembic_version"

    def differences(connection: Any) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        return list(compare_metadata(context, Base.metadata))

    engine = make_engine(settings)
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    assert found == []
