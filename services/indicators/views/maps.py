"""Owns the map of the units below one: tiles of equal size by the unit above them, and the legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chassis.i18n import fmt_number
from chassis.units import Unit
from services.indicators.answers.queries import Standing, UnitStandings
from services.indicators.criteria import catalogue as c
from services.indicators.views import geometry
from services.indicators.views.overviews import asked_of, place
from services.indicators.views.rules import judged
from services.indicators.views.wording import STATUS_WORDS, Translate, many

NOTHING = Standing("no_data", 0, 0)
LOOKS = ("met", "some", "unmet", "measured", "suspended", "not_applicable", "no_data")
"""What a tile can look like; `some` is for a unit part of whose units below meet the set."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One unit on the map. `look` is one of LOOKS, `words` names its state, `counted` what `text` counts."""

    unit: Unit
    name: str
    href: str
    look: str
    text: str
    words: str
    counted: str


@dataclass(frozen=True, slots=True)
class TileGroup:
    """The tiles of the units under one unit, None where there is but one group. `known`: something is to be seen."""

    unit: Unit | None
    href: str
    words: str
    tiles: list[Tile]
    known: bool = True


class MapView:
    """The map of the units of `level` below `here`, grouped by the level between where there is one.

    Units with a shape are drawn; all others are tiles. `told` says, where nothing is judged, of how many rows of a unit
    something is known.
    """

    def __init__(
        self,
        here: Unit,
        found: Sequence[UnitStandings],
        criteria: c.CriteriaSet,
        level: str,
        locale: str,
        _: Translate,
        shapes: dict[str, geometry.Shape] | None = None,
        told: Mapping[str, int] | None = None,
    ) -> None:
        self._told = told or {}
        self._set, self._locale, self._translate = criteria, locale, _
        self._judged = any(judged(item.rule) for item in criteria.items)
        self.level_word = self._kinds(level)
        tiles = [one for one in found if one.unit.level == level and criteria.code in one.sets]
        self.drawing = geometry.draw(shapes or {}, [one.unit.code for one in tiles])
        self.drawn: list[Tile] = []
        if self.drawing is not None:
            paths = self.drawing.paths
            self.drawn = [self._tile(one) for one in tiles if one.unit.code in paths]
            tiles = [one for one in tiles if one.unit.code not in paths]
        heads = [one for one in found if one.unit.level != level and one.unit.code != here.code]
        if heads:
            groups = [self._group(head, [t for t in tiles if t.unit.parent == head.unit.code]) for head in heads]
            self.groups = [group for group in groups if group.tiles]
        else:
            self.groups = [TileGroup(None, "", "", [self._tile(one) for one in tiles])] if tiles else []
        looks = [tile.look for group in self.groups for tile in group.tiles] + [tile.look for tile in self.drawn]
        self.legend = [(look, self._look_words(look), looks.count(look)) for look in LOOKS if look in looks]
        self.count = len(looks)

    def _kinds(self, level: str) -> str:
        _ = self._translate
        if level == "commune" and self._set.kinds != ("xa",):
            return _("xã, phường, thị trấn")
        return many(level, self._locale, _)

    def _look_words(self, look: str) -> str:
        _ = self._translate
        return _("một phần") if look == "some" else _(STATUS_WORDS[look])

    def _group(self, head: UnitStandings, tiles: Sequence[UnitStandings]) -> TileGroup:
        _ = self._translate
        standing = head.sets.get(self._set.code, NOTHING)
        level = many(self._set.level, self._locale, _)
        if standing.total and not self._judged:
            some = fmt_number(sum(self._told.get(one.unit.code, 0) > 0 for one in tiles), self._locale)
            total = fmt_number(standing.total, self._locale)
            words = _("{n}/{total} {level} có số liệu").format(n=some, total=total, level=level)
        elif standing.total:
            met, total = (fmt_number(number, self._locale) for number in (standing.met, standing.total))
            words = _("{met}/{total} {level} đạt").format(met=met, total=total, level=level)
        else:
            words = _("chưa có {level} nào").format(level=level)
        drawn = [self._tile(one) for one in tiles]
        known = any(tile.look != "no_data" for tile in drawn)
        return TileGroup(head.unit, place(head.unit, self._set), words, drawn, known)

    def _tile(self, one: UnitStandings) -> Tile:
        _ = self._translate
        standing = one.sets[self._set.code]
        own = one.unit.level == self._set.level
        look = standing.status if own else _look(standing)
        counted = _("chỉ tiêu") if own else many(self._set.level, self._locale, _)
        of = asked_of(one.unit, self._set) if own else standing.total if self._judged else 0
        text = f"{standing.met}/{of}" if standing.total and of else ""
        known = self._told.get(one.unit.code, 0)
        if own and not of and known:
            # What is only watched is known in part: "no data" would hide it.
            look, text, counted = "measured", f"{known}/{standing.total}", _("chỉ tiêu có số liệu")
        words = self._look_words(look)
        return Tile(one.unit, short_name(one.unit), place(one.unit, self._set), look, text, words, counted)


def _look(standing: Standing) -> str:
    """How a unit above the set's level looks: by how many of the units below it meet the set."""
    if not standing.total:
        return "no_data"
    if standing.met == standing.total:
        return "met"
    return "some" if standing.met else "unmet"


def short_name(unit: Unit) -> str:
    """The name without the word of its kind: "Đại Sơn" for "Xã Đại Sơn"; one word is kept whole ("Phường 5")."""
    first, _, rest = unit.name.partition(" ")
    if unit.kind == "thi_tran" and unit.name.startswith("Thị trấn "):
        return unit.name.removeprefix("Thị trấn ")
    return rest if first in ("Xã", "Phường", "Thôn", "Huyện", "Tỉnh") and rest and not rest.isdigit() else unit.name
