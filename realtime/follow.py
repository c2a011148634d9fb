"""A face that was found is followed from frame to frame with the landmark network alone.

Comes in: a frame and the face's landmarks in the frame before. Goes out: its landmarks now, or None when it is lost. On
the thread of the stage perceive. It does what MediaPipe's graph does between two detections (Kartynnik et al.,
"Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019): the network sees an upright square
around the face, 1.5 times its longer side; without the graph that is half of the work. What the network is off by
depends on where the square lies: one that trembles makes a face tremble, so it follows the face slowly. A face that
jumped is not in the square's middle, where the network is exact: then it looks again.
"""

from __future__ import annotations

from typing import Protocol

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
RIGHT_EYE_CORNER, LEFT_EYE_CORNER = 33, 263  # the outer ones: the line between them is made level
YAW_OF_DEPTH = 0.82  # MediaPipe's head pose over the angle that the depths of the temples make, on five clips


class Network(Protocol):
    """What is needed of `LandmarkNetwork`."""

    side: int

    def run(self, rgb: RgbImage) -> tuple[Points, float]:
        """Landmarks in pixels of a square picture, and how sure it is, 0..1."""


def follow(network: Network, rgb: RgbImage, around: Points) -> Points | None:
    """The (478, 3) landmarks in pixels of the frame, z in the same unit; None where there is no face any more.

    around: landmarks of before, of this frame's pixels; see `around_next`.
    """
    now = _look(network, rgb, around)
    if now is None or not _jumped(around, now):
        return now
    return _look(network, rgb, now)


def around_next(around: Points, now: Points, dt_s: float) -> Points:
    """What to look around next, where `now` was found around `around`, `dt_s` after the last: near it, but calm."""
    if _jumped(around, now):
        return now
    share = -np.expm1(-max(dt_s, 0.0) / AROUND_TAU_S)
    return np.asarray(around + np.float32(share) * (now - around), np.float32)


def _look(network: Network, rgb: RgbImage, around: Points) -> Points | None:
    """The landmarks that the network sees in the square around these."""
    to_frame = square_around(around, network.side)
    centred = to_frame.copy()  # OpenCV's places are pixel centres
    centred[:, 2] += to_frame[:, :2] @ np.array([0.5, 0.5], np.float32) - 0.5
    square = (network.side, network.side)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    points, sure = network.run(cv2.warpAffine(rgb, centred, square, flags=flags, borderMode=cv2.BORDER_REPLICATE))
    if sure < SURE or not np.isfinite(points).all():
        return None
    now = points.copy()
    now[:, :2] = points[:, :2] @ to_frame[:, :2].T + to_frame[:, 2]
    now[:, 2] *= np.float32(np.hypot(to_frame[0, 0], to_frame[1, 0]))
    return now


def _jumped(before: Points, now: Points) -> bool:
    (was, longer), (middle, _) = _box(before), _box(now)
    return bool(np.abs(middle - was).max() > JUMPED * longer)


def _box(landmarks: Points) -> tuple[Points, float]:
    """Middle and longer side, at least 1, of the box around the landmarks."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return (low + high) / 2, max(float((high - low).max()), 1.0)


def square_around(landmarks: Points, side: int) -> Points:
    """The (2, 3) affine map from a square of `side` pixels, upright around the face, to the frame."""
    middle, longer = _box(landmarks)
    reach = AROUND * longer
    level = landmarks[LEFT_EYE_CORNER, :2] - landmarks[RIGHT_EYE_CORNER, :2]
    angle = float(np.arctan2(level[1], level[0]))
    cos, sin = np.cos(angle) * reach / side, np.sin(angle) * reach / side
    turn = np.array([[cos, -sin], [sin, cos]], np.float32)
    return np.concatenate([turn, (middle - turn @ np.full(2, side / 2, np.float32))[:, None]], 1).astype(np.float32)


def pose_of(landmarks: Points) -> Points:
    """(4, 4): the turn of the head about its vertical axis, from the depths of the temples; no other turns."""
    across = landmarks[LEFT_TEMPLE] - landmarks[RIGHT_TEMPLE]
    yaw = YAW_OF_DEPTH * float(np.arctan2(across[2], np.hypot(across[0], across[1])))
    pose = np.eye(4, dtype=np.float32)
    pose[0, 0] = pose[2, 2] = np.cos(yaw)
    pose[0, 2], pose[2, 0] = np.sin(yaw), -np.sin(yaw)
    return pose
