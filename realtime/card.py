"""The privacy card: a picture that shows a sentence and nothing of the camera."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.types import Frame, Picture, Size, read_only

PAPER, INK = (38, 34, 44), (236, 226, 216)  # RGB


def card(text: str, size: Size, like: Frame) -> Picture:
    """A picture of `size` that says `text`, with the time and the number of the frame it stands for."""
    rgb = np.full((size.height, size.width, 3), PAPER, np.uint8)
    scale = max(0.3, size.width / 900)
    thickness = max(1, round(2 * scale))
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    at = ((size.width - wide) // 2, (size.height + high) // 2)
    cv2.putText(rgb, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, INK, thickness, cv2.LINE_AA)
    return Picture(read_only(rgb), like.t, like.grabbed_s, like.index)
