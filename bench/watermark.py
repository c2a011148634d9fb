"""A mark that raw frames carry and no drawing may show: random blocks of light and dark, found by correlation."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import RgbImage, Size

BLOCK_PX = 4
LEVELS = 40  # how much lighter or darker a block is
FOUND_R = 0.35  # chance gives 0.1 at most over a tile; half of the mark, blended into a drawing, 0.5 and more
_TILE_PX = 60  # a raw part of this size is found wherever it is


@cache
def _mark(size: Size, block_px: int) -> NDArray[np.float32]:
    """(h, w) of -1 and 1."""
    cells = np.random.default_rng(7).choice((-1.0, 1.0), (size.height // block_px + 1, size.width // block_px + 1))
    return np.kron(cells, np.ones((block_px, block_px)))[: size.height, : size.width].astype(np.float32)


def marked(rgb: RgbImage, block_px: int = BLOCK_PX, levels: float = LEVELS) -> RgbImage:
    """The picture with the mark; blocks of 1 pixel and few levels are like the grain of a camera."""
    mark = _mark(Size(rgb.shape[1], rgb.shape[0]), block_px)
    return np.clip(rgb * 0.7 + 38 + levels * mark[..., None], 0, 255).astype(np.uint8)


def found_r(rgb: RgbImage, size: Size, block_px: int = BLOCK_PX) -> float:
    """How surely the mark of a frame of `size` is in a picture of any size, mirrored or not: the largest r of tiles."""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gray = cv2.resize(gray, (size.width, size.height), interpolation=cv2.INTER_AREA)
    return max(_tiles_r(gray, _mark(size, block_px)), _tiles_r(gray[:, ::-1], _mark(size, block_px)))


def _tiles_r(gray: NDArray[np.float32], mark: NDArray[np.float32]) -> float:
    a, b = (_fine(np.ascontiguousarray(x)) for x in (gray, mark))
    box = (_TILE_PX, _TILE_PX)
    ab, aa, bb = (cv2.blur(x, box) for x in (a * b, a * a, b * b))
    return float((ab / np.sqrt(np.maximum(aa, 4.0) * np.maximum(bb, 1e-6))).max())  # below 2 levels nothing can be seen


def _fine(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(x - cv2.GaussianBlur(x, (0, 0), 1.5 * BLOCK_PX), np.float32)
