"""The drawn picture kept steady while things move: the drawing before, moved along, and this one, blended.

Comes in: the drawing, how the frame moved and the time since the last. Goes out: the drawing without the boil that
crisp edges show on a grid of pixels when they move by parts of a pixel. Runs on the filter's thread. It is temporal
anti-aliasing (Karis, "High-Quality Temporal Supersampling", SIGGRAPH 2014): what is kept of the past is clamped to what
is drawn now around each pixel, so that nothing which is gone stays behind.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.motion import moved
from realtime.types import Flow, RgbImage

TAU_S = 0.066  # at 30 fps 0.4 of the picture is new
AROUND_PX = 3


class PictureMemory:
    """One remembered drawing. `reset()` forgets it. steadiness: 0 nothing is kept, 1 all of it."""

    def __init__(self, steadiness: float = 1.0) -> None:
        self.steadiness = steadiness
        self.reset()

    def reset(self) -> None:
        """Forget: the next drawing passes as it is."""
        self._shown: RgbImage | None = None

    def __call__(self, drawn: RgbImage, flow: Flow | None, dt_s: float) -> RgbImage:
        """The drawing to show, (h, w, 3) u8; `dt_s` seconds after the last, `flow` in its pixels."""
        shown, tau_s = self._shown, TAU_S * self.steadiness
        if shown is None or flow is None or shown.shape != drawn.shape or tau_s < 1e-6:
            self._shown = drawn
            return drawn
        share = float(-np.expm1(-max(dt_s, 0.0) / tau_s))
        around = np.ones((AROUND_PX, AROUND_PX), np.uint8)
        shown = cv2.cvtColor(shown, cv2.COLOR_RGB2RGBA)  # four channels are moved twice as fast as three
        old = cv2.cvtColor(moved(shown, flow), cv2.COLOR_RGBA2RGB)
        old = cv2.min(cv2.max(old, cv2.erode(drawn, around)), cv2.dilate(drawn, around))
        self._shown = cv2.addWeighted(drawn, share, old, 1 - share, 0)
        return self._shown
