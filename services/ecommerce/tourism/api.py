"""Owns the JSON of tourism: what the pages do, for programs, and the points as GeoJSON."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query, Request, UploadFile
from starlette.responses import JSONResponse, Response

from chassis import units
from chassis.auth import VIEWERS
from chassis.db import now
from chassis.errors import Forbidden, Unauthenticated
from chassis.paging import After, Limit, page_of
from chassis.web import ApiRouter, MaybeMe, Me, MiB, Tx
from services.ecommerce import pictures
from services.ecommerce.contacts import VisitorCipher, cipher_for
from services.ecommerce.cursors import catalogue_position, id_key, id_position
from services.ecommerce.tourism import access, bookings, commands, queries, shapes
from services.ecommerce.tourism.model import PointKind, TourismPoint

api = ApiRouter(prefix="/api/v1/tourism", reads="ecommerce.read")

UnitCode = Annotated[str | None, Query(max_length=40)]


class GeoJson(JSONResponse):
    media_type = "application/geo+json"


def _settings(request: Request) -> Any:
    return request.app.state.runtime.settings


def _cipher(request: Request) -> VisitorCipher:
    return cipher_for(_settings(request).secret.get_secret_value())


def _out(request: Request, point: TourismPoint) -> shapes.PointOut:
    return shapes.PointOut.of(point, now(), _settings(request).public_url)


def _published_key(point: TourismPoint) -> tuple[Any, str]:
    return (point.published_at, str(point.id))


@api.get("/points")
async def list_points(
    request: Request,
    tx: Tx,
    me: MaybeMe,
    unit: UnitCode = None,
    q: Annotated[str, Query(max_length=100)] = "",
    kind: PointKind | None = None,
    bookable: bool = False,
    drafts: Annotated[bool, Query(description="Every state: one's own, or of a `unit` one watches over.")] = False,
    limit: Limit = 50,
    after: After = None,
) -> shapes.PointList:
    """The points everybody may see, the newest first; with `drafts` all one looks after."""
    here = await units.get(tx, unit) if unit else None
    wanted = queries.PointFilter(path=here.path if here else "", q=q, kind=kind, bookable=bookable)
    if not drafts:
        rows = await queries.published(tx, wanted, limit, catalogue_position(after))
        page = page_of(rows, limit, _published_key)
    else:
        if me is None:
            raise Unauthenticated()
        if here is not None and not me.may(VIEWERS, here.path):
            raise Forbidden()
        own = wanted if here else replace(wanted, account=me.subject)
        page = page_of(await queries.points(tx, own, limit, id_position(after)), limit, id_key)
    return shapes.PointList(items=[_out(request, point) for point in page.items], next=page.next)


@api.get("/points.geojson", response_class=GeoJson)
async def export_points(
    request: Request,
    tx: Tx,
    unit: UnitCode = None,
    limit: Annotated[int, Query(ge=1, le=2000, description="Most points of one answer.")] = 2000,
    after: After = None,
) -> shapes.FeatureCollection:
    """The published points of a unit that have a place, as GeoJSON (RFC 7946)."""
    path = (await units.get(tx, unit)).path if unit else ""
    wanted = queries.PointFilter(path=path, located=True)
    page = page_of(await queries.published(tx, wanted, limit, catalogue_position(after)), limit, _published_key)
    at, public_url = now(), _settings(request).public_url
    return shapes.FeatureCollection(
        features=[shapes.Feature.of(point, at, public_url) for point in page.items], next=page.next
    )


@api.post("/points", status_code=201)
async def add_point(request: Request, tx: Tx, me: Me, body: shapes.NewPoint, response: Response) -> shapes.PointOut:
    """A new point, as a draft that nobody but its producer and the commune sees."""
    point = await commands.add_point(tx, me, body.producer_id, body.fields())
    response.headers["location"] = f"/ecommerce/api/v1/tourism/points/{point.id}"
    return _out(request, point)


@api.get("/points/{point_id}")
async def get_point(request: Request, tx: Tx, me: MaybeMe, point_id: uuid.UUID) -> shapes.PointOut:
    """A point; a draft is not found by strangers."""
    return _out(request, await access.visible(tx, me, point_id))


@api.patch("/points/{point_id}")
async def change_point(
    request: Request, tx: Tx, me: Me, point_id: uuid.UUID, body: shapes.PointChanges
) -> shapes.PointOut:
    """Change what is said of a point; fields left out stay."""
    point = await access.changeable(tx, me, point_id)
    return _out(request, await commands.change_point(tx, me, point_id, body.changed(point), body.version))


@api.post("/points/{point_id}/publish")
async def publish(request: Request, tx: Tx, me: Me, point_id: uuid.UUID) -> shapes.PointOut:
    """Show it to everybody, or end a closure early."""
    return _out(request, await commands.publish(tx, me, point_id))


@api.post("/points/{point_id}/close")
async def close(request: Request, tx: Tx, me: Me, point_id: uuid.UUID, body: shapes.Closing) -> shapes.PointOut:
    """Closed for a time; it opens again by itself on the day given."""
    return _out(request, await commands.close(tx, me, point_id, body.opens_again_on))


@api.post("/points/{point_id}/take-back")
async def take_back(request: Request, tx: Tx, me: Me, point_id: uuid.UUID) -> shapes.PointOut:
    """Make it a draft again."""
    return _out(request, await commands.take_back(tx, me, point_id))


@api.post("/points/{point_id}/photo", max_body=9 * MiB)
async def set_photo(request: Request, tx: Tx, me: Me, point_id: uuid.UUID, photo: UploadFile) -> shapes.PointOut:
    """Replace the picture by a JPEG, PNG or WebP; only its pixels are kept."""
    # Rights are checked before the work of decoding.
    await access.changeable(tx, me, point_id)
    picture = await pictures.cleaned(photo, _settings(request))
    return _out(request, await commands.set_photo(tx, me, point_id, picture))


@api.delete("/points/{point_id}/photo")
async def remove_photo(request: Request, tx: Tx, me: Me, point_id: uuid.UUID) -> shapes.PointOut:
    """Remove the picture; removing what is not there changes nothing."""
    return _out(request, await commands.set_photo(tx, me, point_id, None))


@api.post("/points/{point_id}/bookings", status_code=201)
async def ask(
    request: Request, tx: Tx, me: MaybeMe, point_id: uuid.UUID, body: shapes.NewBooking, response: Response
) -> shapes.BookingOut:
    """Ask to come on a day. No account is needed; the `code` of the answer is the way back to it."""
    booking = await bookings.ask(tx, me, point_id, body.wanted(), _cipher(request))
    response.headers["location"] = f"/ecommerce/api/v1/tourism/bookings/{booking.code}"
    return shapes.BookingOut.of(booking, now())


@api.get("/bookings/{code}")
async def get_booking(tx: Tx, code: str) -> shapes.BookingOut:
    """What became of a request, for whoever knows its code."""
    booking, _ = await bookings.by_code(tx, code)
    return shapes.BookingOut.of(booking, now())


@api.get("/points/{point_id}/bookings")
async def list_bookings(
    request: Request, tx: Tx, me: Me, point_id: uuid.UUID, limit: Limit = 50, after: After = None
) -> shapes.RequestList:
    """The requests of a point, newest first; with who asked, for whoever receives the guests (see `answer`)."""
    point = await access.own(tx, me, point_id)
    page = page_of(await bookings.of_point(tx, point.id, limit, id_position(after)), limit, id_key)
    at, cipher = now(), _cipher(request)
    reads = access.may_read_visitors(me, point)
    items = [
        shapes.RequestOut.opened(one, cipher.open(one.contact, str(one.id)) if reads else {}, at) for one in page.items
    ]
    return shapes.RequestList(items=items, next=page.next)


@api.post("/points/{point_id}/bookings/{booking_id}/answer")
async def answer(
    request: Request, tx: Tx, me: Me, point_id: uuid.UUID, booking_id: uuid.UUID, body: shapes.AnswerForm
) -> shapes.RequestOut:
    """Accept or decline; a no needs `words`. A yes may be called off until the day is over; all else stays as it is.

    Staff may answer for a producer, but who asked is told to the producer alone where it has an account.
    """
    booking = await bookings.answer(tx, me, point_id, booking_id, body.accept, body.words)
    reads = access.may_read_visitors(me, await access.own(tx, me, point_id))
    visitor = _cipher(request).open(booking.contact, str(booking.id)) if reads else {}
    return shapes.RequestOut.opened(booking, visitor, now())
