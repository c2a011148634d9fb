"""Where an iris stands in the photo: the mesh's place, corrected sideways by what is seen.

Comes in: a `FaceSketch`. Goes out: a shift for each eye. Filter's thread.

Half-closed lids, glasses and strong gazes pull the mesh's irises towards the middle of the eye. A dark disc on a
bright ground is moved along the eye, and the place where it agrees best with the photo (normalised cross-correlation,
weighted by the opening's height) is believed as far as it agrees. On the demo clip, whose true gaze is known, r rises
from 0.976 to 0.988.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.ink.canvas import curve
from realtime.ink.face import FaceSketch
from realtime.ink.measure import Floats, Points, smoothstep
from realtime.landmarks import EYES

REACH = 0.08  # eye widths to each side: further away lie lashes, corners and reflections
SHIFTS = np.linspace(-REACH, REACH, 9, dtype=np.float32)
DEPTHS = np.linspace(0.18, 0.82, 5, dtype=np.float32)  # between upper and lower lid
TONE = np.array([[0.5, 0.3, 0.2]], np.float32)  # skin and reddened white are bright in red, irises seldom
BELIEVED = (0.45, 0.7)  # correlation
PLACES = 21  # along the lids
BRIGHT = int(0.75 * PLACES)  # of a row's places, in order, the one that is white rather than iris
HEIGHT_AT_LEAST = 2.5  # px between the lids
UPPER_LIDS, LOWER_LIDS = np.stack([e.upper_lid for e in EYES]), np.stack([e.lower_lid for e in EYES])
ALONG_AND_DOWN, SIGNS = np.array([[0, 1], [1, 0]]), np.array([[1, -1], [1, 1]], np.float32)
IRISES = np.array([e.iris_centre for e in EYES])


def iris_shifts(face: FaceSketch, right: Points, radius: Floats) -> list[float]:
    """By how many eye widths along `right` (2, 2) each iris is off the mesh's place. radius: (2,) of the irises, px."""
    upper, lower = (curve(face.perceived[lids], PLACES) for lids in (UPPER_LIDS, LOWER_LIDS))  # (2, PLACES, 2)
    gap = lower - upper
    heights = np.hypot(gap[..., 0], gap[..., 1])
    grid = upper[:, None] + gap[:, None] * DEPTHS[:, None, None]  # (2, DEPTHS, PLACES, 2)
    place = (grid - np.float32(0.5)).reshape(-1, PLACES, 2)
    seen = cv2.remap(face.photo, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    level = cv2.transform(seen.astype(np.float32), TONE)
    # The upper lid's shade and lights on the eye are no pattern of white and iris.
    rows = level.copy()
    rows.sort(1)
    level = (np.minimum(level, rows[:, -3:-2]) - rows[:, BRIGHT : BRIGHT + 1] / 2).reshape(2, -1)
    share = heights / (len(DEPTHS) * np.maximum(heights.sum(1, keepdims=True), 1e-3))
    weight = np.concatenate([share] * len(DEPTHS), 1)
    axes = right[:, ALONG_AND_DOWN] * SIGNS  # along the eye and down it
    away = (grid.reshape(2, -1, 2) - face.perceived[IRISES][:, None]) @ axes
    ends = upper[:, -1] - upper[:, 0]
    shifts = SHIFTS * np.hypot(ends[:, :1], ends[:, 1:])
    across = away[:, None, :, 0] - shifts[..., None]  # (2, SHIFTS, points)
    disc = np.sqrt(across * across + (away[..., 1] ** 2)[:, None]) / (0.3 * radius[:, None, None])
    disc = np.minimum(np.maximum(disc - np.float32(0.85 / 0.3), 0), 1)
    disc -= disc @ weight[..., None]
    level -= (level * weight).sum(1, keepdims=True)
    of_level = weight * level
    power = (disc * disc) @ weight[..., None] * (of_level * level).sum(1)[:, None, None]
    likeness = (disc @ of_level[..., None] / np.sqrt(power + 1e-6))[..., 0]
    return [
        _peak(own) * _trust(float(own.max()), float(high)) for own, high in zip(likeness, heights.max(1), strict=True)
    ]


def _peak(likeness: Floats) -> float:
    """Where the parabola through the largest value and its neighbours is highest."""
    best = int(likeness.argmax())
    shift = float(SHIFTS[best])
    if 0 < best < len(SHIFTS) - 1:
        before, top, after = likeness[best - 1 : best + 2].tolist()
        bend = before - 2 * top + after
        shift += 0.5 * (before - after) / bend * float(SHIFTS[1] - SHIFTS[0]) if bend < -1e-6 else 0.0
    return shift


def _trust(likeness: float, height: float) -> float:
    """0..1: how far a place is believed. height: of the opening, px."""
    return smoothstep(*BELIEVED, likeness) * smoothstep(HEIGHT_AT_LEAST, 2 * HEIGHT_AT_LEAST, height)
