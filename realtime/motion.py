"""How the picture moves from one frame to the next, at low resolution: shared by everything that is kept steady.

Comes in: a frame. Goes out: for each place the step back to where it was in the frame before. Runs on the filter's
thread. Source: DIS optical flow, Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, and a step
of Lucas and Kanade's at twice its size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.halved import halved
from realtime.lucas_kanade import refined
from realtime.types import Flow, GrayImage, RgbImage

FLOW_PIXELS = 200 * 112  # of the small picture that steps are looked for in; they are judged in one of twice its sides
FLOW_LEAST_PX = 16  # side of the smallest picture that DIS works on
SOFT_PX = 3  # the larger picture is softened so far where a step is made finer by it
STILL_PX = 0.015  # of a small pixel: shorter steps are noise; from twice as long on they count whole
AROUND_PX = 16  # of the larger picture, times four: where a step must explain what changed
EXPLAINS, EXPLAINS_NOT = 0.55, 0.65  # what a believed step, and one not believed, may leave of the change
MORE_THAN_NOISE, SURELY_MORE = 1.5, 2.0  # change over that of the calmest tenth: from there on it may leave more
EASIER = 0.25  # by so much
CHANGE_LEAST = 0.3  # of 255: change that needs no explanation
_LEAST = CHANGE_LEAST * AROUND_PX * AROUND_PX / 2  # the sum of it over a square, of which half of the rows are summed


class Motion:
    """Remembers the last frame. `reset()` forgets it."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._dis.setFinestScale(0)
        self.reset()

    def reset(self) -> None:
        """Forget the last frame."""
        self._last: tuple[GrayImage, GrayImage, GrayImage] | None = None

    def __call__(self, rgb: RgbImage, pictures: tuple[GrayImage, GrayImage] | None = None) -> Flow | None:
        """(h, w, 2) f32 at low resolution, x and y in pixels of the frame; None for a first frame.

        pictures: `flow_pictures` of the frame, where they are known.
        """
        large, small = flow_pictures(rgb) if pictures is None else pictures
        now = large, small, cv2.blur(large, (SOFT_PX, SOFT_PX))
        height, width = small.shape
        last, self._last = self._last, now
        if last is None or last[0].shape != large.shape or min(width, height) < FLOW_LEAST_PX:
            return None
        flow = self._dis.calc(small, last[1], None)
        flow = refined(flow, now[2], last[2], _grid(height, width, 2))
        believed = _believed(large, last[0], flow)
        factors = _factors(rgb.shape[1] / width, rgb.shape[0] / height)
        return cv2.multiply(flow, cv2.LUT(cv2.merge([believed, believed]), factors))


def flow_pictures(rgb: RgbImage, half: RgbImage | None = None) -> tuple[GrayImage, GrayImage]:
    """The frame's luma at twice the sides that motion is found at, and at these: at half of its own at most.

    half: the frame at half its size, where that is known.
    """
    height, width = rgb.shape[:2]
    scale = min(0.5, (FLOW_PIXELS / (height * width)) ** 0.5)
    gray = small_gray(rgb, (2 * max(1, round(width * scale)), 2 * max(1, round(height * scale))), half)
    return gray, halved(gray)


def small_gray(rgb: RgbImage, size: tuple[int, int], half: RgbImage | None = None) -> GrayImage:
    """The luma at a (width, height) of about its own at most. half: the picture at half its size, where known."""
    if _more_than_half(rgb, size):
        rgb = halved(rgb) if half is None else half
    return shrunk_gray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), size)


def shrunk_gray(gray: GrayImage, size: tuple[int, int]) -> GrayImage:
    """The picture at a (width, height): halved, which is exact and fast, until less than half is to go."""
    while _more_than_half(gray, size):
        gray = halved(gray)
    return cv2.resize(gray, size, interpolation=cv2.INTER_LINEAR)


def _more_than_half(picture: NDArray[np.uint8], size: tuple[int, int]) -> bool:
    height, width = picture.shape[:2]
    return width // 2 >= size[0] and height // 2 >= size[1]


def _believed(now: GrayImage, before: GrayImage, flow: Flow) -> GrayImage:
    """0..255, how sure each step is motion: it must be long and explain what changed better than noise does.

    now, before: of twice the flow's sides. See `_factors` for what is made of it.
    """
    rows = now[::2]  # half the work, and as sure
    places = cv2.scaleAdd(flow, 2, _grid(*flow.shape[:2], 2))
    # Two pixels of a row share a step. The pictures are looked up one after the other: two channels take three times as
    # long as one.
    pair = [
        cv2.remap(of, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for of in (before, before[:, 1:])
    ]
    along = cv2.merge(pair).reshape(rows.shape)
    still = _sums_around(cv2.absdiff(rows, before[::2]))
    left = _sums_around(cv2.absdiff(rows, along))
    left /= still + _LEAST
    some = still[::4, ::4].ravel()
    calmest = len(some) // 10
    noise = float(np.partition(some, calmest)[calmest]) + _LEAST
    sure = _from_to(still, MORE_THAN_NOISE * noise, SURELY_MORE * noise)
    per_left = 255 / (EXPLAINS_NOT - EXPLAINS)
    better = cv2.addWeighted(sure, EASIER / 255 * per_left, left, -per_left, EXPLAINS_NOT * per_left, dtype=cv2.CV_8U)
    long = _from_to(cv2.magnitude(*cv2.split(flow)), STILL_PX, 2 * STILL_PX)
    # Exactly none in what is not sure; at the rim, where half of the places around are the other half mirrored, noise
    # is sure now and then: what lies beyond counts as standing still.
    return cv2.blur(cv2.multiply(better, long, scale=1 / 255), (3, 3), borderType=cv2.BORDER_CONSTANT)


@lru_cache(maxsize=4)
def _factors(to_frame_x: float, to_frame_y: float) -> NDArray[np.float32]:
    """(1, 256, 2): what a step's x and y are multiplied by, by how sure it is; pixels of the frame a small one."""
    share = np.clip((np.arange(256, dtype=np.float32) / 255 - 0.4) / (0.9 - 0.4), 0, 1)
    return np.dstack([share * np.float32(to_frame_x), share * np.float32(to_frame_y)])


def _sums_around(change: GrayImage) -> NDArray[np.float32]:
    """The sum over a square about every other place of a row; `change` holds every other row."""
    size = (AROUND_PX, AROUND_PX // 2)
    sums = cv2.boxFilter(change, cv2.CV_16U, size, anchor=(size[0] // 2 - 1, size[1] // 2 - 1), normalize=False)
    return sums[:, ::2].astype(np.float32)


def _from_to(values: NDArray[np.float32], low: float, high: float) -> GrayImage:
    """0 up to `low`, 255 from `high` on, straight between."""
    share = 255 / (high - low)
    return cv2.addWeighted(values, share, values, 0, -low * share, dtype=cv2.CV_8U)


def moved(picture: NDArray[Any], flow: Flow) -> NDArray[Any]:
    """`picture` (h, w) or (h, w, channels), u8, u16 or f32, moved along a flow of its own pixels, at any flow size."""
    height, width = picture.shape[:2]
    steps = cv2.resize(flow, (width, height))
    how = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
    return cv2.remap(picture, steps, None, how, borderMode=cv2.BORDER_REPLICATE)


def flow_in_crop(
    flow: Flow, frame: tuple[int, int], now: NDArray[np.float32], before: NDArray[np.float32], side: int, size: int
) -> Flow:
    """The flow of the frame as seen in a crop that moves itself: (size, size, 2) in pixels of a crop of `side`.

    frame: height and width. now, before: (2, 3) affine maps from frame pixels to pixels of the crop.
    """
    height, width = frame
    to_frame = cv2.invertAffineTransform(now).astype(np.float32)
    to_flow = np.array([[flow.shape[1] / width], [flow.shape[0] / height]], np.float32)
    back = to_frame * to_flow * np.array([side / size, side / size, 1], np.float32)  # crop place to flow place
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    step = cv2.warpAffine(flow, back, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    step = cv2.transform(step, np.ascontiguousarray(before[:, :2]))
    if now is before:  # what does not move has a step of exactly none
        return step
    own = before @ np.vstack([to_frame, [0, 0, 1]]) - np.eye(2, 3)
    places = _grid(size, size) * np.float32(side / size)
    return cv2.add(step, cv2.transform(places, own.astype(np.float32)))


@lru_cache(maxsize=16)
def _grid(height: int, width: int, every: int = 1) -> NDArray[np.float32]:
    """Where each pixel is, x and y, of a picture of which every so many are left, of rows and columns."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.dstack([x, y]) * np.float32(every)
