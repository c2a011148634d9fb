"""The hot keys: which key does what.

Comes in: a character that was pressed in the preview. Goes out: an action of `Controls`. On the thread of whoever
passes the key on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress

from realtime.controls import BusyError, Controls

ESCAPE = "\x1b"
KEYS: Mapping[str, str] = {
    "n": "next-style",
    "p": "previous-style",
    "]": "stronger",
    "[": "weaker",
    "b": "next-background",
    "t": "next-steadiness",
    "e": "next-expression",
    " ": "pause",
    "m": "mirror",
    "s": "snapshot",
    "r": "record",
    "q": "quit",
    ESCAPE: "quit",
}
HELP = (
    ("space", "pause: others see a card instead of you"),
    ("n p", "next style, the one before"),
    ("[ ]", "weaker, stronger"),
    ("t", "steadiness: full, half, none"),
    ("e", "expression: true, stronger, strongest"),
    ("b", "the room: drawn, blurred, plain colour"),
    ("m", "mirror what others see"),
    ("s", "save a snapshot"),
    ("r", "record to a file, and finish it"),
    ("q Esc", "quit"),
)


class Keys:
    """Turns keys into actions; unknown keys do nothing."""

    def __init__(self, controls: Controls, say: Callable[[str], None]) -> None:
        self._controls = controls
        self._say = say

    def __call__(self, key: str) -> None:
        """One key was pressed."""
        if key in KEYS:
            with suppress(BusyError):  # a key held down while the loop stands still
                self._controls.act(KEYS[key]).add_done_callback(self._tell)

    def _tell(self, done: Future[object]) -> None:
        if (error := done.exception()) is not None:
            self._say(str(error))
