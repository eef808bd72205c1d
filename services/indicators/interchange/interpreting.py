"""Owns what the cells of an import file mean: rows to values of measures, and what is wrong in which cell.

Runs as a process of its own (`python -m services.indicators.interchange.interpreting`), so that a file of 100,000 rows,
or one made to exhaust memory, slows or kills nothing but this process. It needs no more than the standard library: the
columns come in as a plan, values and faults go out as JSON; what the words of a fault are is known to `layout`.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

from services.indicators.interchange import opening, spreadsheets
from services.indicators.interchange.celled import (
    PERIOD_PATTERNS,
    Fault,
    day_of,
    document,
    flag,
    period,
    state,
    unfit,
    whole,
)
from services.indicators.interchange.celled import plain as text_of
from services.indicators.interchange.spreadsheets import Row, Sheet, Unreadable

KEY = re.compile(r"\[([^\[\]]{1,160})\]\s*$")
MAX_FAULTS = 1_000
"""Faults that are kept with their place; all are counted."""
MAX_VALUES = 200_000
HEADING_ROWS = 10
"""Rows from the top among which the heading must be."""
VALUES_A_LINE = 500
MEMORY = 1_500 * 1024 * 1024
CPU_SECONDS = 30


class Interpreter:
    """Goes through the rows of a sheet once."""

    def __init__(self, columns: list[dict[str, Any]], sheet: Sheet) -> None:
        self._plan = {column["key"]: column for column in columns}
        self._sheet = sheet
        self._at: dict[str, int] = {}
        self._of: dict[str, dict[str, int]] = {}
        self._measure_at: dict[int, str] = {}
        self._seen: dict[tuple[str, str, str], int] = {}
        self.heading = 0
        self.rows = 0
        self.values: list[dict[str, Any]] = []
        self.names: dict[int, str] = {}
        self.faults: list[dict[str, Any]] = []
        self.fault_count = 0

    def run(self) -> dict[str, Any]:
        rows = self._sheet.rows
        self._find_heading(rows)
        for number, row in enumerate(rows, 1):
            if number > spreadsheets.MAX_ROWS:
                raise Unreadable("too_many_rows", most=spreadsheets.MAX_ROWS)
            self._take(row)
            if len(self.values) > MAX_VALUES:
                raise Unreadable("too_many_values", most=MAX_VALUES)
        self._drop_merged()
        if not self.values and not self.fault_count:
            raise Unreadable("no_values")
        return {
            "sheet": self._sheet.name,
            "rows": self.rows,
            "unit_column": self._at["unit"],
            "name_column": self._at.get("name"),
            "day_column": self._at.get("observed_on"),
            "values": self.values,
            "names": {str(row): name for row, name in self.names.items()},
            "faults": sorted(self.faults, key=lambda fault: (fault["row"], fault["column"])),
            "fault_count": self.fault_count,
        }

    def _fault(self, row: int, column: int, reason: str, params: dict[str, Any], measure: str = "") -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append({"row": row, "column": column, "reason": reason, "params": params, "measure": measure})

    def _find_heading(self, rows: Iterator[Row]) -> None:
        for row in rows:
            if row.number > HEADING_ROWS:
                break
            keys: dict[str, int] = {}
            for at, cell in sorted(row.cells.items()):
                found = KEY.search(cell.text) if cell.kind == "text" else None
                if found is None:
                    continue
                if found[1] in keys:
                    raise Unreadable("column_twice", key=found[1][:80], cell=spreadsheets.place(row.number, at))
                keys[found[1]] = at
            if "unit" in keys:
                self._use(row.number, keys)
                return
        raise Unreadable("no_heading")

    def _use(self, number: int, keys: dict[str, int]) -> None:
        self.heading = number
        for key, at in keys.items():
            column = self._plan.get(key)
            if column is None:
                self._fault(number, at, "column_unknown", {"key": key[:80]})
                continue
            self._at[key] = at
            if column["measure"]:
                self._of.setdefault(column["measure"], {})[column["part"]] = at
                if column["part"] not in ("period", "document"):
                    self._measure_at[at] = column["measure"]

    def _take(self, row: Row) -> None:
        touched = dict.fromkeys(self._measure_at[at] for at in row.cells if at in self._measure_at)
        if not touched:
            # A unit nobody filled in, or a note below the table.
            return
        self.rows += 1
        shared = {part: self._read(row, self._at.get(part), part) for part in ("document", "observed_on", "period")}
        unit = self._unit(row)
        broken = None in shared.values()
        for measure in touched:
            parts = self._of[measure]
            value = self._measure(row, measure, parts)
            if value is not None and not broken and unit is not None:
                self._keep(row, unit, measure, parts, value, shared)
        name = row.cells.get(self._at.get("name", -1))
        if unit is not None and name is not None:
            self.names[row.number] = unicodedata.normalize("NFC", name.text)[:200]

    def _unit(self, row: Row) -> str | None:
        at = self._at["unit"]
        cell = row.cells.get(at)
        if cell is None:
            self._fault(row.number, at, "unit_missing", {})
            return None
        try:
            text = text_of(cell)
        except Fault as fault:
            self._fault(row.number, at, fault.reason, fault.params)
            return None
        if len(text) > 40 or unfit(text):
            self._fault(row.number, at, "text_malformed", {"most": 40})
            return None
        return text

    def _read(self, row: Row, at: int | None, part: str, measure: str = "", kind: str = "") -> str | None:
        """A text, day or period of a row; "" where it is left out, None where it is wrong (and noted)."""
        cell = row.cells.get(at) if at is not None else None
        if cell is None or at is None:
            return ""
        try:
            if part == "observed_on":
                return day_of(cell, self._sheet.date1904).isoformat()
            return period(cell, kind, self._sheet.date1904) if part == "period" else document(cell)
        except Fault as fault:
            self._fault(row.number, at, fault.reason, fault.params, measure)
            return None

    def _measure(self, row: Row, measure: str, parts: dict[str, int]) -> dict[str, Any] | None:
        """The value of a measure in a row; None where it is wrong (and noted)."""
        found: dict[str, Any] = {}
        wrong = False
        for part, at in parts.items():
            cell = row.cells.get(at)
            if part in ("period", "document") or cell is None:
                continue
            try:
                if part == "flag":
                    found[part] = flag(cell)
                elif part == "state":
                    found[part] = state(cell, self._plan[f"{measure}:state"]["states"])
                else:
                    found[part] = whole(cell)
            except Fault as fault:
                self._fault(row.number, at, fault.reason, fault.params, measure)
                wrong = True
        if wrong:
            return None
        if found.keys() & {"numerator", "denominator"}:
            return self._ratio(row, measure, parts, found)
        return found

    def _ratio(self, row: Row, measure: str, parts: dict[str, int], found: dict[str, int]) -> dict[str, Any] | None:
        first = parts.get("numerator", parts.get("denominator", 0))
        if len(found) < 2:
            missing = next(
                (parts[part] for part in ("numerator", "denominator") if part in parts and part not in found), first
            )
            self._fault(row.number, missing, "half_a_ratio", {}, measure)
            return None
        unbounded = self._plan[f"{measure}:numerator"]["unbounded"]
        if found["numerator"] > found["denominator"] and not unbounded:
            self._fault(row.number, first, "numerator_above_denominator", dict(found), measure)
            return None
        return found

    def _keep(
        self,
        row: Row,
        unit: str,
        measure: str,
        parts: dict[str, int],
        value: dict[str, Any],
        shared: dict[str, str | None],
    ) -> None:
        first = next(at for part, at in parts.items() if part in value)
        kind = next(iter(self._plan[f"{measure}:{part}"]["period"] for part in parts))
        own_period = self._read(row, parts.get("period"), "period", measure, kind)
        own_document = self._read(row, parts.get("document"), "document", measure)
        if own_period is None or own_document is None:
            return
        about = own_period or shared["period"] or ""
        if not own_period and about and not PERIOD_PATTERNS[kind].match(about):
            at = self._at["period"]
            self._fault(row.number, at, "period_of_another_kind", {"value": about, "kind": kind}, measure)
            return
        before = self._seen.setdefault((unit, measure, about), row.number)
        if before != row.number:
            self._fault(row.number, first, "twice", {"row": before}, measure)
            return
        self.values.append(
            {
                "row": row.number,
                "column": first,
                "unit": unit,
                "measure": measure,
                "value": value,
                "period": about,
                "document": own_document or shared["document"] or "",
                "day": shared["observed_on"] or "",
            }
        )

    def _drop_merged(self) -> None:
        """A merged cell says one thing about several rows: nothing in such a row is taken, and nothing else is told."""
        used = set(self._at.values())
        ranges = [
            (top, bottom, left, right)
            for top, bottom, left, right in self._sheet.merged
            if bottom >= self.heading and any(left <= at <= right for at in used)
        ]
        if not ranges:
            return

        def outside(row: int) -> bool:
            return not any(top <= row <= bottom for top, bottom, _, _ in ranges)

        told = len(self.faults)
        self.faults = [fault for fault in self.faults if outside(fault["row"])]
        self.fault_count -= told - len(self.faults)
        self.values = [value for value in self.values if outside(value["row"])]
        for top, bottom, left, right in ranges:
            text = f"{spreadsheets.place(top, left)}:{spreadsheets.place(bottom, right)}"
            self._fault(top, left, "merged", {"range": text})


def interpret(plan: list[dict[str, Any]], data: bytes, sheet_name: str) -> dict[str, Any]:
    """Values and faults of a file, or {"refused": reason, "params": …} where it cannot be used as a whole."""
    try:
        return Interpreter(plan, opening.read(data, sheet_name)).run()
    except Unreadable as refusal:
        return {"refused": refusal.reason, "params": refusal.params}


def _bound() -> None:
    """Give this process no more memory and processor time than a large honest file needs."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def lines(found: dict[str, Any]) -> Iterator[str]:
    """An answer as lines of JSON: everything but the values, then the values, some hundreds to a line.

    Who reads it takes one line at a time, so that a large answer never holds up anything else.
    """
    values = found.pop("values", [])
    if "refused" not in found:
        found["units"] = sorted({value["unit"] for value in values})
        found["count"] = len(values)
    yield _json(found)
    for start in range(0, len(values), VALUES_A_LINE):
        yield _json(values[start : start + VALUES_A_LINE])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"


def main() -> None:
    _bound()
    data = sys.stdin.buffer.read()
    size = int.from_bytes(data[:4], "big")
    request = json.loads(data[4 : 4 + size])
    sys.stdout.writelines(lines(interpret(request["columns"], data[4 + size :], request["sheet"])))


if __name__ == "__main__":
    main()
