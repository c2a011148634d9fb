"""Exposure normalisation: a dim, dull webcam frame is stretched before any generator sees it.

Comes in: RGB u8 picture. Goes out: the stretched RGB u8 picture, and the two numbers that made it, so that the
caller can smooth them in time. Used by `stylize` at run time and by `training` on the same terms: a generator only
ever sees pictures that went through here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import GrayImage, RgbImage

BLACK_TARGET = 0.02  # where the darkest percentile may come to lie
WHITE_TARGET = 0.80  # where the 98th percentile comes to lie; 0.90 burns skin and walls
GAIN_MAX = 4.5  # about two stops: more only amplifies noise
GAIN_MIN = 0.85


@dataclass(frozen=True, slots=True)
class Exposure:
    """A linear stretch of 0..1 values: `gain * x + offset`."""

    gain: float
    offset: float

    def towards(self, target: Exposure, share: float) -> Exposure:
        """The stretch that lies `share` (0..1) of the way from this one to `target`."""
        return Exposure(
            self.gain + share * (target.gain - self.gain), self.offset + share * (target.offset - self.offset)
        )


def measure_exposure(rgb: RgbImage) -> Exposure:
    """The stretch that brings the picture's 2nd percentile near black and its 98th to `WHITE_TARGET`.

    Measured on every fourth pixel of every fourth row; the black point is lowered by at most what keeps a
    picture without blacks (fog, a pale wall) pale.
    """
    return stretch(luma_samples(rgb))


def luma_samples(rgb: RgbImage, every: int = 4) -> GrayImage:
    """Luma of every so many pixels of every so many rows."""
    rows = cv2.cvtColor(np.ascontiguousarray(rgb[::every]), cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(rows[:, ::every])


def stretch(luma: NDArray[np.uint8] | NDArray[np.float32]) -> Exposure:
    """As `measure_exposure`, of luma samples, 0..255."""
    ranks = [round(share * (luma.size - 1)) for share in (0.01, 0.98)]
    low, high = (float(level) / 255 for level in np.partition(luma, ranks, axis=None)[ranks])
    low = 0.6 * min(low, 0.6 * high)
    gain = min(max((WHITE_TARGET - BLACK_TARGET) / max(high - low, 1e-3), GAIN_MIN), GAIN_MAX)
    return Exposure(gain, -low * gain + min(BLACK_TARGET, low))


def apply_exposure(rgb: RgbImage, exposure: Exposure) -> RgbImage:
    """The stretched picture, clipped to 0..255."""
    return cv2.addWeighted(rgb, exposure.gain, rgb, 0, 255 * exposure.offset)  # half the time of a table
