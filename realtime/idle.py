"""When nobody watches: the camera is let go and the generators rest, until somebody does.

Comes in: whether the virtual camera is watched and whether anything else wants pictures, asked often. Goes out: whether
to rest. On the loop's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

AFTER_S = 5.0  # without a viewer; programs for calls open a camera for a moment, close it and open it again
LOOK_S = 0.1  # between two looks, and a viewer counts from the second on: listing cameras opens each for an instant


class Idle:
    """watched: whether somebody watches the virtual camera now; None when that cannot be known.

    wanted: whether something else wants pictures: a preview, a file; until it is set, something does.
    """

    def __init__(
        self,
        watched: Callable[[], bool | None],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wanted: Callable[[], bool] = lambda: True
        self._watched = watched
        self._say = say
        self._clock = clock
        self._looked_s = self._needed_s = clock()
        self._glimpsed = False
        self._told = False
        self._rests = False

    def __call__(self) -> bool:
        """Whether to rest now; cheap enough to be asked for every picture."""
        now_s = self._clock()
        if now_s - self._looked_s < LOOK_S:
            return self._rests
        self._looked_s = now_s
        if self._needed():
            self._needed_s = now_s
            if self._rests:
                self._rests = False
                self._say("Somebody watches: the camera is on again.")
        elif not self._rests and now_s - self._needed_s >= AFTER_S:
            self._rests = True
            self._say("Nobody watches the virtual camera: the camera is off until somebody does.")
        return self._rests

    def _needed(self) -> bool:
        if self.wanted():
            return True
        watched = self._watched()
        if watched is None:
            if not self._told:
                self._told = True
                self._say("The camera stays on: it cannot be known here whether somebody watches the virtual camera.")
            return True
        seen_before, self._glimpsed = self._glimpsed, watched
        return watched and (seen_before or not self._rests)
