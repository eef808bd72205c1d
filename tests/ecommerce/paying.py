"""Owns the people and things of payments under test: households of a village, a payee, its charges, the bank."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from xaso.ecommerce.v1 import events_pb2
from xaso.identity.v1 import events_pb2 as identity

from chassis.consumer import Event
from chassis.db import new_id, now, outbox_table
from chassis.units import Unit, today
from services.ecommerce.consumers import on
from tests.ecommerce.conftest import Shop, ok
from tests.support.running import bearer

PERIOD = today().strftime("%Y-%m")
DUE = (today() + timedelta(days=10)).isoformat()
BIN, ACCOUNT = "970405", "0011012345678"


def bank(path: str = "30", scope: str = "ecommerce.notices.write") -> dict[str, str]:
    """The bank's program."""
    return bearer(("partner", path), kind="partner", client_id="ngan-hang", scope=scope, subject="client:ngan-hang")


async def household(
    shop: Shop, unit: Unit, number: str, *, ended: bool = False, id: str = "", sequence: int = 1
) -> str:
    """A household as identity tells of it; its id."""
    message = identity.Household(id=id or str(uuid.uuid4()), unit=unit.code, number=number, people=4, ended=ended)
    await hear(shop, identity.HouseholdChanged(household=message), message.id, sequence)
    return message.id


async def hear(shop: Shop, message: Message, subject: str, sequence: int) -> None:
    """An event of identity, as the consumer hands it to its handler."""
    kind = message.DESCRIPTOR.full_name
    event = Event(new_id(), "identity", kind, subject, now(), sequence, "", message)
    async with shop.running.tx() as tx:
        await on.apply(tx, [event])


async def payee(shop: Shop, unit: Unit, **changed: Any) -> str:
    who = changed.pop("who", shop.officer)
    body = {
        "unit": unit.code,
        "name": "HTX dịch vụ môi trường",
        "service": "waste",
        "bank_bin": BIN,
        "account": ACCOUNT,
        "holder": "HTX DICH VU MOI TRUONG",
        **changed,
    }
    return str(ok(await shop.post("/payees", body, who), 201)["id"])


async def charged(
    shop: Shop, payee_id: str, at: Iterable[tuple[Unit, str]], amount: int = 30_000, **changed: Any
) -> list[dict[str, Any]]:
    """Charges of this month for the households with these numbers."""
    wanted = [{"village": unit.code, "number": number, "amount": amount} for unit, number in at]
    body = {"period": PERIOD, "due_on": DUE, "charges": wanted, **changed}
    issued = await shop.post(f"/payees/{payee_id}/charges", body, shop.officer)
    return list(ok(issued, 201)["items"])


def money(code: str, amount: int = 30_000, **changed: Any) -> dict[str, Any]:
    """A notice of a transfer with this purpose."""
    return {
        "bank_bin": BIN,
        "account": ACCOUNT,
        "transaction_id": f"FT{uuid.uuid4().hex[:12]}",
        "amount": amount,
        "description": f"CT DEN: {code.lower()} nop tien thang nay",
        "paid_at": datetime.now(UTC).isoformat(),
        **changed,
    }


async def told(shop: Shop, subject: str) -> list[Message]:
    """The events whose subject begins so, oldest first."""
    async with shop.running.tx() as tx:
        c = outbox_table.c
        query = sa.select(outbox_table).where(c.subject.startswith(subject)).order_by(c.id)
        rows = (await tx.execute(query)).all()
    return [getattr(events_pb2, row.type.rsplit(".", 1)[1]).FromString(row.payload) for row in rows]
