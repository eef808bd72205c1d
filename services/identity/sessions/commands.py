"""Owns signing in: a user name or phone number and a password become a signed session token, or a bare refusal."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import new_id
from services.identity.accounts import grants, personal
from services.identity.accounts.commands import Tools
from services.identity.accounts.model import Account
from services.identity.sessions import throttle, tokens
from services.identity.sessions.keys import Keys
from services.identity.sessions.model import SignInRefused
from services.identity.settings import Settings


async def count_sign_in(tx: AsyncSession, tools: Tools, settings: Settings, login: str, address: str) -> None:
    """Count one attempt to sign in as `login` from the network `address`; raises TooManyAttempts.

    It belongs into a transaction of its own, committed before the password is looked at.
    """
    window = timedelta(minutes=settings.login_window_minutes)
    from_here, from_everywhere = _counted_as(tools, login, address)
    await throttle.count(tx, from_here, settings.login_tries, window)
    await throttle.count(tx, from_everywhere, settings.login_tries_account, window)


async def authenticate(tx: AsyncSession, tools: Tools, login: str, password: str, address: str) -> Account:
    """The account that `login` (user name or phone number) and `password` open.

    Raises SignInRefused, alike and after the same time for an unknown account and a wrong password.
    """
    name = _normal(login)
    account = await _find(tx, tools, name, personal.phone_or_none(name))
    usable = account is not None and account.usable
    right = await tools.passwords.verify(account.password_hash if account and usable else None, password)
    if account is None or not usable or not right:
        raise SignInRefused()
    for key in _counted_as(tools, login, address):
        await throttle.forget(tx, key)
    if tools.passwords.outdated(account.password_hash):
        account.password_hash = await tools.passwords.hash(password)
    return account


def _normal(login: str) -> str:
    return unicodedata.normalize("NFC", login).strip().lower()


def _counted_as(tools: Tools, login: str, address: str) -> tuple[bytes, bytes]:
    name = _normal(login)
    who = personal.phone_or_none(name) or name
    return (
        tools.sealer.index(f"{who}\0{address}", "attempts.account-address"),
        tools.sealer.index(who, "attempts.account"),
    )


async def count_registration(tx: AsyncSession, tools: Tools, settings: Settings, address: str) -> None:
    """Count one registration from `address`; raises TooManyAttempts."""
    key = tools.sealer.index(address, "attempts.register")
    await throttle.count(tx, key, settings.register_tries, timedelta(minutes=settings.login_window_minutes))


async def session_token(tx: AsyncSession, keys: Keys, settings: Settings, account: Account) -> str:
    """The signed token of a new sign-in of `account`."""
    held = await grants.current(tx, account.id)
    subject = tokens.Subject(str(account.id), account.name, "person", held)
    return tokens.sign(
        await keys.signer(tx),
        settings.issuer,
        subject,
        scope=tokens.SESSION_SCOPE,
        seconds=int(settings.session_hours * 3600),
        family=str(new_id()),
    )


async def _find(tx: AsyncSession, tools: Tools, name: str, phone: str | None) -> Account | None:
    if "\0" in name:
        return None
    same = [Account.username == name]
    if phone:
        same.append(Account.phone_index == tools.sealer.index(phone, "account.phone"))
    account: Account | None = await tx.scalar(sa.select(Account).where(sa.or_(*same)).limit(1))
    return account
