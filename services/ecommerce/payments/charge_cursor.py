"""Owns what a position in a list of charges says: village, number of the household, id."""

from __future__ import annotations

import uuid

from chassis.errors import Malformed
from chassis.paging import decode_cursor
from services.ecommerce.payments.model import Charge
from services.ecommerce.payments.queries import Position


def charge_key(charge: Charge) -> tuple[str, str, str]:
    return charge.household.unit, charge.household.number, str(charge.id)


def charge_position(after: str | None) -> Position | None:
    """The village, number and id after which a list of charges goes on; raises Malformed."""
    values = decode_cursor(after, 3)
    if values is None:
        return None
    try:
        return str(values[0]), str(values[1]), uuid.UUID(str(values[2]))
    except ValueError:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from None
