"""Folding before a write: the last word of each key wins, whatever the order and however often words come."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from xaso.observations.v1 import events_pb2 as observations

from chassis.stream import Refused
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, Ratio
from services.indicators.calculation.folding import Batch
from services.indicators.criteria import library
from services.indicators.sources.observing import Observations, moment_of

START = datetime(2026, 3, 1, 3, tzinfo=UTC)

Word = tuple[int, int, int]
"""Number of the thing, sequence, number of the cause: few of each, so that words often meet and tie."""
WORDS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3), st.integers(0, 3)), max_size=14)


def fact_of(word: Word) -> Fact:
    thing, sequence, cause = word
    return Fact(
        "camera.watch", f"c{thing}", "media", "event", "11074-01", "dark", sequence, f"event:{cause}", START, "", False
    )


def mixed(words: list[Word], dice: random.Random) -> list[Word]:
    found = [*words, *dice.sample(words, len(words) // 2)]
    dice.shuffle(found)
    return found


@given(WORDS, st.randoms(use_true_random=False))
@example([(0, 1, 1), (0, 1, 0)], random.Random(0))
@settings(max_examples=200, deadline=None, database=None)
def test_a_batch_is_blind_to_order_and_repetition(words: list[Word], dice: random.Random) -> None:
    words = sorted(set(words))
    facts = [fact_of(word) for word in words]
    batch = Batch(fact_of(word) for word in mixed(words, dice))
    expected = engine.newest(facts)
    assert {key: fact.order for key, fact in batch.winners.items()} == {
        tuple(key): fact.order for key, fact in expected.items()
    }
    # Nothing said is lost: what did not win is remembered.
    said = {(fact.key, fact.order) for fact in [*batch.winners.values(), *batch.losers]}
    assert said == {(fact.key, fact.order) for fact in facts}


@dataclass
class Sent:
    """A record as far as folding looks at it."""

    value: bytes


def observed(word: Word) -> tuple[Sent, dict[str, bytes]]:
    """An observation of a village; things are two measures, the day differs with the sequence."""
    thing, sequence, cause = word
    message = observations.ObservationRecorded(
        measure=("village.fibre_households", "village.signal_area")[thing], unit="11074-01"
    )
    message.ratio.numerator, message.ratio.denominator = sequence, 10 + cause
    message.observed_at.FromDatetime(START + timedelta(days=sequence))
    return Sent(message.SerializeToString()), {"ce_id": str(cause).encode(), "ce_sequence": str(sequence).encode()}


@given(WORDS, st.randoms(use_true_random=False))
@example([(0, 1, 1), (0, 1, 0)], random.Random(0))
@settings(max_examples=100, deadline=None, database=None)
def test_observations_are_blind_to_order_and_repetition(words: list[Word], dice: random.Random) -> None:
    words = sorted(set(words))
    folded = Observations(library.catalogue())
    for word in mixed(words, dice):
        record, headers = observed(word)
        folded.add(record, headers, "viettel")
    last = {(fact.attribute, fact.value, fact.sequence) for fact, record in folded.facts() if record is not None}
    newest = {thing: max((w for w in words if w[0] == thing), key=lambda w: w[1:]) for thing, _, _ in words}
    assert last == {
        (("village.fibre_households", "village.signal_area")[thing], Ratio(sequence, 10 + cause), sequence)
        for thing, sequence, cause in newest.values()
    }


def told(**given: object) -> observations.ObservationRecorded:
    """What a telecom may well say: of a household where an attribute is named, else of a village."""
    message = observations.ObservationRecorded(unit="11074-01")
    if "attribute" in given and "measure" not in given:
        message.entity, message.flag = "H-1", True
    else:
        message.measure = "village.fibre_households"
        message.ratio.numerator, message.ratio.denominator = 1, 2
    message.observed_at.FromDatetime(START)
    message.MergeFrom(observations.ObservationRecorded(**given))  # type: ignore[arg-type]  # fields by name
    return message


FIBRE = "household.fibre"
STRANGE = {
    "a count of a share": ("wrong_value_kind", told(count=3)),
    "more than all": ("numerator_above_denominator", told(ratio=observations.Share(numerator=3))),
    "less than none": ("negative", told(ratio=observations.Share(numerator=-1))),
    "a time to come": ("from_the_future", told(observed_at=Timestamp(seconds=4_000_000_000))),
    "a time long ago": ("time_malformed", told(observed_at=Timestamp(seconds=100_000_000))),
    "two subjects": ("subject_missing", told(measure="village.fibre_households", attribute=FIBRE)),
    "a period of no calendar": ("period_malformed", told(period="2026-13")),
    "an entity of a village's figure": ("text_malformed", told(entity="H\x1f1")),
    "a share of a household": ("wrong_value_kind", told(attribute=FIBRE, ratio=observations.Share(numerator=1))),
    "an entity with a control character": ("text_malformed", told(attribute=FIBRE, entity="H\x1f1")),
    "an entity that is too long": ("text_malformed", told(attribute=FIBRE, entity="H" * 129)),
    "a state of ours": ("not_open", told(attribute="camera.watch")),
    "nothing anybody knows": ("unknown_attribute", told(attribute="household.joy")),
    "a household in a time to come": (
        "from_the_future",
        told(attribute=FIBRE, observed_at=Timestamp(seconds=4_000_000_000)),
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_of_a_unit_that_is_known_already_nothing_strange_is_taken(name: str) -> None:
    folded = Observations(library.catalogue())
    for n, good in enumerate((told(), told(attribute=FIBRE), told(), told(attribute=FIBRE))):
        folded.add(Sent(good.SerializeToString()), {"ce_id": b"%d" % n, "ce_sequence": b"%d" % n}, "viettel")
    assert len(folded) == 2
    reason, message = STRANGE[name]
    with pytest.raises(Refused, match=reason):
        folded.add(Sent(message.SerializeToString()), {"ce_id": b"x", "ce_sequence": b"9"}, "viettel")
    assert {fact.sequence for fact, _ in folded.facts()} == {2, 3}


@pytest.mark.parametrize("nanos", [0, 1_000, 999_999_999])
def test_the_moment_of_an_observation_is_exact_to_the_microsecond(nanos: int) -> None:
    moment = moment_of(told(observed_at=Timestamp(nanos=nanos)))
    assert moment == START + timedelta(microseconds=nanos // 1000)
    assert moment is not None
    assert moment.utcoffset() == timedelta(hours=7)
