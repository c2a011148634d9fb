"""Whether a picture is the camera's own, though it should be drawn. Any thread.

A drawing keeps some of a frame's edges and nothing of its grain. So the fine structure of both is compared: Pearson's r
of the differences between neighbours, on some rows. It is 1 for the frame itself, in any tone, and below for a drawing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import RgbImage

RAW_R = 0.98  # drawings of photos reach 0.8, drawings that are drawn once more, at strength 0, 0.89
_ROWS = 64
_FEW_ROWS, _DRAWN_R = 8, 0.9  # what is so little alike on a few rows is not looked at on all
_MIN_LEVELS = 1.0  # standard deviation: below, there is no structure to tell by


def is_raw(picture: NDArray[np.uint8], frame: RgbImage) -> bool:
    """Whether the picture shows the frame of the same size undrawn, mirrored or not.

    picture: (h, w, 3) u8, or (h, w, 4), whose fourth channel does not count.
    """
    few = _likeness(picture, frame, _FEW_ROWS)
    return (few is None or few > _DRAWN_R) and likeness(picture, frame) > RAW_R


def likeness(picture: NDArray[np.uint8], frame: RgbImage) -> float:
    """The larger of both r, upright and mirrored; 0 where one of the two has no structure."""
    return _likeness(picture, frame, _ROWS) or 0.0


def _likeness(picture: NDArray[np.uint8], frame: RgbImage, rows: int) -> float | None:
    """On about so many rows; None where one of the two has no structure there."""
    step = max(1, frame.shape[0] // rows)
    a, b = (_differences(rgb[::step]) for rgb in (picture, frame))
    a_mean, b_mean = cv2.mean(a)[0], cv2.mean(b)[0]
    a_variance, b_variance = (cv2.norm(of) ** 2 / of.size - mean**2 for of, mean in ((a, a_mean), (b, b_mean)))
    if min(a_variance, b_variance) < _MIN_LEVELS**2:
        return None
    upright = float(np.vdot(a, b)) / a.size - a_mean * b_mean
    mirrored = a_mean * b_mean - float(np.vdot(cv2.flip(a, 1), b)) / a.size
    return max(upright, mirrored) / (a_variance * b_variance) ** 0.5


def _differences(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    how = cv2.COLOR_RGBA2GRAY if rgb.shape[2] == 4 else cv2.COLOR_RGB2GRAY
    gray = cv2.cvtColor(np.ascontiguousarray(rgb), how)
    return cv2.subtract(gray[:, 1:], gray[:, :-1], dtype=cv2.CV_32F)
