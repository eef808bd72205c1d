"""Owns how a process that serves looks for garbage: seldom, and not among what was there when it became ready."""

from __future__ import annotations

import gc

YOUNG = 50_000
"""New objects after which Python looks through them; its own 700 is made for small programs."""
OLDER = (20, 100)
"""Rounds after which it looks through the middle and the old generation too."""


def settle() -> None:
    """Call once when everything is loaded: modules, routes, templates and catalogues are never looked through again.

    A stream that folds tens of thousands of events, or a page of thousands of rows, makes many objects that live for a
    moment and no cycles: by its own thresholds Python looked through everything alive for them, which was a fifth of
    the time of the stream.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, *OLDER)
