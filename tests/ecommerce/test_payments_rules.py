"""What a payment does to a charge, and what a file of charges or a statement may be: rules that need no database."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime

import pytest

from chassis.errors import Invalid
from services.ecommerce.payments import tables, views
from services.ecommerce.payments.model import (
    MAX_ROWS,
    Charge,
    ChargeHasMoney,
    ChargeNotOpen,
    ChargeState,
    Means,
    NoticeState,
    Payee,
)
from services.ecommerce.payments.telling import year_of

NOON = datetime(2026, 11, 5, 5, tzinfo=UTC)
HEAD = "ma_giao_dich,thoi_gian,so_tien,noi_dung\n"


def charge(received: int = 0) -> Charge:
    return Charge(
        id=uuid.uuid4(), amount=30_000, due_on=date(2026, 11, 5), received=received, state=ChargeState.OPEN, means=""
    )


@pytest.mark.parametrize(
    ("at", "state"),
    [("2026-11-05T16:59:59+00:00", NoticeState.SETTLED), ("2026-11-05T17:00:00+00:00", NoticeState.LATE)],
)
def test_the_due_day_ends_at_midnight_in_vietnam(at: str, state: NoticeState) -> None:
    assert charge().receive(30_000, datetime.fromisoformat(at)) is state


def test_a_year_begins_at_midnight_in_vietnam() -> None:
    assert year_of(datetime(2026, 12, 31, 16, 59, tzinfo=UTC)) == 2026
    assert year_of(datetime(2026, 12, 31, 17, 0, tzinfo=UTC)) == 2027


def test_a_charge_that_has_money_is_not_cancelled_and_a_paid_one_neither() -> None:
    some = charge(10_000)
    with pytest.raises(ChargeHasMoney):
        some.cancel()
    assert (some.remaining, some.surplus) == (20_000, 0)
    some.receive(25_000, NOON)
    assert (some.state, some.remaining, some.surplus) == ("paid", 0, 5_000)
    with pytest.raises(ChargeNotOpen):
        some.cancel()


def test_what_cash_paid_stays_paid_when_the_bank_money_before_it_goes_back() -> None:
    some = charge(10_000)
    some.pay_cash(NOON)
    some.give_back(10_000)
    assert (some.state, some.means, some.received) == ("paid", Means.CASH, 0)


def test_money_given_back_opens_only_what_is_short_of_it() -> None:
    some = charge()
    some.receive(40_000, NOON)
    some.give_back(10_000)
    assert some.state == "paid"
    some.give_back(1)
    assert (some.state, some.means, some.paid_at, some.remaining) == ("open", "", None, 1)


def test_a_file_too_large_too_long_or_with_a_line_break_in_a_cell_is_refused() -> None:
    assert tables.text_of(b"a" * tables.MAX_BYTES)
    with pytest.raises(Invalid):
        tables.text_of(b"a" * (tables.MAX_BYTES + 1))
    rows = "thon,ho,so_tien\n" + "x,1,1000\n" * MAX_ROWS
    assert len(tables.charges_of(rows).rows) == MAX_ROWS
    with pytest.raises(Invalid):
        tables.charges_of(rows + "x,1,1000\n")
    read = tables.charges_of('thon,ho,so_tien\nx,"1\n2",1000\nx,\x00,1000\n')
    assert [(one.line, one.column) for one in read.faults] == [(3, "ho"), (4, "ho")]


def test_a_statement_names_a_transaction_once_and_nothing_of_the_future() -> None:
    payee = Payee(bank_bin="970405", account="1")
    rows = "T1,05/11/2026 08:30,1.000,a\nT1,05/11/2026 08:30,1.000,a\nT2,05/11/2126 08:30,1,a\nT3,5.11.26,1,a\n"
    read = tables.statement_of(HEAD + rows, payee)
    assert [(one.line, one.column) for one in read.faults] == [(3, "ma_giao_dich"), (4, "thoi_gian"), (5, "thoi_gian")]
    assert read.rows[0].paid_at == datetime(2026, 11, 5, 1, 30, tzinfo=UTC)


def test_a_table_to_take_home_holds_no_formula() -> None:
    written = bytes(views.table("a", ["b"], [["=1+1"], ["@x"], ["+84"], ["-1"], [5], ["x=1"]]).body).decode()
    assert written.lstrip("\ufeff").split("\r\n") == ["b", "'=1+1", "'@x", "'+84", "'-1", "5", "x=1", ""]
