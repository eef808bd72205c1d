"""How long `xaso up` takes until every service is ready, and how much memory the whole platform then holds.

Cold: an empty data directory (cluster made, migrations, 190 units), everything installed, Python's bytecode and Kafka's
classes prepared as `make setup` leaves them. Warm: the same directory again. Processor time until ready says what a
start takes on a machine that has other work, too.
"""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Result
from benchmarks.platforms import memory, processor_seconds, up
from benchmarks.rig import scratch

SETTLE_SECONDS = 15.0


def measure(*, quick: bool) -> Result:
    result = Result("start", "Start and memory of the whole platform (`xaso up`)", quick=quick)
    cold: list[float] = []
    warm: list[float] = []
    taken: list[float] = []
    parts = []
    for n in range(1 if quick else 2):
        with scratch() as directory:
            data = directory / "data"
            with up(data, directory) as platform:
                cold.append(platform.seconds)
            for again in range(1 if quick else 3):
                with up(data, directory) as platform:
                    warm.append(platform.seconds)
                    taken.append(processor_seconds(platform.process.process.pid))
                    if again == 0:
                        # What a start leaves behind (pages touched once, garbage) settles within seconds.
                        time.sleep(SETTLE_SECONDS)
                        parts.append(memory(platform.process.process.pid))
        result.say(f"round {n + 1}: cold {cold[-1]:.1f} s, warm {warm[-1]:.1f} s, {parts[-1]['whole']}")
    result.add(Figure("Warm start until ready", "s", warm, aim="< 10"))
    result.add(Figure("Cold start until ready (empty data directory)", "s", cold))
    result.add(Figure("Processor time of all processes until ready, warm", "s", taken))
    note = f"{parts[-1]['whole']['processes']:.0f} processes, idle"
    pss = [part["whole"]["pss"] for part in parts]
    result.add(Figure("Resident memory, shared pages counted once (PSS)", "MiB", pss, aim="< 700", note=note))
    # PSS shares a page with every process of the machine that maps it, also with ones that are not ours.
    most = [part["whole"]["rss"] - part["PostgreSQL"]["rss"] + part["PostgreSQL"]["pss"] for part in parts]
    alone = "Resident memory if nobody else on the machine mapped our libraries (RSS, PostgreSQL by PSS)"
    result.add(Figure(alone, "MiB", most, aim="< 700"))
    rss = [part["whole"]["rss"] for part in parts]
    result.add(Figure("Resident memory, shared pages counted in each process (RSS)", "MiB", rss))
    for name in parts[-1]:
        if name != "whole":
            share = [part[name]["pss"] for part in parts if name in part]
            result.add(Figure(f"… of it {name}", "MiB PSS", share))
    result.details = {"memory": parts}
    return result
