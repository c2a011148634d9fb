"""The shape of an eye to be drawn, from the person's own lids and iris.

Comes in: a `FaceSketch` and the mesh's points of one eye. Goes out: an `Eye`. Runs on the filter's thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import curve
from realtime.ink.face import FaceSketch
from realtime.ink.iris_place import iris_shifts
from realtime.ink.measure import Points, clamp, length, smoothstep, vector
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES, eye_openness
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
MARKS = np.array([(e.outer_corner, e.inner_corner, e.iris_centre, *e.iris_ring) for e in EYES])
Pair = tuple[float, float]
LIDS = np.stack([(e.upper_lid, e.lower_lid) for e in EYES])


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """The geometry of one drawn eye; chains run from the outer corner to the inner one.

    outline: (2 * SAMPLES, 2) px, closed, along the upper lid to be drawn and back along the lower one. own_upper,
    own_lower: (SAMPLES, 2) the person's lids. right: unit vector from the picture-left corner to the picture-right one.
    down: unit vector across it. iris: centre. across, along: half axes of the iris ellipse, px vectors. width: px
    between the corners. openness: of the person's lids. share: of their usual openness. opened: 0 closed to 1.
    """

    outline: Points
    own_upper: Points
    own_lower: Points
    right: NDArray[np.float32]
    down: NDArray[np.float32]
    iris: NDArray[np.float32]
    across: NDArray[np.float32]
    along: NDArray[np.float32]
    width: float
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
    closed = [_closed(memory.profile, side, usual[side], shares[1 - side]) for side in range(2)]
    places = _places(face)
    right = np.array([place.right for place in places], np.float32)
    if memory.seen_s == memory.t and any(
        found[side] > closed[side] and memory.stale(f"iris shift {side}", SHIFT_EVERY_S) for side in range(2)
    ):
        for side, shift in enumerate(iris_shifts(face, right, vector(*(place.radius for place in places)))):
            if found[side] > closed[side]:
                memory.ease_share(f"iris shift {side}", shift, SHIFT_TAU_S)

    lids = curve(face.points.take(LIDS, 0), SAMPLES)  # (eyes, upper and lower, SAMPLES, 2)
    aside = right[:, None, :, None]
    # Beside the lids as they are now: what holds the landmarks calm holds lids and iris back by different steps.
    shifts = [memory.get(f"iris shift {side}", 0.0) * place.width + place.lag for side, place in enumerate(places)]
    irises = [_towards(place.iris, place.right, shift) for place, shift in zip(places, shifts, strict=True)]
    at = vector(*(_dot(iris, place.right) for iris, place in zip(irises, places, strict=True)))
    above = np.abs((lids[:, :1] @ aside)[:, 0, :, 0] - at[:, None]).argmin(1).tolist()
    shapes = [
        _shape(face, memory.profile, place, iris, own[:, at].tolist(), *openness)
        for place, iris, own, at, *openness in zip(places, irises, lids, above, found, usual, closed, strict=True)
    ]
    upper, lower = lids[:, :1], lids[:, 1:]
    drawn = lower + (upper - lower) * np.array([shape.lids for shape in shapes], np.float32)[..., None, None]
    away = (drawn - np.array([place.centre for place in places], np.float32)[:, None, None]) @ aside
    drawn = drawn + away * (right * vector(*(shape.wider for shape in shapes))[:, None])[:, None, None]
    outlines = np.concatenate([drawn[:, 0], drawn[:, 1, ::-1]], 1)
    pairs = [(place.right, place.down, *shape.iris) for place, shape in zip(places, shapes, strict=True)]
    vectors = np.array(pairs, np.float32)
    return [
        Eye(outlines[side], *lids[side], *vectors[side], place.width, found[side], shares[side], shape.opened)  # type: ignore[call-arg]
        for side, (place, shape) in enumerate(zip(places, shapes, strict=True))
    ]


class _Place(NamedTuple):
    """Where an eye is by the mesh, px: middle between its corners, unit vectors, width; its iris, by how much that is
    to be moved to the right to be beside the lids as they are now, its radius, how narrow its ellipse is."""

    centre: Pair
    right: Pair
    down: Pair
    width: float
    iris: Pair
    lag: float
    radius: float
    narrow: float


def _places(face: FaceSketch) -> list[_Place]:
    marks, perceived = face.points.take(MARKS, 0).tolist(), face.perceived.take(MARKS[:, :3], 0).tolist()
    down_x, down_y = face.down.tolist()
    places = []
    for ((x0, y0), (x1, y1), iris, *ring), seen in zip(marks, perceived, strict=True):
        x, y = x1 - x0, y1 - y0
        width = max(math.hypot(x, y), 1e-3)
        if x * down_y < y * down_x:  # the left eye's chain runs against the picture's x
            x, y = -x, -y
        right = x / width, y / width
        across, along = math.dist(ring[0], ring[2]) / 2, math.dist(ring[3], ring[1]) / 2
        radius = clamp(max(across, along), 0.17 * width, 0.30 * width)
        narrow = clamp(across / max(radius, 1e-3), 0.75, 1.0)
        outer, inner, own = (_dot(now, right) for now in seen)
        lag = own - _dot(iris, right) - (outer + inner - _dot((x0 + x1, y0 + y1), right)) / 2
        centre = (x0 + x1) / 2, (y0 + y1) / 2
        places.append(_Place(centre, right, (-right[1], right[0]), width, iris, lag, radius, narrow))
    return places


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


class _Shape(NamedTuple):
    """How an eye is to be drawn. lids: upper and lower, from the person's lower lid (0) to the upper one (1). wider:
    share by which it gets wider. iris: centre, half axes, px. opened: 0 closed to 1."""

    lids: Pair
    wider: float
    iris: tuple[Pair, Pair, Pair]
    opened: float


def _shape(
    face: FaceSketch,
    profile: Profile | None,
    place: _Place,
    iris: Pair,
    above: list[Pair],
    openness: float,
    usual: float,
    closed: float,
) -> _Shape:
    """One eye. above: upper and lower lid where the iris is. usual: openness. closed: up to which one it is closed."""
    eye_scale, right, down, width = face.touch_up.eye_scale, place.right, place.down, place.width
    opened = smoothstep(closed, closed + TO_OPEN * usual, openness)
    grow = smoothstep(closed, WIDE, openness) * eye_scale
    wider = (WIDTH_GROWTH - 1) * grow
    size = place.radius * (1 + (IRIS_GROWTH - 1) * eye_scale)
    # White above an iris is a stare: none is drawn that the person does not show.
    upper, lower = (_dot(lid, down) for lid in above)
    free = _dot(iris, down) - upper
    further = max(COVERED * size, free / place.radius * size) - free
    rise = clamp(further / max((lower - upper) / 2, 1e-3), 0, LID_GROWTH[0] * grow)
    fall = LID_GROWTH[1] * grow
    # A closing lid sinks all the way to the lower one.
    share = openness / usual
    exaggerated = clamp((1 + (share - 1) * face.expression) / share, 0.5, 1.3) if opened > 0 else 1.0
    lids = (1 + (rise + fall) / 2) * opened**RISING * exaggerated - fall / 2, -fall / 2

    off = _dot(iris, right) - _dot(place.centre, right)
    gain = (1 + wider) * (1 + GAZE_EXAGGERATED * (face.expression - 1)) * _gaze_gain(profile)
    iris = _towards(iris, right, clamp(off * gain, -0.36 * width, 0.36 * width) - off)
    if profile is not None:
        drop = (_dot(iris, down) - _dot(place.centre, down)) / (width / 2)
        iris = _towards(iris, down, _drop_more(drop, profile) * (width / 2))
    across, along = size * place.narrow, size * 1.04
    axes = (right[0] * across, right[1] * across), (down[0] * along, down[1] * along)
    return _Shape(lids, wider, (iris, *axes), opened)


def _dot(a: Pair, b: Pair) -> float:
    return a[0] * b[0] + a[1] * b[1]


def _towards(point: Pair, direction: Pair, by: float) -> Pair:
    return point[0] + by * direction[0], point[1] + by * direction[1]


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
