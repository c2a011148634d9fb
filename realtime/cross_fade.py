"""From one style to the next within a fifth of a second, instead of at once.

Comes in: the drawing. Goes out: the drawing, mixed for a moment with the one before the change. Runs on the filter's
thread. The old style is not drawn any further, which would cost a second network: its last drawing is moved along with
the picture, which nobody can tell for so short a time.
"""

from __future__ import annotations

from dataclasses import replace

import cv2

from realtime.motion import moved
from realtime.types import RgbImage, Styled, read_only

FADE_S = 0.2


class CrossFade:
    """Remembers the last drawing. `begin()` before the first one in the new style; `reset()` forgets."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget: the next drawing is shown as it is."""
        self._shown: RgbImage | None = None
        self._old: RgbImage | None = None
        self._left_s = 0.0
        self._last_s = 0.0

    def begin(self) -> None:
        """What was shown last fades out from now on."""
        if self._shown is not None:
            self._old, self._left_s = self._shown, FADE_S

    def __call__(self, styled: Styled) -> Styled:
        """The drawing to show."""
        scene = styled.scene
        passed_s, self._last_s = max(0.0, scene.frame.t - self._last_s), scene.frame.t
        old = self._old
        self._left_s -= passed_s
        if old is None or scene.fresh or self._left_s <= 0 or old.shape != styled.rgb.shape:
            self._shown, self._old = styled.rgb, None
            return styled
        if scene.flow is not None:
            rgba = cv2.cvtColor(old, cv2.COLOR_RGB2RGBA)  # four channels are moved twice as fast as three
            old = cv2.cvtColor(moved(rgba, scene.flow), cv2.COLOR_RGBA2RGB)
        self._old = old
        share = self._left_s / FADE_S
        self._shown = read_only(cv2.addWeighted(old, share, styled.rgb, 1 - share, 0))
        return replace(styled, rgb=self._shown)
