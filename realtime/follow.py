"""A face that was found is followed from frame to frame with the landmark network alone.

Comes in: a frame and the face's landmarks in the frame before. Goes out: its landmarks now, or None when it is lost. On
the thread of the stage perceive. It does what MediaPipe's graph does between two detections (Kartynnik et al.,
"Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019): the network sees an upright square
around the face, 1.5 times its longer side; without the graph that is half of the work. What the network is off by
depends on where the square lies: one that trembles makes a face tremble, so it follows the face slowly. A face that
jumped is not in the square's middle, where the network is exact: then it looks again.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.landmarks import LEFT_TEMPLE, RIGHT_TEMPLE
from realtime.types import RgbImage

Points = NDArray[np.float32]

AROUND = 1.5  # side of the square over the longer side of the face's box
JUMPED = 0.05  # of that longer side: from there on the eyes shake from frame to frame unless it looks again
AROUND_TAU_S = 0.3  # how slowly the square follows
SURE = 0.5
MOST_REACH = 1.25  # half of what the square covers over its side: beyond, adding a channel costs more than it saves
RIGHT_EYE_CORNER, LEFT_EYE_CORNER = 33, 263  # the outer ones: the line between them is made level
YAW_OF_DEPTH = 0.82  # MediaPipe's head pose over the angle that the depths of the temples make, on five clips


class Network(Protocol):
    """What is needed of `LandmarkNetwork`."""

    side: int

    def run(self, rgb: RgbImage) -> tuple[Points, float]:
        """Landmarks in pixels of a square picture, and how sure it is, 0..1."""


class _Box(NamedTuple):
    """The middle of what lies around landmarks, and its longer side, at least 1."""

    x: float
    y: float
    longer: float


def follow(network: Network, rgb: RgbImage, around: Points, dt_s: float) -> tuple[Points, Points] | None:
    """A face's (478, 3) landmarks in pixels of the frame, z in the same unit, and what to look around next.

    None where there is no face any more. around: of this frame's pixels, what it said in the frame `dt_s` before, or a
    new face's landmarks. What comes next is near the face, but calm.
    """
    box = _box(around)
    now = _look(network, rgb, around, box)
    if now is None:
        return None
    found = _box(now)
    if _jumped(box, found):
        now = _look(network, rgb, now, found)
        if now is None:
            return None
        if _jumped(box, _box(now)):
            return now, now
    share = np.float32(-math.expm1(-max(dt_s, 0.0) / AROUND_TAU_S))
    return now, around + share * (now - around)


def _look(network: Network, rgb: RgbImage, around: Points, box: _Box) -> Points | None:
    """The landmarks that the network sees in the square around these, whose box this is."""
    to_frame = _square(around, box, network.side)
    (a, b, x), (c, d, y) = to_frame
    centred = np.array([[a, b, x + (a + b - 1) / 2], [c, d, y + (c + d - 1) / 2]])  # OpenCV's places are pixel centres
    points, sure = network.run(_cut(rgb, centred, network.side))
    if sure < SURE or not math.isfinite(points.sum()):
        return None
    with_depth = np.array([[a, b, 0, x], [c, d, 0, y], [0, 0, math.hypot(a, c), 0]])
    return np.asarray(cv2.transform(points[None], with_depth)[0], np.float32)


def _cut(rgb: RgbImage, to_frame: NDArray[np.float64], side: int) -> RgbImage:
    """(side, side, 3): the square that this (2, 3) map leads to; outside of the frame its edge is repeated."""
    how: dict[str, int] = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}
    (a, b, x), (c, d, y) = to_frame.tolist()
    half, (height, width) = side / 2, rgb.shape[:2]
    across, down = half * (abs(a) + abs(b)), half * (abs(c) + abs(d))
    if max(across, down) > MOST_REACH * side:
        return cv2.warpAffine(rgb, to_frame, (side, side), **how)
    # Four channels are warped in less than half of the time of three, so what is needed gets a fourth.
    x, y = x + half * (a + b), y + half * (c + d)
    left, top = min(max(int(x - across) - 1, 0), width - 1), min(max(int(y - down) - 1, 0), height - 1)
    right, bottom = min(max(int(x + across) + 3, left + 1), width), min(max(int(y + down) + 3, top + 1), height)
    rgba = cv2.cvtColor(rgb[top:bottom, left:right], cv2.COLOR_RGB2RGBA)
    to_part = to_frame - ((0, 0, left), (0, 0, top))
    return cv2.cvtColor(cv2.warpAffine(rgba, to_part, (side, side), **how), cv2.COLOR_RGBA2RGB)


def _box(landmarks: Points) -> _Box:
    columns = landmarks.T.copy()  # along which NumPy is six times as fast
    (left, top, _), (right, bottom, _) = columns.min(axis=1).tolist(), columns.max(axis=1).tolist()
    return _Box((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top, 1.0))


def _jumped(before: _Box, now: _Box) -> bool:
    return max(abs(now.x - before.x), abs(now.y - before.y)) > JUMPED * before.longer


def square_around(landmarks: Points, side: int) -> Points:
    """The (2, 3) affine map from a square of `side` pixels, upright around the face, to the frame."""
    return np.array(_square(landmarks, _box(landmarks), side), np.float32)


def _square(landmarks: Points, box: _Box, side: int) -> list[list[float]]:
    across, down, _ = (landmarks[LEFT_EYE_CORNER] - landmarks[RIGHT_EYE_CORNER]).tolist()
    angle, scale, half = math.atan2(down, across), AROUND * box.longer / side, side / 2
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    return [[cos, -sin, box.x - half * (cos - sin)], [sin, cos, box.y - half * (sin + cos)]]


def pose_of(landmarks: Points) -> Points:
    """(4, 4): the turn of the head about its vertical axis, from the depths of the temples; no other turns."""
    x, y, z = (landmarks[LEFT_TEMPLE] - landmarks[RIGHT_TEMPLE]).tolist()
    yaw = YAW_OF_DEPTH * math.atan2(z, math.hypot(x, y))
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.array([[cos, 0, sin, 0], [0, 1, 0, 0], [-sin, 0, cos, 0], [0, 0, 0, 1]], np.float32)
