"""The person mask at the size of the frame. Any thread."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.types import Mask, RgbImage, Size

GUIDE_PIXELS = 320 * 180  # of the small grey picture that edges are looked for in
REACH_PX = 5  # of it, from the mask's edge to the picture's
FAINT = 60.0  # variance of luma (0..255) below which an edge is noise


def full_size(person: Mask, size: Size) -> Mask:
    """The mask at the frame's size with a firm yet soft edge, (h, w) f32 0..1."""
    return _firm(cv2.resize(person, (size.width, size.height), interpolation=cv2.INTER_CUBIC))


def along_edges(person: Mask, rgb: RgbImage) -> Mask:
    """As `full_size`, with its edge drawn to the edges of the frame (h, w, 3): hair and fingers keep their outline.

    The fast guided filter: in each neighbourhood the mask is a linear function of luma, found small and applied at full
    size. Source: He, Sun, "Fast Guided Filter", 2015.
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, (GUIDE_PIXELS / (height * width)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    guide = cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    mask = cv2.resize(person, size, interpolation=cv2.INTER_CUBIC)
    mean, mean_mask = _around(guide), _around(mask)
    spread = _around(guide * guide) - mean * mean
    slope = np.asarray((_around(guide * mask) - mean * mean_mask) / (spread + FAINT), np.float32)
    offset = mean_mask - slope * mean
    slope, offset = (cv2.resize(_around(values), (width, height)) for values in (slope, offset))
    return _firm(cv2.add(cv2.multiply(slope, luma, dtype=cv2.CV_32F), offset))


def _around(values: Mask) -> Mask:
    """The mean over a square."""
    return cv2.blur(values, (2 * REACH_PX + 1,) * 2)


def _firm(mask: Mask) -> Mask:
    t = np.clip((mask - np.float32(0.35)) * np.float32(2.5), 0, 1)
    return t * t * (3 - 2 * t)
