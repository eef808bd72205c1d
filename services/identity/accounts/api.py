"""Owns the JSON face of accounts: who am I, the accounts in a granter's scope, giving and taking roles."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel

from chassis.errors import Malformed
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.text import Line
from chassis.web import ApiRouter, Me, Tx
from services.identity.accounts import commands, grants, queries
from services.identity.web import AtDesk, Password

api = ApiRouter(prefix="/api/v1", tags=["accounts"])

Name: Any = Line(120)
Short: Any = Line(40)
Role = Literal["resident", "village_head", "officer", "leader", "viewer", "producer", "admin"]


class GrantOut(BaseModel):
    """A role held on a unit and everything below it."""

    id: uuid.UUID
    role: str
    unit: str
    path: str


class MeGrant(BaseModel):
    role: str
    unit: str
    path: str


class MeOut(BaseModel):
    """Whom the token of this request names."""

    subject: str
    name: str
    kind: Literal["person", "partner"]
    client_id: str | None
    scopes: list[str]
    grants: list[MeGrant]


class AccountOut(BaseModel):
    """An account, without personal numbers."""

    id: uuid.UUID
    name: str
    username: str | None
    created_at: datetime
    disabled: bool
    grants: list[GrantOut]

    @classmethod
    def of(cls, row: queries.AccountRow) -> AccountOut:
        held = [GrantOut(id=g.id, role=g.role, unit=g.unit, path=g.path) for g in row.grants]
        return cls(
            id=row.id,
            name=row.name,
            username=row.username,
            created_at=row.created_at,
            disabled=row.disabled,
            grants=held,
        )


class AccountsPage(BaseModel):
    """One page of accounts, the newest first."""

    items: list[AccountOut]
    next: str | None


class AccountIn(BaseModel):
    """An account to make, with its first role; one of `username` and `phone` is needed to sign in with."""

    name: Name
    username: Short | None = None
    phone: Short | None = None
    citizen_id: Short | None = None
    password: Password
    role: Role
    unit: Short


class GrantIn(BaseModel):
    """A role to give on a unit."""

    role: Role
    unit: Short


class PasswordIn(BaseModel):
    """A new first password."""

    password: Password


@api.get("/me", response_model=MeOut)
async def who_am_i(me: Me) -> MeOut:
    """Whom the token of this request names, with roles and scopes."""
    return MeOut(
        subject=me.subject,
        name=me.name,
        kind=me.kind,
        client_id=me.client_id,
        scopes=sorted(me.scopes),
        grants=[MeGrant(role=g.role, unit=g.unit, path=g.path) for g in me.grants],
    )


@api.get("/accounts", response_model=AccountsPage)
async def list_accounts(
    tx: Tx,
    me: Me,
    q: Annotated[str | None, Query(max_length=80)] = None,
    role: Role | None = None,
    after: After = None,
    limit: Limit = 50,
) -> AccountsPage:
    """The accounts that hold a role where you may give roles; nobody else's are shown."""
    cursor = decode_cursor(after, 1)
    rows = await queries.in_scope(tx, me, q=q, role=role, after=as_uuid(cursor[0]) if cursor else None, limit=limit)
    page = page_of(rows, limit, key=lambda r: (str(r.id),))
    return AccountsPage(items=[AccountOut.of(r) for r in page.items], next=page.next)


@api.post("/accounts", response_model=AccountOut, status_code=201)
async def create_account(tx: Tx, me: Me, desk: AtDesk, body: AccountIn) -> AccountOut:
    """Make an account with its first role."""
    account = await commands.create(tx, desk.tools, me, commands.CreateAccount(**body.model_dump()))
    return AccountOut.of(await queries.row(tx, account))


@api.get("/accounts/{account_id}", response_model=AccountOut)
async def get_account(tx: Tx, me: Me, account_id: uuid.UUID) -> AccountOut:
    """One account in your scope."""
    return AccountOut.of(await queries.row(tx, await grants.in_scope(tx, me, account_id)))


@api.post("/accounts/{account_id}/grants", response_model=GrantOut, status_code=201)
async def grant_role(tx: Tx, me: Me, account_id: uuid.UUID, body: GrantIn) -> GrantOut:
    """Give a role; it counts from the person's next sign-in. Giving it twice changes nothing."""
    given = await grants.grant(tx, me, account_id, body.role, body.unit)
    return GrantOut(id=given.id, role=given.role, unit=given.unit, path=given.path)


@api.post("/accounts/{account_id}/grants/{grant_id}/revoke", response_model=GrantOut)
async def revoke_role(tx: Tx, me: Me, account_id: uuid.UUID, grant_id: uuid.UUID) -> GrantOut:
    """Take a role back; sessions that carry it end within seconds."""
    taken = await grants.revoke(tx, me, account_id, grant_id)
    return GrantOut(id=taken.id, role=taken.role, unit=taken.unit, path=taken.path)


@api.post("/accounts/{account_id}/password", response_model=AccountOut)
async def set_password(tx: Tx, me: Me, desk: AtDesk, account_id: uuid.UUID, body: PasswordIn) -> AccountOut:
    """Give somebody a new first password; only where you could have given every role they hold."""
    account = await commands.set_password(tx, desk.tools, me, account_id, body.password)
    return AccountOut.of(await queries.row(tx, account))


@api.post("/accounts/{account_id}/disable", response_model=AccountOut)
async def disable(tx: Tx, me: Me, account_id: uuid.UUID) -> AccountOut:
    """Shut an account: no new sign-in and no refreshed token, and open sessions end within seconds."""
    return AccountOut.of(await queries.row(tx, await commands.set_disabled(tx, me, account_id, True)))


@api.post("/accounts/{account_id}/enable", response_model=AccountOut)
async def enable(tx: Tx, me: Me, account_id: uuid.UUID) -> AccountOut:
    """Open an account again."""
    return AccountOut.of(await queries.row(tx, await commands.set_disabled(tx, me, account_id, False)))


def as_uuid(text: object) -> uuid.UUID:
    """A UUID out of a cursor; raises Malformed."""
    try:
        return uuid.UUID(str(text))
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
