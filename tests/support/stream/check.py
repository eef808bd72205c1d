"""The checker: holds what the stream made of a run against an in-order fold of everything that was written.

It knows the platform's promises and none of its code: of each source's word about a thing the one with the highest
sequence counts, heaps are those facts counted, each word about a petition leaves one line of history, and the log of
changes is a chain that left the service as it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from xaso.observations.v1.events_pb2 import ObservationRecorded
from xaso.petitions.v1.events_pb2 import PetitionFiled

from tests.support.ledger.check import Effect, Told, check

K = TypeVar("K", bound=tuple[str, str, str])
ANSWER, RATING = "petition.answer", "petition.rating"
FactKey = tuple[str, str, str]
"""Attribute, entity, source."""
FactValue = tuple[int, str, str | None, int | None, int | None]
"""Sequence, code of the unit, state, numerator, denominator."""
HeapKey = tuple[str, str, str]
"""Code of the unit, attribute, state."""
ItemKey = tuple[str, str, str]
"""Unit, set, item."""


@dataclass(frozen=True)
class Word:
    """One event as its service committed it."""

    kind: str
    subject: str
    sequence: int
    payload: bytes


@dataclass
class Outcome:
    """What is in the tables of the indicators service at the end of a run."""

    facts: dict[FactKey, FactValue]
    heaps: dict[HeapKey, int]
    history: list[tuple[str, int]]
    """Entity and sequence of each line about answers to petitions, in the order of commits."""
    changes: list[tuple[ItemKey, str, str]]
    """Item, status before and after, oldest first."""
    published: int
    """Events of changes in the outbox."""


def facts_of(words: Iterable[Word]) -> dict[FactKey, FactValue]:
    """The in-order fold: what each source says last of each thing."""
    newest: dict[FactKey, FactValue] = {}
    for word in words:
        for key, value in _said(word):
            if key not in newest or value[0] > newest[key][0]:
                newest[key] = value
    return newest


def _said(word: Word) -> list[tuple[FactKey, FactValue]]:
    if word.kind == PetitionFiled.DESCRIPTOR.full_name:
        state = PetitionFiled.FromString(word.payload).petition
        unit = state.village or state.commune
        answer = "answered" if state.HasField("answered_at") else "open"
        rating = "rated" if state.rating else "unrated"
        return [
            ((ANSWER, state.id, "petitions"), (word.sequence, unit, answer, None, None)),
            ((RATING, state.id, "petitions"), (word.sequence, unit, rating, None, None)),
        ]
    if word.kind == ObservationRecorded.DESCRIPTOR.full_name:
        seen = ObservationRecorded.FromString(word.payload)
        value = (word.sequence, seen.unit, None, seen.ratio.numerator, seen.ratio.denominator)
        return [((seen.measure, f"{seen.unit}/", "ledger"), value)]
    return []


def heaps_of(facts: Mapping[FactKey, FactValue]) -> dict[HeapKey, int]:
    """The facts of single things counted by unit and state."""
    counted: Counter[HeapKey] = Counter()
    for (attribute, _, _), (_, unit, state, _, _) in facts.items():
        if state is not None:
            counted[unit, attribute, state] += 1
    return dict(counted)


def name_of(word: Word) -> str:
    """Which of the clients' words it is."""
    return PetitionFiled.FromString(word.payload).petition.code


def findings(told: Told, words: Iterable[Word], outcome: Outcome) -> list[str]:
    """Every broken promise, as a sentence; an empty list is a clean run. `told` is of words about petitions."""
    written = list(words)
    petitions = [word for word in written if word.kind == PetitionFiled.DESCRIPTOR.full_name]
    names = {(word.subject, word.sequence): name_of(word) for word in petitions}
    effects = [
        Effect(names.get((entity, sequence), f"{entity}/{sequence}"), entity, sequence)
        for entity, sequence in outcome.history
    ]
    found = check(told, effects)
    # An unknown word that its service did commit has to take effect as well.
    took = {effect.entry for effect in effects}
    found += [f"lost: {name} was committed and had no effect" for name in names.values() if name not in took]
    facts = facts_of(written)
    found += _differing("fact", facts, outcome.facts)
    found += _differing("heap", heaps_of(facts), outcome.heaps)
    held: dict[ItemKey, str] = {}
    for item, before, after in outcome.changes:
        if held.get(item, "no_data") != before:
            found.append(f"broken chain: {item} goes from {before} to {after}, but was {held.get(item, 'no_data')}")
        held[item] = after
    if outcome.published != len(outcome.changes):
        found.append(f"untold: {len(outcome.changes)} changes, {outcome.published} events of them")
    return found


def _differing(what: str, wanted: Mapping[K, object], is_: Mapping[K, object]) -> list[str]:
    return [
        f"{what}: {key} is {is_.get(key)}, in order it would be {wanted.get(key)}"
        for key in sorted({*wanted, *is_})
        if wanted.get(key) != is_.get(key)
    ]
