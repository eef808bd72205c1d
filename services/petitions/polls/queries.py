"""Owns what is read of polls: lists, one's own answer, and results, of villages only where many have answered."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.units import Unit
from services.petitions.contacts import ContactCipher
from services.petitions.polls.errors import PollNotFound, ResultsNotYet
from services.petitions.polls.model import Participation, Poll, PollAnswer, PollStatus, Purpose, Question

FEWEST = 5
"""So many answers a poll needs for public results, and a village for its own: of fewer, neighbours could guess."""
TEXTS = 500
"""Most texts of one question on a page."""


async def get(tx: AsyncSession, me: Principal | None, poll_id: uuid.UUID, *, for_update: bool = False) -> Poll:
    """The poll; PollNotFound also where it is a draft and `me` does not work there."""
    # Who locks a poll that was read before wants it as it is now, with the answers that came meanwhile.
    lock = True if for_update else None
    poll = await tx.get(Poll, poll_id, with_for_update=lock, populate_existing=for_update)
    if poll is None or not poll.is_visible_to(me):
        raise PollNotFound()
    return poll


def index_of(asked: Sequence[Question], number: int) -> int:
    """Where question `number` (from 1) stands in the list; raises PollNotFound."""
    if not 1 <= number <= len(asked):
        raise PollNotFound()
    return number - 1


async def listing(
    tx: AsyncSession,
    me: Principal | None,
    *,
    within: Unit | None = None,
    statuses: Sequence[PollStatus] = (),
    purpose: Purpose | None = None,
    after: uuid.UUID | None = None,
    limit: int = 50,
) -> list[Poll]:
    """Polls of the unit's communes, newest first, up to `limit` + 1: published ones, drafts for their own staff.

    Of a village: those of its commune that ask the village, too.
    """
    shown: list[sa.ColumnElement[bool]] = [Poll.status.in_((PollStatus.OPEN, PollStatus.CLOSED))]
    shown += [_below(grant.path) for grant in me.grants if grant.role in STAFF] if me else []
    query = sa.select(Poll).where(sa.or_(*shown))
    if within is not None and within.level == "village":
        asked = sa.or_(Poll.villages == [], Poll.villages.contains([within.code]))
        query = query.where(Poll.commune == within.commune, asked)
    elif within is not None:
        query = query.where(_below(within.path))
    if statuses:
        query = query.where(Poll.status.in_(statuses))
    if purpose is not None:
        query = query.where(Poll.purpose == purpose)
    if after is not None:
        query = query.where(Poll.id < after)
    return list((await tx.scalars(query.order_by(Poll.id.desc()).limit(limit + 1))).all())


def _below(path: str) -> sa.ColumnElement[bool]:
    return sa.or_(Poll.path == path, Poll.path.startswith(f"{path}/", autoescape=True))


def binding(poll_id: uuid.UUID, account: str) -> str:
    """What the sealed link of a participation is bound to."""
    return f"poll:{poll_id}:{account}"


async def answer_of(tx: AsyncSession, took_part: Participation, cipher: ContactCipher) -> PollAnswer | None:
    """The answer a participation leads to; None once the poll is over."""
    if took_part.sealed_answer is None:
        return None
    id = cipher.open(took_part.sealed_answer, binding(took_part.poll_id, took_part.account))
    return await tx.get(PollAnswer, uuid.UUID(id)) if id else None


async def took_part(tx: AsyncSession, me: Principal | None, poll: Poll) -> Participation | None:
    """That `me` took part in the poll."""
    return await tx.get(Participation, (poll.id, me.subject)) if me else None


async def next_paper_no(tx: AsyncSession, poll: Poll) -> int:
    """The number after the highest that was entered."""
    highest = await tx.scalar(sa.select(sa.func.max(PollAnswer.paper_no)).where(PollAnswer.poll_id == poll.id))
    return int(highest or 0) + 1


@dataclass(frozen=True)
class Tally:
    """How one question was answered: `counts` by option (or mark 1 to 5), of `answered` who answered it at all."""

    number: int
    question: Question
    counts: tuple[int, ...]
    answered: int

    @property
    def mean(self) -> Fraction | None:
        """The mean mark of a scale."""
        total = sum(mark * count for mark, count in enumerate(self.counts, 1))
        return Fraction(total, self.answered) if self.answered else None


@dataclass(frozen=True)
class Results:
    """The results of a poll, or of one of its villages; `villages` are those that can be shown, with their answers.

    `tallies` are empty for everybody but staff where fewer than FEWEST answered.
    """

    answers: int
    assisted: int
    tallies: tuple[Tally, ...]
    villages: Mapping[str, int]


def shown_alone(counts: Mapping[str | None, int]) -> dict[str, int]:
    """The villages whose results may be shown: of FEWEST answers or more, and so that the rest cannot be worked out.

    What is left when all shown are taken from the whole must itself be nobody's or of FEWEST answers.
    """
    shown = {code: n for code, n in counts.items() if code is not None and n >= FEWEST}
    rest = sum(counts.values()) - sum(shown.values())
    for code in sorted(shown, key=lambda code: (shown[code], code)):
        if rest == 0 or rest >= FEWEST:
            break
        rest += shown.pop(code)
    return dict(sorted(shown.items()))


async def results(tx: AsyncSession, me: Principal | None, poll: Poll, village: str | None = None) -> Results:
    """Counts per question; raises ResultsNotYet, and PollNotFound for a village with too few answers."""
    if not poll.shows_results_to(me):
        raise ResultsNotYet()
    by_village = sa.select(PollAnswer.village, sa.func.count()).where(PollAnswer.poll_id == poll.id)
    rows = await tx.execute(by_village.group_by(PollAnswer.village))
    villages = shown_alone({row[0]: row[1] for row in rows})
    if village is not None and village not in villages:
        raise PollNotFound()
    picked = [PollAnswer.poll_id == poll.id, *([PollAnswer.village == village] if village else [])]
    number = sa.func.count()
    total = (await tx.execute(sa.select(number, number.filter(PollAnswer.paper_no.is_not(None))).where(*picked))).one()
    if total[0] < FEWEST and not poll.is_staff(me):
        return Results(total[0], total[1], (), villages)
    counts = await _counts(tx, poll, village)
    tallies = []
    for n, question in enumerate(poll.asked, 1):
        by_option = counts.get(n, {})
        answered = by_option.pop(0, 0)
        per_option = tuple(by_option.get(option, 0) for option in range(1, question.most + 1))
        tallies.append(Tally(n, question, per_option, answered))
    return Results(total[0], total[1], tuple(tallies), villages)


_COUNTS = sa.text("""
    SELECT CAST(question AS int), CAST(option AS int), count(*) FROM (
        SELECT c.key, o.option FROM poll_answer AS a,
            jsonb_each(a.choices) AS c, jsonb_array_elements_text(c.value) AS o (option)
        WHERE a.poll_id = :poll AND (CAST(:village AS text) IS NULL OR a.village = :village)
        UNION ALL
        SELECT jsonb_object_keys(a.choices || a.texts), '0' FROM poll_answer AS a
        WHERE a.poll_id = :poll AND (CAST(:village AS text) IS NULL OR a.village = :village)
    ) AS given (question, option) GROUP BY 1, 2
""")


async def _counts(tx: AsyncSession, poll: Poll, village: str | None) -> dict[int, dict[int, int]]:
    """By question and option, how many chose it; under option 0, how many answered the question."""
    found: dict[int, dict[int, int]] = {}
    for number, option, n in await tx.execute(_COUNTS, {"poll": poll.id, "village": village}):
        found.setdefault(number, {})[option] = n
    return found


async def texts(tx: AsyncSession, poll: Poll, number: int, *, limit: int = TEXTS) -> list[str]:
    """What was written to one question, for staff, in an order that tells nothing."""
    said = PollAnswer.texts[str(number)].astext
    query = sa.select(said).where(PollAnswer.poll_id == poll.id, said.is_not(None)).order_by(PollAnswer.id)
    return list((await tx.scalars(query.limit(limit))).all())


async def own_communes(tx: AsyncSession, me: Principal) -> list[Unit]:
    """The communes for which `me` may make polls."""
    found: dict[str, Unit] = {}
    for grant in me.grants:
        if grant.role in STAFF:
            for unit in await units.search(tx, level="commune", within=grant.path, limit=400):
                found[unit.code] = unit
    return list(found.values())
