"""Owns the pages of the register of households: counts for everybody, households for the staff of their unit."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, VIEWERS, Principal
from chassis.errors import DomainError, Forbidden
from chassis.paging import After, page_of
from chassis.units import Unit
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.identity.households import commands, queries, register
from services.identity.households.api import household_cursor, household_key
from services.identity.households.commands import KEEPERS, Details
from services.identity.households.model import ENDS, LIVELIHOODS, POVERTY, NumberTaken
from services.identity.households.shapes import HouseholdIn, Totals, Why
from services.identity.units.queries import counts_below
from services.identity.web import TEMPLATES, AtDesk, crumbs, rail

pages = PageRouter(templates=TEMPLATES)

PAGE = 50
MOST_VILLAGES = 500


class EndForm(BaseModel):
    """Why a household goes off the register."""

    why: Why


@pages.get("/households")
async def register_page(
    page: Page, tx: Tx, me: MaybeMe, desk: AtDesk, unit: str = "", q: str = "", after: After = None
) -> Response:
    return await _register(page, tx, me, desk, unit, q.strip()[:80], after)


@pages.post("/households/totals")
async def state_totals(page: Page, tx: Tx, me: Me, desk: AtDesk) -> Response:
    form = await page.form(Totals)
    code = str(form.typed.get("unit", ""))[:20]
    if form.value is None:
        me.require(STAFF, (await units.get(tx, code)).path)
        return await _register(page, tx, me, desk, code, errors=form.errors, typed=form.typed)
    try:
        said = form.value
        await commands.state(tx, me, code, said.households_in_all, said.offices, said.offices_located)
    except Forbidden:
        raise
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _register(page, tx, me, desk, code, errors=errors, typed=form.typed, status=status)
    return page.redirect(f"/identity/households?unit={code}", flash="Đã lưu số liệu chung của xã.")


@pages.get("/households/new")
async def new_page(page: Page, tx: Tx, me: Me, unit: str = "") -> Response:
    return await _new(page, tx, me, unit, typed={"unit": unit})


@pages.post("/households/new")
async def new_household(page: Page, tx: Tx, me: Me, desk: AtDesk) -> Response:
    form = await page.form(HouseholdIn)
    if form.value is None:
        return await _new(page, tx, me, str(form.typed.get("unit", "")), errors=form.errors, typed=form.typed)
    try:
        made = await commands.enter(tx, desk.tools.sealer, me, form.value.details())
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _new(page, tx, me, form.value.unit, errors=errors, status=status, typed=form.typed)
    return page.redirect(f"/identity/households?unit={made.unit}", flash="Đã ghi hộ vào sổ.")


@pages.get("/households/{household_id}")
async def household_page(page: Page, tx: Tx, me: Me, desk: AtDesk, household_id: uuid.UUID) -> Response:
    return await _one(page, tx, me, desk, household_id)


@pages.post("/households/{household_id}")
async def change_household(page: Page, tx: Tx, me: Me, desk: AtDesk, household_id: uuid.UUID) -> Response:
    form = await page.form(HouseholdIn)
    if form.value is None:
        me.require(KEEPERS, (await queries.get(tx, me, household_id)).path)
        return await _one(page, tx, me, desk, household_id, errors=form.errors, typed=form.typed)
    try:
        changed = await commands.change(tx, desk.tools.sealer, me, household_id, form.value.details())
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _one(page, tx, me, desk, household_id, errors=errors, status=status, typed=form.typed)
    return page.redirect(f"/identity/households?unit={changed.unit}", flash="Đã lưu thay đổi của hộ.")


@pages.post("/households/{household_id}/end")
async def end_household(page: Page, tx: Tx, me: Me, desk: AtDesk, household_id: uuid.UUID) -> Response:
    form = await page.form(EndForm)
    if form.value is None:
        me.require(KEEPERS, (await queries.get(tx, me, household_id)).path)
        return await _one(page, tx, me, desk, household_id, errors=form.errors)
    await commands.end(tx, me, household_id, form.value.why)
    # From its page it can be put back, and its page leads on, also where its village has ended.
    return page.redirect(f"/identity/households/{household_id}", flash="Đã đưa hộ ra khỏi sổ.")


@pages.post("/households/{household_id}/return")
async def put_back(page: Page, tx: Tx, me: Me, desk: AtDesk, household_id: uuid.UUID) -> Response:
    try:
        await commands.put_back(tx, me, household_id)
    except NumberTaken as error:
        # There is no field here for it to stand beside.
        errors = {"": " ".join(page.errors_of(error).values())}
        return await _one(page, tx, me, desk, household_id, errors=errors, status=page.status_of(error))
    return page.redirect(f"/identity/households/{household_id}", flash="Đã đưa hộ trở lại sổ.")


async def _register(
    page: Page,
    tx: Tx,
    me: Principal | None,
    desk: AtDesk,
    code: str,
    q: str = "",
    after: str | None = None,
    *,
    status: int = 200,
    **shown: Any,
) -> Response:
    place = await place_of(tx, me, code)
    total, counts = await queries.overview(tx, place)
    sees = me is not None and me.may(VIEWERS, place.path) and place.level in ("commune", "village")
    rows, stranded = list[queries.Listed](), list[queries.Stranded]()
    if sees:
        start = household_cursor(after)
        rows = await queries.listed(tx, desk.tools.sealer, place, q=q, after=start, limit=PAGE)
        stranded = await queries.stranded(tx, place) if place.level == "commune" else []
    listed = page_of(rows, PAGE, key=household_key)
    asked = {"unit": place.code, **({"q": q} if q else {})}
    stated = await register.find(tx, place) if place.level == "commune" else None
    if "typed" not in shown and stated is not None and stated.households_in_all:
        shown["typed"] = {name: getattr(stated, name) for name in register.STATED}
    return page.render(
        "households.html",
        status=status,
        place=place,
        total=total,
        begun=sum(one.households > 0 for one in counts),
        communes=(await counts_below(tx, place.path))["commune"],
        counts=counts,
        stated=stated,
        this_year=units.today().year,
        sees=sees,
        may_keep=me is not None and sees and me.may(KEEPERS, place.path),
        may_state=me is not None and place.level == "commune" and me.may(STAFF, place.path),
        own=_own(me, place),
        rows=listed.items,
        names=queries.names(counts) | {v.unit: page._("{name} (đã kết thúc)").format(name=v.name) for v in stranded},
        stranded=stranded,
        q=q,
        livelihoods=LIVELIHOODS,
        poverty=POVERTY,
        more=f"/identity/households?{urlencode({**asked, 'after': listed.next})}" if listed.next else None,
        first=f"/identity/households?{urlencode(asked)}" if after else None,
        unit_path=await crumbs(tx, place),
        staff_nav=rail(page, "households"),
        **shown,
    )


async def place_of(tx: Tx, me: Principal | None, code: str) -> Unit:
    """The unit asked for, else the first one of who asks, else the province; raises UnknownUnit."""
    asked = code or (me.home.unit if me and me.home else "")
    if asked:
        return await units.get(tx, asked)
    top = await units.search(tx, level="province", limit=1)
    if not top:
        raise units.UnknownUnit(unit="")
    return top[0]


def _own(me: Principal | None, place: Unit) -> str:
    """The village below `place` whose register `me` keeps, where they keep one only; empty otherwise."""
    if me is None or me.may(VIEWERS, place.path):
        return ""
    below = [g.unit for g in me.grants if g.role == "village_head" and g.path.startswith(f"{place.path}/")]
    return below[0] if len(below) == 1 else ""


async def _new(page: Page, tx: Tx, me: Principal, code: str, *, status: int = 200, **shown: Any) -> Response:
    asked = await units.find(tx, code[:20]) if code else None
    own = [g.path for g in me.grants if g.role in KEEPERS]
    # Who keeps the whole commune may choose another of its villages than the one they came from.
    wider = commands.commune_of(asked.path) if asked is not None and asked.level == "village" else ""
    near = [path for path in (wider, asked.path) if me.may(KEEPERS, path)] if asked is not None else []
    paths = near[:1] or own
    if not paths:
        raise Forbidden()
    villages = [u for path in paths for u in await units.search(tx, level="village", within=path, limit=MOST_VILLAGES)]
    return page.render(
        "household_new.html",
        status=status,
        villages=list(queries.names(villages).items()),
        here=asked.code if asked is not None else "",
        unit_path=await crumbs(tx, asked),
        **_words(page),
        **shown,
    )


async def _one(
    page: Page,
    tx: Tx,
    me: Principal,
    desk: AtDesk,
    household_id: uuid.UUID,
    *,
    status: int = 200,
    typed: dict[str, Any] | None = None,
    **shown: Any,
) -> Response:
    household = await queries.get(tx, me, household_id)
    known = HouseholdIn.of(Details.of(household, desk.tools.sealer)).model_dump(exclude_none=True)
    village = await units.find(tx, household.unit)
    commune = await units.get(tx, commands.commune_of(household.path).rpartition("/")[2])
    found = await units.search(tx, parent=commune.code, limit=MOST_VILLAGES)
    keeps, stands = me.may(KEEPERS, household.path), household.ended_at is None
    return page.render(
        "household.html",
        status=status,
        household=household,
        village=village,
        known=known,
        typed=known if typed is None else typed,
        home=(village or commune).code,
        villages=list(queries.names(u for u in found if me.may(KEEPERS, u.path)).items()),
        may_keep=keeps and stands,
        may_put_back=keeps and not stands and village is not None,
        ends={key: page._(word) for key, word in ENDS.items()},
        unit_path=await crumbs(tx, village or commune),
        **_words(page),
        **shown,
    )


def _words(page: Page) -> dict[str, Any]:
    return {
        "livelihoods": [(key, page._(word)) for key, word in LIVELIHOODS.items()],
        "poverty": [(key, page._(word)) for key, word in POVERTY.items()],
        "this_year": units.today().year,
        "staff_nav": rail(page, "households"),
    }
