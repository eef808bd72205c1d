"""Owns the sign-in page, signing out, and the cookie that carries the session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from chassis.errors import DomainError
from chassis.incoming import SESSION_COOKIE
from chassis.pages import same_origin
from chassis.text import Line
from chassis.web import MaybeMe, Page, PageRouter, Sessions, Tx
from services.identity.accounts.model import Account
from services.identity.desk import Desk
from services.identity.sessions import commands, endings, throttle
from services.identity.sessions.model import SignInRefused
from services.identity.web import TEMPLATES, AtDesk, Password, address_of

pages = PageRouter(templates=TEMPLATES)

Login: Any = Line(80)
HOME = "/identity/account"


class LoginForm(BaseModel):
    """Sign-in form; `next` is where to go afterwards."""

    login: Login
    password: Password
    next: str = ""


@pages.get("/login")
async def login_page(page: Page, me: MaybeMe, next: str = "") -> Response:
    if me is not None and not next:
        return page.redirect(HOME)
    return page.render("login.html", next=same_origin(next, ""))


@pages.post("/login")
async def login(page: Page, tx: Tx, sessions: Sessions, desk: AtDesk) -> Response:
    form = await page.form(LoginForm)
    back = same_origin(str(form.typed.get("next", "")), "")
    typed = {"login": form.typed.get("login", "")}
    if form.value is None:
        return page.render("login.html", errors=form.errors, typed=typed, next=back)
    address = address_of(page.request)
    try:
        # Counted in a transaction of its own before the password is looked at: a refusal rolls back the request's.
        async with sessions.begin() as counting:
            await commands.count_sign_in(counting, desk.tools, desk.settings, form.value.login, address)
            kept = await commands.password_of(counting, desk.tools, form.value.login)
    except throttle.TooManyAttempts as error:
        return page.render("login.html", status=429, errors=page.errors_of(error), typed=typed, next=back)
    try:
        if not await desk.tools.passwords.verify(kept, form.value.password) or kept is None:
            raise SignInRefused()
        account = await commands.authenticate(tx, desk.tools, form.value.login, kept, address)
    except DomainError as error:
        async with sessions.begin() as noting:
            await commands.note_refusal(noting, desk.tools, form.value.login)
        return page.render("login.html", status=422, errors=page.errors_of(error), typed=typed, next=back)
    if desk.tools.passwords.outdated(account.password_hash):
        account.password_hash = await desk.tools.passwords.hash(form.value.password)
    return await signed_in(page, tx, desk, account, back or HOME)


@pages.post("/logout")
async def logout(page: Page, tx: Tx, me: MaybeMe) -> Response:
    if me is not None and me.session_id is not None:
        # Whoever has a copy of the cookie is signed out too.
        await endings.end(tx, me.session_id)
    response = page.redirect("/identity/login", flash="Đã đăng xuất.")
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


async def signed_in(page: Page, tx: Tx, desk: Desk, account: Account, path: str, flash: str | None = None) -> Response:
    """Go to `path` as `account`: the answer carries the session cookie."""
    token = await commands.session_token(tx, desk.keys, desk.settings, account)
    response = page.redirect(path, flash=flash)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(timedelta(hours=desk.settings.session_hours).total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=desk.settings.https,
    )
    return response
