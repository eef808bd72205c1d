"""Owns how the rows of a set stand together: under the goals and themes of its document, what a place added behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.indicators.criteria import catalogue as c
from services.indicators.views.wording import Translate

Drawn = TypeVar("Drawn")
"""A row as it is drawn."""


@dataclass(frozen=True, slots=True)
class RowGroup(Generic[Drawn]):
    """Rows that stand together; `theme` is named where it differs from that of the group before.

    `title` is empty where the document has no groups.
    """

    code: str
    theme: str
    title: str
    rows: list[Drawn]


def grouped(
    criteria: c.CriteriaSet, rows: Iterable[tuple[c.Item, Drawn]], locale: str, _: Translate
) -> list[RowGroup[Drawn]]:
    """Neighbouring rows of one group together, in their order."""
    named = {group.code: group for group in criteria.groups}
    found: list[RowGroup[Drawn]] = []
    theme = ""
    for item, drawn in rows:
        if not found or found[-1].code != item.group:
            group = named.get(item.group)
            over = group.theme.in_(locale) if group else ""
            title = f"{group.code}. {group.title.in_(locale)}" if group else ""
            if named and not group:
                title = _("Chỉ tiêu địa phương thêm")
            found.append(RowGroup(item.group, over if over != theme else "", title, []))
            theme = over
        found[-1].rows.append(drawn)
    return found
