"""Figures of former units say where they have them from: the units, the document, and who accepted them."""

from __future__ import annotations

from typing import Any

from chassis.units import Unit
from services.indicators.criteria.figures import Ratio
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API, record, said
from tests.indicators.test_carrying import SUBSCRIBERS, as_event, asked, before_turn, enter, new, old, succeeded
from tests.support.running import bearer

READY = "commune.facilities_people_ready"
SET = "mard-2023-eligible-smart"
ITEM = {SUBSCRIBERS: "c5", READY: "c3"}
LAW = "Nghị quyết 1669/NQ-UBTVQH15"
RECORD = "Biên bản 5/BB-UBND"


async def settled(stage: Stage) -> tuple[Unit, str, dict[str, str]]:
    """A commune merged of two: one figure carried over by rule, one accepted by its officer; the settlement's id."""
    a, b, heir = old("Xã Cũ Một"), old("Xã Cũ Hai"), new("Xã Mới Gộp")
    await enter(stage, a, b)
    await record(
        stage,
        said(a, SUBSCRIBERS, Ratio(80, 100), at=before_turn()),
        said(b, SUBSCRIBERS, Ratio(30, 60), at=before_turn()),
        said(a, READY, True, at=before_turn()),
        said(b, READY, True, at=before_turn()),
    )
    await stage.tell(*(as_event(stage, one) for one in succeeded([(a, heir, "1/1"), (b, heir, "1/1")])))
    officer = bearer(("officer", heir.path), subject="o-settling")
    one = (await asked(stage, heir))[READY]
    done = await stage.client.post(f"{API}/settlements/{one['id']}/accept", json={"document": RECORD}, headers=officer)
    assert done.status_code == 200, done.text
    return heir, one["id"], officer


def facts(tree: dict[str, Any]) -> list[dict[str, Any]]:
    own = [tree["evidence"]] if tree["evidence"] else []
    return own + [one for part in tree["nodes"] for one in facts(part)]


async def test_an_accepted_figure_says_by_whom_when_and_with_which_document(stage: Stage) -> None:
    heir, settlement, officer = await settled(stage)
    item = ITEM[READY]
    path = f"{API}/units/{heir.code}/sets/{SET}/items/{item}"
    tree = (await stage.client.get(f"{path}/reasons", headers=officer)).json()["tree"]
    (one,) = facts(tree)
    assert (one["kind"], one["id"]) == ("settlement", f"person.o-settling/{settlement}")
    assert (one["note"], sorted(one["former_units"])) == (RECORD, ["Xã Cũ Hai", "Xã Cũ Một"])
    decided = (await stage.client.get(f"{path}/explanation", headers=officer)).json()["facts"][0]
    assert decided["source"]["settled_at"] == one["settled_at"] is not None
    # Everybody may know the document, and nobody who it was.
    (public,) = facts((await stage.client.get(f"{path}/reasons")).json()["tree"])
    assert (public["note"], public["id"]) == (RECORD, "")
    assert "o-settling" not in (await stage.client.get(f"{path}/reasons")).text
    page = (await stage.client.get(f"/indicators/units/{heir.code}/items/{item}?set={SET}", headers=officer)).text
    assert f"theo {RECORD}" in page
    assert "Cán bộ xác nhận " in page
    assert f"settlement person.o-settling/{settlement}" in page
    assert "sap-xep-" not in page


async def test_a_figure_carried_by_rule_says_from_whom_and_by_what_in_words(stage: Stage) -> None:
    heir, _, officer = await settled(stage)
    item = ITEM[SUBSCRIBERS]
    address = f"/indicators/units/{heir.code}/items/{item}?set={SET}"
    for who in (officer, {}):
        page = (await stage.client.get(address, headers=who)).text
        assert "Chuyển từ Xã Cũ Một, Xã Cũ Hai theo " + LAW in page
        assert "sap-xep-" not in page
    english = (await stage.client.get(f"{address}&lang=en", headers=officer)).text
    assert f"Carried over from Xã Cũ Một, Xã Cũ Hai under {LAW}" in english


async def test_a_sheet_and_what_goes_out_of_it_name_the_documents_of_figures_of_former_units(stage: Stage) -> None:
    heir, _, _ = await settled(stage)
    address = f"/indicators/units/{heir.code}"
    for asked_of in ({"sources": "true"}, {"sources": "true", "as_of": "2025-12-31"}):
        sheet = (await stage.client.get(f"{API}/units/{heir.code}/sets/{SET}", params=asked_of)).json()
        told = {row["code"]: row["sources"] for row in sheet["items"]}
        for item, source, document in ((ITEM[READY], "settlement", RECORD), (ITEM[SUBSCRIBERS], "succession", LAW)):
            (one,) = told[item]
            assert (one["source"], one["document"]) == (source, document)
            assert sorted(one["former_units"]) == ["Xã Cũ Hai", "Xã Cũ Một"]
    lines = (await stage.client.get(f"{address}/sheet.csv?set={SET}&lang=vi")).text.splitlines()
    assert any("Cán bộ xác nhận số liệu của đơn vị cũ" in line and RECORD in line for line in lines)
    assert any("Chuyển từ Xã Cũ Một, Xã Cũ Hai" in line and LAW in line for line in lines)
    page = (await stage.client.get(f"{address}?set={SET}&lang=vi")).text
    assert f"số liệu của đơn vị cũ, cán bộ đã xác nhận ({RECORD})" in page
    params = {"dataSet": SET, "period": "2026", "orgUnit": heir.code}
    out = (await stage.client.get("/indicators/api/v1/dataValueSets", params=params)).json()["dataValues"]
    comments = {one["dataElement"]: one.get("comment") for one in out}
    assert (comments[READY], comments[SUBSCRIBERS]) == (RECORD, LAW)
