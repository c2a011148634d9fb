"""The person mask at the size of the frame. Any thread."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.types import Mask, Size


def full_size(person: Mask, size: Size) -> Mask:
    """The mask at the frame's size with a firm yet soft edge, (h, w) f32 0..1."""
    large = cv2.resize(person, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    t = np.clip((large - 0.35) / 0.4, 0, 1)
    return t * t * (3 - 2 * t)
