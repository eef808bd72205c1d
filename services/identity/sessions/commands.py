"""Owns signing in: a user name or phone number and a password become a signed session token, or a bare refusal."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit
from chassis.db import new_id
from services.identity.accounts import grants, personal
from services.identity.accounts.commands import Tools, as_person
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


async def password_of(tx: AsyncSession, tools: Tools, login: str) -> str | None:
    """The password hash of the account that `login` (user name or phone number) names; None where none may sign in.

    The password is verified against it with no transaction open: hashes wait for a core, and connections are few.
    """
    account = await _find(tx, tools, login)
    return account.password_hash if account is not None and account.usable else None


async def authenticate(tx: AsyncSession, tools: Tools, login: str, proven: str, address: str) -> Account:
    """The account that `login` names, for whoever showed the password of the hash `proven`; raises SignInRefused.

    The account stays locked until the transaction ends: a session holds the roles of this moment, and whoever takes one
    back right after ends that session too.
    """
    account = await _find(tx, tools, login, lock=True)
    if account is None or not account.usable or account.password_hash != proven:
        raise SignInRefused()
    for key in _counted_as(tools, login, address):
        await throttle.forget(tx, key)
    await audit.record(
        tx, as_person(account), action="sign_in.accepted", target=str(account.id), unit=account.home_unit
    )
    return account


async def note_refusal(tx: AsyncSession, tools: Tools, login: str) -> None:
    """Write down that a sign-in was refused and to which account it was meant; what was typed is kept nowhere."""
    account = await _find(tx, tools, login)
    target, unit = (str(account.id), account.home_unit) if account is not None else ("", "")
    await audit.record(tx, None, action="sign_in.refused", target=target, unit=unit)


def _normal(login: str) -> str:
    return unicodedata.normalize("NFC", login).strip().lower()


def _counted_as(tools: Tools, login: str, address: str) -> tuple[bytes, bytes]:
    name = _normal(login)
    who = personal.phone_or_none(name) or name
    return (
        tools.sealer.index(f"{who}\0{address}", "attempts.account-address"),
        tools.sealer.index(who, "attempts.account"),
    )


async def count_guess(tx: AsyncSession, tools: Tools, settings: Settings, account_id: str) -> None:
    """Count one password shown by somebody signed in already; raises TooManyAttempts."""
    key = tools.sealer.index(account_id, "attempts.own")
    await throttle.count(tx, key, settings.login_tries_account, timedelta(minutes=settings.login_window_minutes))


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


async def _find(tx: AsyncSession, tools: Tools, login: str, *, lock: bool = False) -> Account | None:
    name = _normal(login)
    phone = personal.phone_or_none(name)
    if "\0" in name:
        return None
    same = [Account.username == name]
    if phone:
        same.append(Account.phone_index == tools.sealer.index(phone, "account.phone"))
    query = sa.select(Account).where(sa.or_(*same)).limit(1)
    account: Account | None = await tx.scalar(query.with_for_update() if lock else query)
    return account
