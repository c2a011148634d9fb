"""A network of somebody else as a generator of layers: one that gives finished pictures, one of a fixed size.

Comes in: RGB u8 at the size that is wanted. Goes out: u8 layers of that size. On the thread of the stage that uses it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from realtime.types import RgbImage, Size

LEAST_SHARE = 0.3  # of the network's picture, at strength 0
_FLAT_PX = 5  # of the median that stands for the frame, drawn faithfully


class LayersGenerator:
    """Gives a picture as flat colour without ink. `strength` may change between two frames.

    A frame of another shape than the network's is fitted into it, and what is left over mirrors the frame. Below full
    strength the picture is mixed with the frame's own colours, flattened: never with the frame itself.
    """

    def __init__(self, engine: Engine, size: Size, strength: float = 1.0) -> None:
        self.size = size
        self.strength = strength
        self._engine = engine
        scale = min(engine.size.width / size.width, engine.size.height / size.height)
        self._inner = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        """(h, w, 3) RGB u8 to (h, w, 4) u8: flat RGB and ink."""
        drawn = self._engine.run(rgb) if self._engine.size == self.size else self._fitted(rgb)
        if drawn.shape[2] == 4:
            return drawn
        share = LEAST_SHARE + (1 - LEAST_SHARE) * self.strength
        if share < 1:
            drawn = cv2.addWeighted(drawn, share, flattened(rgb), 1 - share, 0)
        layers = cv2.cvtColor(drawn, cv2.COLOR_RGB2RGBA)
        layers[..., 3] = 0
        return layers

    def _fitted(self, rgb: RgbImage) -> NDArray[np.uint8]:
        inner, outer = self._inner, self._engine.size
        small = cv2.resize(rgb, (inner.width, inner.height), interpolation=cv2.INTER_AREA)
        below, right = outer.height - inner.height, outer.width - inner.width
        drawn = self._engine.run(cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REFLECT))
        drawn = np.ascontiguousarray(drawn[: inner.height, : inner.width])
        return cv2.resize(drawn, (self.size.width, self.size.height), interpolation=cv2.INTER_CUBIC)


def flattened(rgb: RgbImage) -> RgbImage:
    """The picture's colours without its grain: a median, twice."""
    return cv2.medianBlur(cv2.medianBlur(rgb, _FLAT_PX), _FLAT_PX)
