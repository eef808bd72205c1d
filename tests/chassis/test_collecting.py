"""A process that became ready looks for garbage seldom; it is tried in a process of its own."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc, weakref
from chassis import collecting

class Ring:
    pass

kept = [Ring() for _ in range(1000)]
collecting.settle()
assert gc.get_freeze_count() >= 1000, gc.get_freeze_count()
assert gc.get_threshold() == (collecting.YOUNG, *collecting.OLDER), gc.get_threshold()
rings = []
for _ in range(collecting.YOUNG):
    ring = Ring()
    ring.self = ring
    rings.append(weakref.ref(ring))
    del ring
more = [[] for _ in range(3 * collecting.YOUNG)]
print(sum(one() is None for one in rings))
"""


def test_what_was_there_is_left_out_and_garbage_in_cycles_is_still_found() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) > 0
