"""Everything that can be done to a petition: one use case is one function. Each change leaves as one event."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.petitions.v1 import events_pb2 as events

from chassis import audit, outbox, units
from chassis.auth import STAFF, Principal, covers
from chassis.db import fetch, later, new_id, now
from chassis.errors import Forbidden, Invalid
from chassis.units import VIETNAM, Unit
from services.petitions import access, contacts, sla
from services.petitions.contacts import ContactCipher
from services.petitions.model import (
    MAX_PHOTOS,
    Action,
    Channel,
    Draft,
    Entry,
    EntryKind,
    Officer,
    Petition,
    Photo,
    PhotosNoLongerTaken,
    Status,
    TooManyPhotos,
)
from services.petitions.photos import CleanPhoto

WRITE_SCOPE = "petitions.write"
NUMBERS_TAKEN = 50
CLOCK_SKEW = timedelta(minutes=5)
OLDEST_RECEIPT = timedelta(days=7)
_VIETNAM_LAT, _VIETNAM_LON = (6.0, 24.0), (101.0, 118.0)
"""Mainland, islands and the waters between, in degrees (WGS 84): a pin outside is a slip of the hand."""


@dataclass(frozen=True)
class FilePetition:
    """What a reporter says. Texts are NFC and within their lengths already; `received_at` is for hotlines only."""

    category: str
    description: str
    commune: str | None = None
    village: str | None = None
    place: str = ""
    lat: float | None = None
    lon: float | None = None
    contact_phone: str | None = None
    public: bool = True
    channel: Channel | None = None
    received_at: datetime | None = None


def _stamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def public_state(of: Petition) -> events.Petition:
    """The whole public state of a petition as events carry it: no words of the reporter, nothing personal."""
    return events.Petition(
        id=str(of.id),
        code=of.code,
        commune=of.commune,
        village=of.village or "",
        category=of.category,
        status=of.status.value,
        channel=of.channel.value,
        filed_at=_stamp(of.filed_at),
        due_at=_stamp(of.due_at),
        answered_at=_stamp(of.answered_at),
        closed_at=_stamp(of.closed_at),
        rating=of.rating or 0,
    )


async def _publish(tx: AsyncSession, of: Petition, message: Message, at: datetime) -> None:
    await outbox.put(tx, message, unit=of.unit, subject=str(of.id), key=of.commune, occurred_at=at)


def _entry(of: Petition, me: Principal, kind: EntryKind, at: datetime, body: str = "", *, public: bool = True) -> Entry:
    by_staff = of.is_handler(me) and not of.is_reporter(me)
    return Entry(
        id=new_id(),
        petition_id=of.id,
        at=at,
        kind=kind,
        public=public,
        by_staff=by_staff,
        author=me.subject,
        # A resident's name is never copied out of identity; staff are named to their colleagues.
        author_name=me.name if by_staff else "",
        body=body,
    )


async def place_of(tx: AsyncSession, commune: str | None, village: str | None) -> Unit:
    """The village, or else the commune, that a report names; raises Invalid when they do not belong together."""
    code = village or commune
    if not code:
        raise Invalid(field="commune", message_="Xin chọn xã, phường hoặc thị trấn.")
    named = "village" if village else "commune"
    unit = await units.current(tx, code)
    if unit is None or unit.level != named:
        wrong = "Không có thôn, khu dân cư này." if village else "Không có xã, phường, thị trấn này."
        raise Invalid(field=named, message_=wrong)
    if commune and unit.commune != commune:
        raise Invalid(field="village", message_="Thôn này không thuộc xã đã chọn.")
    return unit


def _check_position(lat: float | None, lon: float | None) -> None:
    if lat is None and lon is None:
        return
    if lat is None or lon is None or not (math.isfinite(lat) and math.isfinite(lon)):
        raise Invalid(field="lat", message_="Vị trí cần đủ cả vĩ độ và kinh độ.")
    if not (_VIETNAM_LAT[0] <= lat <= _VIETNAM_LAT[1] and _VIETNAM_LON[0] <= lon <= _VIETNAM_LON[1]):
        raise Invalid(field="lat", message_="Vị trí này nằm ngoài Việt Nam.")


def _channel(me: Principal, asked: Channel | None, unit: Unit) -> Channel:
    """By which way a report comes in, and whether `me` may bring it in that way."""
    if me.kind == "partner":
        me.require_scope(WRITE_SCOPE)
        me.require(("partner",), unit.path)
        return asked if asked is Channel.PHONE else Channel.PARTNER
    if asked is Channel.PARTNER:
        raise Forbidden(field="channel")
    if asked is Channel.PHONE:
        me.require(STAFF, unit.path)
    return asked or Channel.WEB


def _received(request: FilePetition, channel: Channel, at: datetime) -> datetime:
    """When the report came in: now, or when the hotline took the call. The deadline counts from it."""
    if request.received_at is None:
        return at
    if channel is Channel.WEB:
        raise Invalid(field="received_at", message_="Chỉ tổng đài được ghi giờ tiếp nhận.")
    if request.received_at > at + CLOCK_SKEW:
        raise Invalid(field="received_at", message_="Giờ tiếp nhận nằm trong tương lai.")
    if request.received_at < at - OLDEST_RECEIPT:
        raise Invalid(field="received_at", message_="Giờ tiếp nhận đã quá 7 ngày.")
    return min(request.received_at, at).astimezone(UTC)


@dataclass(frozen=True)
class Checked:
    """A report found good: where it belongs, how it came in, when, about what, and whom to ring."""

    unit: Unit
    channel: Channel
    filed_at: datetime
    category: sla.Category
    phone: str | None


async def check(tx: AsyncSession, me: Principal, request: FilePetition) -> Checked:
    """Whether `me` may file `request` as it stands; raises what is wrong with which field."""
    unit = await place_of(tx, request.commune, request.village)
    channel = _channel(me, request.channel, unit)
    _check_position(request.lat, request.lon)
    filed_at = _received(request, channel, now())
    category = sla.categories(filed_at.astimezone(VIETNAM).date()).get(request.category)
    if category is None:
        raise Invalid(field="category", message_="Xin chọn lĩnh vực trong danh sách.")
    phone = contacts.phone(request.contact_phone) if request.contact_phone else None
    return Checked(unit, channel, filed_at, category, phone)


_FILED = (
    "id",
    "code",
    "commune",
    "village",
    "path",
    "category",
    "status",
    "channel",
    "public",
    "description",
    "place",
    "lat",
    "lon",
    "reporter",
    "contact_phone",
    "filed_at",
    "due_at",
)
_INSERT = (
    f"@ AS (INSERT INTO petition ({', '.join(_FILED)})"
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(_FILED) + 1))}))"
)


async def _number(tx: AsyncSession) -> int:
    """A number no other petition has. Taken by the dozen; those left at the end of a process are never used."""
    left: deque[int] = tx.info.setdefault("kept", {}).setdefault("numbers", deque())
    if not left:
        rows = await fetch(tx, "SELECT nextval('petition_number') FROM generate_series(1, $1)", NUMBERS_TAKEN)
        left.extend(row[0] for row in rows)
    return left.popleft()


def _as_loaded(values: dict[str, Any]) -> Petition:
    """A petition as if it had been read back; set one by one, its attributes cost more than the statement."""
    petition = Petition()
    unset = dict.fromkeys(("answered_at", "closed_at", "department", "assignee", "rating"))
    petition.__dict__.update({**unset, "rating_comment": "", **values})
    return petition


async def file(tx: AsyncSession, me: Principal, request: FilePetition, cipher: ContactCipher) -> Petition:
    """File a petition: one statement (petition, outbox). Its deadline is computed here and never again."""
    checked = await check(tx, me, request)
    unit, category, filed_at = checked.unit, checked.category, checked.filed_at
    identity = new_id()
    values = {
        "id": identity,
        "code": f"PA-{filed_at.astimezone(VIETNAM).year}-{await _number(tx):06d}",
        "commune": unit.commune,
        "village": unit.code if unit.level == "village" else None,
        "path": unit.path,
        "category": category.code,
        "status": Status.FILED,
        "channel": checked.channel,
        "public": request.public and category.public,
        "description": request.description,
        "place": request.place,
        "lat": request.lat,
        "lon": request.lon,
        # A case taken down for somebody on the telephone is nobody's account's.
        "reporter": None if me.kind == "person" and checked.channel is Channel.PHONE else me.subject,
        "contact_phone": cipher.seal(checked.phone, str(identity)) if checked.phone else None,
        "filed_at": filed_at,
        "due_at": sla.calendar().due(filed_at, category.days).astimezone(UTC),
    }
    await later(tx, (_INSERT, tuple(values[name] for name in _FILED)))
    petition = _as_loaded(values)
    await _publish(tx, petition, events.PetitionFiled(petition=public_state(petition)), filed_at)
    return petition


async def _remember(tx: AsyncSession, me: Principal, of: Petition, at: datetime) -> None:
    """Note that `me` acts for this unit, so that colleagues can hand cases over."""
    grant = next((g for g in me.grants if g.role in STAFF and covers(g.path, of.path)), None)
    if grant is None:
        return
    statement = insert(Officer).values(subject=me.subject, unit=grant.unit, path=grant.path, name=me.name, seen_at=at)
    new = statement.excluded
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=["subject", "unit"], set_={"path": new.path, "name": new.name, "seen_at": new.seen_at}
        )
    )


async def _done(tx: AsyncSession, me: Principal, of: Petition, entry: Entry, **detail: str | bool | None) -> None:
    """What every change leaves behind: a line in the timeline and, for staff, one in the audit log."""
    tx.add(entry)
    await tx.flush()
    if entry.by_staff:
        await _remember(tx, me, of, entry.at)
        await audit.record(
            tx, me, action=f"petition.{entry.kind.value}", target=str(of.id), unit=of.unit, detail={**detail}
        )


async def route(
    tx: AsyncSession,
    me: Principal,
    id_or_code: str,
    *,
    department: str | None = None,
    assignee: str | None = None,
    note: str = "",
) -> Petition:
    """Give a petition to a department or an officer of the commune; with neither, `me` takes it."""
    petition = await access.petition(tx, me, id_or_code, for_update=True)
    at = now()
    petition.check(Action.ROUTE, me, at, 0)
    if department is not None and department not in sla.departments():
        raise Invalid(field="department", message_="Không có bộ phận này.")
    if assignee is None and department is None:
        assignee = me.subject
    if assignee is not None and assignee != me.subject:
        known = {officer.subject for officer in await access.officers(tx, petition.path)}
        if assignee not in known:
            raise Invalid(field="assignee", message_="Cán bộ này không làm việc cho xã này.")
    petition.route(me, at, department=department, assignee=assignee)
    await _done(
        tx,
        me,
        petition,
        _entry(petition, me, EntryKind.ROUTED, at, department or ""),
        department=department,
        assignee=assignee,
    )
    if note:
        tx.add(_entry(petition, me, EntryKind.NOTE, at, note, public=False))
    await _publish(tx, petition, events.PetitionRouted(petition=public_state(petition)), at)
    return petition


async def answer(tx: AsyncSession, me: Principal, id_or_code: str, *, text: str) -> Petition:
    """Answer the reporter. The text is read by everybody who may see the petition."""
    petition = await access.petition(tx, me, id_or_code, for_update=True)
    at = now()
    petition.answer(me, at)
    await _done(tx, me, petition, _entry(petition, me, EntryKind.ANSWERED, at, text))
    await _publish(tx, petition, events.PetitionAnswered(petition=public_state(petition)), at)
    return petition


async def close(tx: AsyncSession, me: Principal, id_or_code: str) -> Petition:
    """Close an answered petition: by the commune, or by its reporter who is content."""
    petition = await access.petition(tx, me, id_or_code, for_update=True)
    at = now()
    petition.close(me, at)
    await _done(tx, me, petition, _entry(petition, me, EntryKind.CLOSED, at))
    await _publish(tx, petition, events.PetitionClosed(petition=public_state(petition)), at)
    return petition


async def reopen(tx: AsyncSession, me: Principal, id_or_code: str, *, reason: str, reopen_days: int) -> Petition:
    """The reporter is not content: back to the commune, with the deadline it always had."""
    petition = await access.petition(tx, me, id_or_code, for_update=True)
    at = now()
    petition.reopen(me, at, reopen_days)
    await _done(tx, me, petition, _entry(petition, me, EntryKind.REOPENED, at, reason))
    await _publish(tx, petition, events.PetitionReopened(petition=public_state(petition)), at)
    return petition


async def rate(tx: AsyncSession, me: Principal, id_or_code: str, *, rating: int, comment: str = "") -> Petition:
    """The reporter says how content they are, once per answer: 1 (not at all) to 5 (very)."""
    petition = await access.petition(tx, me, id_or_code, for_update=True)
    at = now()
    if not 1 <= rating <= 5:
        raise Invalid(field="rating", message_="Xin chọn từ 1 đến 5 sao.")
    petition.rate(me, at, rating, comment)
    await _done(tx, me, petition, _entry(petition, me, EntryKind.RATED, at, f"{rating}\n{comment}".strip()))
    await _publish(tx, petition, events.PetitionRated(petition=public_state(petition)), at)
    return petition


async def note(tx: AsyncSession, me: Principal, id_or_code: str, *, text: str) -> Petition:
    """An internal note: for the commune's staff only, no event."""
    petition = await access.petition(tx, me, id_or_code, for_update=True)
    me.require(STAFF, petition.path)
    await _done(tx, me, petition, _entry(petition, me, EntryKind.NOTE, now(), text, public=False))
    return petition


async def set_public(tx: AsyncSession, me: Principal, id_or_code: str, *, public: bool) -> Petition:
    """Take a petition off the public pages (it names somebody, say) or put it back; a security tip never goes there."""
    petition = await access.petition(tx, me, id_or_code, for_update=True)
    me.require(STAFF, petition.path)
    category = sla.known_categories().get(petition.category)
    if public and (category is None or not category.public):
        raise Invalid(field="public", message_="Tin báo an ninh, trật tự không được đăng công khai.")
    petition.public = public
    await _remember(tx, me, petition, now())
    await audit.record(
        tx, me, action="petition.visibility", target=str(petition.id), unit=petition.unit, detail={"public": public}
    )
    return petition


async def read_contact(tx: AsyncSession, me: Principal, id_or_code: str, cipher: ContactCipher) -> str | None:
    """The reporter's telephone number for an officer of the commune; that it was read is recorded."""
    petition = await access.petition(tx, me, id_or_code)
    me.require(STAFF, petition.path)
    if petition.contact_phone is None:
        return None
    await audit.record(tx, me, action="petition.contact_read", target=str(petition.id), unit=petition.unit, detail={})
    return cipher.open(petition.contact_phone, str(petition.id))


async def check_photos(tx: AsyncSession, me: Principal, id_or_code: str, count: int) -> Petition:
    """The petition, locked, to which `me` may add `count` photos; raises why not."""
    petition = await access.petition(tx, me, id_or_code, for_update=True)
    if not petition.is_reporter(me):
        raise Forbidden()
    if petition.status is not Status.FILED:
        raise PhotosNoLongerTaken()
    there = int(await tx.scalar(sa.select(sa.func.count()).where(Photo.petition_id == petition.id)) or 0)
    if there + count > MAX_PHOTOS:
        raise TooManyPhotos(field="photos", most=MAX_PHOTOS)
    return petition


async def add_photos(tx: AsyncSession, me: Principal, id_or_code: str, cleaned: list[CleanPhoto]) -> list[Photo]:
    """Add photos to one's own petition while nobody has taken it up yet; at most three in all."""
    petition = await check_photos(tx, me, id_or_code, len(cleaned))
    added = [
        Photo(
            id=new_id(),
            petition_id=petition.id,
            added_at=now(),
            width=photo.width,
            height=photo.height,
            image=photo.image,
            thumb=photo.thumb,
        )
        for photo in cleaned
    ]
    tx.add_all(added)
    await tx.flush()
    return added


async def anonymise(tx: AsyncSession, account: str) -> int:
    """Cut every tie between petitions and an erased account; returns how many. The matters themselves stay."""
    changed = await tx.scalars(
        sa.update(Petition)
        .where(Petition.reporter == account)
        .values(reporter=None, contact_phone=None)
        .returning(Petition.id)
    )
    ids = changed.all()
    await tx.execute(sa.update(Entry).where(Entry.author == account).values(author="", author_name=""))
    await tx.execute(sa.update(Petition).where(Petition.assignee == account).values(assignee=None))
    await tx.execute(sa.delete(Draft).where(Draft.owner == account))
    await tx.execute(sa.delete(Officer).where(Officer.subject == account))
    return len(ids)
