"""Owns what is done to accounts: registration, creation by staff, passwords, personal data, erasure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import audit, outbox, units
from chassis.auth import Principal
from chassis.db import now
from chassis.errors import Invalid
from services.identity.accounts import grants, passwords, personal
from services.identity.accounts.model import (
    CONSENT_REGISTER,
    Account,
    CitizenTaken,
    Consent,
    HeldElsewhere,
    NameTaken,
    NoSuchAccount,
    PhoneTaken,
    RoleGrant,
    WrongPassword,
)
from services.identity.accounts.passwords import Passwords
from services.identity.directory import listing
from services.identity.sealing import Sealer
from services.identity.sessions import endings
from services.identity.staff import register as staff

REGISTER_WORDING = "dang-ky-2026-01"
"""The version of the consent text on the registration page; the text is in its template."""


@dataclass(frozen=True)
class Tools:
    """What account commands need beside the transaction: password hashing and sealing, both keyed by settings."""

    passwords: Passwords
    sealer: Sealer


@dataclass(frozen=True)
class Register:
    """A resident's own registration; `unit` is the commune or village they say they live in."""

    name: str
    phone: str
    password: str
    unit: str


@dataclass(frozen=True)
class CreateAccount:
    """An account made by staff, with its first role on `unit`; `username` or `phone` is what they sign in with."""

    name: str
    password: str
    role: str
    unit: str
    username: str | None = None
    phone: str | None = None
    citizen_id: str | None = None


async def register(tx: AsyncSession, tools: Tools, new: Register) -> Account:
    """Register a resident and record their consent; raises Invalid, PhoneTaken, UnknownUnit, RoleNotHere."""
    unit = await units.get(tx, new.unit)
    grants.check_level("resident", unit)
    phone = personal.phone(new.phone)
    passwords.check(new.password, phone, new.name)
    account = Account(name=new.name, home_unit=unit.code, created_by="")
    await _seal(tx, tools, account, phone=phone)
    account.password_hash = await tools.passwords.hash(new.password)
    tx.add(account)
    await tx.flush()
    account.created_by = str(account.id)
    tx.add(Consent(account_id=account.id, purpose=CONSENT_REGISTER, wording=REGISTER_WORDING))
    tx.add(_grant(account.id, "resident", unit, str(account.id)))
    await tx.flush()
    await audit.record(tx, as_person(account), action="account.registered", target=str(account.id), unit=unit.code)
    return account


async def create(tx: AsyncSession, tools: Tools, me: Principal, new: CreateAccount) -> Account:
    """Create an account with its first role; raises Invalid, NameTaken, PhoneTaken, RoleNotGrantable, RoleNotHere."""
    unit = await units.get(tx, new.unit)
    grants.check_may_grant(me, new.role, unit.path)
    grants.check_level(new.role, unit)
    account = await store(tx, tools, new, unit, by=me.subject)
    await audit.record(
        tx, me, action="account.created", target=str(account.id), unit=unit.code, detail={"role": new.role}
    )
    return account


async def store(tx: AsyncSession, tools: Tools, new: CreateAccount, unit: units.Unit, *, by: str) -> Account:
    """Store an account and its first role without asking who may: for `create` and for the seed of a platform."""
    if not new.username and not new.phone:
        raise Invalid(field="username", message_="Cần tên đăng nhập hoặc số điện thoại.")
    username = personal.username(new.username) if new.username else None
    phone = personal.phone(new.phone) if new.phone else None
    passwords.check(new.password, username, phone, new.name)
    account = Account(name=new.name, username=username, home_unit=unit.code, created_by=by)
    citizen = personal.citizen(new.citizen_id) if new.citizen_id else None
    await _seal(tx, tools, account, phone=phone, citizen=citizen)
    account.password_hash = await tools.passwords.hash(new.password)
    tx.add(account)
    await tx.flush()
    tx.add(_grant(account.id, new.role, unit, by))
    await staff.tell(tx, account.id)
    return account


async def change_password(tx: AsyncSession, tools: Tools, account_id: uuid.UUID, old: str, new: str) -> Account:
    """Change a person's own password, which ends their sessions.

    Raises WrongPassword(field="old"), Invalid(field="password").
    """
    account = await get(tx, account_id, lock=True)
    if not await tools.passwords.verify(account.password_hash, old):
        raise WrongPassword(field="old")
    passwords.check(new, account.username, account.name)
    account.password_hash = await tools.passwords.hash(new)
    account.password_changed_at = now()
    await endings.end_all(tx, account_id)
    await audit.record(
        tx, as_person(account), action="account.password_changed", target=str(account.id), unit=account.home_unit
    )
    return account


async def set_password(tx: AsyncSession, tools: Tools, me: Principal, account_id: uuid.UUID, new: str) -> Account:
    """Give somebody who forgot theirs a new first password; raises NoSuchAccount, HeldElsewhere, Invalid."""
    account = await _governed(tx, me, account_id)
    passwords.check(new, account.username, account.name)
    account.password_hash = await tools.passwords.hash(new)
    account.password_changed_at = now()
    await endings.end_all(tx, account_id)
    await audit.record(tx, me, action="account.password_set", target=str(account.id), unit=account.home_unit, detail={})
    return account


async def set_disabled(tx: AsyncSession, me: Principal, account_id: uuid.UUID, disabled: bool) -> Account:
    """Shut an account or open it again; doing so twice changes nothing. Raises NoSuchAccount, HeldElsewhere."""
    account = await _governed(tx, me, account_id)
    if (account.disabled_at is not None) != disabled:
        account.disabled_at = now() if disabled else None
        if disabled:
            await endings.end(tx, str(account_id))
        await staff.tell(tx, account_id)
        action = "account.disabled" if disabled else "account.enabled"
        await audit.record(tx, me, action=action, target=str(account.id), unit=account.home_unit, detail={})
    return account


async def _governed(tx: AsyncSession, me: Principal, account_id: uuid.UUID) -> Account:
    """The account, if `me` could have given every role it holds: whoever sets its password could act as its holder."""
    account = await grants.in_scope(tx, me, account_id)
    held = await grants.current(tx, account_id)
    if me.subject == str(account_id) or not all(grants.may_grant(me, g.role, g.path) for g in held):
        raise HeldElsewhere()
    return account


async def erase(tx: AsyncSession, tools: Tools, account_id: uuid.UUID, password: str) -> None:
    """Erase a person at their own wish and tell every service; raises WrongPassword(field="password")."""
    account = await get(tx, account_id, lock=True)
    if not await tools.passwords.verify(account.password_hash, password):
        raise WrongPassword(field="password")
    at = now()
    account.erase(at)
    await endings.end_all(tx, account_id)
    await audit.record(tx, as_person(account), action="account.erased", target=str(account_id), unit=account.home_unit)
    await tx.execute(
        sa.update(RoleGrant)
        .where(RoleGrant.account_id == account_id, RoleGrant.revoked_at.is_(None))
        .values(revoked_at=at, revoked_by=str(account_id))
    )
    await tx.execute(
        sa.update(Consent)
        .where(Consent.account_id == account_id, Consent.withdrawn_at.is_(None))
        .values(withdrawn_at=at)
    )
    await listing.remove(tx, account_id)
    await staff.tell(tx, account_id)
    unit = await units.find(tx, account.home_unit)
    await outbox.add(
        tx,
        events.ResidentErased(account_id=str(account_id)),
        unit=unit or account.home_unit,
        subject=str(account_id),
    )


def as_person(account: Account) -> Principal:
    """The holder of an account as the audit log names who acted: by id."""
    return Principal(subject=str(account.id), name="", kind="person")


async def get(tx: AsyncSession, account_id: uuid.UUID, *, lock: bool = False) -> Account:
    """The account, locked until the transaction ends if asked; raises NoSuchAccount, also for an erased one."""
    account = await tx.get(Account, account_id, with_for_update=lock)
    if account is None or account.erased_at is not None:
        raise NoSuchAccount()
    return account


def _grant(account_id: uuid.UUID, role: str, unit: units.Unit, by: str) -> RoleGrant:
    return RoleGrant(account_id=account_id, role=role, unit=unit.code, path=unit.path, granted_by=by)


async def _seal(
    tx: AsyncSession, tools: Tools, account: Account, *, phone: str | None, citizen: str | None = None
) -> None:
    """Put the personal numbers into `account`, after seeing that nobody else has them.

    Two registrations at the same moment pass this look together; a lock on the number makes them take turns.
    """
    if account.username:
        await _lock(tx, f"username {account.username}")
        if await tx.scalar(sa.select(Account.id).where(Account.username == account.username)):
            raise NameTaken(field="username")
    if phone:
        account.phone_index = tools.sealer.index(phone, "account.phone")
        account.phone_sealed = tools.sealer.seal(phone, "account.phone")
        await _lock(tx, account.phone_index.hex())
        if await tx.scalar(sa.select(Account.id).where(Account.phone_index == account.phone_index)):
            raise PhoneTaken(field="phone")
    if citizen:
        account.citizen_index = tools.sealer.index(citizen, "account.citizen")
        account.citizen_sealed = tools.sealer.seal(citizen, "account.citizen")
        await _lock(tx, account.citizen_index.hex())
        if await tx.scalar(sa.select(Account.id).where(Account.citizen_index == account.citizen_index)):
            raise CitizenTaken(field="citizen_id")


async def _lock(tx: AsyncSession, name: str) -> None:
    await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))
