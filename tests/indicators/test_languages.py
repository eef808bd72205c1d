"""The words in answers to programs follow the language that was asked for, as errors do; pages stay Vietnamese."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.criteria.catalogue import Text
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage, shipped
from tests.indicators.inquiring import API, ask, row
from tests.indicators.test_inquiries_rpc import PARTNER
from tests.indicators.test_observations import PARTNER as SENDER
from tests.indicators.test_observations import observation
from tests.support.running import bearer, commune, ladder, running, settings_for, village

SET = "hd-288-2023"
OFFICER = bearer(("officer", "30/298/11074"))
ENGLISH = {"accept-language": "fr, en-GB;q=0.8, vi;q=0.5"}


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    library.install(shipped())
    settings = settings_for(Settings, database("languages"))
    async with running(service, settings, parts=["rpc"]) as live:
        here = commune()
        first = village(here)
        await live.enter_units(*ladder(), here, first)
        yield Stage(live, here, [first])


def title() -> Text:
    found = library.catalogue().row(SET, "288.5")
    assert found is not None
    return found.title


def sheet_title(answer: dict[str, Any]) -> str:
    return str(row(answer, "288.5")["title"])


WAYS: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
    ("", sheet_title),
    ("?sources=true", sheet_title),
    ("?as_of=2026-11-01", sheet_title),
    ("?as_of=2026-11-01&sources=true", sheet_title),
    ("/items/288.5/explanation", lambda answer: str(answer["item"]["title"])),
    ("/items/288.5/reasons", lambda answer: str(answer["tree"]["title"])),
]


@pytest.mark.parametrize(("address", "read"), WAYS, ids=[address or "sheet" for address, _ in WAYS])
async def test_titles_follow_what_was_asked_for(
    stage: Stage, address: str, read: Callable[[dict[str, Any]], str]
) -> None:
    path = f"{API}/units/{stage.villages[0].code}/sets/{SET}{address}"
    chosen = path + ("&" if "?" in path else "?") + "lang="
    for asked, headers, language in (
        (path, {}, "vi"),
        (path, ENGLISH, "en"),
        (path, {"accept-language": "vi, en;q=0.9"}, "vi"),
        (path, {"cookie": "xaso_lang=en"}, "en"),
        (chosen + "vi", ENGLISH, "vi"),
        (chosen + "en", {"accept-language": "vi", "cookie": "xaso_lang=vi"}, "en"),
    ):
        answer = await stage.client.get(asked, headers=OFFICER | headers)
        assert answer.status_code == 200, answer.text
        assert read(answer.json()) == title().in_(language), (asked, headers)
        assert answer.headers["content-language"] == language
        assert "Accept-Language" in answer.headers["vary"]
        assert "Cookie" in answer.headers["vary"]
    refused = await stage.client.get(chosen + "fr", headers=OFFICER | ENGLISH)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "lang")


async def test_a_past_sheet_with_sources_still_says_what_it_rests_on(stage: Stage) -> None:
    path = f"{API}/units/{stage.villages[0].code}/sets/{SET}"
    answer = await stage.client.get(path, params={"as_of": "2026-11-01", "sources": "true"}, headers=ENGLISH)
    assert answer.headers["xaso-answered-from"] == "facts"
    assert answer.json()["unit"] == stage.villages[0].code


async def test_pages_stay_vietnamese_for_a_browser_set_up_in_english(stage: Stage) -> None:
    path = f"/indicators/units/{stage.villages[0].code}/items/288.5?set={SET}"
    page = await stage.client.get(path, headers={"accept": "text/html", **ENGLISH})
    assert title().vi in page.text
    assert title().en not in page.text


async def test_what_if_answers_in_the_language_asked_for(stage: Stage) -> None:
    body: dict[str, Any] = {"changes": [], "targets": []}
    csrf = {"x-csrf-token": "token", "cookie": "xaso_csrf=token"}
    answer = await ask(stage, stage.villages[0], SET, body, headers=csrf | ENGLISH)
    assert answer.status_code == 200, answer.text
    assert sheet_title(answer.json()) == title().en
    assert row(answer.json(), "288.4")["after"]["target"]["text"] == "all conditions"


async def test_what_is_asked_is_told_in_the_language_asked_for(stage: Stage) -> None:
    path = f"{API}/units/11074/sets/hd-1414-ntm-advanced-8"
    for language, flag, composed in (("vi", "có", "đủ các điều kiện"), ("en", "yes", "all conditions")):
        sheet = (await stage.client.get(path, headers={"accept-language": language})).json()
        assert [row(sheet, code)["target"]["text"] for code in ("8.1", "8.3")] == [flag, composed]


async def test_what_is_wrong_with_a_file_is_told_in_the_language_asked_for(stage: Stage) -> None:
    files = {"file": ("so-lieu.csv", b"\x00\x01\x02", "text/csv")}
    values = {"unit": "11074", "set": SET, "level": "village"}
    told = []
    for headers in ({}, ENGLISH):
        answer = await stage.client.post(f"{API}/imports", data=values, files=files, headers=OFFICER | headers)
        told.append(answer.json().get("detail") or answer.json()["refusal"]["detail"])
        assert "Accept-Language" in answer.headers["vary"]
    assert told[0] != told[1]


async def test_an_answer_over_grpc_speaks_as_its_errors_do(stage: Stage) -> None:
    unit = stage.villages[0].code

    async def call(method: str, request: Any, language: str) -> Any:
        metadata = [("authorization", f"Bearer {PARTNER}")] + ([("accept-language", language)] if language else [])
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
            return await getattr(stubs.ComplianceServiceStub(channel), method)(request, timeout=30, metadata=metadata)

    for language, spoken in (("", "vi"), ("en-GB, vi;q=0.5", "en"), ("vi, en;q=0.5", "vi")):
        got = await call("Get", pb.GetRequest(unit=unit, set=SET), language)
        assert next(one.title for one in got.items if one.code == "288.5") == title().in_(spoken)
        both = {"vi": "đủ các điều kiện", "en": "all conditions"}[spoken]
        assert next(one.target for one in got.items if one.code == "288.4") == both
        supposed = await call("WhatIf", pb.WhatIfRequest(unit=unit, set=SET), language)
        item = next(one for one in supposed.items if one.code == "288.5")
        assert item.title == title().in_(spoken)
        flag = next(one for one in supposed.items if one.code == "288.4")
        assert (flag.before.target, flag.after.target) == (both, both)
        assert [step.title for step in flag.least.steps] == [
            library.catalogue().measures[step.measure].title.in_(spoken) for step in flag.least.steps
        ]
        assert flag.least.steps


async def test_a_refusal_of_an_observation_is_told_in_the_language_of_the_call(stage: Stage) -> None:
    told = []
    for language in ("vi", "en"):
        metadata = (("authorization", f"Bearer {SENDER}"), ("accept-language", language))

        async def one() -> AsyncIterator[pb.Observation]:
            yield observation("nobody")

        async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
            stub = stubs.ObservationServiceStub(channel)
            answer = await stub.Submit(one(), timeout=30, metadata=metadata)
        (rejection,) = answer.rejections
        told.append((rejection.reason, rejection.detail))
    assert told[0] == ("unknown_unit", "Không có đơn vị hành chính mang mã này.")
    assert told[1][0] == "unknown_unit"
    assert told[1][1] not in ("", told[0][1])
