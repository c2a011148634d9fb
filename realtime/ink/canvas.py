"""Strokes and filled shapes on a picture, anti-aliased.

Comes in: outlines in pixels of the picture. Goes out: the same array, painted in place, touched only inside each
shape's own box. Runs on the filter's thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.halved import halved as half
from realtime.ink.measure import Colour, Floats, Points
from realtime.types import GrayImage, RgbImage

Box = tuple[int, int, int, int]  # x0, y0, x1, y1; the second corner is outside

SUBPIXEL_BITS = 6
HALF = 1 << SUBPIXEL_BITS - 1  # of a pixel: OpenCV's places are pixel centres
_TO_THE_RIGHT = np.array((-1, 1), np.float32)
BOXES = ((0.98, (3,)), (1.39, (3, 3)), (1.82, (5, 3)), (2.0, (5, 5)))  # up to which softness boxes of which sides do
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
    """`samples` points on a smooth curve through the given (..., n, 2) ones."""
    return _catmull_rom(points.shape[-2], samples) @ points


def box_of(points: Points | NDArray[np.int32], margin: float, shape: tuple[int, ...]) -> Box | None:
    """The box of whole pixels round the points, cut to a picture of this shape; None where nothing is left."""
    if points.dtype == np.float64:
        points = points.astype(np.float32)
    left, top, width, height = cv2.boundingRect(points)
    beyond = math.ceil(margin)
    x0, y0, x1, y1 = left - beyond, top - beyond, left + width + beyond, top + height + beyond
    bottom, right = shape[:2]
    x0, y0 = x0 if x0 > 0 else 0, y0 if y0 > 0 else 0
    x1, y1 = x1 if x1 < right else right, y1 if y1 < bottom else bottom
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def coverage(outline: Points, box: Box, scale: int) -> GrayImage:
    """How much of each pixel of the box, enlarged `scale` times, lies in the closed outline: u8, 255 all of it."""
    mask: GrayImage = np.zeros(((box[3] - box[1]) * scale, (box[2] - box[0]) * scale), np.uint8)
    cover(mask, outline, box, scale, 255)
    return mask


def cover(
    mask: NDArray[np.uint8],
    outline: Points,
    box: Box,
    scale: int,
    value: float | tuple[float, ...],
    edge: int = cv2.LINE_AA,
) -> None:
    """Writes `value` into the closed outline, in a mask as `coverage` makes it, or a picture of its size."""
    fine = scale << SUBPIXEL_BITS
    fixed = (outline * np.float32(fine)).astype(np.int32)
    corner = (-box[0] * fine - HALF, -box[1] * fine - HALF)
    cv2.fillPoly(mask, [fixed], value, edge, SUBPIXEL_BITS, corner)


def blend(target: RgbImage, colour: Colour | RgbImage, mask: GrayImage, alpha: float) -> None:
    """Paints `colour`, one (3,) or one for each pixel, into `target` in place: `alpha` times `mask` of it."""
    share = cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB)
    cv2.subtract(target, cv2.multiply(target, share, scale=alpha / 255), target)
    if colour.ndim == 1:  # OpenCV multiplies by a picture faster than by one colour
        paint = np.empty_like(share)
        cv2.rectangle(paint, (0, 0), paint.shape[1::-1], colour.tolist(), cv2.FILLED)
    else:
        paint = colour
    cv2.add(target, cv2.multiply(share, paint, scale=alpha / 255), target)


def halved(picture: GrayImage | RgbImage, times: int) -> GrayImage | RgbImage:
    """The picture averaged to 1, 1/2, 1/4 ... of its size; what is too much at the right and at the bottom is left out.

    OpenCV averages 2x2 pixels many times as fast as any others.
    """
    for _ in range(times):
        height, width = (side // 2 * 2 or 1 for side in picture.shape[:2])
        picture = half(picture[:height, :width])
    return picture


def pieces(mask: GrayImage) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """What hangs together: (h, w) the number of each place's piece, from 1, 0 none; OpenCV's statistics; middles."""
    # On one thread three times as fast as OpenCV's own choice.
    return cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_BBDT)[1:]  # type: ignore[return-value]


class Canvas:
    """A picture being painted on.

    rgb: written in place. cleaned: where ink of the generator's was taken off, as boxes, each with a u8 mask of its
    size.
    """

    def __init__(self, rgb: RgbImage) -> None:
        self.rgb = rgb
        self.cleaned: list[tuple[Box, GrayImage]] = []

    def ink_left(self, lines: GrayImage, box: Box) -> GrayImage:
        """A copy of the generator's ink in a box, without what was taken off."""
        x0, y0, x1, y1 = box
        ink = lines[y0:y1, x0:x1].copy()
        for (left, top, right, bottom), taken in self.cleaned:
            u0, v0, u1, v1 = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
            if u1 > u0 and v1 > v0:
                there = ink[v0 - y0 : v1 - y0, u0 - x0 : u1 - x0]
                cv2.subtract(there, taken[v0 - top : v1 - top, u0 - left : u1 - left], there)
        return ink

    def fill(self, outline: Points, colour: Colour, alpha: float, feather_px: float = 0.0) -> None:
        """Fills a closed outline; its edge is `feather_px` soft (standard deviation)."""
        box = box_of(outline, 1 + 2.5 * feather_px, self.rgb.shape) if alpha > 0.004 else None
        if box is None:
            return
        x0, y0, x1, y1 = box
        blend(self.rgb[y0:y1, x0:x1], colour, soft_coverage(outline, box, feather_px), alpha)

    def stroke(self, stroke: Stroke) -> None:
        """Draws a line."""
        for shape in ribbons([stroke]):
            self.fill(*shape)


class Stroke(NamedTuple):
    """A line along `path` (n, 2) px, `widths` (n,) px wide: thinner than a pixel it gets paler instead of vanishing."""

    path: Points
    widths: Floats
    colour: Colour
    alpha: float


class Shape(NamedTuple):
    """A closed outline (n, 2) px, to be filled."""

    outline: Points
    colour: Colour
    alpha: float


class Overlay:
    """Shapes collected beside the picture, at twice its size, to be put on it at once.

    Where two overlap, the later one takes the other's place, also where it is transparent.

    box: of the picture. scale: pixels of the array to one of the picture. rgba: (h, w, 4) u8, colour times coverage,
    and coverage.
    """

    def __init__(self, box: Box) -> None:
        self.box = box
        self.scale = scale = 2 if box[2] - box[0] < FINE_PX else 1
        self.rgba: NDArray[np.uint8] = np.zeros(((box[3] - box[1]) * scale, (box[2] - box[0]) * scale, 4), np.uint8)

    def fill(self, outline: Points, colour: Colour, alpha: float) -> None:
        """Fills a closed outline, in pixels of the picture."""
        if alpha <= 0.004:
            return
        red, green, blue = colour.tolist()
        cover(self.rgba, outline, self.box, self.scale, (red * alpha, green * alpha, blue * alpha, 255 * alpha))

    def put_on(
        self,
        picture: RgbImage,
        feather_px: float = 0.0,
        over_it: Callable[[GrayImage], GrayImage | None] | None = None,
    ) -> None:
        """Paints all of it into the picture, its edges `feather_px` soft.

        over_it: gives, for its coverage of the box, (h, w) u8 what stays on top of it, or None.
        """
        x0, y0, x1, y1 = self.box
        rgba = self.rgba
        if self.scale > 1:
            rgba = cv2.resize(rgba, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        rgba = softened(rgba, feather_px)
        covered = cv2.extractChannel(rgba, 3)
        if over_it is not None and (keep := over_it(covered)) is not None:  # type: ignore[arg-type]
            rgba = cv2.subtract(rgba, cv2.multiply(rgba, cv2.merge([keep] * 4), scale=1 / 255))  # type: ignore[assignment]
            covered = cv2.extractChannel(rgba, 3)
        target = picture[y0:y1, x0:x1]
        cv2.subtract(target, cv2.multiply(target, cv2.cvtColor(covered, cv2.COLOR_GRAY2RGB), scale=1 / 255), target)
        cv2.add(target, cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), target)


@lru_cache(maxsize=64)
def _neighbours(points: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], list[int]]:
    """For paths of so many points, one after the other: each point's next and the one before, ends themselves.

    Then the order in which all points on the left, followed by all on the right, are the paths' closed outlines; and
    where each path begins.
    """
    begins = [0, *accumulate(points)]
    places = [np.arange(begin, end) for begin, end in pairwise(begins)]
    after, before = (np.concatenate([np.clip(p + k, p[0], p[-1]) for p in places]) for k in (1, -1))
    order = np.concatenate([part for p in places for part in (p, p[::-1] + begins[-1])])
    return after, before, order, begins[:-1]


def ribbons(strokes: list[Stroke]) -> list[Shape]:
    """Their outlines, transparent where a stroke has no width. One after the other they are worked out at once."""
    after, before, order, begins = _neighbours(tuple([len(stroke.path) for stroke in strokes]))
    path = np.concatenate([stroke.path for stroke in strokes])
    widths = np.concatenate([stroke.widths for stroke in strokes])
    broadest = np.maximum.reduceat(widths, begins).tolist()
    for begin, stroke, width in zip(begins, strokes, broadest, strict=True):
        if 0.05 <= width < 1:
            widths[begin : begin + len(stroke.path)] *= 1 / width
    along = path.take(after, 0) - path.take(before, 0)
    share = widths / (2 * np.hypot(along[:, 0], along[:, 1]) + 1e-6)
    across = along[:, ::-1] * (share[:, None] * _TO_THE_RIGHT)
    outlines = np.concatenate([path + across, path - across]).take(order, 0)
    return [
        Shape(outlines[2 * begin : 2 * (begin + len(path))], colour, alpha * min(width, 1) if width >= 0.05 else 0.0)
        for begin, (path, _, colour, alpha), width in zip(begins, strokes, broadest, strict=True)
    ]


def soft_coverage(outline: Points, box: Box, feather_px: float) -> GrayImage:
    """`coverage` at the box's own size, drawn at twice the size, with a soft edge."""
    x0, y0, x1, y1 = box
    scale = 2 if x1 - x0 < FINE_PX else 1
    mask = coverage(outline, box, scale)
    if scale > 1:
        mask = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return softened(mask, feather_px)


def softened(mask: NDArray[np.uint8], feather_px: float) -> NDArray[np.uint8]:
    """The same with edges `feather_px` soft (standard deviation)."""
    if feather_px <= 0.45:  # not to be seen beside the anti-aliasing
        return mask
    # OpenCV's own Gaussian works its kernel out in software each time, which takes longer than the rest: boxes of about
    # the same variance.
    sides = next((sides for most_px, sides in BOXES if feather_px <= most_px), None)
    if sides is None:
        sides = (round(math.sqrt(6 * feather_px**2 + 1) / 2 - 0.5) * 2 + 1,) * 2
    for side in sides:
        mask = cv2.blur(mask, (side, side))  # type: ignore[assignment]
    return mask
