"""Layers kept steady in time, before tone steps make flicker of noise.

Comes in: this frame's `Layers` and the time since the last. Goes out: layers that follow a real change at once and
average a small one away. Runs on the main thread, one memory a picture region (the frame, each face crop).
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.layers import Layers
from realtime.types import GrayImage, RgbImage

TAU_S = 0.116  # time constant where nothing but noise changes: a weight of 0.25 a frame at 30 fps
FLAT_STILL, FLAT_MOVED = 6, 24  # change in 1/255 below which a pixel is still, above which it is new
INK_STILL, INK_MOVED = 20, 80


class LayerMemory:
    """Dead-band exponential smoothing: weight `1 - exp(-dt / tau)` for small changes, rising to 1 for large ones."""

    def __init__(self) -> None:
        self._last: Layers | None = None

    def __call__(self, layers: Layers, dt_s: float) -> Layers:
        """The smoothed layers; `dt_s` seconds passed since the last call."""
        last = self._last
        if last is None or last.ink.shape != layers.ink.shape:
            self._last = layers
            return layers
        still = float(1 - np.exp(-max(dt_s, 0.0) / TAU_S))
        change = cv2.absdiff(layers.flat, last.flat).max(axis=2)
        flat = _blend(layers.flat, last.flat, change, still, FLAT_STILL, FLAT_MOVED)
        ink = _blend(layers.ink, last.ink, cv2.absdiff(layers.ink, last.ink), still, INK_STILL, INK_MOVED)
        self._last = Layers(flat, ink)
        return self._last

    def reset(self) -> None:
        """Forget: the next layers pass as they are."""
        self._last = None


def _blend(new: RgbImage, old: RgbImage, change: GrayImage, still: float, low: int, high: int) -> RgbImage:
    """`old` moved towards `new` by a weight that rises from `still` at a change of `low` to 1 at `high`."""
    table = np.interp(np.arange(256), (low, high), (still, 1.0)).astype(np.float32)
    weight = table[cv2.blur(change, (3, 3))]  # one noisy pixel must not count as motion
    return cv2.blendLinear(new, old, weight, 1 - weight)
