"""Where an iris stands in the photo: the mesh's place, corrected sideways by what is seen.

Comes in: a `FaceSketch`, the points of an eye. Goes out: a shift. Filter's thread.

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
from realtime.ink.measure import Floats, smoothstep
from realtime.landmarks import EyePoints

REACH = 0.08  # eye widths to each side: further away lie lashes, corners and reflections
SHIFTS = np.linspace(-REACH, REACH, 9, dtype=np.float32)
DEPTHS = np.linspace(0.18, 0.82, 5, dtype=np.float32)[:, None, None]  # between upper and lower lid
TONE = np.array((0.5, 0.3, 0.2), np.float32)  # skin and reddened white are bright in red, irises seldom
BELIEVED = (0.45, 0.7)  # correlation
PLACES = 21  # along the lids
HEIGHT_AT_LEAST = 2.5  # px between the lids


def iris_shift(face: FaceSketch, eye: EyePoints, right: Floats, radius: float) -> float:
    """By how many eye widths along `right` the iris is off the mesh's place. radius: of the iris, px."""
    upper, lower = (curve(face.perceived[chain], PLACES) for chain in (eye.upper_lid, eye.lower_lid))
    iris = face.perceived[eye.iris_centre]
    heights = np.sqrt(((lower - upper) ** 2).sum(1))
    tallest = float(heights.max())
    if tallest < HEIGHT_AT_LEAST:
        return 0.0
    grid = upper + (lower - upper) * DEPTHS
    place = (grid - np.float32(0.5)).astype(np.float32)
    seen = cv2.remap(face.photo, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    level = seen @ TONE
    # The upper lid's shade and lights on the eye are no pattern of white and iris.
    rows = np.sort(level, 1)
    level = np.minimum(level, rows[:, -3:-2]) - rows[:, [int(0.75 * rows.shape[1])]] / 2
    weight = np.broadcast_to(heights / tallest, level.shape).ravel()
    weight = weight / weight.sum()
    away = (grid - iris).reshape(-1, 2)
    width = float(np.linalg.norm(upper[-1] - upper[0]))
    across = away @ right - SHIFTS[:, None] * width
    along = away @ np.array((-right[1], right[0]), np.float32)
    disc = np.minimum(np.maximum((np.sqrt(across**2 + along**2) / radius - 0.85) / 0.3, 0), 1)
    disc -= (disc @ weight)[:, None]
    level = level.ravel() - float(level.ravel() @ weight)
    power = (disc * disc) @ weight * float((level * level) @ weight)
    likeness = (disc @ (weight * level)) / np.sqrt(power + 1e-6)
    best = int(likeness.argmax())
    shift = float(SHIFTS[best])
    if 0 < best < len(SHIFTS) - 1:  # the peak of the parabola through three values
        before, top, after = (float(v) for v in likeness[best - 1 : best + 2])
        bend = before - 2 * top + after
        shift += 0.5 * (before - after) / bend * float(SHIFTS[1] - SHIFTS[0]) if bend < -1e-6 else 0.0
    return shift * smoothstep(*BELIEVED, float(likeness[best])) * smoothstep(2.5, 5.0, tallest)
