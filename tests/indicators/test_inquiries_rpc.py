"""What if and the history of a row over a real gRPC channel: the same answers as in JSON, the same rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from sqlalchemy import text
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis import units
from chassis.units import Unit
from services.indicators.app import service
from services.indicators.criteria.figures import Ratio
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API, ask, of_entity, record, said
from tests.indicators.test_events import product
from tests.support.running import bearer, commune, ladder, running, settings_for, token, village

SET = "hd-288-2023"
READ = "indicators.read"
PARTNER = token(("partner", "30"), kind="partner", client_id="viettel", scope=READ)
STRANGER = token(("partner", "30/298/11077"), kind="partner", client_id="vnpt", scope=READ)
OFFICER = bearer(("officer", "30/298/11074"))


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    settings = settings_for(Settings, database("inquiries"))
    async with running(service, settings, parts=["rpc"]) as live:
        here = commune()
        first = village(here)
        await live.enter_units(*ladder(), here, first)
        yield Stage(live, here, [first])


async def call(stage: Stage, method: str, request: Any, as_: str = PARTNER) -> Any:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        stub = stubs.ComplianceServiceStub(channel)
        return await getattr(stub, method)(request, timeout=30, metadata=(("authorization", f"Bearer {as_}"),))


async def refused(stage: Stage, method: str, request: Any, as_: str = PARTNER) -> tuple[grpc.StatusCode, list[str]]:
    """The status of a call that must fail, and the fields its details name."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(stage, method, request, as_)
    found: list[str] = []
    for key, value in caught.value.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                wrong = error_details_pb2.BadRequest()
                if detail.Unpack(wrong):
                    found += [one.field for one in wrong.field_violations]
    return caught.value.code(), found


def row(answer: pb.WhatIfResponse, code: str = "288.5") -> pb.SupposedItem:
    return next(item for item in answer.items if item.code == code)


async def of_households(stage: Stage, yes: int, no: int) -> Unit:
    unit = await stage.new_village()
    facts = [of_entity(unit, "household.fibre", f"H-{n}", n <= yes) for n in range(1, yes + no + 1)]
    await record(stage, said(unit, "village.households", yes + no), *facts)
    return unit


def fibre(entity: str, **value: Any) -> pb.SupposedChange:
    thing = pb.EntityAttribute(attribute="household.fibre", entity=entity)
    return pb.SupposedChange(thing=thing, **(value or {"flag": True}))


async def test_more_households_turn_the_row_as_in_json(stage: Stage) -> None:
    unit = await of_households(stage, 7, 3)
    more = pb.SupposedChange(measure="village.fibre_households", more=2)
    answer = await call(stage, "WhatIf", pb.WhatIfRequest(unit=unit.code, set=SET, changes=[more]))
    found = row(answer)
    assert (found.before.status, found.after.status, found.changed) == ("unmet", "met", True)
    assert (found.after.value.ratio.numerator, found.after.value.ratio.denominator) == (9, 10)
    assert (answer.before.met, answer.after.met, answer.after.total) == (0, 1, 9)
    assert found.before.target == "> 80%"
    body = {"changes": [{"measure": "village.fibre_households", "more": 2}]}
    json = (await ask(stage, unit, SET, body, headers=OFFICER)).json()
    same = [(one["code"], one["before"]["status"], one["after"]["status"], one["least"]) for one in json["items"]]
    assert [(i.code, i.before.status, i.after.status) for i in answer.items] == [one[:3] for one in same]
    for item, (_, _, _, least) in zip(answer.items, same, strict=True):
        assert (item.least.reachable, item.least.exact, item.least.effort, list(item.least.missing)) == (
            least["reachable"], least["exact"], least["effort"], least["missing"],
        )  # fmt: skip
        assert [(s.kind, s.title, s.more, s.unit_of_measure) for s in item.least.steps] == [
            (s["kind"], s["title"], s["more"], s["unit_of_measure"]) for s in least["steps"]
        ]


async def test_this_household_and_this_product(stage: Stage) -> None:
    unit = await of_households(stage, 8, 2)
    rice = f"rice-{unit.code}"
    await stage.tell(stage.event(product(unit, rice, 0), rice))
    start = await call(stage, "WhatIf", pb.WhatIfRequest(unit=unit.code, set=SET))
    (step,) = row(start).least.steps
    assert [one.thing.entity for one in step.candidates] == [f"{unit.code}/H-10", f"{unit.code}/H-9"]
    (sale,) = row(start, "288.9").least.steps
    (named,) = sale.candidates
    assert (named.value.state, named.counted_by, named.counts_as.state) == (
        "key_unlisted",
        "product.sale",
        "key_listed",
    )
    listed = pb.SupposedChange(
        thing=pb.EntityAttribute(attribute=named.counted_by, entity=named.thing.entity), state=named.counts_as.state
    )
    request = pb.WhatIfRequest(unit=unit.code, set=SET, changes=[fibre("H-9"), listed])
    answer = await call(stage, "WhatIf", request)
    assert {row(answer, code).after.status for code in ("288.5", "288.9")} == {"met"}
    gone = pb.WhatIfRequest(unit=unit.code, set=SET, changes=[fibre("H-1", gone=True)])
    assert row(await call(stage, "WhatIf", gone)).after.value.ratio.numerator == 7


def households(count: int, attribute: str = "household.fibre", unit: str = "", **value: Any) -> pb.SupposedChange:
    stated = [pb.StatedAttribute(attribute=attribute, **(value or {"flag": True}))]
    return pb.SupposedChange(
        new_things=pb.NewThings(kind="household", count=count, unit=unit, attributes=stated if attribute else [])
    )


async def test_households_nobody_has_reported_yet(stage: Stage) -> None:
    unit = await of_households(stage, 8, 2)
    request = pb.WhatIfRequest(unit=unit.code, set=SET, changes=[households(2)])
    for who in (PARTNER, STRANGER):
        found = row(await call(stage, "WhatIf", request, who))
        assert (found.before.status, found.after.status) == ("unmet", "met")
        assert (found.after.value.ratio.numerator, found.after.value.ratio.denominator) == (10, 12)
    village = pb.WhatIfRequest(
        unit=stage.commune.code, set="hd-1414-ntm-model-4.7", changes=[households(2, unit=unit.code)]
    )
    assert len((await call(stage, "WhatIf", village)).items) > 1


async def test_single_things_are_for_partners_of_the_unit(stage: Stage) -> None:
    unit = await of_households(stage, 1, 1)
    request = pb.WhatIfRequest(unit=unit.code, set=SET)
    (step,) = row(await call(stage, "WhatIf", request, STRANGER)).least.steps
    assert (list(step.candidates), step.candidates_total) == ([], 1)
    request.changes.append(fibre("H-2"))
    assert (await refused(stage, "WhatIf", request, STRANGER))[0] == grpc.StatusCode.PERMISSION_DENIED
    nothing = token(("partner", "30"), kind="partner", client_id="x", scope="indicators.observations.write")
    for method, asked in (("WhatIf", request), ("History", pb.HistoryRequest(unit=unit.code, set=SET, item="288.5"))):
        assert (await refused(stage, method, asked, nothing))[0] == grpc.StatusCode.PERMISSION_DENIED


async def test_another_target_and_the_rows_below(stage: Stage) -> None:
    unit = await of_households(stage, 8, 2)
    for operator, status in ((">", "unmet"), (">=", "met")):
        target = pb.SupposedTarget(item="288.5", operator=operator, target="80%")
        answer = await call(stage, "WhatIf", pb.WhatIfRequest(unit=unit.code, set=SET, targets=[target]))
        assert (row(answer).after.status, row(answer).after.target) == (status, f"{operator} 80%")
    ratio = pb.Ratio(numerator=5, denominator=5)
    both = [
        pb.SupposedChange(below=pb.ItemOfSet(set="hd-1414-village", item=name), ratio=ratio)
        for name in ("telephone", "internet")
    ]
    await record(stage, said(stage.commune, "commune.telecom_standard", True))
    request = pb.WhatIfRequest(unit=stage.commune.code, set="hd-1414-ntm-8", changes=both)
    assert row(await call(stage, "WhatIf", request), "8.2").after.status == "met"
    steps = row(await call(stage, "WhatIf", pb.WhatIfRequest(unit=stage.commune.code, set="hd-1414-ntm-8")), "8.2")
    assert {(s.item.set, s.item.item) for s in steps.least.steps if s.kind == "children"} >= {
        ("hd-1414-village", "telephone")
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (pb.SupposedChange(measure="no.such", more=1), "changes.0.measure"),
        (pb.SupposedChange(measure="village.fibre_households", flag=True), "changes.0.value"),
        (pb.SupposedChange(measure="village.fibre_households", ratio=pb.Ratio(numerator=-1)), "changes.0.value"),
        (pb.SupposedChange(measure="village.fibre_households"), "changes.0"),
        (pb.SupposedChange(more=1), "changes.0"),
        (fibre("H-99"), "changes.0.entity"),
        (fibre("H-1", gone=False), "changes.0"),
        (households(0), "changes.0.new_things.count"),
        (households(1, attribute=""), "changes.0.new_things.attributes"),
        (households(1, attribute="product.sale", state="key_listed"), "changes.0.new_things.attributes.0.attribute"),
        (households(1, unit="99999"), "changes.0.new_things.unit"),
        (pb.SupposedChange(new_things=pb.NewThings(kind="household", count=1), more=1), "changes.0"),
        (fibre("a\u0000b"), "changes"),
        (pb.SupposedChange(below=pb.ItemOfSet(set="hd-1414-village", item="telephone"), more=1), "changes.0.item"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_is_an_invalid_argument_with_its_place(
    stage: Stage, change: pb.SupposedChange, field: str
) -> None:
    unit = await of_households(stage, 1, 0)
    code, fields = await refused(stage, "WhatIf", pb.WhatIfRequest(unit=unit.code, set=SET, changes=[change]))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert any(one.startswith(field) for one in fields), fields


async def test_too_much_and_wrong_targets_are_invalid_and_unknown_things_not_found(stage: Stage) -> None:
    unit = stage.villages[0].code
    many = [pb.SupposedChange(measure="village.fibre_households", more=1)] * 201
    code, fields = await refused(stage, "WhatIf", pb.WhatIfRequest(unit=unit, set=SET, changes=many))
    assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["changes"])
    for target in ({"operator": "<", "target": "80%"}, {"operator": ">", "target": "1/0"}, {"operator": ">"}):
        wrong = pb.SupposedTarget(item="288.5", **target)
        code, fields = await refused(stage, "WhatIf", pb.WhatIfRequest(unit=unit, set=SET, targets=[wrong]))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert fields[0].startswith("targets.0")
    for asked in (("99999", SET), (unit, "nope"), (stage.commune.code, SET)):
        request = pb.WhatIfRequest(unit=asked[0], set=asked[1])
        assert (await refused(stage, "WhatIf", request))[0] == grpc.StatusCode.NOT_FOUND


async def walked(stage: Stage, *shares: tuple[int, int]) -> Unit:
    """A village whose fibre went through these shares, each so many days ago."""
    unit = await stage.new_village()
    for numerator, days in shares:
        await record(stage, said(unit, "village.fibre_households", Ratio(numerator, 100)))
        async with stage.running.tx() as tx:
            await tx.execute(
                text("UPDATE change SET at = at - make_interval(days => :days) WHERE code = :code AND numerator = :n"),
                {"days": days, "code": unit.code, "n": numerator},
            )
    return unit


async def test_the_history_of_a_row_between_two_days(stage: Stage) -> None:
    unit = await walked(stage, (10, 500), (60, 30), (70, 20), (81, 10), (80, 0))
    today = units.today()
    asked: dict[str, Any] = {"unit": unit.code, "set": SET, "item": "288.5"}
    seen: list[pb.HistoryChange] = []
    page = ""
    for _ in range(9):
        answer = await call(stage, "History", pb.HistoryRequest(**asked, page_size=2, page_token=page))
        seen += answer.changes
        page = answer.next_page_token
        if not page:
            break
    assert [one.value.ratio.numerator for one in seen] == [80, 81, 70, 60, 10]
    assert [(one.before, one.after) for one in seen[:2]] == [("met", "unmet"), ("unmet", "met")]
    assert all(one.because.startswith("observation:") for one in seen)
    # What held before the year begins the course.
    assert [point.value.ratio.numerator for point in answer.points] == [10, 60, 70, 81, 80]
    assert [(t.operator, t.number.numerator, t.number.denominator, t.text) for t in answer.targets] == [
        (">", 4, 5, "> 80%")
    ]
    span: dict[str, Any] = {
        "from": (today - timedelta(days=25)).isoformat(),
        "to": (today - timedelta(days=10)).isoformat(),
    }
    part = await call(stage, "History", pb.HistoryRequest(**asked, **span))
    assert [one.value.ratio.numerator for one in part.changes] == [81, 70]
    assert [point.value.ratio.numerator for point in part.points] == [60, 70, 81]
    json = await stage.client.get(f"{API}/units/{unit.code}/sets/{SET}/items/288.5/history", params=span)
    assert [one["value"]["numerator"] for one in json.json()["items"]] == [81, 70]
    assert [one["value"]["numerator"] for one in json.json()["points"]] == [60, 70, 81]
    empty = await call(stage, "History", pb.HistoryRequest(**{**asked, "item": "288.4"}))
    assert (list(empty.changes), list(empty.points), empty.next_page_token) == ([], [], "")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"from": "2026-13-01"}, "from"),
        ({"to": "hôm qua"}, "to"),
        ({"from": "20260101"}, "from"),
        ({"to": "0001-01-01"}, "to"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "from"),
        ({"page_size": 201}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "after"),
    ],
)
async def test_a_history_that_cannot_be_read_is_an_invalid_argument(
    stage: Stage, wrong: dict[str, Any], field: str
) -> None:
    request = pb.HistoryRequest(unit=stage.villages[0].code, set=SET, item="288.5", **wrong)
    assert await refused(stage, "History", request) == (grpc.StatusCode.INVALID_ARGUMENT, [field])
    if field in ("from", "to"):
        address = f"{API}/units/{stage.villages[0].code}/sets/{SET}/items/288.5/history"
        assert (await stage.client.get(address, params=wrong)).status_code in (400, 422)


async def test_a_history_of_what_is_not_there_is_not_found(stage: Stage) -> None:
    code = stage.villages[0].code
    for unit, set_code, item in (("99999", SET, "288.5"), (code, "nope", "288.5"), (code, SET, "288.99")):
        request = pb.HistoryRequest(unit=unit, set=set_code, item=item)
        assert (await refused(stage, "History", request))[0] == grpc.StatusCode.NOT_FOUND
