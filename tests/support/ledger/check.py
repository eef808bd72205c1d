"""The checker: holds what clients were told against what took effect.

A write is *acknowledged* (2xx), *failed* (4xx: refused for a reason) or *unknown* (no answer, or 5xx). Acknowledged
writes must have taken effect once, unknown ones at most once, failed ones never; and the effects of a subject must come
in the order of its sequence.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Told:
    """What the clients of a run were told, by entry id."""

    acknowledged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def take(self, entry: str, status: int | None) -> None:
        """Note the answer to `entry`: an HTTP status, or None where none came."""
        if status is not None and 200 <= status < 300:
            self.acknowledged.append(entry)
        elif status is not None and 400 <= status < 500:
            self.failed.append(entry)
        else:
            self.unknown.append(entry)


@dataclass(frozen=True)
class Effect:
    """One effect, in the order of its commit."""

    entry: str
    subject: str
    sequence: int


def check(told: Told, effects: Sequence[Effect]) -> list[str]:
    """Every broken promise, as a sentence; an empty list is a clean run."""
    times = Counter(effect.entry for effect in effects)
    findings = [f"lost: {entry} was acknowledged and had no effect" for entry in told.acknowledged if not times[entry]]
    findings += [f"doubled: {entry} took effect {count} times" for entry, count in times.items() if count > 1]
    findings += [f"ghost: {entry} was refused and took effect" for entry in told.failed if times[entry]]
    known = {*told.acknowledged, *told.failed, *told.unknown}
    findings += [f"stranger: {entry} took effect and nobody wrote it" for entry in times if entry not in known]
    by_subject: dict[str, list[int]] = defaultdict(list)
    for effect in effects:
        by_subject[effect.subject].append(effect.sequence)
    for subject, sequences in by_subject.items():
        if sequences != sorted(sequences):
            findings.append(f"disorder: {subject} took effect as {sequences}")
    return findings
