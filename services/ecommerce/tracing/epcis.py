"""Owns how a step of a lot is told in EPCIS 2.0 (GS1, JSON-LD): the event, its hash id, the document of an answer.

The hash id is the one of CBV 2.0 for events of this shape: object events of one quantity with the fields below, whose
identifiers are written as GS1 Digital Links or as addresses already. A general event needs more than this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from chassis.units import VIETNAM
from services.ecommerce.tracing.model import Lot, LotStep, Step, Uom

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
HEADERS = {"gs1-epcis-version": "2.0", "gs1-cbv-version": "2.0"}
CBV = "https://ref.gs1.org/cbv/"
ILMD = "urn:epcglobal:cbv:mda:"

SHAPES: dict[Step, tuple[str, str, str]] = {
    Step.HARVEST: ("ADD", "commissioning", "active"),
    Step.PACKING: ("OBSERVE", "packing", "in_progress"),
    Step.SHIPPING: ("OBSERVE", "shipping", "in_transit"),
    Step.CLOSING: ("DELETE", "decommissioning", "inactive"),
    Step.RECALL: ("OBSERVE", "holding", "recalled"),
    Step.LIFTING: ("OBSERVE", "inspecting", "conformant"),
}
"""Action, business step and disposition (CBV 2.0) of each step."""

UNITS = {Uom.KILOGRAM: "KGM", Uom.TONNE: "TNE", Uom.LITRE: "LTR"}
"""Codes of UN/ECE Recommendation 20; a number of pieces has none."""


def lot_address(code: str, public_url: str) -> str:
    """The address of the public page of a lot; it never changes."""
    return f"{public_url}/ecommerce/lots/{code}"


def label_address(lot: Lot, public_url: str) -> str:
    """What the QR code says: a GS1 Digital Link where there is a GTIN, else the lot's own address."""
    return f"{public_url}/ecommerce/01/{lot.gtin}/10/{lot.code}" if lot.gtin else lot_address(lot.code, public_url)


def epc_class(lot: Lot, public_url: str) -> str:
    """What the lot is called in EPCIS: its canonical Digital Link, or its own address where it has no GTIN."""
    return f"https://id.gs1.org/01/{lot.gtin}/10/{lot.code}" if lot.gtin else lot_address(lot.code, public_url)


def event(lot: Lot, step: LotStep, public_url: str) -> dict[str, Any]:
    """The event of a step, with its id."""
    action, biz_step, disposition = SHAPES[Step(step.kind)]
    terms = f"{public_url}/ecommerce/epcis/v2/terms#"
    told: dict[str, Any] = {
        "@context": [{"cbvmda": ILMD, "xaso": terms}],
        "type": "ObjectEvent",
        "eventTime": step.at.astimezone(VIETNAM).isoformat(timespec="milliseconds"),
        "eventTimeZoneOffset": "+07:00",
        "recordTime": step.recorded_at.astimezone(VIETNAM).isoformat(timespec="milliseconds"),
        "quantityList": [_quantity(lot, step, public_url)],
        "action": action,
        "bizStep": biz_step,
        "disposition": disposition,
    }
    # A bizLocation is where things are found afterwards, which is not said of what was shipped or sold.
    where = "readPoint" if step.kind in (Step.SHIPPING, Step.CLOSING) else "bizLocation"
    told[where] = {"id": f"{public_url}/ecommerce/?unit={lot.unit}"}
    if step.kind == Step.HARVEST:
        day = lot.harvested_on.isoformat()
        told["ilmd"] = {
            "cbvmda:countryOfOrigin": "VN",
            "cbvmda:harvestEndDate": day,
            "cbvmda:harvestStartDate": day,
            "cbvmda:lotNumber": lot.code,
        }
    if step.place:
        told["xaso:place"] = step.place
    if step.reason:
        told["xaso:reason"] = step.reason
    return {**told, "eventID": hash_id(told)}


def document(events: Iterable[Mapping[str, Any]], at: datetime) -> dict[str, Any]:
    """An EPCISQueryDocument that answers a simple event query."""
    body = {"queryName": "SimpleEventQuery", "resultsBody": {"eventList": list(events)}}
    return {
        "@context": [CONTEXT],
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": at.astimezone(VIETNAM).isoformat(timespec="milliseconds"),
        "epcisBody": {"queryResults": body},
    }


def hash_id(told: Mapping[str, Any]) -> str:
    """The id that follows from what an event says: whoever computes it anew sees that nothing was changed."""
    return f"ni:///sha-256;{hashlib.sha256(pre_hash(told).encode()).hexdigest()}?ver=CBV2.0"


def pre_hash(told: Mapping[str, Any]) -> str:
    """The string that is hashed (CBV 2.0, section 8.9): fields in the standard's order, then extensions in theirs."""
    at = datetime.fromisoformat(told["eventTime"]).astimezone(UTC)
    parts = [f"eventType={told['type']}", f"eventTime={at.strftime('%Y-%m-%dT%H:%M:%S')}.{at.microsecond // 1000:03}Z"]
    parts.append(f"eventTimeZoneOffset={told['eventTimeZoneOffset']}")
    for quantity in told["quantityList"]:
        parts.append("quantityListquantityElement")
        parts += [f"{name}={quantity[name]}" for name in ("epcClass", "quantity", "uom") if name in quantity]
    parts.append(f"action={told['action']}")
    for name, kind in (("bizStep", "BizStep"), ("disposition", "Disp")):
        if name in told:
            parts.append(f"{name}={CBV}{kind}-{told[name]}")
    parts += [f"{name}id={told[name]['id']}" for name in ("readPoint", "bizLocation") if name in told]
    spaces = {prefix: uri for context in told.get("@context", ()) for prefix, uri in context.items()}
    if "ilmd" in told:
        parts += ["ilmd", *_extensions(told["ilmd"], spaces)]
    return "".join(parts + _extensions(told, spaces))


def _extensions(fields: Mapping[str, Any], spaces: Mapping[str, str]) -> list[str]:
    found = (name.partition(":") for name in fields if ":" in name)
    return sorted(f"{{{spaces[prefix]}}}{name}={fields[f'{prefix}:{name}']}" for prefix, _, name in found)


def _quantity(lot: Lot, step: LotStep, public_url: str) -> dict[str, Any]:
    counted = {"epcClass": epc_class(lot, public_url), "quantity": plain(step.quantity)}
    uom = UNITS.get(Uom(lot.uom))
    return {**counted, "uom": uom} if uom else counted


def plain(quantity: Decimal) -> int | float:
    """A quantity as JSON writes it: whole numbers without a point."""
    return int(quantity) if quantity == quantity.to_integral_value() else float(quantity)


def gtin_of(typed: str) -> str | None:
    """The 14 digits of a GTIN of 8, 12, 13 or 14 digits whose check digit is right, else None."""
    digits = "".join(typed.split())
    if len(digits) not in (8, 12, 13, 14) or not (digits.isascii() and digits.isdigit()):
        return None
    whole = digits.zfill(14)
    weighed = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(whole))
    return whole if weighed % 10 == 0 and int(whole) else None


def beginning(day: Any) -> datetime:
    """The first instant of a day of Việt Nam: a harvest is known by its day."""
    return datetime.combine(day, time(), VIETNAM).astimezone(UTC)
