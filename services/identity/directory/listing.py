"""Owns taking a person off the public directory, whether they withdraw from it or are erased."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import now
from services.identity.accounts.model import CONSENT_CONTACT, Consent
from services.identity.directory.model import StaffContact


async def remove(tx: AsyncSession, account_id: uuid.UUID) -> None:
    """Take the person off the directory; the consent stays on record as withdrawn."""
    await tx.execute(sa.delete(StaffContact).where(StaffContact.account_id == account_id))
    await tx.execute(
        sa.update(Consent)
        .where(
            Consent.account_id == account_id,
            Consent.purpose == CONSENT_CONTACT,
            Consent.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=now())
    )
