"""Owns the rule for lock files: names, versions and hashes, never an address a mirror could not serve, never a path."""

import json
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TEXT_LOCKS = ("requirements.lock", "requirements-node.lock", "launcher/kafka.lock.toml")
NPM_LOCK = "package-lock.json"
_FOREIGN = re.compile(r"://|^-e |^--(index|extra|find)|\s@\s+file|^\.{0,2}/", re.MULTILINE)


def faults(root: Path = PROJECT) -> list[str]:
    """One sentence per fault; empty when every lock is fit for a machine behind a mirror."""
    found = []
    for name in TEXT_LOCKS:
        text = (root / name).read_text(encoding="utf-8")
        found += [f"{name}: {match.group().strip()!r} leads to one certain place" for match in _FOREIGN.finditer(text)]
    for name in TEXT_LOCKS[:2]:
        text = (root / name).read_text(encoding="utf-8").replace("\\\n", " ")
        pinned = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
        found += [f"{name}: {line.split()[0]} has no hash" for line in pinned if "--hash=sha256:" not in line]
    packages = json.loads((root / NPM_LOCK).read_text(encoding="utf-8"))["packages"]
    found += [f"{NPM_LOCK}: {key} names an address" for key, value in packages.items() if "resolved" in value]
    found += [f"{NPM_LOCK}: {key} has no hash" for key, value in packages.items() if key and "integrity" not in value]
    for key, value in packages.items():
        # npm ci of a later version refuses a lock that lacks the packages of other systems.
        lost = [name for name in value.get("optionalDependencies", {}) if f"node_modules/{name}" not in packages]
        found += [f"{NPM_LOCK}: {key} needs {name} on another system, which is not locked" for name in lost]
    return found


if __name__ == "__main__":
    wrong = faults()
    sys.stderr.writelines(f"{fault}\n" for fault in wrong)
    sys.exit(1 if wrong else 0)
