"""Rows of the sets B to G in the running service: figures in by gRPC or by entry, sheets out by the JSON API."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from chassis.units import Unit
from services.indicators.criteria import library
from tests.indicators.spec.binding import bindings
from tests.indicators.spec.cases import Case, all_cases, document
from tests.indicators.spec.province import API, Province, Told, written
from tests.indicators.spec.world import VIETNAM, World, ended, entered, figure, ratio, speaker
from tests.support.running import bearer
from tests.support.waiting import eventually

AT_ONCE = 8
SINCE = date(2020, 1, 1)
TRIAL = "97"
EVERYBODY = bearer(("admin", TRIAL))
_numbers: Iterator[int] = itertools.count(1)


def plain(case: Case) -> bool:
    """Whether the example is told by figures of its own unit alone."""
    return all(isinstance(bound, str) for bound in bindings()[case.set][case.row]["facts"].values())


def figures(case: Case) -> dict[str, Any]:
    """Measure → figure; where two names share a measure the first that does not hold decides."""
    facts = bindings()[case.set][case.row]["facts"]
    found: dict[str, Any] = {}
    for name, given in case.given.items():
        bound = facts[name]
        for measure in [bound] if isinstance(bound, str) else bound:
            value = bool(given) if library.catalogue().measures[measure].kind == "flag" else given
            found[measure] = found.get(measure, True) and value
    return found


def telling(case: Case) -> bool:
    """Of the examples of one row the service is asked for those in which a number decides, and for one that is met."""
    several = len(document(case.set)["rows"][case.row].get("conditions", {})) > 1
    numbers = [given for given in case.given.values() if not isinstance(given, bool)]
    return case.words.startswith(("every condition", "nobody")) or bool(
        numbers and not ("unknown" in case.words and several)
    )


SAMPLE = [
    case
    for case in all_cases()
    if plain(case)
    and telling(case)
    and library.catalogue().sets[case.set].level in ("commune", "village")
    # Recognitions are for the staff to enter: test_province.py does.
    and not case.set.startswith("recognition")
] + [case for case in all_cases() if case.set == "mard-2023-smart-commune" and case.words == "value is False"]


def trial_units() -> tuple[Unit, Unit]:
    """A province that nobody lays anything over, and a district of it."""
    return (
        Unit(TRIAL, "Tỉnh Thử", "province", "tinh", "", TRIAL, SINCE),
        Unit("971", "Huyện Thử", "district", "huyen", TRIAL, f"{TRIAL}/971", SINCE),
    )


def trial_commune() -> Unit:
    code = f"97{next(_numbers):04d}"
    return Unit(code, f"Xã {code}", "commune", "xa", "971", f"{TRIAL}/971/{code}", SINCE)


def trial_village(of: Unit) -> Unit:
    code = f"{of.code}-{next(_numbers):04d}"
    return Unit(code, f"Thôn {code}", "village", "thon", of.code, f"{of.path}/{code}", SINCE)


async def report(world: World, told: dict[str, dict[str, Any]]) -> None:
    """A partner of the trial province reports: unit code → measure → value."""
    stream = [figure(unit, code, value) for unit, values in told.items() for code, value in values.items()]
    answer = await world.submit(*stream, grant=TRIAL)
    assert not answer.rejections, answer.rejections[:3]


async def known(world: World, *units: Unit) -> None:
    """Tell of units, and wait until the service has them all."""
    await world.publish(*(entered(unit) for unit in units))
    slots = asyncio.Semaphore(AT_ONCE)

    async def found(unit: Unit) -> bool:
        async with slots:
            return (await world.client.get(f"{API}/units/{unit.code}/sets/nd-smart-hamlet-2023")).is_success

    async def all_found() -> bool:
        return all(await asyncio.gather(*(found(unit) for unit in units[-3:])))

    assert await eventually(all_found, seconds=60)


async def sheet(world: World, unit: Unit, set_code: str) -> dict[str, Any]:
    answer = await world.client.get(f"{API}/units/{unit.code}/sets/{set_code}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def row(world: World, unit: Unit, set_code: str, code: str) -> tuple[str, Any]:
    (item,) = [item for item in (await sheet(world, unit, set_code))["items"] if item["code"] == code]
    return item["status"], item["value"]


async def becomes(world: World, unit: Unit, set_code: str, code: str, expected: str) -> None:
    async def so() -> bool:
        found = await row(world, unit, set_code, code)
        assert found[0] == expected, found
        return True

    assert await eventually(so)


async def test_every_plain_example_through_the_service(world: World) -> None:
    """Each example has a unit of its own; all are told in one stream, then each sheet is asked for."""
    commune = trial_commune()
    level = {name: criteria.level for name, criteria in library.catalogue().sets.items()}
    units = [trial_village(commune) if level[case.set] == "village" else trial_commune() for case in SAMPLE]
    await known(world, *trial_units(), commune, *units)
    await report(world, {unit.code: figures(case) for case, unit in zip(SAMPLE, units, strict=True)})
    slots = asyncio.Semaphore(AT_ONCE)

    async def differs(case: Case, unit: Unit) -> str:
        async with slots:
            status, value = await row(world, unit, case.set, bindings()[case.set][case.row]["code"])
        told = figures(case)
        if status not in case.allowed:
            return f"{case}: {status}, not {set(case.allowed)}"
        facts = bindings()[case.set][case.row]["facts"].values()
        # What stands for several measures says the same of each.
        alone = len({bound if isinstance(bound, str) else tuple(bound) for bound in facts}) == 1
        if alone and told and status in ("met", "unmet", "measured") and value != written(next(iter(told.values()))):
            return f"{case}: {value}, not {told}"
        return ""

    found = await asyncio.gather(*(differs(case, unit) for case, unit in zip(SAMPLE, units, strict=True)))
    assert [text for text in found if text] == []
    assert len({(case.set, case.row) for case in SAMPLE}) > 70


async def test_a_sheet_of_measured_rows_is_measured(world: World) -> None:
    here = trial_commune()
    await known(world, *trial_units(), here)
    first = {
        case.row: figures(case) for case in reversed(SAMPLE) if case.set == "mard-2023-smart-commune" and case.given
    }
    await report(world, {here.code: {code: value for told in first.values() for code, value in told.items()}})
    found = await sheet(world, here, "mard-2023-smart-commune")
    assert (found["status"], found["met"], found["total"]) == ("measured", 0, 39)
    assert {item["status"] for item in found["items"]} == {"measured"}


async def test_more_lines_than_households_and_more_computers_than_officials(world: World) -> None:
    """Two ratios of the texts are no shares of something: they may pass one."""
    here = trial_commune()
    await known(world, *trial_units(), here)
    await report(
        world, {here.code: {"commune.internet_subscriptions": (120, 100), "commune.computers_per_official": (30, 24)}}
    )
    assert await row(world, here, "mard-2023-smart-commune", "4.1") == ("measured", ratio(120, 100))
    told = figure(here, "commune.fibre_households", (101, 100))
    (rejection,) = (await world.submit(told, grant=TRIAL)).rejections
    assert rejection.reason == "numerator_above_denominator"


async def test_a_measure_is_for_units_of_its_level(world: World) -> None:
    here = trial_commune()
    village = trial_village(here)
    await known(world, *trial_units(), here, village)
    wrong = [
        figure(here, "village.fibre_households", (1, 2)),
        figure(village, "commune.fibre_households", (1, 2)),
        figure("971", "commune.fibre_households", (1, 2)),
        figure(here, "district.work_dossiers_online", (1, 2)),
    ]
    answer = await world.submit(*wrong, grant=TRIAL)
    assert [rejection.reason for rejection in answer.rejections] == ["wrong_level"] * len(wrong)


@pytest.mark.parametrize(
    ("place", "smartphones", "expected"),
    [
        ("minority_mountainous", (1249, 2500), "unmet"),
        ("minority_mountainous", (1250, 2500), "met"),
        ("island", (50, 100), "met"),
        ("island", (49, 100), "unmet"),
        ("other", (50, 100), "unmet"),
        ("other", (1999, 2500), "unmet"),
        ("other", (80, 100), "met"),
        (None, (60, 100), "no_data"),
    ],
)
async def test_smartphones_by_the_place_of_the_commune(
    world: World, place: str | None, smartphones: tuple[int, int], expected: str
) -> None:
    here = trial_commune()
    await known(world, *trial_units(), here)
    await report(world, {here.code: {"commune.smartphone_subscribers": smartphones}})
    if place:
        body = {
            "unit": here.code,
            "measure": "commune.terrain",
            "value": {"state": place},
            "evidence": {"text": "Danh mục xã", "document": "861/QĐ-TTg"},
        }
        answer = await world.client.post(f"{API}/observations", json=body, headers=EVERYBODY)
        assert answer.status_code == 201, answer.text
        refused = await world.client.post(
            f"{API}/observations", json=body | {"value": {"state": "sa mạc"}}, headers=EVERYBODY
        )
        assert refused.status_code == 422
    for set_code in ("mard-2023-eligible-smart", "mard-2023-eligible-ecommerce"):
        assert (await row(world, here, set_code, "c5"))[0] == expected


async def test_every_village_has_a_telephone_the_internet_and_loudspeakers(world: World) -> None:
    here = trial_commune()
    first, second, third = villages = [trial_village(here) for _ in range(3)]
    await known(world, *trial_units(), here)
    for code in ("8.2", "8.3"):
        # Nobody has told of a village yet.
        assert (await row(world, here, "hd-1414-ntm-8", code))[0] in ("no_data", "not_applicable")
    await known(world, *villages)
    await report(
        world,
        {
            here.code: {"commune.telecom_standard": True, "commune.broadcast_station": True},
            first.code: {"village.fixed_telephone": True, "village.mobile_broadband": True},
            second.code: {"village.mobile_telephone": True, "village.fixed_broadband": True},
        },
    )
    await world.publish(speaker(first), speaker(second, smart=False))
    await becomes(world, here, "hd-1414-ntm-8", "8.2", "no_data")
    await report(
        world,
        {
            third.code: {
                "village.fixed_telephone": False,
                "village.mobile_telephone": False,
                "village.fixed_broadband": True,
                "village.loudspeaker_working": False,
            }
        },
    )
    await becomes(world, here, "hd-1414-ntm-8", "8.2", "unmet")
    await becomes(world, here, "hd-1414-ntm-8", "8.3", "unmet")
    await report(world, {third.code: {"village.mobile_telephone": True}})
    await becomes(world, here, "hd-1414-ntm-8", "8.2", "met")
    # One more village, of which nobody knows: 100% is not certain any more, and it is again when the village ends.
    late = trial_village(here)
    await known(world, late)
    await becomes(world, here, "hd-1414-ntm-8", "8.2", "no_data")
    gone = Unit(late.code, late.name, late.level, late.kind, late.parent, late.path, SINCE, date(2026, 1, 1))
    await world.publish(ended(gone))
    await becomes(world, here, "hd-1414-ntm-8", "8.2", "met")


async def test_fibre_of_the_commune_is_added_up_from_its_villages_or_told(world: World) -> None:
    here, told = trial_commune(), trial_commune()
    first, second = villages = [trial_village(here) for _ in range(2)]
    await known(world, *trial_units(), here, told, *villages)
    fibre = "village.fibre_households"
    await report(
        world,
        {
            here.code: {"commune.fibre_agencies": (6, 6)},
            first.code: {fibre: (81, 100)},
            told.code: {"commune.fibre_agencies": (6, 6), "commune.fibre_households": (2001, 2500)},
        },
    )
    await becomes(world, told, "hd-1414-ntm-model-4.7", "s3", "met")
    await becomes(world, here, "hd-1414-ntm-model-4.7", "s3", "no_data")
    # 160 of 200 households are exactly 80%: "trên 80%" is more.
    await report(world, {second.code: {fibre: (79, 100)}})
    await becomes(world, here, "hd-1414-ntm-model-4.7", "s3", "unmet")
    await report(world, {second.code: {fibre: (80, 100)}})
    await becomes(world, here, "hd-1414-ntm-model-4.7", "s3", "met")


async def test_recognitions_are_what_a_commune_may_be_chosen_by(hai_duong: Province) -> None:
    """Recognised for 2021-2025; or for 2016-2020 and every mark of 2021-2025 met. Partners recognise nobody."""
    now, before, never = hai_duong.communes("xa", of="293")[:3]
    await hai_duong.enter([Told(now, "commune.recognised_advanced", True)])
    await hai_duong.enter([Told(before, "commune.recognised_advanced_2016", True)])
    await hai_duong.enter([Told(unit, "commune.recognised_advanced", False) for unit in (before, never)])
    await hai_duong.enter([Told(never, "commune.recognised_advanced_2016", False)])
    answer = await hai_duong.world.submit(figure(never, "commune.recognised_advanced", True))
    assert [rejection.id for rejection in answer.rejections]
    for set_code in ("mard-2023-eligible-smart", "mard-2023-eligible-ecommerce"):
        for unit, expected in ((now, "met"), (before, "no_data"), (never, "unmet")):
            await hai_duong.until_status(unit, set_code, "c1", expected)
    await hai_duong.report({before.code: {"commune.meets_advanced_marks": False}})
    await hai_duong.until_status(before, "mard-2023-eligible-smart", "c1", "unmet")
    await hai_duong.report({before.code: {"commune.meets_advanced_marks": True}})
    await hai_duong.until_status(before, "mard-2023-eligible-smart", "c1", "met")


async def test_all_four_rows_of_criterion_8_are_needed(world: World) -> None:
    here = trial_commune()
    village = trial_village(here)
    await known(world, *trial_units(), here, village)
    told = {
        **{f"commune.post_{name}": True for name in ("premises", "sign", "notices", "letters", "parcels")},
        "commune.post_opening_minutes": 240,
        "commune.telecom_standard": True,
        "commune.broadcast_station": True,
        "commune.computers_per_official": (12, 24),
        **{f"commune.app_{name}": True for name in ("document_management", "official_email", "one_stop", "portal")},
        "commune.dossiers_online": (30, 100),
    }
    of_village = {
        "village.mobile_telephone": True,
        "village.mobile_broadband": True,
        "village.loudspeaker_working": True,
    }
    await report(world, {here.code: told, village.code: of_village})

    async def stands(status: str, met: int) -> None:
        async def so() -> bool:
            found = await sheet(world, here, "hd-1414-ntm-8")
            assert (found["status"], found["met"], found["total"]) == (status, met, 4)
            return True

        await eventually(so)

    await stands("met", 4)
    await report(world, {here.code: {"commune.dossiers_online": (29, 100)}})
    await stands("unmet", 3)
    await report(world, {here.code: {"commune.dossiers_online": (31, 100), "commune.post_opening_minutes": 239}})
    await stands("unmet", 3)
    await report(
        world, {here.code: {"commune.post_opening_minutes": 480}, village.code: {"village.mobile_telephone": False}}
    )
    # Nobody said that a fixed telephone cannot be had there.
    await stands("no_data", 3)
    await report(world, {village.code: {"village.fixed_telephone": True}})
    await stands("met", 4)


async def test_what_is_counted_per_year_or_month_counts_in_its_own(world: World) -> None:
    here, before = trial_commune(), trial_commune()
    village, silent = trial_village(here), trial_village(before)
    await known(world, *trial_units(), here, before, village, silent)
    now = datetime.now(VIETNAM)
    month, last_month = f"{now:%Y-%m}", f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"
    classes, regular = "commune.digital_skill_classes", "village.loudspeaker_regular"
    told = (
        figure(here, classes, 3, period=f"{now.year}"),
        figure(before, classes, 12, period=f"{now.year - 1}"),
        figure(village, regular, True, period=month),
        figure(silent, regular, True, period=last_month),
    )
    assert not (await world.submit(*told, grant=TRIAL)).rejections
    assert await row(world, here, "mard-2023-smart-commune", "12.1") == ("measured", {"count": 3})
    assert (await row(world, before, "mard-2023-smart-commune", "12.1"))[0] == "no_data"
    assert (await row(world, village, "hd-1414-village", "loudspeakers-regular"))[0] == "met"
    assert (await row(world, silent, "hd-1414-village", "loudspeakers-regular"))[0] == "no_data"
