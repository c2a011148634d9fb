"""Layers kept steady in time, before tone steps make flicker of noise.

Comes in: this frame's `Layers` and the time since the last. Goes out: layers that follow a real change at once and
average a small one away. Runs on the main thread, one memory a picture region (the frame, each face crop).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.layers import Layers

TAU_S = 0.116  # time constant where nothing but noise changes: a weight of 0.25 a frame at 30 fps
FLAT_STILL, FLAT_MOVED = 6, 24  # change in 1/255 below which a pixel is still, above which it is new
INK_STILL, INK_MOVED = 20, 80


class LayerMemory:
    """Dead-band exponential smoothing: weight `1 - exp(-dt / tau)` for small changes, rising to 1 for large ones."""

    def __init__(self) -> None:
        self._flat: NDArray[np.float32] | None = None
        self._ink: NDArray[np.float32] | None = None

    def __call__(self, layers: Layers, dt_s: float) -> Layers:
        """The smoothed layers; `dt_s` seconds passed since the last call."""
        flat, ink = layers.flat.astype(np.float32), layers.ink.astype(np.float32)
        if self._flat is not None and self._ink is not None and self._ink.shape == ink.shape:
            still = float(1 - np.exp(-max(dt_s, 0.0) / TAU_S))
            flat = _blend(flat, self._flat, still, FLAT_STILL, FLAT_MOVED)
            ink = _blend(ink, self._ink, still, INK_STILL, INK_MOVED)
        self._flat, self._ink = flat, ink
        return Layers(cv2.convertScaleAbs(flat), cv2.convertScaleAbs(ink))

    def reset(self) -> None:
        """Forget: the next layers pass as they are."""
        self._flat = self._ink = None


def _blend(
    new: NDArray[np.float32], old: NDArray[np.float32], still: float, low: float, high: float
) -> NDArray[np.float32]:
    """`old` moved towards `new` by a weight that rises from `still` at a change of `low` to 1 at `high`."""
    change = cv2.blur(cv2.absdiff(new, old), (3, 3))  # one noisy pixel must not count as motion
    if change.ndim == 3:
        red, green, blue = cv2.split(change)
        change = cv2.max(cv2.max(red, green), blue)
    slope = (1 - still) / (high - low)
    weight = np.clip(change * np.float32(slope) + np.float32(still - slope * low), np.float32(still), np.float32(1))
    return cv2.blendLinear(new, old, weight, 1 - weight)
