"""Owns figures that could not be carried over, in words."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.indicators.calculation.model import code_of
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Ratio, Value
from services.indicators.reorganisation.settling import REASONS, Heir, Settlement
from services.indicators.views.wording import Translate, address, figure_words


@dataclass(frozen=True, slots=True)
class SettlementView:
    """One question: the figure, why it was not carried over, what each former unit had, and what is proposed."""

    id: uuid.UUID
    unit: str
    code: str
    title: str
    reason: str
    since: date
    proposal: str
    parts: tuple[tuple[str, str], ...]
    entry_href: str
    split: str
    """Which former units were split, and among whom; empty where all of them went over whole."""
    left_out: str
    """The former units of whose part the proposed number knows nothing; empty where it counts all, or is no number."""


@dataclass(frozen=True, slots=True)
class Sharer:
    """One of the units that a former unit was split among, and what is known of the figure there."""

    name: str
    href: str
    share: str
    figure: str
    here: bool


def settlement_views(
    found: Sequence[Settlement],
    names: dict[str, str],
    heirs: Mapping[str, Sequence[Heir]],
    catalogue: c.Catalogue,
    locale: str,
    _: Translate,
) -> list[SettlementView]:
    """`names` are those of the former units, by key; `heirs` among whom the split ones of them went."""
    return [_view(one, names, heirs, catalogue, locale, _) for one in found]


def shared_among(
    one: Settlement,
    names: dict[str, str],
    heirs: Mapping[str, Sequence[Heir]],
    have: Mapping[str, Value],
    catalogue: c.Catalogue,
    locale: str,
    _: Translate,
) -> list[tuple[str, list[Sharer]]]:
    """Per former unit that was split: its figure, and what each of those who share it has of the figure by now."""
    measure = catalogue.measures.get(one.measure)
    found = []
    for part in one.parts:
        if part["unit"] not in heirs:
            continue
        had = _part({**part, "given": None}, measure, locale, _)
        head = _("{unit} (trước đây: {had}) được chia cho").format(unit=names.get(part["unit"], part["unit"]), had=had)
        sharers = [
            Sharer(
                heir.name,
                f"/indicators/units/{heir.code}",
                heir.share or _("chưa rõ phần"),
                value_words(have.get(heir.key), measure, locale, _) or _("chưa có số liệu"),
                heir.key == one.unit,
            )
            for heir in heirs[part["unit"]]
        ]
        found.append((head, sharers))
    return found


def _split(one: Settlement, names: dict[str, str], heirs: Mapping[str, Sequence[Heir]], _: Translate) -> str:
    return "; ".join(
        _("{unit} chia cho {heirs}").format(
            unit=names.get(part["unit"], code_of(part["unit"])),
            heirs=", ".join(heir.name for heir in heirs[part["unit"]]),
        )
        for part in one.parts
        if part["unit"] in heirs
    )


def _view(
    one: Settlement,
    names: dict[str, str],
    heirs: Mapping[str, Sequence[Heir]],
    catalogue: c.Catalogue,
    locale: str,
    _: Translate,
) -> SettlementView:
    measure = catalogue.measures.get(one.measure)
    attribute = catalogue.attributes.get(one.measure)
    named = measure.title if measure else attribute.title if attribute else c.Text(one.measure, one.measure)
    code = code_of(one.unit)
    parts = tuple(
        (names.get(part["unit"], code_of(part["unit"])), _part(part, measure, locale, _)) for part in one.parts
    )
    return SettlementView(
        one.id,
        one.name,
        code,
        named.in_(locale),
        _(REASONS[one.reason]),
        one.effective_on,
        value_words(one.proposal, measure, locale, _),
        parts,
        address(f"/indicators/units/{code}/entry", measure=one.measure) if measure is not None else "",
        _split(one, names, heirs, _),
        _left_out(one, names),
    )


def _left_out(one: Settlement, names: dict[str, str]) -> str:
    if one.proposal is None or isinstance(one.proposal, bool | str):
        return ""
    return ", ".join(names.get(part["unit"], code_of(part["unit"])) for part in one.parts if part["given"] is None)


def _part(part: dict[str, Any], measure: c.Measure | None, locale: str, _: Translate) -> str:
    had = value_words(_value(part["figure"]), measure, locale, _) or _("chưa có số liệu")
    if part["given"] is None or part["given"] == part["figure"]:
        return had
    given = value_words(_value(part["given"]), measure, locale, _)
    return _("{had}; phần {share} là {given}").format(had=had, share=part["share"], given=given)


def _value(kept: Any) -> Value | None:
    if not isinstance(kept, dict):
        return kept if isinstance(kept, str) else None
    if "numerator" in kept:
        return Ratio(kept["numerator"], kept["denominator"])
    found: Value = next(iter(kept.values()))
    return found


def value_words(value: Value | None, measure: c.Measure | None, locale: str, _: Translate) -> str:
    """A value in words; a trait by its name."""
    if isinstance(value, str):
        titles = dict(zip(measure.states, measure.state_titles, strict=False)) if measure else {}
        return titles[value].in_(locale) if value in titles else value
    return figure_words(value, measure, locale, _)
