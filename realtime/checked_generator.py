"""A generator whose drawings are looked at: one without content, or that is what went in, is an error.

Comes in: RGB u8. Goes out: u8 layers. On the thread of the stage that uses it. About 0.1 ms a call.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import EngineError
from realtime.raw import is_raw
from realtime.stylize import Generator
from realtime.types import RgbImage, Size

_SEEN_LEVELS = 8.0  # standard deviation of what goes in from which on something must come out
_DRAWN_LEVELS = 1.0
_EVERY = 16  # rows that are looked at
_CHANNELS = 4


class CheckedGenerator:
    """The generator; `EngineError` where it breaks while it runs: NaN, black, one colour, all ink, the raw frame."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def size(self) -> Size:
        """As the generator's."""
        return self._generator.size

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        """(h, w, 3) RGB u8 to (h, w, 4) u8: flat RGB and ink."""
        layers = self._generator.run(rgb)
        if not isinstance(layers, np.ndarray) or layers.dtype != np.uint8:
            raise EngineError("The generator gives no u8 layers any more.")
        if layers.shape != (*rgb.shape[:2], _CHANNELS):
            raise EngineError(f"The generator gives layers of shape {layers.shape} for a picture of {rgb.shape}.")
        if cv2.meanStdDev(rgb[::_EVERY])[1].max() >= _SEEN_LEVELS:
            mean, spread = cv2.meanStdDev(layers[::_EVERY])
            if spread[:3].max() < _DRAWN_LEVELS or mean[3, 0] == 255:
                raise EngineError("The generator draws the same everywhere.")
            if is_raw(layers, rgb):
                raise EngineError("The generator gives back what goes in.")
        return layers
