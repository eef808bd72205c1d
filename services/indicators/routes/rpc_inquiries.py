"""Owns how "what if" and the history of a row are asked and answered over gRPC: the same answers as in JSON."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from xaso.indicators.v1 import indicators_pb2 as pb

from chassis.auth import Principal
from chassis.errors import Invalid, Malformed
from chassis.i18n import Locale
from services.indicators.answers import asking, history, queries, whatif
from services.indicators.answers.needs import Entity, Need
from services.indicators.calculation.evaluation import value_of
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.criteria.figures import Outcome, Summary
from services.indicators.criteria.least import Least
from services.indicators.shapes import supposing
from services.indicators.shapes.schemas import target_out

LARGEST_PAGE = 200
DEFAULT_PAGE = 50


async def what_if(tx: AsyncSession, me: Principal, request: pb.WhatIfRequest, locale: Locale) -> pb.WhatIfResponse:
    """The sheet as it would be; raises what cannot be with its place, as `changes.0.measure`."""
    # The same rules as for JSON say what a question may be.
    body = supposing.SupposeIn.model_validate(
        {"changes": [_change(one) for one in request.changes], "targets": [_target(one) for one in request.targets]}
    )
    catalogue = library.catalogue()
    criteria = queries.criteria_set(catalogue, request.set)
    changes = [supposing.change_of(change) for change in body.changes]
    await asking.allow(tx, me, request.unit, changes)
    aims = [supposing.aim_of(target) for target in body.targets]
    found = await whatif.suppose(tx, request.unit, criteria, catalogue, changes, aims)
    ids = asking.sees_ids(me, found.unit)
    return pb.WhatIfResponse(
        unit=found.unit.code,
        set=criteria.code,
        before=_summary(found.before),
        after=_summary(found.after),
        items=[_row(row, catalogue, locale, ids) for row in found.rows],
    )


def _change(one: pb.SupposedChange) -> dict[str, Any]:
    found: dict[str, Any] = {}
    match one.WhichOneof("subject"):
        case "measure":
            found["measure"] = one.measure
        case "below":
            found |= {"set": one.below.set, "item": one.below.item}
        case "thing":
            found |= {"attribute": one.thing.attribute, "entity": one.thing.entity}
        case "new_things":
            found["new_things"] = _new_things(one.new_things)
    match one.WhichOneof("value"):
        case "ratio":
            found["value"] = {"numerator": one.ratio.numerator, "denominator": one.ratio.denominator}
        case "flag":
            found["value"] = {"flag": one.flag}
        case "count":
            found["value"] = {"count": one.count}
        case "state":
            found["value"] = {"state": one.state}
        case "more":
            found["more"] = one.more
        case "gone":
            found["gone"] = one.gone
    return found


def _new_things(new: pb.NewThings) -> dict[str, Any]:
    stated: list[dict[str, Any]] = []
    for one in new.attributes:
        kind = one.WhichOneof("value")
        stated.append({"attribute": one.attribute, **({"value": {kind: getattr(one, kind)}} if kind else {})})
    return {"kind": new.kind, "count": new.count, "unit": new.unit or None, "attributes": stated}


def _target(one: pb.SupposedTarget) -> dict[str, Any]:
    return {"item": one.item, "operator": one.operator, "target": one.target, "measure": one.measure or None}


def _summary(summary: Summary) -> pb.SheetSummary:
    return pb.SheetSummary(status=summary.status, met=summary.met, total=summary.total)


def _side(outcome: Outcome, rule: c.Rule, locale: Locale) -> pb.SupposedSide:
    target = target_out(rule, locale)
    return pb.SupposedSide(
        status=outcome.status, value=value_of(outcome.figure), target=target.text if target is not None else ""
    )


def _row(row: whatif.Row, catalogue: c.Catalogue, locale: Locale, ids: bool) -> pb.SupposedItem:
    return pb.SupposedItem(
        code=row.item.code,
        title=row.item.title.in_(locale),
        before=_side(row.before, row.item.rule, locale),
        after=_side(row.after, row.rule, locale),
        changed=row.before != row.after or row.rule != row.item.rule,
        least=_least(row.least, row.needs, catalogue, locale, ids),
    )


def _least(found: Least, needs: tuple[Need, ...], catalogue: c.Catalogue, locale: Locale, ids: bool) -> pb.Least:
    return pb.Least(
        status=found.status,
        reachable=found.reachable,
        exact=found.exact,
        effort=found.effort,
        steps=[_step(need, catalogue, locale, ids) for need in needs or tuple(Need(step) for step in found.steps)],
        missing=found.missing,
    )


def _step(need: Need, catalogue: c.Catalogue, locale: Locale, ids: bool) -> pb.LeastStep:
    step = need.step
    title, unit = supposing.step_titles(step, catalogue)
    found = pb.LeastStep(
        kind=step.kind,
        title=title.in_(locale),
        more=step.more,
        unit_of_measure=unit.in_(locale),
        becomes=value_of(step.becomes),
        candidates=[_candidate(one) for one in (need.entities if ids else ())],
        candidates_total=need.total,
        unreported=need.unreported,
        nearest=[
            pb.NearUnit(unit=near.unit.code, name=near.unit.name, effort=near.least.effort, missing=near.least.missing)
            for near in need.nearest
        ],
        inner=_least(need.inner, (), catalogue, locale, ids) if need.inner is not None else None,
    )
    if step.kind in ("children", "item"):
        set_code, _, item_code = step.subject.partition("/")
        found.item.set, found.item.item = set_code, item_code
    else:
        found.measure = step.subject
    return found


def _candidate(one: Entity) -> pb.Candidate:
    return pb.Candidate(
        thing=pb.EntityAttribute(attribute=one.attribute, entity=one.entity),
        source=one.source,
        value=value_of(one.value),
        counted_by=one.counted_by,
        counts_as=value_of(one.counts_as),
    )


async def row_history(tx: AsyncSession, request: pb.HistoryRequest) -> pb.HistoryResponse:
    """The changes of a row and its course; raises Malformed and Invalid where the question cannot be read."""
    if not 0 <= request.page_size <= LARGEST_PAGE:
        raise Invalid(field="page_size", message_="Cỡ trang từ 1 đến {most}.", most=LARGEST_PAGE)
    as_of = ""
    if request.HasField("as_of"):
        try:
            as_of = request.as_of.ToDatetime(tzinfo=UTC).isoformat()
        except (ValueError, OverflowError) as error:
            raise Malformed(field="as_of", message_="Thời điểm không đọc được.") from error
    # `from` is a word of Python's own.
    asked = asking.RowAsked(request.unit, request.set, request.item, as_of, getattr(request, "from"), request.to)
    found = await asking.row_history(tx, asked, request.page_size or DEFAULT_PAGE, request.page_token or None)
    return pb.HistoryResponse(
        unit=found.unit.code,
        set=found.criteria.code,
        item=found.item.code,
        changes=[_turn(turn) for turn in found.turns],
        next_page_token=found.next or "",
        points=[_point(point) for point in found.course.points],
        targets=[_asked(asked) for asked in found.course.asked],
    )


def _turn(turn: history.Turn) -> pb.HistoryChange:
    told = pb.HistoryChange(before=turn.before, after=turn.after, value=value_of(turn.figure), because=turn.cause)
    told.changed_at.FromDatetime(turn.at)
    return told


def _point(point: history.Point) -> pb.HistoryPoint:
    told = pb.HistoryPoint(status=point.status, value=value_of(point.figure))
    told.at.FromDatetime(point.at)
    return told


def _asked(asked: history.Asked) -> pb.HistoryTarget:
    number = asked.number
    return pb.HistoryTarget(
        since=asked.since.isoformat(),
        operator=asked.operator or "",
        number=pb.Ratio(numerator=number.numerator, denominator=number.denominator) if number is not None else None,
        text=asked.text,
        overlay=asked.overlay or "",
    )
