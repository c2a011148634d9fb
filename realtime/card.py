"""The privacy card: a picture that shows a sentence and nothing of the camera."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from realtime.types import Frame, Missing, Picture, RgbImage, Size, read_only

PAPER, INK = (38, 34, 44), (236, 226, 216)  # RGB
_WIDEST = 0.92  # of the picture


def card(text: str, size: Size, like: Frame | Missing | Picture) -> Picture:
    """A picture of `size` that says `text`, with the time and the number of what it stands for."""
    return Picture(_written(text, size), like.t, like.grabbed_s, like.index, card=True)


@lru_cache(maxsize=4)  # shown thirty times a second, and when memory is short
def _written(text: str, size: Size) -> RgbImage:
    rgb = np.full((size.height, size.width, 3), PAPER, np.uint8)
    scale = max(0.3, size.width / 900)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, max(1, round(2 * scale)))
    if wide > _WIDEST * size.width:
        shrunk = _WIDEST * size.width / wide
        scale, wide, high = scale * shrunk, round(wide * shrunk), round(high * shrunk)
    at = ((size.width - wide) // 2, (size.height + high) // 2)
    cv2.putText(rgb, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, INK, max(1, round(2 * scale)), cv2.LINE_AA)
    return read_only(rgb)
