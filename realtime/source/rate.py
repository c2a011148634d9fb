"""How many frames a second a camera really gives, and that it gives half of them in the dark.

Comes in: its frames, which are numbered where they are captured. Goes out: a sentence when the rate is known, one when
it falls, one when it is back. On the thread that reads.
"""

from __future__ import annotations

from collections.abc import Callable

from realtime.types import Frame

SETTLES_S = 1.0  # a camera that was just opened finds its exposure
MEASURES_S = 3.0
_GAP_S = 1.0
_LOW, _BACK = 0.7, 0.9  # of what it granted
_DARK = 70  # mean level of 255


class Rate:
    """what: the camera in the user's words. granted_fps: what it promised."""

    def __init__(self, what: str, granted_fps: float, say: Callable[[str], None]) -> None:
        self._what = what
        self._granted_fps = granted_fps
        self._say = say
        self._first: tuple[float, int] | None = None  # time and number
        self._last_t: float | None = None
        self._settled_t: float | None = None
        self._known = self._was_low = self._was_back = False

    def seen(self, frame: Frame) -> None:
        """A frame came."""
        if self._last_t is None or frame.t - self._last_t > _GAP_S:
            self._first, self._settled_t = None, frame.t + SETTLES_S
        self._last_t = frame.t
        if self._settled_t is None or frame.t < self._settled_t:
            return
        if self._first is None:
            self._first = frame.t, frame.index
        elif frame.t - self._first[0] >= MEASURES_S:
            self._judge((frame.index - self._first[1]) / (frame.t - self._first[0]), frame)
            self._first = frame.t, frame.index

    def _judge(self, fps: float, frame: Frame) -> None:
        share = fps / self._granted_fps
        if share < _LOW and not self._was_low:
            self._was_low = self._known = True
            dark = float(frame.rgb[::16, ::16].mean()) < _DARK
            why = (
                "it is dark, and webcams halve their rate then: more light brings it back"
                if dark
                else "with more light, or on another USB port, it may give more"
            )
            self._say(f"{self._what} gives {fps:.0f} frames a second of the {self._granted_fps:.0f} it granted; {why}.")
        elif share >= _BACK and self._was_low and not self._was_back:
            self._was_back = True
            self._say(f"{self._what} gives {fps:.0f} frames a second again.")
        elif not self._known:
            self._known = True
            self._say(f"{self._what} gives {fps:.1f} frames a second.")
