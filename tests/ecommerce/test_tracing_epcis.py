"""The events of lots as EPCIS 2.0: documents by the standard's schema, hash ids by its vectors, pages by keyset."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest

from services.ecommerce.tracing.epcis import hash_id, pre_hash
from tests.ecommerce.conftest import DUNG, Shop, ok, refused
from tests.ecommerce.tracing import HARVEST, at, farm

EVENTS = "/ecommerce/epcis/v2/events"
GTIN = "8936012345674"
DATA = Path(__file__).parents[3] / "shared" / "data" / "epcis"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the standard's files are not in ../shared/data/epcis")


FORMATS = jsonschema.FormatChecker(())
"""The two formats the schema rests on; without them it takes any word for a business step and any text for a time."""


@FORMATS.checks("uri")
def is_uri(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", value) is not None


@FORMATS.checks("date-time", raises=ValueError)
def is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


async def ask(shop: Shop, **asked: Any) -> dict[str, Any]:
    answer = await shop.client.get(f"{EVENTS}?{urlencode(asked)}")
    assert answer.headers["gs1-epcis-version"] == "2.0"
    return dict(ok(answer))


def told(document: dict[str, Any]) -> list[dict[str, Any]]:
    return list(document["epcisBody"]["queryResults"]["resultsBody"]["eventList"])


async def shipped(shop: Shop, **changed: Any) -> str:
    here = await farm(shop)
    code = await here.packed(**changed)
    ok(await here.step(code, "shipping", at=at(HARVEST, 16), place="Chợ Tứ Kỳ", quantity=12.5))
    ok(await here.shop.post(f"/lots/{code}/recall", {"reason": "Mẫu thử vượt mức dư lượng."}))
    return code


@needs_data
async def test_an_answer_is_valid_by_the_schema_of_the_standard(shop: Shop) -> None:
    schema = json.loads((DATA / "standard" / "EPCIS-JSON-Schema.json").read_text("utf-8"))
    validator = jsonschema.Draft7Validator(schema, format_checker=FORMATS)
    for changed in ({}, {"gtin": GTIN}, {"uom": "piece", "quantity": 30}, {"uom": "tonne"}):
        code = await shipped(shop, **changed)
        uom = {"piece": None, "tonne": "TNE"}.get(str(changed.get("uom")), "KGM")
        name = (
            f"https://id.gs1.org/01/0{GTIN}/10/{code}"
            if "gtin" in changed
            else f"http://127.0.0.1:8080/ecommerce/lots/{code}"
        )
        document = await ask(shop, MATCH_epcClass=name, orderDirection="ASC")
        assert [(e["action"], e["bizStep"], e["disposition"]) for e in told(document)] == [
            ("ADD", "commissioning", "active"),
            ("OBSERVE", "packing", "in_progress"),
            ("OBSERVE", "shipping", "in_transit"),
            ("OBSERVE", "holding", "recalled"),
        ]
        assert {event["quantityList"][0].get("uom") for event in told(document)} == {uom}
        # Where it is afterwards is not said of what was shipped; where it was read is.
        assert ["bizLocation" in event for event in told(document)] == [True, True, False, True]
        assert told(document)[2]["readPoint"]["id"].endswith(f"/ecommerce/?unit={DUNG.code}")
        assert {event["eventTimeZoneOffset"] for event in told(document)} == {"+07:00"}
        assert list(validator.iter_errors(document)) == []
        assert not validator.is_valid({**document, "type": "Document"})
        for event in told(document):
            assert list(validator.iter_errors(event)) == []
            for broken in ({"bizStep": "khong_co"}, {"eventTime": "hôm qua"}, {"place": "Chợ"}):
                assert not validator.is_valid({**event, **broken})


async def test_what_is_lifted_and_sold_out_is_told_in_words_of_the_standard(shop: Shop) -> None:
    code = await shipped(shop)
    ok(await shop.post(f"/lots/{code}/lift-recall", {"reason": "Mẫu đối chứng đạt."}, shop.officer))
    ok(await shop.post(f"/lots/{code}/steps", {"kind": "closing", "at": at(HARVEST, 17), "place": "Chợ Tứ Kỳ"}))
    asked = {"MATCH_epcClass": f"http://127.0.0.1:8080/ecommerce/lots/{code}"}
    events = told(await ask(shop, **asked, EQ_bizStep="inspecting|decommissioning"))
    assert [(e["action"], e["disposition"]) for e in events] == [("OBSERVE", "conformant"), ("DELETE", "inactive")]
    forward = told(await ask(shop, **asked, orderDirection="ASC"))
    assert [event["eventTime"] for event in forward] == sorted(event["eventTime"] for event in forward)
    first = await shop.client.get(f"{EVENTS}?{urlencode({**asked, 'orderDirection': 'ASC', 'perPage': 1})}")
    second = await shop.client.get(first.headers["link"][1:].partition(">")[0])
    assert told(ok(first)) + told(ok(second)) == forward[:2]


@needs_data
def test_the_hash_of_a_commissioning_is_that_of_the_reference() -> None:
    """The vector of our shape, its identifiers written as Digital Links, as ours are from the beginning."""
    name = DATA / "hash-vectors" / "epcisDocWithVariousEventTypes"
    document = json.loads(name.with_suffix(".jsonld").read_text("utf-8"))
    event = document["epcisBody"]["eventList"][3]
    event["@context"] = [{"cbvmda": "urn:epcglobal:cbv:mda:"}]
    event["quantityList"][0]["epcClass"] = "https://id.gs1.org/01/04054739999148/10/20160711"
    event["readPoint"]["id"] = "https://id.gs1.org/414/4054739000011"
    assert pre_hash(event) == name.with_suffix(".prehashes").read_text("utf-8").splitlines()[3]
    assert hash_id(event) == name.with_suffix(".hashes").read_text("utf-8").splitlines()[3]


@needs_data
def test_dispositions_locations_and_extensions_stand_where_the_reference_has_them() -> None:
    name = DATA / "hash-vectors" / "epcisQueryDocument"
    event = json.loads(name.with_suffix(".jsonld").read_text("utf-8"))["epcisBody"]["queryResults"]["resultsBody"][
        "eventList"
    ][1]
    # The vector is of single things and names a transaction, which no event of ours does; the rest is compared.
    event["@context"] = [{"example": "http://ns.example.com/epcis/"}]
    event["quantityList"] = []
    event["readPoint"]["id"] = "https://id.gs1.org/414/0012345111112/254/400"
    event["bizLocation"]["id"] = "https://id.gs1.org/414/0012345111112"
    wanted = name.with_suffix(".prehashes").read_text("utf-8").splitlines()[1]
    epcs, business = wanted.index("epcList"), wanted.index("bizTransactionList")
    without = wanted[:epcs] + wanted[wanted.index("action=") : business] + wanted[wanted.index("{http") :]
    assert pre_hash(event) == without


async def test_an_id_follows_from_what_the_event_says(shop: Shop) -> None:
    code = await shipped(shop)
    for event in told(await ask(shop, MATCH_anyEPCClass=f"http://127.0.0.1:8080/ecommerce/lots/{code}")):
        assert event["eventID"] == hash_id(event)
        assert event["eventID"] != hash_id({**event, "xaso:place": "Nơi khác"})
        assert told(await ask(shop, EQ_eventID=event["eventID"])) == [event]


async def test_a_program_reads_page_after_page_while_events_arrive(shop: Shop) -> None:
    code = await shipped(shop)
    name = f"http://127.0.0.1:8080/ecommerce/lots/{code}"
    whole = told(await ask(shop, MATCH_epcClass=name))
    assert [event["bizStep"] for event in whole] == ["holding", "shipping", "packing", "commissioning"], "newest first"
    href, seen = f"{EVENTS}?{urlencode({'MATCH_epcClass': name, 'perPage': 1})}", []
    while href and len(seen) <= len(whole):
        answer = await shop.client.get(href)
        seen += told(ok(answer))
        link = answer.headers.get("link", "")
        assert link == "" or link.endswith('>; rel="next"')
        href = link[1:].partition(">")[0]
        ok(await shop.post(f"/lots/{code}/lift-recall", {"reason": "Mẫu đối chứng đạt."}, shop.officer)) if len(
            seen
        ) == 1 else None
    assert seen == whole


async def test_questions_narrow_the_answer(shop: Shop) -> None:
    code = await shipped(shop)
    name = f"http://127.0.0.1:8080/ecommerce/lots/{code}"

    async def steps(**asked: Any) -> list[str]:
        return [event["bizStep"] for event in told(await ask(shop, MATCH_epcClass=name, **asked))]

    assert await steps(EQ_bizStep="shipping|packing") == ["shipping", "packing"]
    assert await steps(EQ_bizStep="https://ref.gs1.org/cbv/BizStep-packing") == ["packing"]
    assert await steps(GE_eventTime=at(HARVEST, 16), EQ_bizStep="shipping|packing") == ["shipping"]
    assert await steps(LT_eventTime=at(HARVEST, 16)) == ["packing", "commissioning"]
    assert await steps(MATCH_anyEPCClass="https://example.org/x") == []
    assert (await ask(shop, MATCH_epcClass=f"{name}|https://example.org/x", perPage=1))["type"] == "EPCISQueryDocument"


async def test_what_is_not_published_is_in_no_answer(shop: Shop) -> None:
    code = await (await farm(shop)).lot()
    assert told(await ask(shop, MATCH_epcClass=f"http://127.0.0.1:8080/ecommerce/lots/{code}")) == []


@pytest.mark.parametrize(
    "asked", ["EQ_readPoint=x", "MATCH_epc=x", "eventCountLimit=1", "nextPageToken=x", "nextPageToken=WyJhIiwiYiJd"]
)
async def test_what_is_not_understood_is_refused_and_not_passed_over(shop: Shop, asked: str) -> None:
    refused(await shop.client.get(f"{EVENTS}?{asked}"), 400)


async def test_wrong_values_are_refused(shop: Shop) -> None:
    for asked in (
        "GE_eventTime=2026-01-01",
        "perPage=0",
        "perPage=201",
        "orderDirection=UP",
        f"LT_eventTime={quote('x')}",
    ):
        refused(await shop.client.get(f"{EVENTS}?{asked}"), 422)


async def test_a_digital_link_leads_to_its_lot(shop: Shop) -> None:
    code = await shipped(shop, gtin=GTIN)
    seen = ok(await shop.get(f"/lots/{code}"))
    assert seen["digital_link"] == f"http://127.0.0.1:8080/ecommerce/01/0{GTIN}/10/{code}"
    for gtin, status in ((f"0{GTIN}", 303), (GTIN, 303), ("04012345999990", 404), ("8936012345675", 404)):
        answer = await shop.client.get(f"/ecommerce/01/{gtin}/10/{code}", headers={"accept": "text/html"})
        assert answer.status_code == status
        assert status == 404 or answer.headers["location"] == f"/ecommerce/lots/{code}"
    scanned = await shop.client.get(f"/ecommerce/01/{GTIN}/10/{code}?17=271231", headers={"accept": "text/html"})
    assert scanned.headers["location"] == f"/ecommerce/lots/{code}?17=271231"
    plain = await (await farm(shop)).packed()
    assert (
        await shop.client.get(f"/ecommerce/01/{GTIN}/10/{plain}", headers={"accept": "text/html"})
    ).status_code == 404
