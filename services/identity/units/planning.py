"""Owns what a change set does to the units that stand: which end, which begin, where villages go, and what forbids it.

Nothing is read or written here: a plan is a function of the file and of the units, so that a preview and the real
thing cannot differ. Every unit that a reorganisation touches begins a new generation on its day, also where only its
name or what lies above it changes: the row of a generation is never rewritten, so its history stays as it was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction

from chassis.units import LEVELS, Unit
from services.identity.units.changeset import ChangeSet, Fault, Founded, Link


@dataclass(frozen=True, slots=True)
class Succeeds:
    """One link between two generations, as it will be stored and published."""

    predecessor: Unit
    successor: Unit
    share: Fraction | None
    named: tuple[tuple[str, Fraction], ...]
    legal_basis: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Open:
    """Something the file leaves open that people have to settle; `unit` is the unit as it stood before."""

    what: str
    unit: Unit
    detail: str


@dataclass
class Plan:
    """What a change set does.

    `faults` are reasons not to; `unsettled` does not forbid it, but people must look at it. `there` counts the units
    that the set begins and that stand already, the same in everything.
    """

    change_set: ChangeSet
    ends: list[Unit] = field(default_factory=list)
    begins: list[Unit] = field(default_factory=list)
    there: int = 0
    links: list[Succeeds] = field(default_factory=list)
    unsettled: list[Open] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How many units of each level end and begin, and how many of those that end or begin split and merge."""
        found = {f"{level} ends": 0 for level in LEVELS} | {f"{level} begins": 0 for level in LEVELS}
        for word, units in (("ends", self.ends), ("begins", self.begins)):
            found |= {f"{level} {word}": n for level, n in Counter(u.level for u in units).items()}
        after = Counter(identity(link.predecessor) for link in self.links)
        before = Counter(identity(link.successor) for link in self.links)
        return {
            **found,
            "split": sum(n > 1 for n in after.values()),
            "merged": sum(n > 1 for n in before.values()),
            "links": len(self.links),
            "unsettled": len(self.unsettled),
        }


def identity(unit: Unit) -> tuple[str, date]:
    """What makes a unit itself: its code and the first day of its validity."""
    return unit.code, unit.valid_from


def plan(change_set: ChangeSet, known: Iterable[Unit]) -> Plan:
    """What `change_set` does to the units `known` (every generation of them, from the province to the village)."""
    return _Planning(change_set, known).run()


class _Planning:
    def __init__(self, change_set: ChangeSet, known: Iterable[Unit]) -> None:
        self.set = change_set
        self.on = change_set.effective_on
        self.made = Plan(change_set)
        self.generations: dict[str, list[Unit]] = defaultdict(list)
        for unit in known:
            self.generations[unit.code].append(unit)
        self.standing: dict[str, Unit] = {}
        self.below: dict[str, list[Unit]] = defaultdict(list)
        for code, generations in self.generations.items():
            for unit in generations:
                if unit.valid_from < self.on and (unit.valid_to is None or unit.valid_to > self.on):
                    self.standing[code] = unit
                    self.below[unit.parent].append(unit)
        self.ended: dict[str, Unit] = {}
        self.begun: dict[str, Unit] = {}
        self.there: set[str] = set()
        self.basis: dict[str, str] = {u.code: u.legal_basis or change_set.legal_basis for u in change_set.begins}
        self.successors: dict[str, list[Link]] = defaultdict(list)
        for link in change_set.links:
            self.successors[link.predecessor].append(link)

    def run(self) -> Plan:
        self._end()
        self._begin()
        self._link()
        self._villages()
        self._orphans()
        self._remarks()
        self.made.ends = sorted(self.ended.values(), key=lambda u: (-LEVELS.index(u.level), u.code))
        # From the top down: whoever reads them in order knows the unit above before the units below.
        new = [u for u in self.begun.values() if u.code not in self.there]
        self.made.begins = sorted(new, key=lambda u: (LEVELS.index(u.level), u.code))
        self.made.there = len(self.there)
        self.made.faults.sort(key=lambda fault: fault.line)
        return self.made

    def _fault(self, line: int, place: str, reason: str) -> None:
        self.made.faults.append(Fault(line, place, reason))

    def _end(self) -> None:
        rows: dict[str, int] = {}
        for code, line in [(k.predecessor, k.line) for k in self.set.links] + [(e.code, e.line) for e in self.set.ends]:
            rows.setdefault(code, line)
        for code, line in rows.items():
            unit = self.standing.get(code)
            if unit is None:
                self._fault(line, code, self._why_not_standing(code))
            elif unit.valid_to is not None and unit.level != "village":
                self._fault(line, named(unit), f"already has a last day: it ends on {unit.valid_to}")
            else:
                self.ended[code] = replace(unit, valid_to=self.on)

    def _why_not_standing(self, code: str) -> str:
        generations = sorted(self.generations.get(code, ()), key=lambda u: u.valid_from)
        if not generations:
            return "there is no unit of this code: load the units that stood before, or take its rows out"
        last = generations[-1]
        if last.valid_from >= self.on:
            return f"{last.name} begins on {last.valid_from}, not before the day of the change ({self.on})"
        return f"{last.name} has already ended, on {last.valid_to}"

    def _begin(self) -> None:
        rows = {row.code: row for row in self.set.begins}
        for row in self.set.begins:
            standing = self.standing.get(row.code)
            if standing is not None and row.code not in self.ended:
                reason = f"{standing.name} of this code goes on: two units of one code would be valid at once"
                self._fault(row.line, f"{row.code} {row.name}", reason)
            path = self._path(row, rows)
            if path is None:
                continue
            new = Unit(row.code, row.name, row.level, row.kind, row.parent, path, self.on)
            later = [g for g in self.generations.get(row.code, ()) if g.valid_from >= self.on]
            if later == [new]:
                # The set of a neighbouring province brought it, or the first data did: it is the same unit.
                self.there.add(row.code)
            elif later:
                reason = f"{later[0].name} of this code already begins on {later[0].valid_from}"
                self._fault(row.line, f"{row.code} {row.name}", reason)
            self.begun[row.code] = new

    def _path(self, row: Founded, rows: dict[str, Founded]) -> str | None:
        """The path of a new unit; None, with a fault, where what lies above it does not stand on the day."""
        place = f"{row.code} {row.name}"
        cycle = _cycle(row, rows)
        if cycle:
            self._fault(row.line, place, f"a cycle: {' > '.join(cycle)}")
            return None
        codes, level, parent = [row.code], row.level, row.parent
        while parent:
            above = rows.get(parent)
            standing = None if above else self.standing.get(parent)
            if above is None and (standing is None or parent in self.ended):
                what = "ends on the day" if parent in self.ended else "does not stand on the day"
                self._fault(row.line, place, f"left without a parent: {parent} {what}")
                return None
            above_level = above.level if above else standing.level if standing else ""
            if LEVELS.index(above_level) >= LEVELS.index(level):
                self._fault(row.line, place, f"a {level} cannot lie in a {above_level} ({parent})")
                return None
            if standing is not None:
                return "/".join([standing.path, *reversed(codes)])
            codes.append(parent)
            level, parent = above_level, above.parent if above else ""
        return "/".join(reversed(codes))

    def _link(self) -> None:
        for link in self.set.links:
            before, after = self.ended.get(link.predecessor), self.begun.get(link.successor)
            if after is None and link.successor not in self.basis:
                reason = f"successor {link.successor} is not under 'units': a unit that takes another in begins anew"
                self._fault(link.line, f"{link.predecessor} to {link.successor}", reason)
            if before is None or after is None:
                continue
            basis = self.basis[link.successor]
            self.made.links.append(Succeeds(before, after, link.share, link.named, basis, link.note))

    def _villages(self) -> None:
        placed = {row.village: row for row in self.set.villages}
        gone = {row.code for row in self.set.ends}
        for commune in [u for u in self.ended.values() if u.level == "commune"]:
            choices = [link.successor for link in self.successors.get(commune.code, ())]
            for village in sorted(self.below.get(commune.code, ()), key=lambda u: u.code):
                row = placed.pop(village.code, None)
                if village.code in gone and row is not None:
                    self._fault(row.line, named(village), "stands both under 'ends' and under 'villages'")
                elif village.code in gone:
                    continue
                elif row is not None and row.successor not in choices:
                    reason = f"{row.successor} is no successor of {named(commune)}; allowed: {', '.join(choices)}"
                    self._fault(row.line, named(village), reason)
                elif row is not None or len(choices) == 1:
                    self._move(village, row.successor if row else choices[0])
                else:
                    self._homeless(village, commune, choices)
        for row in placed.values():
            unit = self.standing.get(row.village)
            reason = "its commune does not end here" if unit else "there is no such village on the day"
            self._fault(row.line, row.village, reason)

    def _move(self, village: Unit, commune: str) -> None:
        after = self.begun.get(commune)
        if after is None:
            return
        path = f"{after.path}/{village.code}"
        moved = replace(village, parent=after.code, path=path, valid_from=self.on)
        if any(g.valid_from >= self.on for g in self.generations[village.code]):
            self._fault(0, named(village), "already begins anew on or after the day")
            return
        self.ended[village.code] = replace(village, valid_to=self.on)
        self.begun[village.code] = moved
        basis = self.basis[commune]
        self.made.links.append(Succeeds(self.ended[village.code], moved, Fraction(1), (), basis))

    def _homeless(self, village: Unit, commune: Unit, choices: list[str]) -> None:
        if not choices:
            line = next((row.line for row in self.set.ends if row.code == commune.code), 0)
            self._fault(line, named(village), f"left without a parent: {named(commune)} ends without a successor")
            return
        line = self.successors[commune.code][0].line
        reason = (
            f"left without a parent: {named(commune)} was split; "
            f"add {{village: {village.code}, to: …}} under 'villages', one of {', '.join(choices)}"
        )
        self._fault(line, named(village), reason)
        self.made.unsettled.append(Open("village of a split commune", village, f"goes to one of {', '.join(choices)}"))

    def _orphans(self) -> None:
        lines = {k.predecessor: k.line for k in reversed(self.set.links)} | {e.code: e.line for e in self.set.ends}
        for code, unit in list(self.ended.items()):
            if unit.level in ("commune", "village"):
                continue
            for child in self.below.get(code, ()):
                if child.code not in self.ended:
                    reason = f"left without a parent: {named(unit)} ends and nothing says where it goes"
                    self._fault(lines.get(code, 0), named(child), reason)

    def _remarks(self) -> None:
        """What is not wrong but open: splits without a share, ends without a successor."""
        for code, links in self.successors.items():
            unit = self.ended.get(code)
            if unit is not None and len(links) > 1 and any(link.share is None for link in links):
                to = ", ".join(self._heir(link) for link in links)
                self.made.unsettled.append(Open("split without a share", unit, f"goes in parts to {to}"))
        for row in self.set.ends:
            unit = self.ended.get(row.code)
            # Districts were done away with as a level; that one has no successor needs no decision.
            if unit is not None and unit.level not in ("district", "village"):
                detail = row.note or "nothing says what became of it"
                self.made.unsettled.append(Open("end without a successor", unit, detail))

    def _heir(self, link: Link) -> str:
        """A successor by code and name, and the line of the file on which its share is to be written."""
        after = self.begun.get(link.successor)
        return f"{named(after) if after else link.successor} (line {link.line})"


def _cycle(row: Founded, rows: dict[str, Founded]) -> list[str]:
    """The codes of a cycle that the unit's parents run into, its first again at the end; empty where there is none."""
    seen, parent = [row.code], row.parent
    while parent in rows:
        if parent in seen:
            return [*seen, parent]
        seen.append(parent)
        parent = rows[parent].parent
    return []


def named(unit: Unit) -> str:
    """A unit as messages name it: code and name."""
    return f"{unit.code} {unit.name}"
