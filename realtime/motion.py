"""How the picture moves from one frame to the next, at low resolution: shared by everything that is kept steady.

Comes in: a frame. Goes out: for each place the step back to where it was in the frame before. Runs on the filter's
thread. Source: DIS optical flow, Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import Flow, GrayImage, Mask, RgbImage

FLOW_PIXELS = 400 * 225  # of the small grey picture that motion is looked for in
FLOW_LEAST_PX = 16  # side of the smallest picture that DIS works on
FINEST_SCALE = 1  # steps are looked for down to half of its size
STILL_PX = 0.03  # of a small pixel: shorter steps are noise; from twice as long on they count whole
AROUND_PX = 15  # where a step must explain what changed
EXPLAINS, EXPLAINS_NOT = 0.55, 0.65  # what a believed step, and one not believed, may leave of the change
MORE_THAN_NOISE, SURELY_MORE = 1.5, 2.0  # change over that of the calmest tenth: from there on it may leave more
EASIER = 0.25  # by so much
CHANGE_LEAST = 0.3  # of 255: change that needs no explanation


class Motion:
    """Remembers the last frame. `reset()` forgets it."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._dis.setFinestScale(FINEST_SCALE)
        self.reset()

    def reset(self) -> None:
        """Forget the last frame."""
        self._last: GrayImage | None = None

    def __call__(self, rgb: RgbImage) -> Flow | None:
        """(h, w, 2) f32 at low resolution, x and y in pixels of the frame; None for a first frame."""
        height, width = rgb.shape[:2]
        scale = min(1.0, (FLOW_PIXELS / (height * width)) ** 0.5)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        gray = _small_gray(rgb, size)
        last, self._last = self._last, gray
        if last is None or last.shape != gray.shape or min(size) < FLOW_LEAST_PX:
            return None
        flow = self._dis.calc(gray, last, None)
        share = _believed(gray, last, flow)
        to_frame = (np.float32(of / to) for of, to in zip((width, height), size, strict=True))
        return cv2.multiply(flow, cv2.merge([share * factor for factor in to_frame]))


def _small_gray(rgb: RgbImage, size: tuple[int, int]) -> GrayImage:
    """The frame's luma at a (width, height) of at most its own; halved first, which is fast, where it gets so small."""
    width, height = rgb.shape[1] // 2, rgb.shape[0] // 2
    if size[0] <= width and size[1] <= height:
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)


def _believed(now: GrayImage, before: GrayImage, flow: Flow) -> Mask:
    """0..1, how much of each step is motion: it must be long and explain what changed better than noise does."""
    length = cv2.magnitude(flow[..., 0], flow[..., 1])
    still = cv2.blur(cv2.absdiff(now, before).astype(np.float32), (AROUND_PX, AROUND_PX))
    along = cv2.blur(cv2.absdiff(now, moved(before, flow)).astype(np.float32), (AROUND_PX, AROUND_PX))
    left = along / (still + CHANGE_LEAST)
    noise = np.float32(np.percentile(still[::4, ::4], 10) + CHANGE_LEAST)
    sure = np.clip((still / noise - MORE_THAN_NOISE) / (SURELY_MORE - MORE_THAN_NOISE), 0, 1)
    better = np.clip((EXPLAINS_NOT + EASIER * sure - left) / (EXPLAINS_NOT - EXPLAINS), 0, 1)
    share = cv2.blur(better * np.clip(length / STILL_PX - 1, 0, 1), (5, 5))
    return np.asarray(np.clip(2 * share - 0.8, 0, 1), np.float32)  # exactly none in what is not sure


def moved(picture: NDArray[Any], flow: Flow) -> NDArray[Any]:
    """`picture` (h, w) or (h, w, channels), u8 or f32, moved along a flow of its own pixels, at any flow size."""
    height, width = picture.shape[:2]
    places = cv2.add(cv2.resize(flow, (width, height)), _grid(height, width))
    return cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def flow_in_crop(
    flow: Flow, frame: tuple[int, int], now: NDArray[np.float32], before: NDArray[np.float32], side: int, size: int
) -> Flow:
    """The flow of the frame as seen in a crop that moves itself: (size, size, 2) in pixels of a crop of `side`.

    frame: height and width. now, before: (2, 3) affine maps from frame pixels to pixels of the crop.
    """
    height, width = frame
    small = np.array([[flow.shape[1] / width, 0, 0], [0, flow.shape[0] / height, 0], [0, 0, 1]], np.float32)
    to_frame = cv2.invertAffineTransform(now).astype(np.float32)
    shrink = np.array([[side / size, 0, 0], [0, side / size, 0], [0, 0, 1]], np.float32)
    back = (small @ np.vstack([to_frame, [0, 0, 1]]) @ shrink)[:2].astype(np.float32)  # crop place to flow place
    step = cv2.warpAffine(
        flow, back, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    step = cv2.transform(step, np.ascontiguousarray(before[:, :2]))
    if now is before:  # what does not move has a step of exactly none
        return np.asarray(step, np.float32)
    own = before @ np.vstack([to_frame, [0, 0, 1]]) - np.eye(2, 3)
    places = _grid(size, size) * np.float32(side / size)
    return np.asarray(cv2.add(step, cv2.transform(places, own.astype(np.float32))), np.float32)


@lru_cache(maxsize=16)
def _grid(height: int, width: int) -> NDArray[np.float32]:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.dstack([x, y])
