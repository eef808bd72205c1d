"""Owns the early end of sessions: which accounts and sign-ins were ended when, for every service to take note of.

A session is a signed token that each service verifies by itself, so nothing here is asked on the way of a request: the
verifiers fetch this short list every few seconds, as they fetch the keys (`chassis.tokens.Verifier`). It names nobody:
accounts and sign-ins stand in it as fingerprints of their random ids.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import session_mark
from chassis.db import now
from services.identity.oidc.model import TokenFamily
from services.identity.sessions.model import EndedSession

KEPT = timedelta(hours=25)
"""Longer than the longest life a token can be given (24 h) and the leeway of the verifiers together."""


def ending(held_by: str) -> sa.Executable:
    """The statement of `end`."""
    statement = insert(EndedSession).values(mark=session_mark(held_by), ended_at=now())
    later = sa.func.greatest(EndedSession.ended_at, statement.excluded.ended_at)
    return statement.on_conflict_do_update(index_elements=["mark"], set_={"ended_at": later})


async def end(tx: AsyncSession, held_by: str) -> None:
    """End what was signed until now for an account or a sign-in (its id): the tokens of either count no longer.

    An authorization of an application is a sign-in, too: its tokens carry the id of their family.
    """
    await tx.execute(ending(held_by))


async def end_all(tx: AsyncSession, account_id: uuid.UUID) -> None:
    """End every session of an account and what applications hold on its behalf: its password is another now."""
    await end(tx, str(account_id))
    await tx.execute(
        sa.update(TokenFamily)
        .where(TokenFamily.account_id == account_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=now())
    )


async def ended(tx: AsyncSession, since: float) -> dict[str, float]:
    """What was ended since an instant (seconds since the epoch): mark to instant."""
    after = max(datetime.fromtimestamp(since, UTC), now() - KEPT)
    rows = await tx.execute(sa.select(EndedSession.mark, EndedSession.ended_at).where(EndedSession.ended_at >= after))
    return {row.mark: row.ended_at.timestamp() for row in rows}


async def sweep(tx: AsyncSession, at: datetime) -> None:
    """Forget what no token that is still good could be older than."""
    await tx.execute(sa.delete(EndedSession).where(EndedSession.ended_at < at - KEPT))
