"""Pages for everybody: the petitions of a unit, one's own, and a case with what its reporter can do to it."""

from __future__ import annotations

import uuid
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import DomainError
from chassis.paging import After, page_of
from chassis.units import Unit
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.petitions import access, commands, queries, sla
from services.petitions.model import OPEN, Petition, Status
from services.petitions.photos import MEDIA_TYPE
from services.petitions.texts import Comment, Reason, Words
from services.petitions.web import views

pages = PageRouter(templates=views.TEMPLATES)

_STATES: dict[str, tuple[Status, ...]] = {
    "open": OPEN,
    "answered": (Status.ANSWERED, Status.CLOSED),
}


class RateForm(BaseModel):
    rating: int = Field(ge=1, le=5)
    comment: Comment = ""


class ReopenForm(BaseModel):
    reason: Reason


async def _unit(tx: AsyncSession, me: Principal | None, code: str | None) -> Unit | None:
    """The unit a list is about: the one asked for, else the reader's own."""
    if code:
        return await units.get(tx, code)
    home = me.home if me else None
    return await units.find(tx, home.unit) if home else None


@pages.get("/")
async def public_list(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=30)] = None,
    state: Annotated[str | None, Query(max_length=10)] = None,
    category: Annotated[str | None, Query(max_length=40)] = None,
    q: Annotated[Words, Query()] = "",
    after: After = None,
) -> Response:
    """The public petitions of a unit, newest first."""
    place = await _unit(tx, me, unit)
    narrowed = queries.Filter(
        units=(place,) if place else (),
        statuses=_STATES.get(state or "", ()),
        category=category or None,
        public=True,
        q=q,
    )
    found = page_of(
        await queries.listing(tx, None, narrowed, limit=views.PAGE, after=views.cursor(after)),
        views.PAGE,
        lambda p: (p.filed_at, str(p.id)),
    )
    kept = {"unit": place.code if place else "", "state": state or "", "category": category or "", "q": q}

    def href(**changed: str) -> str:
        return "/petitions/?" + urlencode({k: v for k, v in {**kept, **changed}.items() if v})

    return page.render(
        "list.html",
        unit=place,
        unit_path=await views.crumbs(tx, place),
        overview=await queries.public_overview(tx, place),
        lines=await views.lines(tx, page, found.items),
        state=state if state in _STATES else "",
        category=category,
        categories=sla.categories(units.today()).values(),
        q=q,
        href=href,
        next_href=href(after=found.next) if found.next else None,
        first_href=href() if after else None,
        works_here=bool(me and me.roles & set(STAFF)),
    )


@pages.get("/mine")
async def mine(page: Page, tx: Tx, me: Me, after: After = None) -> Response:
    """What the reader has sent, newest first."""
    found = page_of(
        await queries.listing(tx, me, queries.Filter(reporter=me.subject), limit=views.PAGE, after=views.cursor(after)),
        views.PAGE,
        lambda p: (p.filed_at, str(p.id)),
    )
    return page.render(
        "mine.html",
        lines=await views.lines(tx, page, found.items),
        next_href="/petitions/mine?" + urlencode({"after": found.next}) if found.next else None,
        first_href="/petitions/mine" if after else None,
    )


@pages.get("/photos/{photo_id}.jpg")
async def photo(
    tx: Tx, me: MaybeMe, photo_id: uuid.UUID, size: Annotated[str, Query(pattern="^(full|thumb)$")] = "full"
) -> Response:
    """A photo of a petition, for whoever may see the petition."""
    pixels = await queries.picture(tx, me, photo_id, thumb=size == "thumb")
    # Never changed under its address; private, since who may see it can change.
    return Response(
        pixels,
        media_type=MEDIA_TYPE,
        headers={"cache-control": "private, max-age=3600", "x-content-type-options": "nosniff"},
    )


async def _case(
    page: Page, tx: AsyncSession, me: Principal | None, of: Petition, error: DomainError | None
) -> Response:
    place = await units.find(tx, of.unit)
    return page.render(
        "case.html",
        status=page.status_of(error) if error else 200,
        errors=page.errors_of(error) if error else None,
        unit_path=await views.crumbs(tx, place),
        **await views.case(tx, page, me, of),
    )


@pages.get("/PA-{number}")
async def case_by_code(page: Page, tx: Tx, me: MaybeMe, number: str) -> Response:
    """One case, by the code on its receipt."""
    return await _case(page, tx, me, await access.petition(tx, me, f"PA-{number[:20]}"), None)


@pages.get("/{id:uuid}")
async def case_by_id(page: Page, tx: Tx, me: MaybeMe, id: uuid.UUID) -> Response:
    """One case, by its id."""
    return await _case(page, tx, me, await access.petition(tx, me, str(id)), None)


@pages.post("/{id:uuid}/rate")
async def rate(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """The reporter rates the answer."""
    form = await page.form(RateForm)
    of = await access.petition(tx, me, str(id))
    if form.value is None:
        return await _again(page, tx, me, of, form.errors, form.typed)
    await commands.rate(tx, me, str(id), rating=form.value.rating, comment=form.value.comment)
    return page.redirect(f"/petitions/{of.code}", flash="Cảm ơn chị/anh đã đánh giá.")


@pages.post("/{id:uuid}/reopen")
async def reopen(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """The reporter says that it is not settled."""
    form = await page.form(ReopenForm)
    of = await access.petition(tx, me, str(id))
    if form.value is None:
        return await _again(page, tx, me, of, form.errors, form.typed)
    days = views.settings_of(page.request).reopen_days
    await commands.reopen(tx, me, str(id), reason=form.value.reason, reopen_days=days)
    return page.redirect(f"/petitions/{of.code}", flash="Đã mở lại phản ánh. Xã sẽ xem xét lại.")


@pages.post("/{id:uuid}/close")
async def close(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """The reporter, or the commune, ends an answered case."""
    of = await commands.close(tx, me, str(id))
    back = f"/petitions/inbox/{of.id}" if of.is_handler(me) else f"/petitions/{of.code}"
    return page.redirect(back, flash="Đã đóng phản ánh.")


async def _again(
    page: Page, tx: AsyncSession, me: Principal, of: Petition, errors: dict[str, str], typed: dict[str, str]
) -> Response:
    """The case once more, with what was wrong beside its field and what was typed kept."""
    place = await units.find(tx, of.unit)
    return page.render(
        "case.html",
        errors=errors,
        typed=typed,
        unit_path=await views.crumbs(tx, place),
        **await views.case(tx, page, me, of),
    )
