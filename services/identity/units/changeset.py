"""Owns what a dated reorganisation of units says, how its file is written, and why one is refused."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

FORMAT = "xaso-units/1"
KINDS: dict[str, tuple[str, ...]] = {
    "province": ("tinh", "thanh_pho"),
    "district": ("quan", "huyen", "thi_xa", "thanh_pho"),
    "commune": ("xa", "phuong", "thi_tran", "dac_khu"),
}
"""The kinds of unit that each level has; villages are entered by their communes and only move here."""

UNKNOWN = "unknown"
"""How a file says that nobody has said by what share a unit was split."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a change set is refused: the line of the file (0 where it has none), what stands there, and the reason."""

    line: int
    place: str
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.place}: {self.reason}" if self.place else f"{where}{self.reason}"


class Refused(Exception):
    """A change set that is not read or not applied; nothing was written."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, faults)))


@dataclass(frozen=True, slots=True)
class Founded:
    """A unit that begins on the day; `legal_basis` is empty where that of the whole set counts."""

    line: int
    code: str
    name: str
    level: str
    kind: str
    parent: str
    legal_basis: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A unit that ends without a successor."""

    line: int
    code: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The whole or a share of one unit goes to another; `share` is None where nobody has said how much."""

    line: int
    predecessor: str
    successor: str
    share: Fraction | None
    named: tuple[tuple[str, Fraction], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A village of a commune with several successors, and the one it goes to."""

    line: int
    village: str
    successor: str


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """One dated reorganisation, as its file says it."""

    id: str
    title: str
    effective_on: date
    legal_basis: str
    sources: tuple[str, ...] = ()
    begins: tuple[Founded, ...] = ()
    ends: tuple[Ended, ...] = ()
    links: tuple[Link, ...] = ()
    villages: tuple[Placed, ...] = ()

    @property
    def digest(self) -> str:
        """A fingerprint of what the set says, whatever the order and the layout of its file."""
        rows = sorted(
            [
                *(f"b {u.code} {u.name} {u.level} {u.kind} {u.parent} {u.legal_basis}" for u in self.begins),
                *(f"e {e.code}" for e in self.ends),
                *(f"l {k.predecessor} {k.successor} {k.share} {sorted(k.named)}" for k in self.links),
                *(f"v {v.village} {v.successor}" for v in self.villages),
            ]
        )
        head = f"{self.id} {self.effective_on} {self.legal_basis}"
        return hashlib.sha256("\n".join([head, *rows]).encode()).hexdigest()


def render(change_set: ChangeSet, remarks: Sequence[str] = ()) -> str:
    """The file of a change set; `remarks` stand on top as comments. `reading.parse(render(x))` says what `x` says."""
    lines = [f"# {line}" for remark in remarks for line in textwrap.wrap(remark, 116)]
    lines += [
        f"format: {FORMAT}",
        f"id: {change_set.id}",
        f"title: {_quoted(change_set.title)}",
        f"effective_on: {change_set.effective_on}",
        f"legal_basis: {_quoted(change_set.legal_basis)}",
    ]
    rows: list[tuple[str, list[dict[str, str]]]] = [
        ("units", [_unit_row(u) for u in change_set.begins]),
        ("ends", [{"code": e.code, **({"note": _quoted(e.note)} if e.note else {})} for e in change_set.ends]),
        ("links", [_link_row(k) for k in change_set.links]),
        ("villages", [{"village": v.village, "to": v.successor} for v in change_set.villages]),
    ]
    if change_set.sources:
        lines += ["sources:", *(f"  - {_quoted(source)}" for source in change_set.sources)]
    for section, found in rows:
        if found:
            lines.append(f"{section}:")
            lines += ["  - {" + ", ".join(f"{k}: {v}" for k, v in row.items()) + "}" for row in found]
    return "\n".join(lines) + "\n"


def _unit_row(unit: Founded) -> dict[str, str]:
    row = {"code": unit.code, "name": _quoted(unit.name), "level": unit.level, "kind": unit.kind}
    if unit.parent:
        row["parent"] = unit.parent
    if unit.legal_basis:
        row["legal_basis"] = _quoted(unit.legal_basis)
    return row


def _link_row(link: Link) -> dict[str, str]:
    row = {"from": link.predecessor, "to": link.successor}
    if link.share != 1:
        row["share"] = UNKNOWN if link.share is None else str(link.share)
    if link.named:
        row["named"] = "{" + ", ".join(f"{name}: {share}" for name, share in link.named) + "}"
    if link.note:
        row["note"] = _quoted(link.note)
    return row


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
