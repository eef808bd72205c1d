"""Owns how facts are folded before they are written: the newest of each key, and what it outdid."""

from __future__ import annotations

from collections.abc import Iterable

from services.indicators.calculation.engine import Fact


class Batch:
    """Facts folded by key: the newest of each, and those that came beside it and are only remembered.

    `unit` of a fact is a plain code here; it is placed when it is written.
    """

    __slots__ = ("losers", "winners")

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self.winners: dict[tuple[str, str, str], Fact] = {}
        self.losers: list[Fact] = []
        for fact in facts:
            self.add(fact)

    def __len__(self) -> int:
        return len(self.winners) + len(self.losers)

    def add(self, fact: Fact) -> None:
        """Take a fact in; the same word twice is one."""
        key = (fact.attribute, fact.entity, fact.source)
        held = self.winners.setdefault(key, fact)
        if held is fact:
            return
        ahead = fact.sequence - held.sequence
        if ahead == 0:
            if fact.cause == held.cause:
                return
            ahead = 1 if fact.cause > held.cause else -1
        if ahead > 0:
            self.winners[key] = fact
            self.losers.append(held)
        else:
            self.losers.append(fact)

    def copy(self) -> Batch:
        """Another with the same facts."""
        fresh = Batch()
        fresh.winners, fresh.losers = dict(self.winners), list(self.losers)
        return fresh

    @property
    def codes(self) -> set[str]:
        """The codes of the units it speaks of."""
        return {fact.unit for fact in self.winners.values()} | {fact.unit for fact in self.losers}
