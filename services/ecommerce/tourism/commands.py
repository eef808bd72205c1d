"""Owns what is done with tourism points: enter, change, publish, close for a time, take back. Callers commit."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import date, datetime, time

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import Forbidden, Invalid
from services.ecommerce import access as producers
from services.ecommerce import contacts
from services.ecommerce.model import Producer
from services.ecommerce.pictures import Picture
from services.ecommerce.tourism import access, events
from services.ecommerce.tourism.model import (
    CLOSED_AT_MOST,
    PointChangedMeanwhile,
    PointKind,
    PointNotInState,
    PointPhoto,
    PointStatus,
    TourismPoint,
)

VIETNAM_LAT, VIETNAM_LON = (6.0, 24.0), (101.0, 118.0)
"""Degrees between which Việt Nam with its islands lies."""


@dataclass(frozen=True)
class PointFields:
    """What is said of a point. `phone_agreed`: whoever answers the telephone agrees to its being shown to everybody."""

    name: str
    kind: PointKind
    description: str
    unit: str
    lat: float | None
    lon: float | None
    open_days: tuple[int, ...]
    opens: time | None
    closes: time | None
    price_note: str
    phone: str
    phone_agreed: bool
    takes_bookings: bool
    group_limit: int


async def add_point(
    tx: AsyncSession, me: Principal, producer_id: uuid.UUID | None, fields: PointFields
) -> TourismPoint:
    """A new draft, of a producer or (staff only) of the commune itself; raises Invalid, Forbidden."""
    village = await _village(tx, fields.unit)
    producer = None if producer_id is None else await tx.get(Producer, producer_id)
    if producer_id is not None:
        if producer is None:
            raise Invalid(field="producer_id", message_="Không có cơ sở sản xuất này.")
        if not producers.may_change_producer(me, producer):
            raise Forbidden()
        if village.commune != producer.commune:
            raise Invalid(field="unit", message_="Thôn này không thuộc xã của cơ sở sản xuất.")
    else:
        me.require(STAFF, village.path)
    at = now()
    point = TourismPoint(
        id=new_id(),
        producer_id=producer_id,
        producer=producer,
        commune=village.commune,
        path=village.path,
        status=PointStatus.DRAFT.value,
        version=1,
        created_at=at,
        changed_at=at,
        **_valued(fields),
    )
    tx.add(point)
    await tx.flush()
    await audited(tx, me, point, "tourism_point.added")
    return point


async def change_point(
    tx: AsyncSession, me: Principal, point_id: uuid.UUID, fields: PointFields, version: int | None = None
) -> TourismPoint:
    """Replace what is said of a point; `version`, where given, must be the one that was read."""
    point = await access.changeable(tx, me, point_id)
    if version is not None and version != point.version:
        raise PointChangedMeanwhile()
    village = await _village(tx, fields.unit)
    if village.commune != point.commune:
        raise Invalid(field="unit", message_="Thôn này không thuộc xã của điểm du lịch.")
    wanted = {**_valued(fields), "path": village.path}
    if all(getattr(point, name) == value for name, value in wanted.items()):
        return point
    for name, value in wanted.items():
        setattr(point, name, value)
    return await _done(tx, me, point, "tourism_point.changed")


async def publish(tx: AsyncSession, me: Principal, point_id: uuid.UUID) -> TourismPoint:
    """Show it to everybody: from draft, or again before the end of a closure. Raises PointNotInState."""
    point = await access.changeable(tx, me, point_id)
    if point.status == PointStatus.PUBLISHED:
        raise PointNotInState()
    point.status, point.opens_again_on = PointStatus.PUBLISHED.value, None
    point.published_at = point.published_at or now()
    return await _done(tx, me, point, "tourism_point.published")


async def close(tx: AsyncSession, me: Principal, point_id: uuid.UUID, opens_again_on: date) -> TourismPoint:
    """Closed for a time, up to but not including `opens_again_on`; its page stays. Raises PointNotInState, Invalid."""
    point = await access.changeable(tx, me, point_id)
    if point.status == PointStatus.DRAFT:
        raise PointNotInState()
    today = units.today()
    if not today < opens_again_on <= today + CLOSED_AT_MOST:
        raise Invalid(field="opens_again_on", message_="Ngày mở lại phải sau hôm nay và trong vòng một năm.")
    point.status, point.opens_again_on = PointStatus.CLOSED.value, opens_again_on
    return await _done(tx, me, point, "tourism_point.closed")


async def take_back(tx: AsyncSession, me: Principal, point_id: uuid.UUID) -> TourismPoint:
    """Make it a draft again: nobody else sees it any more. Raises PointNotInState."""
    point = await access.changeable(tx, me, point_id)
    if point.status == PointStatus.DRAFT:
        raise PointNotInState()
    point.status, point.opens_again_on = PointStatus.DRAFT.value, None
    return await _done(tx, me, point, "tourism_point.taken_back")


async def set_photo(tx: AsyncSession, me: Principal, point_id: uuid.UUID, picture: Picture | None) -> TourismPoint:
    """Replace the picture, or remove it with None. No event: it is not part of what others are told."""
    point = await access.changeable(tx, me, point_id)
    at = now()
    await tx.execute(sa.delete(PointPhoto).where(PointPhoto.point_id == point.id))
    if picture is not None:
        tx.add(PointPhoto(point_id=point.id, stored_at=at, **asdict(picture)))
    point.photo = picture.digest if picture else None
    point.touch(at)
    await audited(tx, me, point, "tourism_point.photo_changed")
    return point


async def reopen_due(tx: AsyncSession, at: datetime, limit: int) -> int:
    """Open again what was closed until today; returns how many. What another transaction holds waits its turn."""
    query = (
        sa.select(TourismPoint)
        .where(TourismPoint.status == PointStatus.CLOSED.value, TourismPoint.opens_again_on <= units.today())
        .order_by(TourismPoint.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = list((await tx.execute(query)).scalars())
    for point in due:
        point.status, point.opens_again_on = PointStatus.PUBLISHED.value, None
        point.touch(at)
        await events.changed(tx, point, at)
    return len(due)


async def relocate(tx: AsyncSession, unit: units.Unit) -> None:
    """A unit moved below another: points on it lie on its new path."""
    moved = sa.update(TourismPoint).where(TourismPoint.unit == unit.code, TourismPoint.path != unit.path)
    await tx.execute(moved.values(path=unit.path, commune=unit.commune).execution_options(synchronize_session=False))


async def forget_account(tx: AsyncSession, account: str) -> None:
    """A producer is erased: the number that they answered leaves the pages of their points, which stay.

    To be called before the producer loses the account.
    """
    theirs = sa.select(Producer.id).where(Producer.account == account)
    erased = sa.update(TourismPoint).where(TourismPoint.producer_id.in_(theirs), TourismPoint.phone != "")
    values = {"phone": "", "version": TourismPoint.version + 1}
    await tx.execute(erased.values(values).execution_options(synchronize_session=False))


async def audited(tx: AsyncSession, me: Principal, point: TourismPoint, action: str, **detail: object) -> None:
    """Staff leave a trace; a producer's work on its own point needs none."""
    if not access.owns(me, point):
        said = {"version": point.version, **detail}
        await audit.record(tx, me, action=action, target=str(point.id), unit=point.unit, detail=said)


async def _done(tx: AsyncSession, me: Principal, point: TourismPoint, action: str) -> TourismPoint:
    at = now()
    point.touch(at)
    await events.changed(tx, point, at)
    await audited(tx, me, point, action)
    return point


def _valued(fields: PointFields) -> dict[str, object]:
    """The columns of `fields`; raises Invalid where they do not fit together."""
    if (fields.lat is None) != (fields.lon is None):
        raise Invalid(field="lat", message_="Vị trí cần đủ cả vĩ độ và kinh độ.")
    if fields.lat is not None and fields.lon is not None:
        inside = VIETNAM_LAT[0] <= fields.lat <= VIETNAM_LAT[1] and VIETNAM_LON[0] <= fields.lon <= VIETNAM_LON[1]
        if not inside:
            raise Invalid(field="lat", message_="Vị trí này nằm ngoài Việt Nam.")
    if (fields.opens is None) != (fields.closes is None):
        raise Invalid(field="closes", message_="Xin ghi cả giờ mở và giờ đóng, hoặc để trống cả hai.")
    if fields.opens is not None and fields.closes is not None and fields.opens >= fields.closes:
        raise Invalid(field="closes", message_="Giờ đóng cửa phải sau giờ mở cửa.")
    if not fields.open_days and (fields.opens is not None or fields.takes_bookings):
        raise Invalid(field="open_days", message_="Xin chọn những ngày mở cửa trong tuần.")
    if fields.phone and not fields.phone_agreed:
        raise Invalid(field="phone_agreed", message_="Số này hiện cho mọi người: cần người nghe máy đồng ý.")
    values = asdict(fields)
    del values["phone_agreed"]
    return {
        **values,
        "kind": fields.kind.value,
        "open_days": sorted(set(fields.open_days)),
        "phone": contacts.phone(fields.phone) if fields.phone else "",
        # Six decimals are about 10 cm: finer would only pretend.
        "lat": None if fields.lat is None else round(fields.lat, 6),
        "lon": None if fields.lon is None else round(fields.lon, 6),
    }


async def _village(tx: AsyncSession, code: str) -> units.Unit:
    village = await units.find(tx, code)
    if village is None or village.level != "village":
        raise Invalid(field="unit", message_="Xin chọn một thôn trong danh sách.")
    return village
