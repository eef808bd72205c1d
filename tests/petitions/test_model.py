"""The state machine, the deadline and the photo cleaning, without a database."""

from __future__ import annotations

import io
import random
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chassis.auth import Grant, Principal
from chassis.errors import DomainError, Forbidden, Kind
from chassis.units import VIETNAM
from services.petitions import photos, sla
from services.petitions.contacts import ContactCipher, phone
from services.petitions.model import TRANSITIONS, Action, Actor, Channel, Petition, ReopenTooLate, Status
from services.petitions.photos import NotAPhoto, PhotoTooLarge

PATH = "30/298/11074"
STAFF_ME = Principal("officer-1", "Lê Thị Chi", "person", (Grant("officer", "11074", PATH),))
REPORTER_ME = Principal("resident-1", "Nguyễn Thị An", "person", (Grant("resident", "11074", PATH),))
STRANGER = Principal("resident-2", "Trần Văn Bình", "person", (Grant("resident", "11074", PATH),))
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def petition(status: Status = Status.FILED, **changed: object) -> Petition:
    values = {
        "id": uuid.uuid4(),
        "code": "PA-2026-000001",
        "commune": "11074",
        "village": None,
        "path": PATH,
        "category": "giao_thong",
        "status": status,
        "channel": Channel.WEB,
        "public": True,
        "description": "Đường hỏng.",
        "reporter": "resident-1",
        "filed_at": NOW,
        "due_at": NOW + timedelta(days=5),
        "closed_at": NOW if status is Status.CLOSED else None,
        "rating": None,
        "rating_comment": "",
        **changed,
    }
    return Petition(**values)


def take(of: Petition, action: Action, me: Principal, at: datetime = NOW) -> None:
    if action is Action.ROUTE:
        of.route(me, at, department="dia_chinh", assignee=None)
    elif action is Action.ANSWER:
        of.answer(me, at)
    elif action is Action.CLOSE:
        of.close(me, at)
    elif action is Action.REOPEN:
        of.reopen(me, at, 15)
    else:
        of.rate(me, at, 4, "")


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize(("me", "actor"), [(STAFF_ME, Actor.STAFF), (REPORTER_ME, Actor.REPORTER), (STRANGER, None)])
def test_every_action_in_every_state_by_everyone_does_what_the_table_says(
    status: Status, action: Action, me: Principal, actor: Actor | None
) -> None:
    of = petition(status)
    transition = TRANSITIONS.get((status, action))
    if transition is not None and actor in transition.by:
        take(of, action, me)
        assert of.status is transition.to
        return
    with pytest.raises(DomainError) as refused:
        take(of, action, me)
    assert refused.value.kind in (Kind.CONFLICT, Kind.FORBIDDEN)
    assert of.status is status


def test_the_table_is_the_life_that_was_agreed() -> None:
    table = {
        (a.value, b.value, t.to.value, "".join(sorted(x.value[0] for x in t.by))) for (a, b), t in TRANSITIONS.items()
    }
    assert table == {
        ("filed", "route", "routed", "s"),
        ("routed", "route", "routed", "s"),
        ("routed", "answer", "answered", "s"),
        ("answered", "close", "closed", "rs"),
        ("answered", "rate", "answered", "r"),
        ("answered", "reopen", "reopened", "r"),
        ("closed", "rate", "closed", "r"),
        ("closed", "reopen", "reopened", "r"),
        ("reopened", "route", "routed", "s"),
    }


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(Action), st.sampled_from([STAFF_ME, REPORTER_ME, STRANGER])), max_size=30))
def test_whatever_is_tried_the_deadline_stays_and_times_fit_the_state(tried: list[tuple[Action, Principal]]) -> None:
    of = petition()
    due = of.due_at
    for action, me in tried:
        try:
            take(of, action, me)
        except DomainError:
            continue
    assert of.due_at == due
    assert (of.closed_at is not None) == (of.status is Status.CLOSED)
    assert (of.answered_at is not None) == (of.status in (Status.ANSWERED, Status.CLOSED))
    assert of.rating is None or of.status in (Status.ANSWERED, Status.CLOSED)


def test_a_closed_case_reopens_within_its_days_and_not_after() -> None:
    take(petition(Status.CLOSED), Action.REOPEN, REPORTER_ME, NOW + timedelta(days=15))
    with pytest.raises(ReopenTooLate):
        take(petition(Status.CLOSED), Action.REOPEN, REPORTER_ME, NOW + timedelta(days=15, seconds=1))


def test_an_officer_of_another_commune_is_no_handler() -> None:
    foreign = Principal("officer-9", "Vũ Thị Giang", "person", (Grant("officer", "110745", "30/298/110745"),))
    with pytest.raises(Forbidden):
        take(petition(), Action.ROUTE, foreign)
    above = Principal("admin-1", "Quản trị", "person", (Grant("admin", "30", "30"),))
    take(petition(), Action.ROUTE, above)


def test_nobody_reports_what_has_no_reporter() -> None:
    nameless = Principal("", "", "person")
    assert not petition(reporter=None).is_reporter(nameless)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM)


@pytest.mark.parametrize(
    ("filed", "days", "due"),
    [
        ("2026-11-23T09:00", 5, "2026-11-30T17:00"),
        ("2026-11-23T16:59", 1, "2026-11-24T17:00"),
        # After the closing hour the day of receipt is the next working day.
        ("2026-11-23T17:00", 1, "2026-11-25T17:00"),
        # On a Sunday it is Monday.
        ("2026-11-22T10:00", 3, "2026-11-26T17:00"),
        # Over the lunar New Year of 2026, nine days off.
        ("2026-02-13T10:00", 1, "2026-02-23T17:00"),
        # The Saturday worked in exchange for 2 January counts.
        ("2026-01-09T10:00", 1, "2026-01-10T17:00"),
        ("2026-08-28T10:00", 1, "2026-09-03T17:00"),
    ],
)
def test_the_deadline_counts_working_days(filed: str, days: int, due: str) -> None:
    assert sla.calendar().due(at(filed), days) == at(due)


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2028, 12, 1)),  # noqa: DTZ001 - the zone is added below.
    st.integers(1, 30),
)
def test_a_deadline_is_the_closing_hour_of_a_working_day_as_far_away_as_asked(filed: datetime, days: int) -> None:
    calendar = sla.calendar()
    due = calendar.due(filed.replace(tzinfo=VIETNAM), days)
    assert calendar.is_working(due.date())
    assert (due.hour, due.minute) == (17, 0)
    left = calendar.days_left(filed.replace(tzinfo=VIETNAM), due)
    assert left in (days, days + 1)


def test_days_left_are_counted_in_working_days_and_turn_negative() -> None:
    calendar = sla.calendar()
    due = at("2026-11-30T17:00")
    assert calendar.days_left(at("2026-11-27T08:00"), due) == 1
    assert calendar.days_left(at("2026-11-30T08:00"), due) == 0
    assert calendar.days_left(at("2026-12-02T08:00"), due) == -2


def test_every_category_can_be_answered_in_time_and_tips_are_never_public() -> None:
    in_force = sla.categories(date(2026, 11, 22))
    assert all(category.days >= 1 for category in in_force.values())
    assert not in_force["an_ninh"].public
    assert in_force["khac"].public


def exif_with_gps() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Máy của ai đó"
    exif[0x0112] = 6
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (20.0, 49.0, 12.0)
    return exif


def noisy(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    pixels = random.Random(7).randbytes(size[0] * size[1] * len(mode))
    return Image.frombytes(mode, size, pixels)


def encoded(image: Image.Image, format: str, **save: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **save)
    return out.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_redrawn_without_place_device_or_comment(format: str) -> None:
    more = {"comment": "nhà tôi"} if format == "JPEG" else {}
    source = encoded(
        Image.linear_gradient("L").resize((2400, 1200)).convert("RGB"), format, exif=exif_with_gps(), **more
    )
    assert Image.open(io.BytesIO(source)).getexif().get_ifd(0x8825)
    clean = photos.redraw(source)
    kept = Image.open(io.BytesIO(clean.image))
    assert kept.format == "JPEG"
    assert dict(kept.getexif()) == {}
    assert "comment" not in kept.info
    assert "exif" not in kept.info
    # Orientation 6 stands the picture upright before the note about it is thrown away.
    assert kept.size == (clean.width, clean.height) == (800, 1600)
    assert max(Image.open(io.BytesIO(clean.thumb)).size) == photos.THUMB_SIDE


def test_appended_data_and_transparency_do_not_pass() -> None:
    drawing = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clean = photos.redraw(encoded(drawing, "PNG") + b"PK\x03\x04 something hidden")
    assert b"something hidden" not in clean.image
    assert Image.open(io.BytesIO(clean.image)).getpixel((20, 20)) == (255, 255, 255)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        encoded(noisy((60, 60)), "GIF"),
        encoded(noisy((400, 400)), "JPEG")[:900],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 200,
    ],
    ids=["empty", "text", "svg", "gif", "cut", "hollow"],
)
def test_what_is_no_photo_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPhoto):
        photos.redraw(data)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = encoded(Image.new("1", (8_000, 8_000)), "PNG")
    assert len(bomb) < 200_000
    with pytest.raises(NotAPhoto):
        photos.redraw(bomb)


def test_a_photo_over_eight_megabytes_is_too_large() -> None:
    with pytest.raises(PhotoTooLarge):
        photos.redraw(b"\xff" * (photos.MAX_BYTES + 1))


def test_a_sealed_number_opens_only_in_its_own_row_and_with_its_own_key() -> None:
    cipher = ContactCipher("a secret")
    sealed = cipher.seal("0912345678", "row-1")
    assert b"0912345678" not in sealed
    assert cipher.open(sealed, "row-1") == "0912345678"
    assert cipher.open(sealed, "row-2") is None
    assert ContactCipher("another secret").open(sealed, "row-1") is None
    assert cipher.seal("0912345678", "row-1") != sealed


@pytest.mark.parametrize("typed", ["0912 345 678", "+84 912.345.678", "(0912) 345-678"])
def test_a_number_is_read_however_it_is_typed(typed: str) -> None:
    assert phone(typed) == "0912345678"


@pytest.mark.parametrize("typed", ["911", "0912345678901", "không có", "0912 345 67x"])
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(DomainError):
        phone(typed)
