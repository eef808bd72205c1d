"""Owns what a measurement says: figures with their baselines, the result files, and the table in the README."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.rig import environment

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


@dataclass
class Figure:
    """One measured number: the median of `rounds`, beside the baseline of the same run where there is one.

    `aim` is `>= 0.5` (of the ratio, where there is a baseline, else of the value) or `< 500`; empty for a figure that
    only explains another.
    """

    name: str
    unit: str
    rounds: list[float]
    baseline_name: str = ""
    baseline_rounds: list[float] = field(default_factory=list)
    aim: str = ""
    note: str = ""

    @property
    def value(self) -> float:
        return statistics.median(self.rounds)

    @property
    def baseline(self) -> float | None:
        return statistics.median(self.baseline_rounds) if self.baseline_rounds else None

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None

    @property
    def reached(self) -> bool | None:
        """Whether the aim was reached; None without one."""
        if not self.aim:
            return None
        sign, number = self.aim.split()
        judged = self.ratio if self.ratio is not None else self.value
        return judged >= float(number) if sign == ">=" else judged < float(number)

    def as_dict(self) -> dict[str, Any]:
        found = asdict(self) | {"value": self.value, "baseline": self.baseline, "ratio": self.ratio}
        return {key: _rounded(value) for key, value in (found | {"reached": self.reached}).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; `share` from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


@dataclass
class Result:
    """What one measurement found; `machine` is noted when it begins, so that its load is not our own."""

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=environment)
    quick: bool = False

    def say(self, text: str) -> None:
        print(f"[{self.name}] {text}", flush=True)

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        beside = f", {figure.baseline_name} {figure.baseline:.4g}: ratio {figure.ratio:.2f}" if figure.baseline else ""
        aim = "" if figure.reached is None else f"  (aim {figure.aim}: {'reached' if figure.reached else 'MISSED'})"
        self.say(f"{figure.name}: {figure.value:.4g} {figure.unit}{beside}{aim}")

    def save(self) -> None:
        """Write the result file; a quick run, which is for trying the code, leaves the real one alone."""
        RESULTS.mkdir(exist_ok=True)
        stem = f"{self.name}.quick" if self.quick else self.name
        content = {
            "name": self.name,
            "title": self.title,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": self.machine,
            "figures": [figure.as_dict() for figure in self.figures],
            "details": self.details,
        }
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        (RESULTS / f"{stem}.json").write_text(text, encoding="utf-8")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table() -> str:
    """All result files as one table in Markdown."""
    lines = ["| measured | value | baseline | ratio | aim | reached |", "|---|---|---|---|---|---|"]
    for path in sorted(RESULTS.glob("*.json")):
        if path.stem.endswith(".quick"):
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        day = content["measured_at"][:10]
        load = content["machine"]["load_before"][0]
        lines.append(f"| **{content['title']}** ({day}, load before {load}) | | | | | |")
        for f in content["figures"]:
            beside = f"{_number(f['baseline'])} ({f['baseline_name']})" if f["baseline"] else ""
            reached = {True: "yes", False: "**no**", None: ""}[f["reached"]]
            ratio = f"{f['ratio']:.2f}" if f["ratio"] is not None else ""
            name = f["name"] + (f"; {f['note']}" if f["note"] else "")
            value = f"{_number(f['value'])} {f['unit']}"
            lines.append(f"| {name} | {value} | {beside} | {ratio} | {f['aim']} | {reached} |")
    return "\n".join(lines)


def refresh_readme() -> None:
    """Put the table of the result files between its marks in the README."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    README.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", encoding="utf-8")
