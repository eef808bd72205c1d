"""Owns the reading of a change set's file, and the place and reason of everything in it that cannot be.

The file is YAML with one row a line (`docs/units.md` describes it), so that people of the province can read, compare
and complete it, and so that every refusal names the line. Scalars are taken as they are written: a code keeps its
leading zeros without quotes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

import yaml

from services.identity.units.changeset import (
    FORMAT,
    KINDS,
    UNKNOWN,
    ChangeSet,
    Ended,
    Fault,
    Founded,
    Link,
    Placed,
    Refused,
)

MOST_BYTES = 16 * 1024 * 1024
MOST_DENOMINATOR = 10**12

_CODE = re.compile(r"[0-9]{2,6}")
_VILLAGE = re.compile(r"[0-9]{2,6}-[0-9]{2,4}")
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SHARE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SHARE = re.compile(r"([0-9]{1,13})(?:/([0-9]{1,13}))?")
_TOO_DEEP = re.compile(r"(?:[\[{]\s*){12}|(?:- ){12}")
# The reader in C is about ten times as fast on a file of the whole country; both read the same.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class _Reading:
    """The faults found so far; reading goes on after one, so that a person sees them all at once."""

    faults: list[Fault] = field(default_factory=list)

    def fault(self, node: Any, place: str, reason: str) -> None:
        self.faults.append(Fault(node.start_mark.line + 1, place, reason))

    def rows(self, node: Any, section: str) -> Iterator[Any]:
        if not isinstance(node, yaml.SequenceNode):
            self.fault(node, section, "must be a list, one row a line starting with '- '")
            return
        yield from node.value

    def mapping(self, node: Any, place: str, needed: Iterable[str], allowed: Iterable[str]) -> dict[str, Any] | None:
        """The values of a row by key; None where it is not one or lacks something."""
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, place, "must be a row of 'key: value'")
            return None
        found: dict[str, Any] = {}
        needed, known, sound = list(needed), [*needed, *allowed], True
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name not in known:
                self.fault(key, place, f"unknown key {name[:40]!r}; allowed: {', '.join(known)}")
                sound = False
            elif name in found:
                self.fault(key, place, f"key {name!r} stands twice")
                sound = False
            found[name] = value
        for name in needed:
            if name not in found:
                self.fault(node, place, f"{name!r} is missing")
                sound = False
        return found if sound else None

    def text(self, node: Any, place: str, *, most: int = 200, empty: bool = False) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, place, "must be one value")
            return ""
        value = unicodedata.normalize("NFC", str(node.value)).strip()
        if any(unicodedata.category(c) == "Cc" for c in value):
            self.fault(node, place, "must not contain control characters")
        elif len(value) > most:
            self.fault(node, place, f"must not be longer than {most} characters")
        elif not value and not empty:
            self.fault(node, place, "must not be empty")
        return value

    def match(self, node: Any, place: str, pattern: re.Pattern[str], what: str) -> str:
        value = self.text(node, place)
        if value and not pattern.fullmatch(value):
            self.fault(node, place, f"{value[:40]!r} is not {what}")
        return value

    def choice(self, node: Any, place: str, allowed: Sequence[str]) -> str:
        value = self.text(node, place)
        if value not in allowed:
            self.fault(node, place, f"{value[:40]!r} is not allowed; allowed: {', '.join(allowed)}")
        return value


def parse(text: str) -> ChangeSet:
    """Read the text of a file; raises Refused with every fault found."""
    reading = _Reading()
    if len(text.encode()) > MOST_BYTES:
        raise Refused([Fault(0, "", f"the file is larger than {MOST_BYTES // 2**20} MiB")])
    deep = _TOO_DEEP.search(text)
    if deep:
        raise Refused([Fault(text.count("\n", 0, deep.start()) + 1, "", "nested too deeply")])
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "cannot be read"
        raise Refused([Fault(mark.line + 1 if mark else 0, "", f"not YAML: {problem}")]) from error
    except yaml.YAMLError as error:
        raise Refused([Fault(0, "", f"not YAML: {str(error).splitlines()[0]}")]) from error
    if root is None:
        raise Refused([Fault(1, "", "the file is empty")])
    found = reading.mapping(
        root,
        "",
        ("format", "id", "title", "effective_on", "legal_basis"),
        ("sources", "units", "ends", "links", "villages"),
    )
    if found is None:
        raise Refused(reading.faults)
    change_set = _head(reading, found)
    _once(reading, change_set)
    _shares(reading, change_set.links)
    if not change_set.begins and not change_set.ends:
        reading.fault(root, "", "changes nothing: neither 'units' nor 'ends' has a row")
    if reading.faults:
        raise Refused(sorted(reading.faults, key=lambda f: f.line))
    return change_set


def _head(reading: _Reading, found: Mapping[str, Any]) -> ChangeSet:
    reading.choice(found["format"], "format", (FORMAT,))
    day = reading.text(found["effective_on"], "effective_on")
    effective_on = date.min
    try:
        effective_on = date.fromisoformat(day)
    except ValueError:
        reading.fault(found["effective_on"], "effective_on", f"{day[:40]!r} is not a date; write 2025-07-01")
    return ChangeSet(
        id=reading.match(found["id"], "id", _ID, "an id; allowed: a-z, 0-9 and single hyphens"),
        title=reading.text(found["title"], "title"),
        effective_on=effective_on,
        legal_basis=reading.text(found["legal_basis"], "legal_basis", most=500),
        sources=tuple(reading.text(n, "sources", most=500) for n in _section(reading, found, "sources")),
        begins=tuple(_all(_founded(reading, n) for n in _section(reading, found, "units"))),
        ends=tuple(_all(_ended(reading, n) for n in _section(reading, found, "ends"))),
        links=tuple(_all(_link(reading, n) for n in _section(reading, found, "links"))),
        villages=tuple(_all(_placed(reading, n) for n in _section(reading, found, "villages"))),
    )


def _section(reading: _Reading, found: Mapping[str, Any], name: str) -> Iterator[Any]:
    if name in found:
        yield from reading.rows(found[name], name)


def _all(rows: Iterable[Any]) -> Iterator[Any]:
    return (row for row in rows if row is not None)


def _founded(reading: _Reading, node: Any) -> Founded | None:
    row = reading.mapping(node, "units", ("code", "name", "level", "kind"), ("parent", "legal_basis"))
    if row is None:
        return None
    code = reading.match(row["code"], "units: code", _CODE, "a code of 2 to 6 digits")
    place = f"units: {code}"
    level = reading.choice(row["level"], f"{place}: level", tuple(KINDS))
    kind = reading.choice(row["kind"], f"{place}: kind of a {level}", KINDS[level]) if level in KINDS else ""
    parent = (
        reading.match(row["parent"], f"{place}: parent", _CODE, "a code of 2 to 6 digits") if "parent" in row else ""
    )
    if (level == "province") == bool(parent):
        reading.fault(node, place, "a province has no parent, every other unit has one")
    basis = reading.text(row["legal_basis"], f"{place}: legal_basis", most=500) if "legal_basis" in row else ""
    name = reading.text(row["name"], f"{place}: name", most=80)
    return Founded(node.start_mark.line + 1, code, name, level, kind, parent, basis)


def _ended(reading: _Reading, node: Any) -> Ended | None:
    row = reading.mapping(node, "ends", ("code",), ("note",))
    if row is None:
        return None
    code = reading.text(row["code"], "ends: code")
    if code and not (_CODE.fullmatch(code) or _VILLAGE.fullmatch(code)):
        reading.fault(node, "ends: code", f"{code[:40]!r} is not the code of a unit or a village")
    return Ended(node.start_mark.line + 1, code, reading.text(row["note"], "ends: note") if "note" in row else "")


def _link(reading: _Reading, node: Any) -> Link | None:
    row = reading.mapping(node, "links", ("from", "to"), ("share", "named", "note"))
    if row is None:
        return None
    start = reading.match(row["from"], "links: from", _CODE, "a code of 2 to 6 digits")
    to = reading.match(row["to"], "links: to", _CODE, "a code of 2 to 6 digits")
    place = f"links: {start} to {to}"
    share: Fraction | None = Fraction(1)
    if "share" in row:
        share = None
        if reading.text(row["share"], f"{place}: share") != UNKNOWN:
            share = _share(reading, row["share"], f"{place}: share")
    named: dict[str, Fraction] = {}
    if "named" in row and isinstance(row["named"], yaml.MappingNode):
        for key, value in row["named"].value:
            name = reading.match(key, f"{place}: named", _SHARE_NAME, "a name of a share, such as households")
            if name in named:
                reading.fault(key, f"{place}: named", f"{name!r} stands twice")
            named[name] = _share(reading, value, f"{place}: {name}") or Fraction(1)
    elif "named" in row:
        reading.fault(row["named"], f"{place}: named", "must be {name: share, …}")
    note = reading.text(row["note"], f"{place}: note", empty=True) if "note" in row else ""
    return Link(node.start_mark.line + 1, start, to, share, tuple(sorted(named.items())), note)


def _share(reading: _Reading, node: Any, place: str) -> Fraction | None:
    value = reading.text(node, place)
    found = _SHARE.fullmatch(value)
    over, under = (int(found[1]), int(found[2] or 1)) if found else (0, 0)
    if not 0 < over <= under <= MOST_DENOMINATOR:
        reading.fault(node, place, f"{value[:40]!r} is not a share; allowed: 1, a fraction such as 3/5, or {UNKNOWN}")
        return None
    return Fraction(over, under)


def _placed(reading: _Reading, node: Any) -> Placed | None:
    row = reading.mapping(node, "villages", ("village", "to"), ())
    if row is None:
        return None
    village = reading.match(row["village"], "villages: village", _VILLAGE, "a village code such as 11086-01")
    to = reading.match(row["to"], f"villages: {village}: to", _CODE, "a code of 2 to 6 digits")
    return Placed(node.start_mark.line + 1, village, to)


def _once(reading: _Reading, change_set: ChangeSet) -> None:
    """Nothing stands twice, and a unit that ends without a successor has none."""
    for section, rows in (
        ("units", [(u.line, u.code) for u in change_set.begins]),
        ("ends", [(e.line, e.code) for e in change_set.ends]),
        ("links", [(k.line, f"{k.predecessor} to {k.successor}") for k in change_set.links]),
        ("villages", [(v.line, v.village) for v in change_set.villages]),
    ):
        seen: dict[str, int] = {}
        for line, what in rows:
            if what in seen:
                reading.faults.append(Fault(line, f"{section}: {what}", f"stands already on line {seen[what]}"))
            seen.setdefault(what, line)
    linked = {k.predecessor: k.line for k in change_set.links}
    for row in change_set.ends:
        if row.code in linked:
            reason = f"ends without a successor here, but has one on line {linked[row.code]}"
            reading.faults.append(Fault(row.line, f"ends: {row.code}", reason))


def _shares(reading: _Reading, links: Iterable[Link]) -> None:
    """The shares of each unit are all given and make 1, or none is; so is each named share."""
    by_predecessor: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        by_predecessor[link.predecessor].append(link)
    for code, parts in by_predecessor.items():
        line, place = parts[0].line, f"links: {code}"
        given = [part.share for part in parts if part.share is not None]
        if given and len(given) < len(parts):
            reason = f"{len(given)} of its {len(parts)} shares are given: write all of them, or '{UNKNOWN}' on each"
            reading.faults.append(Fault(line, place, reason))
        elif given and sum(given) != 1:
            reading.faults.append(Fault(line, place, f"its shares make {sum(given)}, not 1"))
        for name in sorted({name for part in parts for name, _ in part.named}):
            named = [dict(part.named).get(name) for part in parts]
            if None in named:
                reading.faults.append(Fault(line, place, f"the share {name!r} is missing on one of its lines"))
            elif sum(n for n in named if n is not None) != 1:
                reading.faults.append(Fault(line, place, f"its shares by {name!r} do not make 1"))
