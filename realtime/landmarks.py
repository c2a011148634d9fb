"""Named points of MediaPipe's face mesh with irises: index arrays into `Face.landmarks` (478 points).

LEFT and RIGHT are the person's own: in a picture that is not mirrored the person's right eye is on the picture's left.
Everything of the right side has its mirror image at the same place of the left side's array, so a pair can be drawn by
one piece of code. Chains run as said with each of them. Source: MediaPipe's canonical face model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]  # read-only; `landmarks[indices]` is a copy (n, 2 or 3)


def _indices(*values: int) -> Indices:
    array = np.array(values, np.intp)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class EyePoints:
    """One eye with its brow.

    upper_lid, lower_lid: the lid edges from the outer corner to the inner one, both corners in both (9 each).
    opening: the closed outline of the lid opening, upper lid inwards, then lower lid outwards (16).
    outer_corner, inner_corner, upper_middle, lower_middle: single points of the lids.
    iris_centre: the pupil.
    iris_ring: four points of the iris's edge: away from the nose, top, towards the nose, bottom.
    brow_top, brow_bottom: the brow's edges from the temple to the nose (5 each).
    """

    upper_lid: Indices
    lower_lid: Indices
    opening: Indices
    outer_corner: int
    inner_corner: int
    upper_middle: int
    lower_middle: int
    iris_centre: int
    iris_ring: Indices
    brow_top: Indices
    brow_bottom: Indices


RIGHT_EYE = EyePoints(
    upper_lid=_indices(33, 246, 161, 160, 159, 158, 157, 173, 133),
    lower_lid=_indices(33, 7, 163, 144, 145, 153, 154, 155, 133),
    opening=_indices(33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    outer_corner=33,
    inner_corner=133,
    upper_middle=159,
    lower_middle=145,
    iris_centre=468,
    iris_ring=_indices(471, 470, 469, 472),
    brow_top=_indices(70, 63, 105, 66, 107),
    brow_bottom=_indices(46, 53, 52, 65, 55),
)
LEFT_EYE = EyePoints(
    upper_lid=_indices(263, 466, 388, 387, 386, 385, 384, 398, 362),
    lower_lid=_indices(263, 249, 390, 373, 374, 380, 381, 382, 362),
    opening=_indices(263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
    outer_corner=263,
    inner_corner=362,
    upper_middle=386,
    lower_middle=374,
    iris_centre=473,
    iris_ring=_indices(474, 475, 476, 477),
    brow_top=_indices(300, 293, 334, 296, 336),
    brow_bottom=_indices(276, 283, 282, 295, 285),
)
EYES = (RIGHT_EYE, LEFT_EYE)

# Lips: from the person's right corner to the left one, corners included (11 each).
LIPS_OUTER_TOP = _indices(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_BOTTOM = _indices(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_TOP = _indices(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_BOTTOM = _indices(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# Closed outlines: top towards the person's left, then bottom back (20 each).
LIPS_OUTER = _indices(*LIPS_OUTER_TOP, *LIPS_OUTER_BOTTOM[-2:0:-1])
LIPS_INNER = _indices(*LIPS_INNER_TOP, *LIPS_INNER_BOTTOM[-2:0:-1])
MOUTH_RIGHT_CORNER, MOUTH_LEFT_CORNER = 61, 291
LIP_TOP_MIDDLE, LIP_BOTTOM_MIDDLE = 13, 14  # of the inner lips: their distance is how far the mouth is open

# Closed outline of the face, from the forehead's top over the person's left side to the chin and back (36).
FACE_OVAL = _indices(
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
NOSE_BRIDGE = _indices(168, 6, 197, 195, 5, 4)  # from between the brows to the tip
NOSE_WINGS = _indices(64, 98, 97, 2, 326, 327, 294)  # round the nostrils, from the person's right to the left
FOREHEAD_TOP, CHIN, RIGHT_TEMPLE, LEFT_TEMPLE, NOSE_TIP = 10, 152, 234, 454, 4


def eye_openness(landmarks: NDArray[np.float32], eye: EyePoints) -> float:
    """Mean lid distance over the eye's width: about 0.25-0.35 open, below 0.1 closed.

    The mean over the seven inner pairs of lid points is calmer than the middle pair alone.
    """
    gaps = landmarks[eye.upper_lid] - landmarks[eye.lower_lid]  # at the corners there is none
    lengths = np.hypot(gaps[:, 0], gaps[:, 1])
    axis = landmarks[eye.inner_corner] - landmarks[eye.outer_corner]
    return float(lengths.sum()) / (len(gaps) - 2) / max(math.hypot(axis[0], axis[1]), 1e-6)


def gaze_offset(landmarks: NDArray[np.float32], eye: EyePoints) -> float:
    """Where the pupil stands along the line between the eye's corners.

    0 is the middle, -1 and +1 are the corners; positive is towards the person's left, for either eye.
    """
    points = landmarks[:, :2]
    outer, inner = points[eye.outer_corner], points[eye.inner_corner]
    right, left = (outer, inner) if eye.iris_centre == RIGHT_EYE.iris_centre else (inner, outer)
    axis = left - right
    along = (points[eye.iris_centre] - (left + right) / 2) @ axis
    return float(2 * along / max(float(axis @ axis), 1e-6))


def gaze_drop(landmarks: NDArray[np.float32], eye: EyePoints) -> float:
    """How far the pupil stands below the line between the eye's corners, in halves of the eye's width.

    Looking up and down moves it by a third of what looking aside does, for the lids go with it.
    """
    points = landmarks[:, :2]
    axis = points[eye.outer_corner] - points[eye.inner_corner]
    down = np.array((-axis[1], axis[0]), np.float32)
    if down @ (points[CHIN] - points[FOREHEAD_TOP]) < 0:
        down = -down
    off = points[eye.iris_centre] - (points[eye.outer_corner] + points[eye.inner_corner]) / 2
    return float(2 * off @ down / max(float(axis @ axis), 1e-6))


def mouth_opening(landmarks: NDArray[np.float32]) -> float:
    """The gap between the inner lips over the mouth's width: 0 closed, about 0.5 and more wide open."""
    width = landmarks[MOUTH_LEFT_CORNER] - landmarks[MOUTH_RIGHT_CORNER]
    gap = landmarks[LIP_TOP_MIDDLE] - landmarks[LIP_BOTTOM_MIDDLE]
    return math.hypot(gap[0], gap[1]) / max(math.hypot(width[0], width[1]), 1e-6)
