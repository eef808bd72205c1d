"""Owns the pages on which leaders and administrators keep accounts and roles in their scope."""

from __future__ import annotations

import uuid
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel
from starlette.responses import Response

from chassis import units
from chassis.auth import Principal
from chassis.errors import DomainError, Forbidden
from chassis.paging import After, decode_cursor, page_of
from chassis.text import Line
from chassis.units import Unit
from chassis.web import Me, Page, PageRouter, Tx
from services.identity.accounts import commands, grants, handovers, queries
from services.identity.accounts.api import Role, as_uuid
from services.identity.accounts.model import GRANTABLE, ROLE_LEVELS, ROLE_TITLES
from services.identity.staff import commands as staff
from services.identity.units import queries as unit_queries
from services.identity.web import TEMPLATES, AtDesk, Password, crumbs, rail

pages = PageRouter(templates=TEMPLATES)

Name: Any = Line(120)
Short: Any = Line(40)
PAGE = 50
FOUND = 20


class AccountForm(BaseModel):
    """An account to make; the unit stands in the address."""

    name: Name
    username: Short | None = None
    phone: Short | None = None
    password: Password
    role: Role
    unit: Short


class PasswordForm(BaseModel):
    """A new first password."""

    password: Password


class GrantForm(BaseModel):
    """A role to give."""

    role: Role
    unit: Short


class SmartphoneForm(BaseModel):
    """Whether a member of staff uses a smartphone with Internet, as they were asked."""

    smartphone: Literal["yes", "no", "unasked"]


@pages.get("/accounts")
async def accounts_page(page: Page, tx: Tx, me: Me, q: str = "", after: After = None) -> Response:
    home = await _workplace(tx, me, "")
    q = q.strip()[:80]
    cursor = decode_cursor(after, 1)
    rows = await queries.in_scope(tx, me, q=q or None, after=as_uuid(cursor[0]) if cursor else None, limit=PAGE)
    shown = page_of(rows, PAGE, key=lambda r: (str(r.id),))
    more = f"/identity/accounts?{urlencode({'q': q, 'after': shown.next})}" if shown.next else None
    return page.render(
        "accounts.html",
        rows=shown.items,
        q=q,
        more=more,
        first=f"/identity/accounts?{urlencode({'q': q})}" if after else None,
        titles=ROLE_TITLES,
        names=await unit_queries.names(tx, {g.unit for r in shown.items for g in r.grants}),
        home=home,
        waiting=await handovers.count(tx, me),
        unit_path=await crumbs(tx, home),
        staff_nav=rail(page, "accounts"),
    )


@pages.get("/accounts/new")
async def new_account_page(page: Page, tx: Tx, me: Me, unit: str = "", q: str = "") -> Response:
    place = await _workplace(tx, me, unit)
    return page.render("account_new.html", **await _choices(page, tx, me, place, q))


@pages.post("/accounts/new")
async def new_account(page: Page, tx: Tx, me: Me, desk: AtDesk) -> Response:
    form = await page.form(AccountForm)
    place = await _workplace(tx, me, str(form.typed.get("unit", "")))
    typed = {k: v for k, v in form.typed.items() if k != "password"}
    if form.value is None:
        shown = await _choices(page, tx, me, place, "")
        return page.render("account_new.html", errors=form.errors, typed=typed, **shown)
    try:
        account = await commands.create(tx, desk.tools, me, commands.CreateAccount(**form.value.model_dump()))
    except DomainError as error:
        shown = await _choices(page, tx, me, place, "")
        status = page.status_of(error)
        return page.render("account_new.html", errors=page.errors_of(error), status=status, typed=typed, **shown)
    return page.redirect(f"/identity/accounts/{account.id}", flash="Đã tạo tài khoản.")


@pages.get("/accounts/{account_id}")
async def account_page(page: Page, tx: Tx, me: Me, account_id: uuid.UUID, unit: str = "", q: str = "") -> Response:
    return await _show(page, tx, me, account_id, unit, q)


@pages.post("/accounts/{account_id}/grants")
async def grant_role(page: Page, tx: Tx, me: Me, account_id: uuid.UUID) -> Response:
    await grants.in_scope(tx, me, account_id)
    form = await page.form(GrantForm)
    place = str(form.typed.get("unit", ""))
    if form.value is None:
        return await _show(page, tx, me, account_id, place, "", errors=form.errors, typed=form.typed)
    try:
        await grants.grant(tx, me, account_id, form.value.role, form.value.unit)
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _show(page, tx, me, account_id, place, "", errors=errors, status=status, typed=form.typed)
    return page.redirect(
        f"/identity/accounts/{account_id}", flash="Đã giao vai trò. Có hiệu lực từ lần đăng nhập sau của người đó."
    )


@pages.post("/accounts/{account_id}/grants/{grant_id}/revoke")
async def revoke_role(page: Page, tx: Tx, me: Me, account_id: uuid.UUID, grant_id: uuid.UUID) -> Response:
    await grants.revoke(tx, me, account_id, grant_id)
    return page.redirect(f"/identity/accounts/{account_id}", flash="Đã thu vai trò.")


@pages.post("/accounts/{account_id}/password")
async def set_password(page: Page, tx: Tx, me: Me, desk: AtDesk, account_id: uuid.UUID) -> Response:
    await grants.in_scope(tx, me, account_id)
    form = await page.form(PasswordForm)
    if form.value is None:
        return await _show(page, tx, me, account_id, "", "", errors=form.errors)
    try:
        await commands.set_password(tx, desk.tools, me, account_id, form.value.password)
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _show(page, tx, me, account_id, "", "", errors=errors, status=status)
    return page.redirect(f"/identity/accounts/{account_id}", flash="Đã đặt mật khẩu mới. Xin báo cho người đó.")


@pages.post("/accounts/{account_id}/smartphone")
async def say_smartphone(page: Page, tx: Tx, me: Me, account_id: uuid.UUID) -> Response:
    await grants.in_scope(tx, me, account_id)
    form = await page.form(SmartphoneForm)
    if form.value is None:
        return await _show(page, tx, me, account_id, "", "", errors=form.errors)
    await staff.say_for(tx, me, account_id, form.value.smartphone)
    return page.redirect(f"/identity/accounts/{account_id}", flash="Đã ghi câu trả lời.")


@pages.post("/accounts/{account_id}/disable")
async def disable(page: Page, tx: Tx, me: Me, account_id: uuid.UUID) -> Response:
    await commands.set_disabled(tx, me, account_id, True)
    return page.redirect(f"/identity/accounts/{account_id}", flash="Đã khóa tài khoản. Có thể mở lại bất cứ lúc nào.")


@pages.post("/accounts/{account_id}/enable")
async def enable(page: Page, tx: Tx, me: Me, account_id: uuid.UUID) -> Response:
    await commands.set_disabled(tx, me, account_id, False)
    return page.redirect(f"/identity/accounts/{account_id}", flash="Đã mở lại tài khoản.")


async def _show(page: Page, tx: Tx, me: Principal, account_id: uuid.UUID, unit: str, q: str, **shown: Any) -> Response:
    account = await grants.in_scope(tx, me, account_id)
    row = await queries.row(tx, account)
    place = await _workplace(tx, me, unit)
    held = [(g, page._(ROLE_TITLES[g.role]), grants.may_grant(me, g.role, g.path)) for g in row.grants]
    choices = await _choices(page, tx, me, place, q)
    names = {**await unit_queries.names(tx, {g.unit for g in row.grants}), **choices.pop("names")}
    said = staff.answer_of(account) if await staff.may_say_for(tx, me, account_id) else None
    return page.render("account_roles.html", row=row, held=held, names=names, smartphone=said, **choices, **shown)


async def _workplace(tx: Tx, me: Principal, code: str) -> Unit:
    """The unit roles are given on: the one asked for if `me` may give any there, else the first where they may."""
    own = next((g for g in me.grants if g.role in GRANTABLE), None)
    if own is None:
        raise Forbidden()
    asked = await units.find(tx, code) if code else None
    if asked is not None and grants.grantable(me, asked.path):
        return asked
    return await units.get(tx, own.unit)


async def _choices(page: Page, tx: Tx, me: Principal, place: Unit, q: str) -> dict[str, Any]:
    """What the forms offer: the unit chosen and those below it, the roles that can be given there, and a search."""
    below = await units.children(tx, place.code)
    paths = sorted({g.path for g in me.grants if g.role in GRANTABLE})
    found = (
        [u for path in paths for u in await units.search(tx, within=path, q=q.strip()[:80], limit=FOUND)] if q else []
    )
    levels = {place.level, *(u.level for u in below)}
    roles = [r for r in grants.grantable(me, place.path) if levels & set(ROLE_LEVELS[r])]
    return {
        "place": place,
        "options": [(u.code, f"{u.name} ({u.code})") for u in (place, *below)],
        "roles": [(r, page._(ROLE_TITLES[r])) for r in roles],
        "q": q,
        "found": found[:FOUND],
        "names": await unit_queries.names(tx, {c for u in found for c in u.codes[:-1]}),
        "unit_path": await crumbs(tx, place),
        "staff_nav": rail(page, "accounts"),
    }
