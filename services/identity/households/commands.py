"""Owns what is done to the register of households: entering, changing and ending one, stating the commune's totals.

Every change tells of the household with its whole public state, then of the register of its commune where that came to
something else.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import audit, outbox, units
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import Invalid
from chassis.outbox import Outgoing
from chassis.units import Unit
from services.identity.households import queries, register
from services.identity.households.model import (
    Household,
    HouseholdEnded,
    NotACommune,
    NotAVillage,
    NumberTaken,
    OtherCommune,
    Place,
)
from services.identity.sealing import Sealer
from services.identity.units.batches import BATCH, batches
from services.identity.units.commands import lock_order

KEEPERS = (*STAFF, "village_head")
"""Who keeps the register: staff of the commune, and the head of the village for the own village."""

_VIETNAM_LAT, _VIETNAM_LON = (6.0, 24.0), (101.0, 118.0)


@dataclass(frozen=True)
class Details:
    """What is recorded of a household; `livelihood` is a key of LIVELIHOODS, `poverty` one of POVERTY."""

    unit: str
    number: str
    people: int
    place: Place = field(default_factory=Place)
    livelihood: str | None = None
    poverty: str | None = None
    reviewed_year: int | None = None

    def check(self) -> None:
        """Raise Invalid, with the field, where the parts do not go together."""
        place = self.place
        parts = {"digital_code": place.code or None, "lat": place.lat, "lon": place.lon}
        if len({part is None for part in parts.values()}) > 1:
            missing = next(name for name, part in parts.items() if part is None)
            raise Invalid(field=missing, message_="Địa chỉ số cần đủ mã, vĩ độ và kinh độ.")
        if place.lat is not None and place.lon is not None and not _in_vietnam(place.lat, place.lon):
            raise Invalid(field="lat", message_="Vị trí này nằm ngoài Việt Nam.")
        if (self.poverty is None) != (self.reviewed_year is None):
            missing = "poverty" if self.poverty is None else "reviewed_year"
            raise Invalid(field=missing, message_="Kết quả rà soát hộ nghèo cần cả kết quả và năm rà soát.")
        if self.reviewed_year is not None and self.reviewed_year > units.today().year:
            raise Invalid(field="reviewed_year", message_="Năm này chưa tới.")

    def put(self, household: Household, sealer: Sealer) -> bool:
        """Write them into `household`; returns whether anything was different. Its path is for the caller to set."""
        if self == Details.of(household, sealer):
            return False
        for name in ("unit", "number", "people", "livelihood", "poverty", "reviewed_year"):
            setattr(household, name, getattr(self, name))
        household.place_sealed = self.place.sealed(sealer)
        household.digital_address = self.place.digital
        return True

    @classmethod
    def of(cls, household: Household, sealer: Sealer) -> Details:
        """What is recorded of a household; raises SealBroken."""
        place = Place.opened(sealer, household.place_sealed)
        economy = (household.livelihood, household.poverty, household.reviewed_year)
        return cls(household.unit, household.number, household.people, place, *economy)


async def enter(tx: AsyncSession, sealer: Sealer, me: Principal, new: Details) -> Household:
    """Enter a household; raises UnknownUnit, Forbidden, NotAVillage, Invalid, NumberTaken."""
    await lock_order(tx)
    village = await _village(tx, me, new.unit)
    new.check()
    await register.lock(tx, [commune_of(village.path)])
    await _require_free(tx, village, new.number)
    household = made(new, village, sealer)
    tx.add(household)
    await tx.flush()
    await tell(tx, [household])
    await audit.record(tx, me, action="household.entered", target=str(household.id), unit=village.code, detail={})
    return household


async def change(
    tx: AsyncSession, sealer: Sealer, me: Principal, household_id: uuid.UUID, wanted: Details
) -> Household:
    """Record what a household is now, also that it counts for another village of the commune.

    Raises NoSuchHousehold, UnknownUnit, Forbidden, NotAVillage, OtherCommune, HouseholdEnded, Invalid, NumberTaken.
    What is recorded already changes nothing.
    """
    household = await _kept(tx, me, household_id)
    village = await _village(tx, me, wanted.unit)
    if commune_of(village.path) != commune_of(household.path):
        raise OtherCommune(field="unit")
    wanted.check()
    if (village.path, wanted.number) != (household.path, household.number):
        await _require_free(tx, village, wanted.number)
    before = household.unit
    if not wanted.put(household, sealer):
        return household
    household.path, household.changed_at = village.path, now()
    await tx.flush()
    await tell(tx, [household])
    detail = {"moved_from": before} if before != village.code else {}
    await audit.record(tx, me, action="household.changed", target=str(household.id), unit=village.code, detail=detail)
    return household


async def end(tx: AsyncSession, me: Principal, household_id: uuid.UUID, why: str) -> Household:
    """Take a household off the register; `why` is a key of ENDS. Its number may be given to another one.

    Raises NoSuchHousehold, Forbidden, HouseholdEnded.
    """
    household = await _kept(tx, me, household_id)
    household.ended_at = household.changed_at = now()
    household.ended_why = why
    await tx.flush()
    await tell(tx, [household])
    detail = {"why": why}
    await audit.record(tx, me, action="household.ended", target=str(household.id), unit=household.unit, detail=detail)
    return household


async def put_back(tx: AsyncSession, me: Principal, household_id: uuid.UUID) -> Household:
    """Take a household that was ended into the register again, under its number; one that stands there stays.

    Raises NoSuchHousehold, Forbidden, NumberTaken, and UnknownUnit where its village has ended.
    """
    household = await _locked(tx, me, household_id)
    if household.ended_at is None:
        return household
    village = await _village(tx, me, household.unit)
    await _require_free(tx, village, household.number)
    household.changed_at, household.ended_at, household.ended_why = now(), None, None
    await tx.flush()
    await tell(tx, [household])
    await audit.record(tx, me, action="household.put_back", target=str(household.id), unit=village.code, detail={})
    return household


async def state(tx: AsyncSession, me: Principal, code: str, in_all: int, offices: int, located: int) -> None:
    """Keep what staff state of a commune: its households, its offices, and offices with a digital address.

    Raises UnknownUnit, Forbidden, NotACommune, Invalid.
    """
    await lock_order(tx)
    commune = await units.get(tx, code)
    me.require(STAFF, commune.path)
    if commune.level != "commune":
        raise NotACommune(field="unit")
    if located > offices:
        raise Invalid(field="offices_located", message_="Nhiều hơn số cơ quan, đơn vị.")
    stated = {"households_in_all": in_all, "offices": offices, "offices_located": located}
    await register.tell(tx, [commune.path], stated)
    await audit.record(tx, me, action="household.totals_stated", target=commune.code, unit=commune.code, detail=stated)


def made(new: Details, village: Unit, sealer: Sealer) -> Household:
    """A household that is not in the register yet."""
    return Household(
        unit=village.code,
        path=village.path,
        number=new.number,
        people=new.people,
        place_sealed=new.place.sealed(sealer),
        digital_address=new.place.digital,
        livelihood=new.livelihood,
        poverty=new.poverty,
        reviewed_year=new.reviewed_year,
        changed_at=now(),
    )


async def tell(tx: AsyncSession, changed: Sequence[Household]) -> None:
    """Tell of households, and of the registers of their communes."""
    for part in batches(changed, BATCH):
        # A village may have ended: the outbox asks it for its code and its commune only.
        told = [Outgoing(events.HouseholdChanged(household=queries.message_of(h)), _placed(h), str(h.id)) for h in part]
        await outbox.add_all(tx, told)
    await register.tell(tx, [commune_of(household.path) for household in changed])


def commune_of(path: str) -> str:
    """The path of the commune that a village lies in."""
    return path.rpartition("/")[0]


def _placed(household: Household) -> Unit:
    commune = commune_of(household.path).rpartition("/")[2]
    return Unit(household.unit, "", "village", "", commune, household.path, date.min)


async def _village(tx: AsyncSession, me: Principal, code: str) -> Unit:
    village = await units.get(tx, code)
    me.require(KEEPERS, village.path)
    if village.level != "village":
        raise NotAVillage(field="unit")
    return village


async def _kept(tx: AsyncSession, me: Principal, household_id: uuid.UUID) -> Household:
    """As `_locked`, of a household that has not ended."""
    household = await _locked(tx, me, household_id)
    if household.ended_at is not None:
        raise HouseholdEnded()
    return household


async def _locked(tx: AsyncSession, me: Principal, household_id: uuid.UUID) -> Household:
    """The household, which `me` keeps, with the register of its commune locked."""
    await lock_order(tx)
    household = await queries.get(tx, me, household_id)
    await register.lock(tx, [commune_of(household.path)])
    await tx.refresh(household)
    me.require(KEEPERS, household.path)
    return household


async def _require_free(tx: AsyncSession, village: Unit, number: str) -> None:
    taken = sa.select(Household.id).where(
        Household.path == village.path, Household.number == number, Household.ended_at.is_(None)
    )
    if await tx.scalar(taken):
        raise NumberTaken(field="number", number=number)


def _in_vietnam(lat: float, lon: float) -> bool:
    return _VIETNAM_LAT[0] <= lat <= _VIETNAM_LAT[1] and _VIETNAM_LON[0] <= lon <= _VIETNAM_LON[1]
