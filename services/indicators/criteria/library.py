"""Owns the catalogue of the process: made from documents, refused with every fault in them, and swapped as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from chassis.errors import Said
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import checks, definitions, documents, overlaying
from services.indicators.criteria.documents import BadDefinition as BadDefinition
from services.indicators.criteria.documents import Document
from services.indicators.criteria.documents import Fault as Fault

DATA = documents.DATA


def build(found: Sequence[Document], number: int = 0) -> c.Catalogue:
    """The catalogue that documents make together; raises BadDefinition with every fault found.

    `number` is how many changes the database knows of (see `Catalogue.number`).
    """
    known = checks.Known()
    of_measures = [d for d in found if d.kind == "measures"]
    of_sets = [d for d in found if d.kind == "set"]
    of_overlays = [d for d in found if d.kind == "overlay"]
    for document in of_measures:
        for raw in document.data.get("attributes", ()):
            known.attributes.setdefault(raw["code"], definitions.attribute(raw))
        for raw in document.data["measures"]:
            known.measures.setdefault(raw["code"], definitions.measure(raw))
    for document in of_sets:
        known.sets.setdefault(document.code, document.data)
        known.set_documents.setdefault(document.code, document)
    faults = [
        *checks.measures(of_measures, known),
        *checks.sets(of_sets, known),
        *overlaying.overlays(of_overlays, known),
    ]
    if faults:
        raise BadDefinition(faults)
    sets = {d.code: definitions.criteria_set(d.data) for d in of_sets}
    overlays = {d.code: definitions.overlay(d.data) for d in of_overlays}
    try:
        return c.catalogue(known.attributes, known.measures, sets, overlays, digest(found), number)
    except c.Cycle as error:
        raise BadDefinition([_cycle_fault(error, of_sets, of_overlays)]) from error


def _cycle_fault(error: c.Cycle, of_sets: Iterable[Document], of_overlays: Iterable[Document]) -> Fault:
    set_code, item_code = error.pairs[0]
    for document in (*of_sets, *of_overlays):
        if set_code not in (document.data.get("set"), document.data.get("on")):
            continue
        for index, item in enumerate(document.data.get("items", ())):
            if item["code"] == item_code:
                said = Said("các dòng chờ nhau thành vòng: {circle}", circle=str(error))
                return document.fault(("items", index, "rule"), said)
    raise error


def digest(found: Iterable[Document]) -> str:
    """One word for the content of documents, whatever their order."""
    whole = hashlib.sha256()
    for text in sorted(f"{d.kind}\0{d.code}\0{d.text}" for d in found):
        whole.update(text.encode())
        whole.update(b"\0")
    return whole.hexdigest()[:16]


def read(folder: Path = DATA) -> c.Catalogue:
    """The catalogue of the documents in `folder`; raises BadDefinition."""
    return build(documents.shipped(folder))


_current: c.Catalogue | None = None


def catalogue() -> c.Catalogue:
    """The catalogue in force in this process: the one installed last, before that the one that ships."""
    global _current
    if _current is None:
        _current = read()
    return _current


def install(fresh: c.Catalogue) -> None:
    """Put another catalogue in force in this process. Whoever holds the old one finishes with it."""
    global _current
    _current = fresh
