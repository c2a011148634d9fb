"""The aligned face crop: where the face generator looks, upright and always at the same scale.

Comes in: landmarks in pixels. Goes out: the affine map between the frame and the square crop. Used by `stylize` at
run time and by `training` to cut its examples, so that both see the same crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import dist, hypot, log2

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.landmarks import CHIN, FOREHEAD_TOP, LEFT_TEMPLE, RIGHT_TEMPLE
from realtime.types import Mask, Size

CROP_PX = 256  # side of the square the face generator works on
SHRINK_BELOW = 0.8  # crop pixels a frame pixel: below, plain interpolation would skip pixels
SOFTENED_PX = 5  # side of the Gaussian that softens what is shrunk
CROP_TO_FACE = 1.6  # crop side over face height: the face fills 5/8 of the crop, hairline and chin lie inside
RIM_PX = 8  # of the crop, on each side, that is not put back: the soft edge is 0 there
DRAWN_PX = CROP_PX - 2 * RIM_PX
HELD_PX = 16.0  # crop pixels by which a corner may be off: generators have learnt shifts by as much
MAX_GROWTH = 6.0  # a drawing of the crop enlarged more than this (a face larger than the frame) gains nothing
EDGE_PX = 64  # side of the small picture of the soft edge
WIDTH_TO_HEIGHT = 1.25  # a frontal face's height over its width: stands in for the height of a bowed head


def crop_matrix(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (2, 3) affine map from frame pixels to crop pixels.

    `landmarks`: (478, 2 or 3) in frame pixels. The crop is centred between forehead and chin, its upward axis is
    the face's own (chin to forehead), its side is `CROP_TO_FACE` face heights.
    """
    top, chin, right, left = landmarks[[FOREHEAD_TOP, CHIN, RIGHT_TEMPLE, LEFT_TEMPLE], :2].tolist()
    height = dist(chin, top)
    side = CROP_TO_FACE * max(height, WIDTH_TO_HEIGHT * dist(right, left), 1.0)
    scale = CROP_PX / side / max(height, 1e-6)
    cos, sin = scale * (chin[1] - top[1]), scale * (chin[0] - top[0])  # of the turn that takes chin to right below top
    x, y = (top[0] + chin[0]) / 2, (top[1] + chin[1]) / 2
    half = CROP_PX / 2
    return np.array([[cos, -sin, half - cos * x + sin * y], [sin, cos, half - sin * x - cos * y]], np.float32)


def held(before: NDArray[np.float32] | None, wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (2, 3) map of `before`, moved towards the `wanted` one until no corner is more than `HELD_PX` off.

    The very same array where it stays. A crop that moves with every tremble of the landmarks samples the picture
    otherwise in each frame, and lines shake.
    """
    if before is None:
        return wanted
    there = corners_in_frame(invert(wanted), CROP_PX) @ before[:, :2].T + before[:, 2]
    off = float(np.abs(there - _corners(CROP_PX)[:, :2]).max())
    if off <= HELD_PX:
        return before
    return np.asarray(before + np.float32(1 - HELD_PX / off) * (wanted - before), np.float32)


def invert(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (2, 3) affine map from crop pixels back to frame pixels."""
    return cv2.invertAffineTransform(matrix).astype(np.float32)


def corners_in_frame(to_frame: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """(4, 2): where the corners of a square of `side_px` lie in frame pixels, by its (2, 3) map to the frame."""
    return _corners(side_px) @ to_frame.T


@lru_cache(maxsize=4)
def _corners(side_px: int) -> NDArray[np.float32]:
    return np.array([[0, 0, 1], [side_px, 0, 1], [0, side_px, 1], [side_px, side_px, 1]], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What a crop is cut out of: this box of the frame, averaged down to `size` and softened by a Gaussian of `sigma`.

    matrix: (2, 3), from pixels of that to crop pixels. sigma: in its pixels, 0 for none.
    """

    left: int
    top: int
    right: int
    bottom: int
    size: Size
    sigma: float
    matrix: NDArray[np.float32]


def part_to_cut(matrix: NDArray[np.float32], frame: Size) -> Part:
    """The part of the frame that a crop by this (2, 3) map shows.

    A face larger than the crop is softened, so that nothing finer than a crop pixel turns into noise: halved exactly,
    which is fast, for as long as it is twice too large, then blurred, until it is as sharp as if the frame had been
    averaged over the area of each crop pixel and the crop been interpolated between these (variances add up).
    """
    there = corners_in_frame(invert(matrix), CROP_PX).T.tolist()
    limits = (frame.width, frame.height)
    left, top = (int(min(max(min(of), 0), limit - 1)) for of, limit in zip(there, limits, strict=True))
    right, bottom = (int(min(max(max(of) + 2, 1), limit)) for of, limit in zip(there, limits, strict=True))
    pixel = 1 / hypot(*matrix[0, :2].tolist())  # frame pixels a crop pixel
    factor = 2 ** max(0, int(log2(pixel)))
    size = Size(max(1, (right - left) // factor), max(1, (bottom - top) // factor))
    right, bottom = (
        max(start + 1, min(end, start + side * factor))
        for start, end, side in ((left, right, size.width), (top, bottom, size.height))
    )
    variance = (pixel / factor) ** 2 / 4 - (1 - factor**-2) / 12 - 1 / 12
    sigma = max(variance, 0.0) ** 0.5 if pixel * SHRINK_BELOW > 1 else 0.0
    back = np.array([(right - left) / size.width, (bottom - top) / size.height], np.float32)  # part pixels a small one
    # pixel centres: part = (small + 0.5) * back - 0.5, frame = part + (left, top)
    shift = matrix[:, :2] @ (0.5 * back - 0.5 + np.array([left, top], np.float32)) + matrix[:, 2]
    return Part(left, top, right, bottom, size, sigma, np.concatenate([matrix[:, :2] * back, shift[:, None]], 1))


def cut(rgb: NDArray[np.uint8], matrix: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The (CROP_PX, CROP_PX, 3) crop; outside of the frame its edge is repeated."""
    part = part_to_cut(matrix, Size(rgb.shape[1], rgb.shape[0]))
    rgb = rgb[part.top : part.bottom, part.left : part.right]
    small = (part.size.width, part.size.height)
    if small != rgb.shape[1::-1]:
        rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
    if part.sigma > 0:
        rgb = cv2.GaussianBlur(rgb, (SOFTENED_PX, SOFTENED_PX), part.sigma)
    rgba = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)  # four channels are warped in half the time of three
    square = (CROP_PX, CROP_PX)
    rgba = cv2.warpAffine(rgba, part.matrix, square, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where the drawing of a crop's middle goes in the frame: into this box of whole pixels.

    side: of the square that the middle is drawn as, in pixels. matrix: (2, 3), from its pixels to the box's.
    """

    left: int
    top: int
    right: int
    bottom: int
    side: int
    matrix: NDArray[np.float32]


def place(to_crop: NDArray[np.float32], frame: Size) -> Place | None:
    """Where the drawing of a crop that was cut by `to_crop` goes; None where that is outside of the frame."""
    growth = 1 / hypot(*to_crop[0, :2].tolist())  # frame pixels a crop pixel
    side = max(16, round(DRAWN_PX * min(growth, MAX_GROWTH)))
    scale = DRAWN_PX / side
    to_frame = invert(to_crop)
    to_frame[:, 2] += to_frame[:, :2].sum(axis=1) * (RIM_PX + 0.5 * scale - 0.5)  # pixel centres
    to_frame[:, :2] *= scale
    corners = corners_in_frame(to_frame, side)
    left, top = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)), (frame.width, frame.height)).astype(int)
    if right <= left or bottom <= top:
        return None
    to_frame[:, 2] -= (left, top)
    return Place(int(left), int(top), int(right), int(bottom), side, to_frame)


@lru_cache(maxsize=1)
def soft_edge() -> Mask:
    """How much of the crop's middle is put back: 1 inside, 0 at its edge, as (64, 64) f32 of a superellipse."""
    axis = ((np.arange(EDGE_PX, dtype=np.float32) + 0.5) / (EDGE_PX / 2) - 1) * DRAWN_PX / CROP_PX
    radius = (np.abs(axis[None, :]) ** 3 + np.abs(axis[:, None]) ** 3) ** (1 / 3)
    t = np.clip((0.94 - radius) / (0.94 - 0.68), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def edge_matrix(there: Place) -> NDArray[np.float32]:
    """The (2, 3) affine map from pixels of `soft_edge` to those of the box."""
    scale = there.side / EDGE_PX
    shift = there.matrix[:, 2] + there.matrix[:, :2].sum(axis=1) * (0.5 * scale - 0.5)  # pixel centres
    return np.column_stack([there.matrix[:, :2] * scale, shift])


def edge_in_box(there: Place) -> Mask:
    """How much of the drawing is put into the box: `soft_edge` there, (h, w) f32.

    It is as smooth as the small picture it is made of, so it is turned at about that size, a little more of it than
    the box, and then enlarged.
    """
    step = max(1, there.side // EDGE_PX)
    width, height = there.right - there.left, there.bottom - there.top
    wide, high = (-(-side // step) + 2 for side in (width, height))
    matrix = edge_matrix(there) / np.float32(step)
    matrix[:, 2] += 0.5 / step + 0.5  # pixel centres, and one more pixel at each side
    edge = cv2.warpAffine(soft_edge(), matrix, (wide, high), flags=cv2.INTER_LINEAR)
    edge = cv2.resize(edge, (wide * step, high * step), interpolation=cv2.INTER_LINEAR)
    return edge[step : step + height, step : step + width]
