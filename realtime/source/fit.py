"""A picture of one size becomes a picture of another without being stretched: cropped or letterboxed. Any thread."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.types import RgbImage, Size


def crop_to_fill(rgb: RgbImage, size: Size) -> RgbImage:
    """The largest middle part of `rgb` with the aspect of `size`, at `size`: what people expect of a camera."""
    height, width = rgb.shape[:2]
    if (width, height) == (size.width, size.height):
        return rgb
    scale = max(size.width / width, size.height / height)
    wide = min(width, max(1, round(size.width / scale)))
    high = min(height, max(1, round(size.height / scale)))
    x, y = (width - wide) // 2, (height - high) // 2
    return _resize(rgb[y : y + high, x : x + wide], size)


def letterbox(rgb: RgbImage, size: Size) -> RgbImage:
    """All of `rgb` in the middle of a black picture of `size`: nothing of a clip or picture is lost."""
    height, width = rgb.shape[:2]
    if (width, height) == (size.width, size.height):
        return rgb
    scale = min(size.width / width, size.height / height)
    wide = min(size.width, max(1, round(width * scale)))
    high = min(size.height, max(1, round(height * scale)))
    boxed = np.zeros((size.height, size.width, 3), np.uint8)
    x, y = (size.width - wide) // 2, (size.height - high) // 2
    boxed[y : y + high, x : x + wide] = _resize(rgb, Size(wide, high))
    return boxed


def _resize(rgb: RgbImage, size: Size) -> RgbImage:
    smaller = size.width < rgb.shape[1] or size.height < rgb.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (size.width, size.height), interpolation=how), np.uint8)
