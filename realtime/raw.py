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
_MIN_LEVELS = 1.0  # standard deviation: below, there is no structure to tell by


def is_raw(picture: RgbImage, frame: RgbImage) -> bool:
    """Whether the picture, (h, w, 3) u8, shows the frame of the same size undrawn, mirrored or not."""
    return likeness(picture, frame) > RAW_R


def likeness(picture: RgbImage, frame: RgbImage) -> float:
    """The larger of both r, upright and mirrored; 0 where one of the two has no structure."""
    step = max(1, frame.shape[0] // _ROWS)
    a, b = (_differences(np.ascontiguousarray(rgb[::step])) for rgb in (picture, frame))
    a_length, b_length = cv2.norm(a), cv2.norm(b)  # their mean is 0: of a standard deviation, by the root of the size
    if min(a_length, b_length) < _MIN_LEVELS * a.size**0.5:
        return 0.0
    upright, mirrored = float(np.vdot(a, b)), -float(np.vdot(cv2.flip(a, 1), b))
    return max(upright, mirrored) / (a_length * b_length)


def _differences(rgb: RgbImage) -> NDArray[np.float32]:
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = gray[:, 1:] - gray[:, :-1]
    fine -= fine.mean()
    return fine
