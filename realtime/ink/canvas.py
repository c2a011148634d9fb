"""Strokes and filled shapes on a picture, anti-aliased.

Comes in: outlines in pixels of the picture. Goes out: the same array, painted in place, touched only inside each
shape's own box. Runs on the filter's thread.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from realtime.ink.measure import Colour, Floats, Points, vector
from realtime.types import GrayImage, RgbImage

Box = tuple[int, int, int, int]  # x0, y0, x1, y1; the second corner is outside

SUBPIXEL_BITS = 4
_TO_THE_RIGHT = np.array((-1, 1), np.float32)
FINE_PX = 400  # shapes wider than this are drawn at single resolution: their edges are fine enough


@lru_cache(maxsize=64)
def _catmull_rom(points: int, samples: int) -> Floats:
    """The (samples, points) matrix of an open Catmull-Rom spline through `points` points (Catmull and Rom 1974)."""
    weights = np.zeros((samples, points), np.float32)
    for row, s in enumerate(np.linspace(0, points - 1, samples)):
        k = min(int(s), points - 2)
        t = s - k
        basis = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (-(t**2) + t**3) / 2,
        )
        for offset, weight in zip((-1, 0, 1, 2), basis, strict=True):
            j = k + offset
            if j < 0:  # the end points are mirrored at the ends, so that the curve leaves them straight
                weights[row, 0] += 2 * weight
                weights[row, 1] -= weight
            elif j >= points:
                weights[row, -1] += 2 * weight
                weights[row, -2] -= weight
            else:
                weights[row, j] += weight
    return weights


def curve(points: Points, samples: int = 25) -> Points:
    """`samples` points on a smooth curve through the given ones."""
    return _catmull_rom(len(points), samples) @ points


def normals(path: Points) -> Points:
    """(n, 2) unit vectors across the path, to the right of its direction in a picture whose y points down."""
    along = np.empty_like(path)
    np.subtract(path[2:], path[:-2], out=along[1:-1])
    along[0], along[-1] = path[1] - path[0], path[-1] - path[-2]
    across = along[:, ::-1] * _TO_THE_RIGHT
    across /= np.sqrt(np.einsum("ij,ij->i", along, along)[:, None]) + np.float32(1e-6)
    return across


def box_of(points: Points, margin: float, shape: tuple[int, ...]) -> Box | None:
    """The box of whole pixels round the points, cut to a picture of this shape; None where nothing is left."""
    height, width = shape[:2]
    left, top = points.min(0).tolist()
    right, bottom = points.max(0).tolist()
    x0, y0 = max(math.floor(left - margin), 0), max(math.floor(top - margin), 0)
    x1, y1 = min(math.ceil(right + margin) + 1, width), min(math.ceil(bottom + margin) + 1, height)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def coverage(outline: Points, box: Box, scale: int) -> GrayImage:
    """How much of each pixel of the box, enlarged `scale` times, lies in the closed outline: u8, 255 all of it."""
    x0, y0, x1, y1 = box
    mask: GrayImage = np.zeros(((y1 - y0) * scale, (x1 - x0) * scale), np.uint8)
    fixed = ((outline - vector(x0, y0)) * scale - 0.5) * (1 << SUBPIXEL_BITS)
    cv2.fillPoly(mask, [np.rint(fixed).astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    return mask


def blend(target: RgbImage, colour: Colour | RgbImage, mask: GrayImage, alpha: float) -> None:
    """Paints `colour`, one or one for each pixel, into `target` in place: `alpha` times `mask` of it."""
    if colour.ndim == 1:
        paint = np.empty(target.shape, np.uint8)
        red, green, blue = (min(max(float(c), 0.0), 255.0) for c in colour)
        cv2.rectangle(paint, (0, 0), paint.shape[1::-1], (round(red), round(green), round(blue)), cv2.FILLED)
    else:
        paint = colour if colour.dtype == np.uint8 else cv2.convertScaleAbs(colour)  # type: ignore[assignment]
    share = cv2.multiply(mask, alpha / 255, dtype=cv2.CV_32F)
    target[:] = cv2.blendLinear(paint, target, share, 1 - share)


class Canvas:
    """A picture being painted on.

    rgb: written in place. before: what it was, never written. cleaned: of the face that is being drawn, where ink of
    the generator's was taken off, as a box and a u8 mask of its size.
    """

    def __init__(self, rgb: RgbImage, before: RgbImage) -> None:
        self.rgb = rgb
        self.before = before
        self.cleaned: tuple[Box, GrayImage] | None = None

    def ink_left(self, lines: GrayImage, box: Box) -> GrayImage:
        """A copy of the generator's ink in a box, without what was taken off."""
        x0, y0, x1, y1 = box
        ink = lines[y0:y1, x0:x1].copy()
        if self.cleaned is not None:
            (left, top, right, bottom), taken = self.cleaned
            u0, v0, u1, v1 = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
            if u1 > u0 and v1 > v0:
                there = ink[v0 - y0 : v1 - y0, u0 - x0 : u1 - x0]
                there[:] = cv2.subtract(there, taken[v0 - top : v1 - top, u0 - left : u1 - left])
        return ink

    def fill(self, outline: Points, colour: Colour, alpha: float, feather_px: float = 0.0) -> None:
        """Fills a closed outline; its edge is `feather_px` soft (standard deviation)."""
        box = box_of(outline, 1 + 2.5 * feather_px, self.rgb.shape) if alpha > 0.004 else None
        if box is None:
            return
        x0, y0, x1, y1 = box
        blend(self.rgb[y0:y1, x0:x1], colour, soft_coverage(outline, box, feather_px), alpha)

    def shade(self, outline: Points, factor: Colour, alpha: float, feather_px: float) -> None:
        """Multiplies what lies in a closed outline by `factor` (RGB 0..1)."""
        box = box_of(outline, 1 + 2.5 * feather_px, self.rgb.shape) if alpha > 0.004 else None
        if box is None:
            return
        x0, y0, x1, y1 = box
        part = self.rgb[y0:y1, x0:x1]
        share = (soft_coverage(outline, box, feather_px) * np.float32(alpha / 255))[..., None]
        part[:] = (part * (1 + (factor - 1) * share) + 0.5).astype(np.uint8)

    def stroke(self, path: Points, widths: Floats, colour: Colour, alpha: float) -> None:
        """A line along `path`, `widths` (n,) px wide: thinner than a pixel it gets paler instead of vanishing."""
        broadest = float(widths.max())
        if broadest < 0.05:
            return
        if broadest < 1.0:
            alpha, widths = alpha * broadest, widths / broadest
        self.fill(ribbon(path, widths), colour, alpha)


def ribbon(path: Points, widths: Floats) -> Points:
    """The closed outline of a line along `path` that is `widths` (n,) px wide."""
    half = normals(path) * (widths[:, None] / 2)
    return np.concatenate([path + half, (path - half)[::-1]])


def soft_coverage(outline: Points, box: Box, feather_px: float) -> GrayImage:
    """`coverage` at the box's own size, drawn at twice the size, with a soft edge."""
    x0, y0, x1, y1 = box
    scale = 2 if x1 - x0 < FINE_PX else 1
    mask = coverage(outline, box, scale)
    if scale > 1:
        mask = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if feather_px > 0.3:
        mask = cv2.GaussianBlur(mask, (0, 0), feather_px)  # type: ignore[assignment]
    return mask
