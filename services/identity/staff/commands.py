"""Owns saying whether a member of staff uses a smartphone with Internet: they themselves, or who keeps their roles."""

from __future__ import annotations

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit
from chassis.auth import Principal
from chassis.errors import Forbidden
from services.identity.accounts import commands as accounts
from services.identity.accounts import grants
from services.identity.accounts.model import LISTED_ROLES, Account
from services.identity.staff import register

ANSWERS: dict[str, bool | None] = {"yes": True, "no": False, "unasked": None}
"""What can be said, as forms and events name it; nobody is guessed to have one."""


async def say_for_oneself(tx: AsyncSession, me: Principal, answer: str) -> None:
    """Keep what a member of staff says of themselves; raises Forbidden for who serves no commune and no village."""
    account = await accounts.get(tx, uuid.UUID(me.subject), lock=True)
    await _say(tx, me, account, answer)


async def say_for(tx: AsyncSession, me: Principal, account_id: uuid.UUID, answer: str) -> None:
    """Keep what a member of staff was asked by who may give their roles; raises NoSuchAccount, Forbidden."""
    account = await grants.in_scope(tx, me, account_id)
    if not await may_say_for(tx, me, account_id):
        raise Forbidden()
    await _say(tx, me, account, answer)


async def may_say_for(tx: AsyncSession, me: Principal, account_id: uuid.UUID) -> bool:
    """Whether the person is in the register and holds a working role that `me` may give."""
    held = await grants.current(tx, account_id)
    mine = any(g.role in LISTED_ROLES and grants.may_grant(me, g.role, g.path) for g in held)
    return mine and await register.serves(tx, account_id)


def answer_of(account: Account) -> str:
    """What was said of the person, as ANSWERS names it."""
    return next(word for word, said in ANSWERS.items() if said is account.uses_smartphone)


async def _say(tx: AsyncSession, me: Principal, account: Account, answer: str) -> None:
    if not await register.serves(tx, account.id):
        raise Forbidden()
    said = ANSWERS[answer]
    if account.uses_smartphone is said:
        return
    account.uses_smartphone = said
    await register.tell(tx, account.id)
    await audit.record(
        tx, me, action="staff.smartphone_said", target=str(account.id), unit=account.home_unit, detail={}
    )
