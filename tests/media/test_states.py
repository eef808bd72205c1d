"""The two state machines, without any I/O: tables for what must be, properties for what must never be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media.bulletins.model import Bulletin, Progress, Stage, Verdict
from services.media.cameras.model import CameraState, Health
from services.media.speakers.model import Outcome, Report, Source, Standing, State

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

READY5 = Standing(State.READY, birth=5, sequence=3)
WILL5 = Standing(State.LOST, birth=5, sequence=3)
SILENT5 = Standing(State.LOST, birth=5, sequence=3, silenced=True)


def stated(state: State, birth: int, *, retained: bool = False) -> Report:
    return Report(Source.STATE, birth, state=state, retained=retained)


def beat(birth: int, sequence: int) -> Report:
    return Report(Source.HEARTBEAT, birth, sequence=sequence)


@pytest.mark.parametrize(
    ("before", "report", "after", "outcome"),
    [
        (Standing(), Report(Source.BIRTH, 1), State.INIT, Outcome.CHANGED),
        (Standing(), stated(State.READY, 1), State.READY, Outcome.CHANGED),
        (Standing(), beat(1, 1), State.READY, Outcome.CHANGED),
        (READY5, stated(State.LOST, 5), State.LOST, Outcome.CHANGED),
        (READY5, stated(State.LOST, 4), State.READY, Outcome.STALE),
        (READY5, Report(Source.BIRTH, 5), State.READY, Outcome.SAME),
        (READY5, Report(Source.BIRTH, 6), State.INIT, Outcome.CHANGED),
        (READY5, beat(5, 4), State.READY, Outcome.SAME),
        (READY5, beat(5, 3), State.READY, Outcome.STALE),
        (READY5, stated(State.SLEEPING, 5), State.SLEEPING, Outcome.CHANGED),
        (WILL5, stated(State.READY, 5), State.LOST, Outcome.STALE),
        (WILL5, beat(5, 9), State.LOST, Outcome.STALE),
        (WILL5, stated(State.READY, 6), State.READY, Outcome.CHANGED),
        (SILENT5, beat(5, 4), State.READY, Outcome.CHANGED),
        (SILENT5, stated(State.READY, 5), State.READY, Outcome.CHANGED),
        (SILENT5, stated(State.READY, 5, retained=True), State.LOST, Outcome.STALE),
        (SILENT5, stated(State.LOST, 5, retained=True), State.LOST, Outcome.SAME),
        (Standing(State.DISCONNECTED, 5), beat(5, 9), State.DISCONNECTED, Outcome.STALE),
        (Standing(State.SLEEPING, 5), beat(5, 9), State.SLEEPING, Outcome.SAME),
        (Standing(State.INIT, 5), beat(5, 9), State.READY, Outcome.CHANGED),
    ],
)
def test_what_a_report_does(before: Standing, report: Report, after: State, outcome: Outcome) -> None:
    standing, done = before.hear(report)
    assert (standing.state, done) == (after, outcome)


def test_a_will_after_the_watchdog_makes_the_loss_final() -> None:
    standing, _ = SILENT5.hear(stated(State.LOST, 5))
    assert standing.hear(beat(5, 9))[1] is Outcome.STALE


@pytest.mark.parametrize("state", [State.UNKNOWN, State.SLEEPING, State.DISCONNECTED, State.LOST])
def test_who_need_not_speak_is_not_declared_lost(state: State) -> None:
    assert Standing(state, birth=2).silence() == (Standing(state, birth=2), Outcome.SAME)


states = st.sampled_from([s for s in State if s is not State.UNKNOWN])
births = st.integers(1, 4)
reports = st.one_of(
    st.builds(Report, st.just(Source.STATE), births, state=states, retained=st.booleans()),
    st.builds(Report, st.just(Source.BIRTH), births, retained=st.booleans()),
    st.builds(Report, st.just(Source.HEARTBEAT), births, sequence=st.integers(1, 5), retained=st.booleans()),
)


@given(st.lists(reports, max_size=30), reports)
def test_an_older_birth_never_changes_anything(history: list[Report], last: Report) -> None:
    standing = Standing()
    for report in history:
        standing, _ = standing.hear(report)
    after, outcome = standing.hear(last)
    if last.birth < standing.birth:
        assert (after, outcome) == (standing, Outcome.STALE)
    assert after.birth >= standing.birth


@given(st.lists(reports, max_size=30), reports)
def test_the_same_report_twice_is_the_report_once(history: list[Report], last: Report) -> None:
    standing = Standing()
    for report in history:
        standing, _ = standing.hear(report)
    once, _ = standing.hear(last)
    twice, outcome = once.hear(last)
    assert twice == once
    assert outcome is not Outcome.CHANGED


@given(st.lists(reports, max_size=30))
def test_a_death_told_by_the_device_is_final_within_its_birth(history: list[Report]) -> None:
    standing, _ = Standing(State.READY, birth=2).hear(stated(State.LOST, 2))
    for report in history:
        if report.birth <= 2:
            standing, _ = standing.hear(report)
    assert standing.state is State.LOST


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4))
def test_a_camera_is_offline_after_so_many_failures_in_a_row_and_online_after_one_success(
    probes: list[bool], needed: int
) -> None:
    health = Health()
    for ok in probes:
        health = health.probed(ok, failures_to_offline=needed)
    tail = len(probes) - max((i + 1 for i, ok in enumerate(probes) if ok), default=0)
    if tail >= needed:
        assert health.state is CameraState.OFFLINE
    elif any(probes):
        assert health.state is CameraState.ONLINE
    else:
        assert health.state is CameraState.UNKNOWN


def test_maintenance_is_left_alone() -> None:
    health = Health(CameraState.MAINTENANCE)
    assert health.probed(False, failures_to_offline=1) == health
    assert health.probed(True, failures_to_offline=1) == health
    assert health.unseen() == health


def bulletin(**changed: object) -> Bulletin:
    return Bulletin(seconds=10, created_at=AT, expires_at=AT + timedelta(minutes=10), **changed)


@pytest.mark.parametrize(
    ("row", "stage", "seconds", "at", "verdict"),
    [
        (bulletin(), Stage.FINISHED, 10.0, AT, Verdict.COUNTED),
        (bulletin(), Stage.FINISHED, 9.0, AT, Verdict.COUNTED),
        (bulletin(), Stage.FINISHED, 8.9, AT, Verdict.SHORT),
        (bulletin(), Stage.FINISHED, None, AT, Verdict.SHORT),
        (bulletin(), Stage.STARTED, None, AT, Verdict.COUNTED),
        (bulletin(), Stage.FINISHED, 10.0, AT + timedelta(minutes=10), Verdict.COUNTED),
        (bulletin(), Stage.FINISHED, 10.0, AT + timedelta(minutes=10, microseconds=1), Verdict.LATE),
        (bulletin(cancelled_at=AT), Stage.FINISHED, 10.0, AT, Verdict.CANCELLED),
    ],
)
def test_what_an_acknowledgement_proves(
    row: Bulletin, stage: Stage, seconds: float | None, at: datetime, verdict: Verdict
) -> None:
    assert row.judge(stage, seconds, at) is verdict


@pytest.mark.parametrize(
    ("row", "after", "finished", "progress"),
    [
        (bulletin(), timedelta(), 1, Progress.UNDER_WAY),
        (bulletin(), timedelta(minutes=11), 1, Progress.EXPIRED),
        (bulletin(), timedelta(minutes=11), 2, Progress.FINISHED),
        (bulletin(cancelled_at=AT), timedelta(), 1, Progress.CANCELLED),
        (bulletin(cancelled_at=AT), timedelta(), 2, Progress.FINISHED),
    ],
)
def test_where_a_bulletin_stands(row: Bulletin, after: timedelta, finished: int, progress: Progress) -> None:
    assert row.progress(AT + after, targets=2, finished=finished) is progress
