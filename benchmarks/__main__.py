"""`python -m benchmarks [name…] [--quick] [--facts N]`: run the measurements and keep what they found.

Names: events, http_write, latency, latency_apart, start, plans, criteria, stream, stream_flat, stream_held,
sheets (default: all). `--quick` is for trying the code: few rounds, little data, results beside the real ones.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from benchmarks import figures

NAMES = (
    "events",
    "http_write",
    "latency",
    "latency_apart",
    "start",
    "plans",
    "criteria",
    "stream",
    "stream_flat",
    "stream_held",
    "sheets",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="few rounds, little data")
    parser.add_argument("--facts", type=int, help="stream_flat: facts in the tables before (10000000; quick: 100000)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        more = {"there": arguments.facts} if name == "stream_flat" else {}
        result: figures.Result = import_module(f"benchmarks.{name}").measure(quick=arguments.quick, **more)
        result.quick = arguments.quick
        result.save()
    if not arguments.quick:
        figures.refresh_readme()
    else:
        print(figures.table())


if __name__ == "__main__":
    main()
