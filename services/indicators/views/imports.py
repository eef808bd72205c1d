"""Owns the words of file imports: how one stands, what is wrong in a cell and what is allowed there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.indicators.criteria import catalogue as c
from services.indicators.interchange import layout
from services.indicators.interchange.importing import Import
from services.indicators.interchange.underway import Progress
from services.indicators.views.wording import Translate

STATES = {
    "reading": "Đang đọc tệp",
    "unreadable": "Không đọc được tệp",
    "discarded": "Đã bỏ",
    "previewed": "Chờ xác nhận",
    "queued": "Đang ghi",
    "applied": "Đã ghi",
    "refused": "Không ghi được",
    "undoing": "Đang hoàn tác",
    "undone": "Đã hoàn tác",
}
"""How an import stands."""
RUNNING = ("reading", "queued", "undoing")
"""States that end by themselves."""


@dataclass(frozen=True, slots=True)
class FaultView:
    """A fault in words: the cell, what it is about, what is wrong, what is allowed."""

    number: int
    cell: str
    about: str
    wrong: str
    allowed: str


class _Said(dict[str, Any]):
    """What a fault says of itself; what it leaves out is left out of its words."""

    def __missing__(self, name: str) -> str:
        return ""


def measure_title(code: str, catalogue: c.Catalogue, locale: str) -> str:
    found = catalogue.measures.get(code) or catalogue.attributes.get(code)
    return found.title.in_(locale) if found is not None else code


def fault_view(fault: Any, catalogue: c.Catalogue, locale: str, _: Translate) -> FaultView:
    """The words of one row of `importing.faults`."""
    wrong, allowed = layout.FAULTS[fault.reason]
    params = _Said(fault.params)
    if fault.reason == "period_of_another_kind":
        params["allowed"] = _(layout.PERIOD_WORDS[fault.params["kind"]])
    about = measure_title(fault.measure, catalogue, locale) if fault.measure else ""
    return FaultView(fault.number, fault.cell, about, _(wrong).format_map(params), _(allowed).format_map(params))


def refusal_words(one: Import, _: Translate) -> str:
    """Why the file of an import cannot be read at all; empty for any other."""
    if one.refusal is None:
        return ""
    return _(layout.FILE_FAULTS[one.refusal["reason"]]).format_map(_Said(one.refusal["params"]))


def announced(one: Import, progress: Progress | None, _: Translate) -> str:
    """How far an import is, for those who hear the page: it changes ten times, not with every figure."""
    word = _(STATES[one.state])
    if progress is None or not progress.total:
        return word
    return _("{word}: {percent} %").format(word=word, percent=progress.done * 10 // progress.total * 10)
