"""Gives freed memory back to the system now and then, where the C library would keep it: a run lasts for hours.

glibc keeps what threads free in pieces between what is still used, and pictures of changing sizes are made on one
thread and freed on another: some 10 to 20 MiB, of small frames. `malloc_trim` hands those pieces back within
milliseconds. Elsewhere nothing is done. On the thread of the loop.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

EVERY_S = 20.0


class GiveBack:
    """Call it once a picture; every `EVERY_S` it does something."""

    def __init__(self, trim: Callable[[int], int] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._trim = _malloc_trim() if trim is None else trim
        self._clock = clock
        self._last_s = clock()

    def __call__(self) -> None:
        """Gives memory back if it is time."""
        now_s = self._clock()
        if self._trim is not None and now_s - self._last_s >= EVERY_S:
            self._last_s = now_s
            self._trim(0)


def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # not glibc
        return None
    return found
