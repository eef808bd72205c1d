"""Owns the JSON routes of outputs and sources beside sheets: the matrix, documents, DHIS2's data value sets."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field, field_validator

from chassis import units
from chassis.auth import STAFF
from chassis.errors import Malformed
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.text import Line, Paragraph
from chassis.web import ApiRouter, MaybeMe, Me, MiB, Tx, keep_changes
from services.indicators.answers import queries
from services.indicators.criteria import library
from services.indicators.interchange import dhis2, outgoing
from services.indicators.interchange.dhis2 import Strategy, Summary
from services.indicators.shapes import schemas
from services.indicators.sources import evidence
from services.indicators.sources.readings import Readings, standing

exchange = ApiRouter(prefix="/api/v1", tags=["indicators"])

UnitCode = Annotated[str, Query(max_length=40)]


class CellOut(BaseModel):
    item: str
    status: schemas.Status
    value: schemas.FigureOut | None


class LineOut(BaseModel):
    """A unit of the matrix; above the set's level `met` of `total` are units of that level."""

    unit: str
    name: str
    level: str
    met: int
    total: int
    items: list[CellOut]


class MatrixOut(BaseModel):
    unit: str
    set: str
    lines: list[LineOut]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last.")


@exchange.get("/units/{code}/sets/{set_code}/children", response_model=MatrixOut)
async def get_children(tx: Tx, code: str, set_code: str, limit: Limit = 100, after: After = None) -> MatrixOut:
    """The units directly below a unit, each with its stand with a set, by code."""
    criteria = queries.criteria_set(library.catalogue(), set_code)
    unit = await units.get(tx, code)
    cursor = decode_cursor(after, 1)
    found = await queries.children(tx, unit, criteria, limit=limit, after=str(cursor[0]) if cursor else None)
    page = page_of(found, limit, key=lambda line: (line.unit.code,))
    return MatrixOut(unit=unit.code, set=criteria.code, lines=[_line(line) for line in page.items], next=page.next)


def _line(line: queries.Line) -> LineOut:
    return LineOut(
        unit=line.unit.code,
        name=line.unit.name,
        level=line.unit.level,
        met=line.met,
        total=line.total,
        items=[
            CellOut(item=item, status=status, value=schemas.figure_out(figure))  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
            for item, (status, figure) in line.cells.items()
        ],
    )


class DocumentOut(BaseModel):
    id: uuid.UUID
    href: str
    name: str
    media_type: str
    size: int


@exchange.post("/documents", status_code=201, response_model=DocumentOut, max_body=11 * MiB)
async def keep_document(
    tx: Tx,
    me: Me,
    unit: Annotated[str, Form(max_length=40)],
    file: Annotated[UploadFile, File()],
) -> DocumentOut:
    """A document (PDF, JPEG, PNG; 10 MB) that figures of a unit rest on: name its id as `evidence.file` of an entry."""
    here = await units.get(tx, unit)
    me.require(STAFF, here.path)
    clean = await evidence.clean(await file.read(evidence.MAX_BYTES + 1), file.filename or "")
    made = await evidence.keep(tx, me, here, clean)
    return DocumentOut(
        id=made,
        href=f"/indicators/documents/{made}",
        name=clean.name,
        media_type=clean.media_type,
        size=len(clean.content),
    )


Scheme = Annotated[Literal["code", "CODE"], Query(description="Identifiers are codes.")]


@exchange.get("/dataValueSets", response_model=None)
async def get_data_value_set(
    request: Request,
    tx: Tx,
    me: MaybeMe,
    data_set: Annotated[str, Query(alias="dataSet", max_length=60)],
    period: Annotated[str, Query(max_length=10)],
    org_unit: Annotated[str, Query(alias="orgUnit", max_length=40)],
    children: Annotated[bool, Query(description="Also the units below.")] = False,
    id_scheme: Annotated[Scheme, Query(alias="idScheme")] = "code",
    org_unit_id_scheme: Annotated[Scheme, Query(alias="orgUnitIdScheme")] = "code",
    data_element_id_scheme: Annotated[Scheme, Query(alias="dataElementIdScheme")] = "code",
) -> dict[str, Any]:
    """Figures of a set as DHIS2's data value set (identifiers are codes) for a period, whenever they were said.

    A past period of more than 400 units is worked out for those who have signed in.
    """
    catalogue = library.catalogue()
    criteria = queries.criteria_set(catalogue, data_set)
    ours = dhis2.period_in(period)
    if ours is None:
        raise Malformed(field="period", message_="Kỳ phải có dạng 2026, 2026Q4 hoặc 202611.")
    unit = await units.get(tx, org_unit, outgoing.last_day(ours))
    found = await outgoing.export(
        tx, unit, criteria, ours, below=children, catalogue=catalogue, signed_in=me is not None
    )
    readings: Readings = request.app.state.runtime.service.readings
    readings.note(me, await standing(tx, {one.unit for one in found}, outgoing.last_day(ours)))
    return {
        "dataSet": criteria.code,
        "period": dhis2.period_out(ours),
        "orgUnit": unit.code,
        "dataValues": dhis2.data_values(found, ours),
    }


Id = Line(80, 0)


class DataValueIn(BaseModel):
    """One data value; period and organisation unit default to those of the set. Other properties are left alone."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, coerce_numbers_to_str=True)
    data_element: Id = Field(alias="dataElement")  # type: ignore[valid-type]  # Line makes a type.
    period: Id = ""  # type: ignore[valid-type]  # Line makes a type.
    org_unit: Id = Field(default="", alias="orgUnit")  # type: ignore[valid-type]  # Line makes a type.
    category_option_combo: Id = Field(default="", alias="categoryOptionCombo")  # type: ignore[valid-type]  # as above.
    value: Line(200, 0) = ""  # type: ignore[valid-type]  # Line makes a type.
    comment: Paragraph(1500) = ""  # type: ignore[valid-type]  # Paragraph makes a type.
    deleted: bool = False

    @field_validator("value", mode="before")
    @classmethod
    def _spelled(cls, value: Any) -> Any:
        """A yes or no of JSON is the word DHIS2 keeps of it."""
        return str(value).lower() if isinstance(value, bool) else value


class DataValueSetIn(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True, coerce_numbers_to_str=True)
    data_set: Id = Field(default="", alias="dataSet")  # type: ignore[valid-type]  # Line makes a type.
    period: Id = ""  # type: ignore[valid-type]  # Line makes a type.
    org_unit: Id = Field(default="", alias="orgUnit")  # type: ignore[valid-type]  # Line makes a type.
    data_values: list[DataValueIn] = Field(alias="dataValues", max_length=dhis2.MAX_VALUES)


@exchange.post("/dataValueSets", response_model=None, max_body=16 * MiB)
async def post_data_value_set(
    request: Request,
    response: Response,
    tx: Tx,
    me: Me,
    body: DataValueSetIn,
    dry_run: Annotated[bool, Query(alias="dryRun")] = False,
    strategy: Annotated[Strategy, Query(alias="importStrategy")] = "CREATE_AND_UPDATE",
    id_scheme: Annotated[Scheme, Query(alias="idScheme")] = "code",
    org_unit_id_scheme: Annotated[Scheme, Query(alias="orgUnitIdScheme")] = "code",
    data_element_id_scheme: Annotated[Scheme, Query(alias="dataElementIdScheme")] = "code",
) -> dict[str, Any]:
    """Take in a DHIS2 data value set; what is right counts, the rest is listed as conflicts (409), as DHIS2 does."""
    if me.kind == "partner":
        me.require_scope("indicators.observations.write")
    catalogue = library.catalogue()
    if body.data_set:
        queries.criteria_set(catalogue, body.data_set)
    values = [
        dhis2.DataValue(
            index=index,
            element=value.data_element,
            period=value.period or body.period,
            unit=value.org_unit or body.org_unit,
            combo=value.category_option_combo,
            value=value.value,
            comment=value.comment,
            deleted=value.deleted or strategy == "DELETE",
        )
        for index, value in enumerate(body.data_values)
    ]
    summary = await dhis2.take(tx, me, values, catalogue, strategy=strategy, dry_run=dry_run)
    if summary.conflicts:
        response.status_code = 409
        # What is right of it counts although the answer tells of conflicts: so does DHIS2.
        keep_changes(request)
    return _summary(summary, strategy, dry_run)


def _summary(summary: Summary, strategy: Strategy, dry_run: bool) -> dict[str, Any]:
    """DHIS2's web message around its import summary."""
    clean = not summary.conflicts
    return {
        "httpStatus": "OK" if clean else "Conflict",
        "httpStatusCode": 200 if clean else 409,
        "status": "OK" if clean else "WARNING",
        "message": "Import was successful."
        if clean
        else "One or more conflicts encountered, please check import summary.",
        "response": {
            "responseType": "ImportSummary",
            "status": "SUCCESS" if clean else "WARNING",
            "importOptions": {
                "idSchemes": {"idScheme": "CODE"},
                "dryRun": dry_run,
                "async": False,
                "importStrategy": strategy,
            },
            "description": "Import process completed successfully",
            "importCount": {
                "imported": summary.imported,
                "updated": summary.updated,
                "ignored": summary.ignored,
                "deleted": summary.deleted,
            },
            "conflicts": [
                {
                    "object": conflict.object,
                    "objects": {conflict.property: conflict.object},
                    "value": conflict.value,
                    "errorCode": conflict.code,
                    "property": conflict.property,
                    "indexes": list(conflict.indexes),
                }
                for conflict in summary.conflicts
            ],
            "rejectedIndexes": sorted({index for conflict in summary.conflicts for index in conflict.indexes}),
            "dataSetComplete": "false",
        },
    }
