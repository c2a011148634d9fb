"""Colours measured in a picture, and the small numbers everything here is made of.

Comes in: a picture and points in its pixels. Goes out: colours and shares. Runs on the filter's thread.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import RgbImage

Floats = NDArray[np.floating[Any]]
Points = Floats  # (n, 2) pixels; a picture's left upper corner is 0, 0 and its first pixel's centre 0.5, 0.5
Colour = Floats  # (3,) RGB 0..255

LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601


def vector(*values: float) -> NDArray[np.float32]:
    """A small f32 array: a point or a colour."""
    return np.array(values, np.float32)


def clamp(value: float, low: float, high: float) -> float:
    """`value`, not below `low` and not above `high`."""
    return min(max(float(value), low), high)


def smoothstep(low: float, high: float, value: float) -> float:
    """0 below `low`, 1 above `high`, 3t^2 - 2t^3 between; falls instead where `low` is above `high`."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def smoothsteps(low: float, high: float, values: Floats) -> Floats:
    """`smoothstep` of each value."""
    t = np.minimum(np.maximum((values - low) / (high - low), 0), 1)
    return t * t * (3 - 2 * t)


def length(point: Floats) -> float:
    """Euclidean length of a 2-vector."""
    return math.hypot(*point.tolist())


def quantile(values: Floats, share: float) -> float:
    """The value that `share` (0..1) of a few values lie below; nearest rank (numpy's own takes 20 times as long)."""
    return float(_in_order(values)[int(share * (len(values) - 1) + 0.5)])


def middle_colour(colours: Floats) -> Floats:
    """(3,) the median of (n, 3) colours, channel by channel."""
    middle: Floats = _in_order(colours)[len(colours) // 2]
    return middle


def _in_order(values: Floats) -> Floats:
    """Sorted along the first axis, in half of the time that `np.sort` takes for a few."""
    values = values.copy()
    values.sort(0)
    return values


def sample(rgb: RgbImage, points: Points) -> NDArray[np.float32]:
    """(n, 3) colours of the pixels at the points, (a, b, 3) at (a, b, 2); outside of the picture its edge."""
    grid = points if points.ndim == 3 else points[None]
    place = (grid - np.float32(0.5)).astype(np.float32, copy=False)  # OpenCV's places are pixel centres
    found = cv2.remap(rgb, place, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return (found if points.ndim == 3 else found[0]).astype(np.float32)


def luma(colours: Floats) -> Floats:
    """Luma of RGB in the last axis."""
    return colours @ LUMA


def lumas(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) luma of (h, w, 3) RGB."""
    return cv2.transform(colours, LUMA[None])
