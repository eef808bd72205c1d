"""Owns the page on which staff enter a figure with its evidence."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.responses import Response

from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import DomainError, NotFound
from chassis.text import Line, Paragraph
from chassis.units import Unit, today
from chassis.web import Me, MiB, Page, PageRouter, Tx
from services.indicators import commands, views
from services.indicators.calculation.engine import Ratio, Value
from services.indicators.criteria import catalogue as criteria
from services.indicators.criteria import library
from services.indicators.sources import evidence
from services.indicators.sources.intake import ObservationRejected, Observed, unit_then
from services.indicators.web.shell import TEMPLATES, SetParam, chosen_set, unit_path

pages = PageRouter(templates=TEMPLATES)

RECENT = 10
"""Entries shown below the form, newest first."""


class Entry(BaseModel):
    """One figure as an officer types it; which of the values is needed follows from the measure."""

    model_config = ConfigDict(extra="ignore")
    numerator: int | None = Field(default=None, ge=0, le=2**63 - 1)
    denominator: int | None = Field(default=None, ge=0, le=2**63 - 1)
    answer: str = Field(default="", pattern="^(yes|no|)$")
    count: int | None = Field(default=None, ge=0, le=2**63 - 1)
    state: Line(40, 0) = ""  # type: ignore[valid-type]  # Line makes a type.
    period: Line(10, 0) = ""  # type: ignore[valid-type]  # Line makes a type.
    evidence: Paragraph(1500) = ""  # type: ignore[valid-type]  # Paragraph makes a type.
    document: Line(400, 0) = ""  # type: ignore[valid-type]  # Line makes a type.


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which figures a reader looks for among those that may be entered."""

    set_code: str = ""
    words: str = ""


async def _entry_page(
    page: Page, tx: AsyncSession, unit: Unit, measure_code: str | None, wanted: Wanted = Wanted(), **more: Any
) -> Response:
    criteria_set = chosen_set(None, unit)
    catalogue = library.catalogue()
    measure = catalogue.measures.get(measure_code) if measure_code else None
    choices = views.EntryChoices(catalogue, unit, today(), page.locale, page._) if measure is None else None
    known = choices is not None and any(one.code == wanted.set_code for one in choices.sets)
    chosen = wanted.set_code if known else ""
    return page.render(
        "entry.html",
        title=page._("Nhập số liệu kèm bằng chứng"),
        unit=unit,
        measure=measure,
        choices=choices,
        chosen=chosen,
        words=wanted.words,
        shown=choices.filtered(chosen, wanted.words) if choices is not None else [],
        unit_of_measure=measure.unit_of_measure.in_(page.locale) if measure else "",
        states=[(code, said.in_(page.locale)) for code, said in zip(measure.states, measure.state_titles, strict=True)]
        if measure
        else [],
        recent=[_recent_line(page, one) for one in await evidence.recent(tx, unit, RECENT)],
        unit_path=await unit_path(tx, unit, criteria_set),
        back_href=f"/indicators/units/{unit.code}",
        back_label=unit.name,
        search_url="/indicators/units",
        **more,
    )


@pages.get("/units/{code}/entry")
async def entry_form(
    page: Page,
    tx: Tx,
    me: Me,
    code: str,
    measure: Annotated[str | None, Query(max_length=80)] = None,
    set_code: SetParam = None,
    q: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """First the measure is chosen, set by set, then its figure and what proves it are asked for."""
    unit = await unit_then(tx, me, code, now())
    me.require(STAFF, unit.path)
    if measure and measure not in library.catalogue().measures:
        raise NotFound
    return await _entry_page(page, tx, unit, measure, Wanted(set_code or "", q))


@pages.post("/units/{code}/entry", max_body=11 * MiB)
async def enter(page: Page, tx: Tx, me: Me, code: str, measure: Annotated[str, Query(max_length=80)]) -> Response:
    """Store the figure; what is wrong is said beside the field and what was typed stays."""
    unit = await unit_then(tx, me, code, now())
    me.require(STAFF, unit.path)
    definition = library.catalogue().measures.get(measure)
    if definition is None:
        raise NotFound
    form = await page.form(Entry)
    if form.value is None:
        return await _entry_page(page, tx, unit, measure, errors=form.errors, typed=form.typed)
    entry = form.value
    try:
        attachment = await _kept(tx, me, unit, form.files.get("file", []))
    except DomainError as error:
        return await _entry_page(page, tx, unit, measure, errors=page.errors_of(error), typed=form.typed)
    observed = Observed(
        id=str(new_id()),
        unit=unit.code,
        observed_at=now(),
        value=_value(definition, entry),
        measure=measure,
        period=entry.period,
        source=entry.document,
        evidence=entry.evidence,
        attachment=attachment,
    )
    try:
        await commands.enter(tx, me, unit, observed, library.catalogue())
    except ObservationRejected as error:
        errors = {_FIELDS.get(name, name): text for name, text in page.errors_of(error).items()}
        return await _entry_page(page, tx, unit, measure, errors=errors, typed=form.typed)
    return page.redirect(f"/indicators/units/{unit.code}", flash="Đã lưu số liệu kèm bằng chứng.")


async def _kept(tx: AsyncSession, me: Principal, unit: Unit, files: list[UploadFile]) -> uuid.UUID | None:
    """The document handed in, recognised and kept; None where there is none."""
    if not files:
        return None
    data = await files[0].read(evidence.MAX_BYTES + 1)
    return await evidence.keep(tx, me, unit, await evidence.clean(data, files[0].filename or ""))


def _recent_line(page: Page, one: evidence.Entered) -> dict[str, Any]:
    catalogue = library.catalogue()
    measure = catalogue.measures.get(one.measure)
    named = measure or catalogue.attributes.get(one.measure)
    if one.withdrawn:
        value = page._("đã rút lại")
    elif isinstance(one.value, str):
        value = one.value
    else:
        value = views.figure_words(one.value, measure, page.locale, page._)
    return {
        "title": named.title.in_(page.locale) if named else one.measure,
        "value": value,
        "period": one.period,
        "at": one.received_at,
        "source": one.source or one.evidence,
        "document": one.document,
        "name": one.document_name,
    }


_FIELDS = {"value": "numerator", "measure": "", "unit": "", "id": "", "observed_at": ""}
"""Fields of an observation that have another name, or none, on the form."""


def _value(measure: criteria.Measure, entry: Entry) -> Value | None:
    if measure.kind == "flag":
        return entry.answer == "yes" if entry.answer else None
    if measure.kind == "count":
        return entry.count
    if measure.kind == "state":
        return entry.state or None
    if entry.numerator is None or entry.denominator is None:
        return None
    return Ratio(entry.numerator, entry.denominator)
