"""JSON entry points of notices: for staff and partners, for phones (no account), and for the waste calendar."""

from __future__ import annotations

import uuid
from datetime import datetime, time
from typing import Annotated

from fastapi import Response
from pydantic import AwareDatetime, BaseModel, Field

from chassis.errors import NotFound
from chassis.paging import After, Limit, page_of
from chassis.text import Line, Paragraph
from chassis.web import ApiRouter, Me, Tx
from services.media import access
from services.media.notices import commands, queries, subscribing
from services.media.notices.model import Notice, Status, Topic, Waste, WasteRule
from services.media.notices.push import MAX_ENDPOINT, phone_of, ticket_fits
from services.media.speakers.api import UnitCode, UnitQuery
from services.media.wiring import MediaSettings, id_cursor

api = ApiRouter(prefix="/api/v1", reads=access.READ, writes=access.WRITE)

MAX_NOTICE = 4000
Endpoint = Annotated[str, Field(min_length=1, max_length=MAX_ENDPOINT, description="As the browser names it.")]
Key = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9_=-]+$")]
Weekday = Annotated[int, Field(ge=1, le=7)]
MonthDay = Annotated[int, Field(ge=1, le=31)]
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM in Việt Nam.")]


class NoticeIn(BaseModel):
    unit: UnitCode = Field(description="A commune, or one village.")
    villages: list[UnitCode] = Field(default_factory=list, max_length=200, description="Of the commune; default: all.")
    topic: Topic
    title: Line(120)  # type: ignore[valid-type]  # Line makes a type at run time.
    text: Paragraph(MAX_NOTICE, 1)  # type: ignore[valid-type]  # Paragraph makes a type at run time.
    publish_at: AwareDatetime | None = Field(default=None, description="Default: at once.")


class NoticeOut(BaseModel):
    id: uuid.UUID
    unit: str
    villages: list[str] = Field(description="Empty: all villages of the commune.")
    topic: Topic
    title: str
    text: str
    status: Status
    publish_at: datetime
    published_at: datetime | None
    withdrawn_at: datetime | None
    subscriptions: int = Field(description="Phones that had subscribed when it was published.")
    received: int = Field(description="Of them, phones that said it arrived.")
    opened: int


class NoticePage(BaseModel):
    items: list[NoticeOut]
    next: str | None


class PhoneIn(BaseModel):
    endpoint: Endpoint


class SubscriptionIn(PhoneIn):
    unit: UnitCode
    topics: list[Topic] = Field(default_factory=list, max_length=20, description="Default: all.")
    p256dh: Key = Field(description="Public key of the browser, base64url.")
    auth: Key = Field(description="Authentication secret of the browser, base64url.")


class EndIn(PhoneIn):
    unit: UnitCode | None = Field(default=None, description="Default: every village.")


class SubscriptionOut(BaseModel):
    unit: str
    topics: list[Topic] = Field(description="Empty: all.")


class SubscriptionList(BaseModel):
    items: list[SubscriptionOut]


class ReceiptIn(BaseModel):
    push: uuid.UUID
    ticket: Annotated[str, Field(min_length=1, max_length=64)]
    opened: bool = False


class WasteRuleIn(BaseModel):
    unit: UnitCode
    kind: Waste
    weekdays: list[Weekday] = Field(default_factory=list, max_length=7, description="1 is Monday.")
    month_days: list[MonthDay] = Field(default_factory=list, max_length=31)
    at: ClockTime


class WasteRuleOut(BaseModel):
    id: uuid.UUID
    unit: str
    kind: Waste
    weekdays: list[int]
    month_days: list[int]
    at: str


class WasteRuleList(BaseModel):
    items: list[WasteRuleOut]


def _out(row: Notice) -> NoticeOut:
    return NoticeOut.model_validate(row, from_attributes=True)


def _rule(row: WasteRule) -> WasteRuleOut:
    return WasteRuleOut(
        id=row.id,
        unit=row.unit,
        kind=Waste(row.kind),
        weekdays=row.weekdays,
        month_days=row.month_days,
        at=f"{row.at:%H:%M}",
    )


@api.get("/notices")
async def list_notices(tx: Tx, me: Me, unit: UnitQuery = None, limit: Limit = 50, after: After = None) -> NoticePage:
    """Notices at or below a unit in every state, newest first, with how many phones they reached."""
    place = await access.unit_to_read(tx, me, unit)
    rows = await queries.listing(tx, place.path, limit=limit, before=id_cursor(after))
    page = page_of(list(rows), limit, lambda n: (n.id,))
    return NoticePage(items=[_out(n) for n in page.items], next=page.next)


@api.post("/notices", status_code=201)
async def write_notice(tx: Tx, me: Me, settings: MediaSettings, body: NoticeIn) -> NoticeOut:
    """Write a notice to the phones of a commune or of villages, to go out at once or at a time."""
    access.may_write(me)
    notice = await commands.write(
        tx,
        me,
        unit=body.unit,
        villages=body.villages,
        topic=body.topic,
        title=body.title,
        text=body.text,
        publish_at=body.publish_at,
        hours=settings.notice_hours,
    )
    return _out(notice)


@api.get("/notices/{notice_id}")
async def get_notice(tx: Tx, me: Me, notice_id: uuid.UUID) -> NoticeOut:
    """One notice in any state."""
    row = await queries.notice(tx, notice_id)
    access.may_read(me, row.path, hide=True)
    return _out(row)


@api.post("/notices/{notice_id}/withdraw")
async def withdraw_notice(tx: Tx, me: Me, notice_id: uuid.UUID) -> NoticeOut:
    """Take a notice back: it is shown and sent no more."""
    access.may_write(me)
    return _out(await commands.withdraw(tx, me, notice_id))


@api.post("/subscriptions", status_code=201)
async def subscribe(tx: Tx, settings: MediaSettings, body: SubscriptionIn) -> SubscriptionOut:
    """Let this phone get the notices of a village. Needs no account; sent again it changes the topics."""
    phone = phone_of(body.endpoint, body.p256dh, body.auth, host=settings.push_host)
    secret = settings.secret.get_secret_value()
    row = await subscribing.subscribe(
        tx, secret, phone, unit=body.unit, topics=body.topics, most=settings.phones_per_village
    )
    return SubscriptionOut(unit=row.unit, topics=[Topic(t) for t in row.topics])


@api.post("/subscriptions/mine")
async def my_subscriptions(tx: Tx, settings: MediaSettings, body: PhoneIn) -> SubscriptionList:
    """What the phone with this address gets."""
    rows = await subscribing.of_phone(tx, settings.secret.get_secret_value(), body.endpoint)
    return SubscriptionList(items=[SubscriptionOut(unit=r.unit, topics=[Topic(t) for t in r.topics]) for r in rows])


@api.post("/subscriptions/end", status_code=204, response_class=Response)
async def end_subscription(tx: Tx, settings: MediaSettings, body: EndIn) -> Response:
    """Forget this phone, for one village or altogether; repeated calls change nothing."""
    await subscribing.end(tx, settings.secret.get_secret_value(), body.endpoint, body.unit)
    return Response(status_code=204)


@api.post("/receipts", status_code=204, response_class=Response)
async def acknowledge(tx: Tx, settings: MediaSettings, body: ReceiptIn) -> Response:
    """A phone says that a notice arrived, or was opened; the ticket came with the notice."""
    if not ticket_fits(settings.secret.get_secret_value(), body.push, body.ticket):
        raise NotFound
    await commands.acknowledge(tx, body.push, opened=body.opened)
    return Response(status_code=204)


@api.get("/waste-rules")
async def list_waste_rules(tx: Tx, me: Me, unit: UnitQuery = None) -> WasteRuleList:
    """When waste is collected at or below a unit."""
    place = await access.unit_to_read(tx, me, unit)
    return WasteRuleList(items=[_rule(r) for r in await queries.rules(tx, place.path)])


@api.post("/waste-rules", status_code=201)
async def enter_waste_rule(tx: Tx, me: Me, body: WasteRuleIn) -> WasteRuleOut:
    """Say when a kind of waste is collected in a village, weekly or monthly."""
    access.may_write(me)
    rule = await commands.enter_rule(
        tx,
        me,
        unit=body.unit,
        kind=body.kind,
        weekdays=body.weekdays,
        month_days=body.month_days,
        at=time.fromisoformat(body.at),
    )
    return _rule(rule)


@api.post("/waste-rules/{rule_id}/end")
async def end_waste_rule(tx: Tx, me: Me, rule_id: uuid.UUID) -> WasteRuleOut:
    """The collection is no more."""
    access.may_write(me)
    return _rule(await commands.end_rule(tx, me, rule_id))
