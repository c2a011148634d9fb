"""The shape of an eye to be drawn, from the person's own lids and iris.

Comes in: a `FaceSketch` and the mesh's points of one eye. Goes out: an `Eye`. Runs on the filter's thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import curve
from realtime.ink.face import FaceSketch
from realtime.ink.iris_place import iris_shifts
from realtime.ink.measure import Points, clamp, length, smoothstep, vector
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES, EyePoints, eye_openness
from realtime.profile import Profile

# Shares of an eye's own usual openness: only a line below the first, the person's own lids this much above it.
# Landmarks keep a third of it on shut eyes and up to .45 in a wink, when the other eye is this open or wider; and never
# less than a lid distance over the eye's width.
CLOSED, CLOSED_WINKING, TO_OPEN = 0.33, 0.42, 0.42
RISING = 0.8  # power of how far it is open with which a lid rises: nearly in proportion from the first moment on
OTHER_OPEN = (0.6, 0.85)
CLOSED_AT_LEAST = 0.05
NARROW = 0.5  # share below which an eye is blinking or winking, not narrow
WIDE = 0.28  # lid distance over eye width from which on an eye is enlarged in full
# How open an eye usually is, as lid distance over its width: what is believed of a face just met, and at the utmost.
LIKELY_USUAL, USUAL = (0.18, 0.30), (0.13, 0.40)
LIKE_THE_OTHER = 0.8  # two eyes differ by little: a wink seen first does not make a narrow eye
WIDER_TAU_S, NARROWER_TAU_S = 1.5, 8.0
LID_GROWTH = (0.25, 0.12)  # upper and lower lid move out by this share of their distance from the eye's middle line
WIDTH_GROWTH = 1.05
IRIS_GROWTH = 1.14
COVERED = 0.82  # radii of the iris that the drawn upper lid leaves free above its centre, unless more is to be seen
SHUT_MARGIN = 1.2  # an eye is closed up to this multiple of the openness that landmarks show of it when it is shut
COMMON_GAZE = 0.5  # how far pupils go from one edge of a screen to the other, in halves of the eye's width
COMMON_DROP, LEAST_DROP = 0.18, 0.03  # the same from its top to its bottom; less is no measurement
GAZE_EXAGGERATED = 1.2  # how much of an expression's strength the gaze takes: irises have little way to go
SHIFT_TAU_S = 0.04  # of what the photo adds to the mesh's gaze, which is prompt itself
SHIFT_EVERY_S = 0.05  # of the source's time, it is measured
SAMPLES = 25  # points of a lid's curve
LAGGING = np.array([(e.iris_centre, e.outer_corner, e.inner_corner) for e in EYES])
LIDS = np.stack([(e.upper_lid, e.lower_lid) for e in EYES])


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """The geometry of one drawn eye; chains run from the outer corner to the inner one.

    outline: (2 * SAMPLES, 2) px, closed, along the upper lid to be drawn and back along the lower one. own_upper,
    own_lower: (SAMPLES, 2) the person's lids. right: unit vector from the picture-left corner to the picture-right one.
    down: unit vector across it. width: px between the corners. iris: centre. across, along: half axes of the iris
    ellipse, px vectors. openness: of the person's lids. share: of their usual openness. opened: 0 closed to 1.
    """

    outline: Points
    own_upper: Points
    own_lower: Points
    right: NDArray[np.float32]
    down: NDArray[np.float32]
    width: float
    iris: NDArray[np.float32]
    across: NDArray[np.float32]
    along: NDArray[np.float32]
    openness: float
    share: float
    opened: float

    @property
    def upper(self) -> Points:
        """(SAMPLES, 2) px, the upper lid to be drawn."""
        return self.outline[:SAMPLES]

    @property
    def lower(self) -> Points:
        """The lower one."""
        return self.outline[: SAMPLES - 1 : -1]

    @property
    def radius(self) -> float:
        """Of the iris, px."""
        return length(self.along)


def shape_eyes(face: FaceSketch, memory: FaceMemory) -> list[Eye]:
    """Both eyes, the right one first."""
    found = [eye_openness(face.points, points) for points in EYES]
    usual = _usual_openness(found, memory)
    shares = [openness / own for openness, own in zip(found, usual, strict=True)]
    lids = curve(face.points[LIDS], SAMPLES)
    places = [_Place.of(face, points, own) for points, own in zip(EYES, lids, strict=True)]
    closed = [_closed(memory.profile, side, usual[side], shares[1 - side]) for side in range(2)]
    if memory.seen_s == memory.t and any(
        found[side] > closed[side] and memory.stale(f"iris shift {side}", SHIFT_EVERY_S) for side in range(2)
    ):
        shifts = iris_shifts(face, np.array([p.right for p in places]), vector(*(p.radius for p in places)))
        for side, shift in enumerate(shifts):
            if found[side] > closed[side]:
                memory.ease(f"iris shift {side}", shift, SHIFT_TAU_S)
    return [_shape_eye(face, memory, side, places[side], found[side], usual[side], closed[side]) for side in range(2)]


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where an eye is: its lids (SAMPLES, 2), unit vectors, width and iris in px, how narrow the iris's ellipse is."""

    upper: Points
    lower: Points
    right: NDArray[np.float32]
    down: NDArray[np.float32]
    width: float
    radius: float
    narrow: float

    @classmethod
    def of(cls, face: FaceSketch, points: EyePoints, lids: Points) -> _Place:
        """By the mesh. lids: (2, SAMPLES, 2)."""
        x, y = (lids[0, -1] - lids[0, 0]).tolist()
        width = max(math.hypot(x, y), 1e-3)
        if x * face.down[1] < y * face.down[0]:  # the left eye's chain runs against the picture's x
            x, y = -x, -y
        ring = face.points[points.iris_ring]
        across, along = length(ring[0] - ring[2]) / 2, length(ring[3] - ring[1]) / 2
        radius = clamp(max(across, along), 0.17 * width, 0.30 * width)
        narrow = clamp(across / max(radius, 1e-3), 0.75, 1.0)
        return cls(lids[0], lids[1], vector(x, y) / width, vector(-y, x) / width, width, radius, narrow)


def _closed(profile: Profile | None, side: int, usual: float, other: float) -> float:
    """Up to which openness an eye is closed. other: how open the other eye is, as a share of its usual openness."""
    if profile is not None:
        return clamp(SHUT_MARGIN * profile.closed[side] / profile.openness[side] * usual, 0.2 * usual, 0.55 * usual)
    winking = smoothstep(*OTHER_OPEN, other)
    return max((CLOSED + winking * (CLOSED_WINKING - CLOSED)) * usual, CLOSED_AT_LEAST)


def _usual_openness(found: list[float], memory: FaceMemory) -> list[float]:
    """How open each eye of this person mostly is, learnt as it goes: sooner wider than narrower, not from blinks."""
    usual = []
    for side, openness in enumerate(found):
        name = f"usual openness {side}"
        known = memory.get(name, clamp(max(openness, LIKE_THE_OTHER * found[1 - side]), *LIKELY_USUAL))
        if openness > known:
            goal, tau_s = openness, WIDER_TAU_S
        else:
            goal, tau_s = (openness if openness > NARROW * known else known), NARROWER_TAU_S
        usual.append(memory.ease_share(name, clamp(goal if name in memory else known, *USUAL), tau_s))
    return [max(own, LIKE_THE_OTHER * other) for own, other in zip(usual, usual[::-1], strict=True)]


def _shape_eye(
    face: FaceSketch, memory: FaceMemory, side: int, place: _Place, openness: float, usual: float, closed: float
) -> Eye:
    """One eye. usual: its usual openness. closed: up to which openness it is closed."""
    points, profile = EYES[side], memory.profile
    eye_scale = face.touch_up.eye_scale
    own_upper, own_lower, right, down, width = place.upper, place.lower, place.right, place.down, place.width
    opened = smoothstep(closed, closed + TO_OPEN * usual, openness)

    centre = (own_upper[0] + own_upper[-1]) / 2
    middle = (own_upper + own_lower) / 2
    grow = smoothstep(closed, WIDE, openness) * eye_scale
    stretch = 1 + (WIDTH_GROWTH - 1) * grow
    size = place.radius * (1 + (IRIS_GROWTH - 1) * eye_scale)
    # Beside the lids as they are now: what holds the landmarks calm holds lids and iris back by different steps.
    lag = face.perceived[LAGGING[side]] - face.points[LAGGING[side]]
    shift = memory.get(f"iris shift {side}", 0.0) * width + float((lag[0] - (lag[1] + lag[2]) / 2) @ right)
    iris = face.points[points.iris_centre] + shift * right
    # White above an iris is a stare: none is drawn that the person does not show.
    at = np.abs((own_upper - iris) @ right).argmin()
    above = float((iris - own_upper[at]) @ down)
    further = max(COVERED * size, above / place.radius * size) - above
    rise = clamp(further / max(float((middle[at] - own_upper[at]) @ down), 1e-3), 0, LID_GROWTH[0] * grow)
    upper = own_upper + (own_upper - middle) * rise
    lower = own_lower + (own_lower - middle) * (LID_GROWTH[1] * grow)
    # A closing lid sinks all the way to the lower one.
    share = openness / usual
    exaggerated = clamp((1 + (share - 1) * face.expression) / share, 0.5, 1.3) if opened > 0 else 1.0
    upper = lower + (upper - lower) * (opened**RISING * exaggerated)
    outline = np.concatenate([upper, lower[::-1]])
    outline = outline + ((outline - centre) @ right)[:, None] * (right * np.float32(stretch - 1))

    off = float((iris - centre) @ right)
    gain = stretch * (1 + GAZE_EXAGGERATED * (face.expression - 1)) * _gaze_gain(profile)
    iris = iris + (clamp(off * gain, -0.36 * width, 0.36 * width) - off) * right
    if profile is not None:
        iris = iris + _drop_more(float((iris - centre) @ down) / (width / 2), profile) * (width / 2) * down
    return Eye(
        outline, own_upper, own_lower, right, down, width, iris,
        right * (size * place.narrow), down * (size * 1.04), openness, share, opened,
    )  # fmt: skip


def _gaze_gain(profile: Profile | None) -> float:
    """How much further an iris is drawn aside, for people of whose gaze the landmarks show too little."""
    return 1.0 if profile is None else clamp(COMMON_GAZE / max(abs(profile.gaze[1] - profile.gaze[0]), 1e-3), 1.0, 1.25)


def _drop_more(drop: float, profile: Profile) -> float:
    """By how much further down an iris is drawn, in halves of the eye's width, for such people."""
    top, bottom = profile.drop
    if bottom - top < LEAST_DROP:  # not measured, or did not look
        return 0.0
    gain = clamp(COMMON_DROP / (bottom - top), 1.0, 1.6)
    return (gain - 1) * (clamp(drop, top - 0.1, bottom + 0.1) - (top + bottom) / 2)


def inside_lids(eye: Eye, points: Points, margin: float) -> NDArray[np.bool_]:
    """Which points lie between the person's lids, `margin` px from them."""
    origin = eye.own_upper[0]
    axis = eye.right if (eye.own_upper[-1] - origin) @ eye.right > 0 else -eye.right
    x = (points - origin) @ axis
    y = (points - origin) @ eye.down
    upper = np.interp(x, (eye.own_upper - origin) @ axis, (eye.own_upper - origin) @ eye.down)
    lower = np.interp(x, (eye.own_lower - origin) @ axis, (eye.own_lower - origin) @ eye.down)
    inside: NDArray[np.bool_] = (y > upper + margin) & (y < lower - margin) & (x > 0) & (x < eye.width)
    return inside
