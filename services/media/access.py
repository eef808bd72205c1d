"""Owns who may look at and who may change the devices of a unit: scope of the token and role on the unit."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, VIEWERS, Principal
from chassis.errors import Forbidden, Invalid

READ = "media.read"
WRITE = "media.write"
READERS = (*VIEWERS, "partner")
ENTERERS = (*STAFF, "village_head")


def may_read(me: Principal, path: str, *, hide: bool = False) -> None:
    """Raise unless `me` may look at devices at `path`; with `hide` as if they did not exist."""
    me.require(READERS, path, hide=hide)
    me.require_scope(READ)


def may_write(me: Principal) -> None:
    """Raise unless the token of `me` may change anything; the role on the unit is the command's own check."""
    me.require_scope(WRITE)


async def unit_to_read(tx: AsyncSession, me: Principal, code: str | None) -> units.Unit:
    """The unit asked about, or where nothing is said the home of `me`; raises UnknownUnit, Forbidden, Invalid."""
    if code is None:
        home = me.home
        if home is None:
            raise Forbidden
        code = home.unit
    if "\x00" in code or len(code) > 40:
        raise Invalid(field="unit", message_="Mã đơn vị không hợp lệ.")
    unit = await units.get(tx, code)
    may_read(me, unit.path)
    return unit
