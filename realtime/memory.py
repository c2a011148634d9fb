"""Freed memory: kept from picture to picture, given back to the system now and then.

Left to itself glibc hands the large temporary pictures of each frame back to the kernel, which then clears thousands of
pages for the next frame: a tenth of all the CPU time. So it is told to keep them (`mallopt(3)`).

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
KEPT_BYTES = 512 * 2**20  # freed memory at the heap's end that is not handed back of itself
LARGEST_BYTES = 32 * 2**20  # what is larger comes from the kernel; glibc allows no more
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>


class GiveBack:
    """From when it is made freed memory is kept. Call it once a picture; every `EVERY_S` it gives back what is free."""

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
    """glibc's, which is told to keep what is freed until then; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        found: Callable[[int], int] = library.malloc_trim
        library.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)
    except (OSError, AttributeError):  # not glibc
        return None
    return found
