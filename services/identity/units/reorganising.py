"""Owns the application of a change set: all of it in one transaction, or nothing.

Villages go over with their communes; what lies on units inside identity goes over as `settling` says. Every service
hears of it by `UnitEnded`, `UnitEntered` and one `UnitSucceeded` for each link.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import outbox, units
from chassis.db import unit_table
from chassis.outbox import Outgoing
from chassis.units import Unit
from services.identity.households import register as households
from services.identity.staff import register
from services.identity.units import settling
from services.identity.units.batches import BATCH, batches
from services.identity.units.changeset import ChangeSet, Fault, Refused
from services.identity.units.commands import lock_order, message_of, subject_of
from services.identity.units.model import AppliedChangeSet
from services.identity.units.planning import Plan, Succeeds, identity, plan

_UNITS = sa.text("""
    INSERT INTO unit (code, valid_from, valid_to, name, level, kind, parent, path, sequence)
    SELECT * FROM unnest(
        CAST(:code AS text[]), CAST(:valid_from AS date[]), CAST(:valid_to AS date[]), CAST(:name AS text[]),
        CAST(:level AS text[]), CAST(:kind AS text[]), CAST(:parent AS text[]), CAST(:path AS text[]),
        CAST(:sequence AS bigint[])
    )
    ON CONFLICT (code, valid_from) DO UPDATE SET valid_to = excluded.valid_to
""")
_LINKS = sa.text("""
    INSERT INTO succession (
        predecessor, predecessor_from, successor, successor_from, change_set, numerator, denominator, legal_basis, note
    )
    SELECT * FROM unnest(
        CAST(:predecessor AS text[]), CAST(:predecessor_from AS date[]), CAST(:successor AS text[]),
        CAST(:successor_from AS date[]), CAST(:change_set AS text[]), CAST(:numerator AS bigint[]),
        CAST(:denominator AS bigint[]), CAST(:legal_basis AS text[]), CAST(:note AS text[])
    )
""")
# The projection's sequence is that of the unit's last event, as every other service will have it.
_SEQUENCES = sa.text("""
    UPDATE unit SET sequence = s.last
    FROM unnest(CAST(:code AS text[]), CAST(:valid_from AS date[]), CAST(:subject AS text[]))
        AS g (code, valid_from, subject)
    JOIN outbox_sequence s USING (subject)
    WHERE unit.code = g.code AND unit.valid_from = g.valid_from
""")


@dataclass(frozen=True)
class Applied:
    """What came of it: the plan, and whether the same change set had been applied before (then nothing was done)."""

    plan: Plan
    roles: settling.Roles
    before: bool = False


async def preview(tx: AsyncSession, change_set: ChangeSet) -> tuple[Plan, settling.Roles]:
    """What applying would do, to units and to roles; writes nothing. The plan has the faults `apply` would refuse."""
    made = plan(change_set, await _known(tx))
    made.faults[:0] = await _not_again(tx, change_set)
    return made, await settling.roles(tx, made)


async def apply(tx: AsyncSession, change_set: ChangeSet) -> Applied:
    """Do the whole of `change_set` in this transaction; doing it again changes nothing. Raises Refused.

    It may not be done before its day: until then the old units stand, and roles on new ones would be good for nothing.
    """
    await lock_order(tx, alone=True)
    done = await tx.get(AppliedChangeSet, change_set.id)
    if done is not None and done.digest == change_set.digest:
        return Applied(Plan(change_set), settling.Roles(), before=True)
    made, _ = await preview(tx, change_set)
    if change_set.effective_on > units.today():
        made.faults.append(Fault(0, "effective_on", f"{change_set.effective_on} is still to come: apply it on the day"))
    if made.faults:
        raise Refused(made.faults)
    await _store(tx, made)
    moved = await settling.carry(tx, made)
    await _publish(tx, made)
    await households.tell_everywhere(tx)
    await register.tell_everywhere(tx)
    return Applied(made, moved)


async def _known(tx: AsyncSession) -> list[Unit]:
    c = unit_table.c
    query = sa.select(c.code, c.name, c.level, c.kind, c.parent, c.path, c.valid_from, c.valid_to)
    return [Unit(*row) for row in await tx.execute(query)]


async def _not_again(tx: AsyncSession, change_set: ChangeSet) -> list[Fault]:
    done = await tx.get(AppliedChangeSet, change_set.id)
    if done is None:
        return []
    what = "as it is here" if done.digest == change_set.digest else "with another content: give this one another id"
    return [Fault(0, f"id: {change_set.id}", f"was applied on {done.applied_at:%Y-%m-%d} {what}")]


async def _store(tx: AsyncSession, made: Plan) -> None:
    change_set = made.change_set
    tx.add(
        AppliedChangeSet(
            id=change_set.id,
            title=change_set.title,
            effective_on=change_set.effective_on,
            legal_basis=change_set.legal_basis,
            sources=list(change_set.sources),
            digest=change_set.digest,
            counts=made.counts(),
        )
    )
    await tx.flush()
    for part in batches([*made.ends, *made.begins], BATCH):
        fields = ("code", "valid_from", "valid_to", "name", "level", "kind", "parent", "path")
        columns: dict[str, list[Any]] = {f: [getattr(unit, f) for unit in part] for f in fields}
        await tx.execute(_UNITS, {**columns, "sequence": [0] * len(part)})
    for links in batches(made.links, BATCH):
        rows = [_row(change_set.id, link) for link in links]
        await tx.execute(_LINKS, {name: [row[name] for row in rows] for name in rows[0]})


def _row(change_set: str, link: Succeeds) -> dict[str, Any]:
    return {
        "predecessor": link.predecessor.code,
        "predecessor_from": link.predecessor.valid_from,
        "successor": link.successor.code,
        "successor_from": link.successor.valid_from,
        "change_set": change_set,
        "numerator": link.share.numerator if link.share is not None else None,
        "denominator": link.share.denominator if link.share is not None else None,
        "legal_basis": link.legal_basis,
        "note": link.note,
    }


async def _publish(tx: AsyncSession, made: Plan) -> None:
    told: list[Outgoing] = []
    told += [Outgoing(events.UnitEnded(unit=message_of(u)), u, subject_of(u)) for u in made.ends]
    told += [Outgoing(events.UnitEntered(unit=message_of(u)), u, subject_of(u)) for u in made.begins]
    told += succeeded(made)
    for part in batches(told, BATCH):
        await outbox.add_all(tx, part)
    for changed in batches([*made.ends, *made.begins], BATCH):
        values: dict[str, list[Any]] = {
            "code": [u.code for u in changed],
            "valid_from": [u.valid_from for u in changed],
            "subject": [subject_of(u) for u in changed],
        }
        await tx.execute(_SEQUENCES, values)


def succeeded(made: Plan) -> list[Outgoing]:
    """One event for each link of a plan, under the predecessor's key."""
    after: dict[tuple[str, date], int] = {}
    before: dict[tuple[str, date], int] = {}
    for link in made.links:
        after[identity(link.predecessor)] = after.get(identity(link.predecessor), 0) + 1
        before[identity(link.successor)] = before.get(identity(link.successor), 0) + 1
    return [
        Outgoing(
            events.UnitSucceeded(
                change_set=made.change_set.id,
                effective_on=made.change_set.effective_on.isoformat(),
                predecessor=message_of(link.predecessor),
                successor=message_of(link.successor),
                share=_share(link.share) if link.share is not None else None,
                named_shares=[events.NamedShare(name=name, share=_share(share)) for name, share in link.named],
                legal_basis=link.legal_basis,
                successors_of_predecessor=after[identity(link.predecessor)],
                predecessors_of_successor=before[identity(link.successor)],
            ),
            link.predecessor,
            f"{subject_of(link.predecessor)}>{subject_of(link.successor)}",
        )
        for link in made.links
    ]


def _share(share: Any) -> events.Share:
    return events.Share(numerator=share.numerator, denominator=share.denominator)
