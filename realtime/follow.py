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

    def run(self, picture: RgbImage) -> tuple[Points, float]:
        """Landmarks in pixels of a square picture, and how sure it is, 0..1.

        picture: (side, side, 3 or 4), RGB first. The landmarks may be overwritten by the next run.
        """


class Place(NamedTuple):
    """Where a face is looked for, in pixels of the frame.

    x, y: the middle of the landmarks' box. longer: its longer side, at least 1. across, down: the way from the outer
    corner of the right eye to that of the left one.
    """

    x: float
    y: float
    longer: float
    across: float
    down: float


def place_of(landmarks: Points) -> Place:
    """Where a face of these (478, 3) landmarks is."""
    columns = landmarks.T.copy()  # along which NumPy is six times as fast
    (left, top, _), (right, bottom, _) = columns.min(axis=1).tolist(), columns.max(axis=1).tolist()
    across, down, _ = (landmarks[LEFT_EYE_CORNER] - landmarks[RIGHT_EYE_CORNER]).tolist()
    return Place((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top, 1.0), across, down)


def follow(network: Network, rgb: RgbImage, around: Place, dt_s: float) -> tuple[Points, Place] | None:
    """A face's (478, 3) landmarks in pixels of the frame, z in the same unit, and what to look around next.

    None where there is no face any more. around: of this frame's pixels, what it said in the frame `dt_s` before, or a
    new face's place. What comes next is near the face, but calm.
    """
    seen = _look(network, rgb, around)
    if seen is None:
        return None
    if _jumped(around, seen[1]):
        seen = _look(network, rgb, seen[1])
        if seen is None or _jumped(around, seen[1]):
            return seen
    landmarks, now = seen
    share = -math.expm1(-max(dt_s, 0.0) / AROUND_TAU_S)
    return landmarks, Place(*(old + share * (new - old) for old, new in zip(around, now, strict=True)))


def _look(network: Network, rgb: RgbImage, around: Place) -> tuple[Points, Place] | None:
    """The landmarks that the network sees in the square around this place, and their own place."""
    (a, b, x), (c, d, y) = square(around, network.side)
    centred = [[a, b, x + (a + b - 1) / 2], [c, d, y + (c + d - 1) / 2]]  # OpenCV's places are pixel centres
    points, sure = network.run(_cut(rgb, centred, network.side))
    if sure < SURE:
        return None
    with_depth = np.array([[a, b, 0, x], [c, d, 0, y], [0, 0, math.hypot(a, c), 0]])
    landmarks = cv2.transform(points[None], with_depth)[0]
    now = place_of(landmarks)
    return (landmarks, now) if math.isfinite(now.x + now.y) else None


def _cut(rgb: RgbImage, to_frame: list[list[float]], side: int) -> RgbImage:
    """(side, side, 3 or 4): the square that this (2, 3) map leads to; outside of the frame its edge is repeated."""
    how: dict[str, int] = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}
    (a, b, x), (c, d, y) = to_frame
    half, (height, width) = side / 2, rgb.shape[:2]
    across, down = half * (abs(a) + abs(b)), half * (abs(c) + abs(d))
    if max(across, down) > MOST_REACH * side:
        return cv2.warpAffine(rgb, np.array(to_frame), (side, side), **how)
    # Four channels are warped in less than half of the time of three, so what is needed gets a fourth.
    mid_x, mid_y = x + half * (a + b), y + half * (c + d)
    left, top = min(max(int(mid_x - across) - 1, 0), width - 1), min(max(int(mid_y - down) - 1, 0), height - 1)
    right, bottom = min(max(int(mid_x + across) + 3, left + 1), width), min(max(int(mid_y + down) + 3, top + 1), height)
    rgba = cv2.cvtColor(rgb[top:bottom, left:right], cv2.COLOR_RGB2RGBA)
    return cv2.warpAffine(rgba, np.array([[a, b, x - left], [c, d, y - top]]), (side, side), **how)


def _jumped(before: Place, now: Place) -> bool:
    return max(abs(now.x - before.x), abs(now.y - before.y)) > JUMPED * before.longer


def square(around: Place, side: int) -> list[list[float]]:
    """The (2, 3) affine map from a square of `side` pixels, upright around the face, to the frame."""
    angle, scale, half = math.atan2(around.down, around.across), AROUND * around.longer / side, side / 2
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    return [[cos, -sin, around.x - half * (cos - sin)], [sin, cos, around.y - half * (sin + cos)]]


def pose_of(landmarks: Points) -> Points:
    """(4, 4): the turn of the head about its vertical axis, from the depths of the temples; no other turns."""
    x, y, z = (landmarks[LEFT_TEMPLE] - landmarks[RIGHT_TEMPLE]).tolist()
    yaw = YAW_OF_DEPTH * math.atan2(z, math.hypot(x, y))
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.array([[cos, 0, sin, 0], [0, 1, 0, 0], [-sin, 0, cos, 0], [0, 0, 0, 1]], np.float32)
