"""Owns reports that are not sent yet: kept, sealed, over a sign-in or the question about similar cases."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import Principal
from chassis.db import new_id, now
from services.petitions.contacts import ContactCipher
from services.petitions.model import MAX_PHOTOS, Draft, Photo, TooManyPhotos
from services.petitions.photos import CleanPhoto


@dataclass(frozen=True)
class Kept:
    """An unsent report: what was typed, by field name, and how many photos wait with it."""

    id: uuid.UUID
    typed: dict[str, str]
    photos: int


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


async def _find(tx: AsyncSession, me: Principal | None, token: str | None) -> Draft | None:
    if not token:
        return None
    draft = (await tx.scalars(sa.select(Draft).where(Draft.token_hash == _hash(token)))).first()
    # A shared telephone: what somebody wrote while signed in is not shown to the next person.
    if draft is None or (draft.owner is not None and (me is None or me.subject != draft.owner)):
        return None
    return draft


async def load(
    tx: AsyncSession, me: Principal | None, token: str | None, cipher: ContactCipher, hours: int
) -> Kept | None:
    """The draft that `token` (a secret in the writer's cookie) opens, or None; it lives `hours` hours."""
    draft = await _find(tx, me, token)
    if draft is None or draft.created_at < now() - timedelta(hours=hours):
        return None
    text = cipher.open(draft.sealed, str(draft.id))
    if text is None:
        return None
    count = await tx.scalar(sa.select(sa.func.count()).where(Photo.draft_id == draft.id))
    return Kept(draft.id, json.loads(text), int(count or 0))


async def keep(
    tx: AsyncSession,
    me: Principal | None,
    token: str | None,
    typed: dict[str, str],
    cleaned: list[CleanPhoto],
    cipher: ContactCipher,
) -> str:
    """Keep what was typed, and photos beside those already waiting; returns the token that opens it."""
    draft = await _find(tx, me, token)
    text = json.dumps(typed, ensure_ascii=False)
    if draft is None or token is None:
        token = secrets.token_urlsafe(32)
        identity = new_id()
        draft = Draft(id=identity, token_hash=_hash(token), created_at=now(), sealed=b"")
        tx.add(draft)
    draft.owner = me.subject if me else draft.owner
    draft.sealed = cipher.seal(text, str(draft.id))
    await tx.flush()
    there = int(await tx.scalar(sa.select(sa.func.count()).where(Photo.draft_id == draft.id)) or 0)
    if there + len(cleaned) > MAX_PHOTOS:
        raise TooManyPhotos(field="photos", most=MAX_PHOTOS)
    for photo in cleaned:
        tx.add(
            Photo(
                id=new_id(),
                draft_id=draft.id,
                added_at=now(),
                width=photo.width,
                height=photo.height,
                image=photo.image,
                thumb=photo.thumb,
            )
        )
    await tx.flush()
    return token


async def hand_over(tx: AsyncSession, draft: uuid.UUID, petition: uuid.UUID) -> None:
    """The report was sent: its photos become the petition's and the draft is gone."""
    await tx.execute(sa.update(Photo).where(Photo.draft_id == draft).values(draft_id=None, petition_id=petition))
    await tx.execute(sa.delete(Draft).where(Draft.id == draft))


async def drop_photos(tx: AsyncSession, draft: uuid.UUID) -> None:
    """The writer wants other photos."""
    await tx.execute(sa.delete(Photo).where(Photo.draft_id == draft))


async def sweep(tx: AsyncSession, hours: int) -> int:
    """Throw away drafts older than `hours`, with their photos; returns how many."""
    old = sa.delete(Draft).where(Draft.created_at < now() - timedelta(hours=hours)).returning(Draft.id)
    return len((await tx.scalars(old)).all())
