"""Owns a person's own pages: registration, the account, password, export and erasure of personal data."""

from __future__ import annotations

import json
import uuid
from typing import Any, Literal

from pydantic import BaseModel
from starlette.responses import Response

from chassis import units
from chassis.auth import Principal
from chassis.errors import DomainError
from chassis.incoming import SESSION_COOKIE
from chassis.text import Line
from chassis.web import Me, Page, PageRouter, Sessions, Tx
from services.identity.accounts import commands, grants, queries
from services.identity.accounts.model import LISTED_ROLES, ROLE_TITLES, Account, NoSuchAccount
from services.identity.desk import Desk
from services.identity.directory import commands as directory_commands
from services.identity.directory import queries as directory
from services.identity.sessions import commands as sessions_commands
from services.identity.sessions.web import signed_in
from services.identity.staff import commands as staff
from services.identity.staff import register as staff_register
from services.identity.units import queries as unit_queries
from services.identity.web import TEMPLATES, AtDesk, Password, address_of, rail

pages = PageRouter(templates=TEMPLATES)

PersonName: Any = Line(120)
Phone: Any = Line(20)
Code: Any = Line(20)
Optional: Any = Line(120, 0)
FOUND = 20


class RegisterForm(BaseModel):
    """A resident's registration; `consent` must be ticked."""

    name: PersonName
    phone: Phone
    password: Password
    unit: Code
    consent: Literal["1"]


class PasswordForm(BaseModel):
    """A change of one's own password."""

    old: Password
    password: Password


class EraseForm(BaseModel):
    """Erasure asks for the password again."""

    password: Password


class ContactForm(BaseModel):
    """What a member of staff shows the public."""

    position: PersonName
    phone: Optional = ""
    email: Optional = ""
    consent: Literal["1"]


class SmartphoneForm(BaseModel):
    """Whether a member of staff uses a smartphone with Internet, as they say."""

    smartphone: Literal["yes", "no", "unasked"]


@pages.get("/register")
async def register_page(page: Page, tx: Tx, q: str = "", unit: str = "") -> Response:
    if unit:
        return page.render("register.html", unit=await units.get(tx, unit))
    q = q.strip()[:80]
    found = [u for u in await units.search(tx, q=q, limit=FOUND * 3) if u.level in ("commune", "village")] if q else []
    above = await unit_queries.names(tx, {c for u in found for c in u.codes[:-1]})
    return page.render("register_where.html", q=q, found=found[:FOUND], above=above)


@pages.post("/register")
async def register(page: Page, tx: Tx, sessions: Sessions, desk: AtDesk) -> Response:
    form = await page.form(RegisterForm)
    unit = await units.get(tx, str(form.typed.get("unit", "")))
    typed = {k: v for k, v in form.typed.items() if k != "password"}
    if form.value is None:
        errors = dict(form.errors)
        if "consent" in errors:
            errors["consent"] = page._("Cần đồng ý thì mới đăng ký được.")
        return page.render("register.html", unit=unit, errors=errors, typed=typed)
    new = commands.Register(form.value.name, form.value.phone, form.value.password, form.value.unit)
    try:
        async with sessions.begin() as counting:
            await sessions_commands.count_registration(counting, desk.tools, desk.settings, address_of(page.request))
        account = await commands.register(tx, desk.tools, new)
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return page.render("register.html", unit=unit, errors=errors, status=status, typed=typed)
    return await signed_in(page, tx, desk, account, "/identity/account", flash="Đã đăng ký. Chào mừng chị/anh.")


@pages.get("/account")
async def account_page(page: Page, tx: Tx, me: Me) -> Response:
    return await _show(page, tx, me)


@pages.post("/account/password")
async def change_password(page: Page, tx: Tx, me: Me, sessions: Sessions, desk: AtDesk) -> Response:
    form = await page.form(PasswordForm)
    if form.value is None:
        return await _show(page, tx, me, errors=form.errors)
    try:
        await _count_guess(sessions, desk, me)
        account = await commands.change_password(tx, desk.tools, _own(me), form.value.old, form.value.password)
    except DomainError as error:
        return await _show(page, tx, me, errors=page.errors_of(error), status=page.status_of(error))
    # Every other session of the account ends with its old password; this browser goes on with a new one.
    return await signed_in(page, tx, desk, account, "/identity/account", flash="Đã đổi mật khẩu.")


@pages.get("/account/export")
async def export(tx: Tx, me: Me, desk: AtDesk) -> Response:
    account = await commands.get(tx, _own(me))
    data = await queries.export(tx, desk.tools, account)
    contact = await directory.contact_of(tx, account.id)
    if contact is not None:
        shown = {"unit": contact.unit, "position": contact.position, "phone": contact.phone, "email": contact.email}
        data["public_contact"] = shown
    headers = {"content-disposition": 'attachment; filename="xaso-account.json"', "cache-control": "no-store"}
    return Response(json.dumps(data, ensure_ascii=False, indent=2), 200, headers, "application/json")


@pages.get("/account/erase")
async def erase_page(page: Page, tx: Tx, me: Me) -> Response:
    await commands.get(tx, _own(me))
    return page.render("erase.html")


@pages.post("/account/erase")
async def erase(page: Page, tx: Tx, me: Me, sessions: Sessions, desk: AtDesk) -> Response:
    form = await page.form(EraseForm)
    if form.value is None:
        return page.render("erase.html", errors=form.errors)
    try:
        await _count_guess(sessions, desk, me)
        await commands.erase(tx, desk.tools, _own(me), form.value.password)
    except DomainError as error:
        return page.render("erase.html", errors=page.errors_of(error), status=page.status_of(error))
    response = page.redirect("/identity/login", flash="Đã xóa tài khoản và dữ liệu cá nhân.")
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


@pages.post("/account/contact")
async def publish_contact(page: Page, tx: Tx, me: Me) -> Response:
    form = await page.form(ContactForm)
    if form.value is None:
        errors = dict(form.errors)
        if "consent" in errors:
            errors["consent"] = page._("Cần đồng ý thì mới hiện trong danh bạ.")
        return await _show(page, tx, me, errors=errors, typed=form.typed)
    contact = directory_commands.Contact(form.value.position, form.value.phone, form.value.email)
    await directory_commands.publish(tx, me, contact)
    return page.redirect("/identity/account", flash="Đã hiện trong danh bạ công khai.")


@pages.post("/account/contact/withdraw")
async def withdraw_contact(page: Page, tx: Tx, me: Me) -> Response:
    await directory_commands.withdraw(tx, _own(me))
    return page.redirect("/identity/account", flash="Đã rút khỏi danh bạ công khai.")


@pages.post("/account/smartphone")
async def say_smartphone(page: Page, tx: Tx, me: Me) -> Response:
    _own(me)
    form = await page.form(SmartphoneForm)
    if form.value is None:
        return await _show(page, tx, me, errors=form.errors)
    await staff.say_for_oneself(tx, me, form.value.smartphone)
    return page.redirect("/identity/account", flash="Đã ghi câu trả lời.")


async def _count_guess(sessions: Sessions, desk: Desk, me: Principal) -> None:
    """Count a password shown by somebody signed in: a session left open must not be a place to guess it."""
    async with sessions.begin() as counting:
        await sessions_commands.count_guess(counting, desk.tools, desk.settings, me.subject)


def _own(me: Principal) -> uuid.UUID:
    """The account id of the person; a partner's client has none, and an application has no business with it."""
    if me.kind != "person" or me.client_id is not None:
        raise NoSuchAccount()
    try:
        return uuid.UUID(me.subject)
    except ValueError as error:
        raise NoSuchAccount() from error


async def _show(page: Page, tx: Tx, me: Principal, *, status: int = 200, **shown: Any) -> Response:
    account: Account = await commands.get(tx, _own(me))
    row = await queries.row(tx, account)
    home = await units.find(tx, row.grants[0].unit) if row.grants else None
    contact = await directory.contact_of(tx, account.id)
    if "typed" not in shown and contact is not None:
        shown["typed"] = {"position": contact.position, "phone": contact.phone, "email": contact.email}
    return page.render(
        "account.html",
        status=status,
        account=account,
        held=[(g, page._(ROLE_TITLES[g.role])) for g in row.grants],
        names=await unit_queries.names(tx, {g.unit for g in row.grants}),
        contact=contact,
        may_list=any(g.role in LISTED_ROLES for g in row.grants),
        in_register=await staff_register.serves(tx, account.id),
        smartphone=staff.answer_of(account),
        may_grant=bool(me.roles & set(grants.GRANTERS)),
        home=home,
        staff_nav=rail(page, ""),
        **shown,
    )
