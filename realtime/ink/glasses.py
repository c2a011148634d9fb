"""Glasses: thin rims and bridges that a generator lost are drawn again.

Comes in: a `FaceSketch`, its memory after the eyes were drawn, and a canvas. Goes out: the canvas with the rims
drawn. Filter's thread.

Round each eye the photo is looked at along rays. A rim is a thin ridge of luma, darker or brighter than both its
sides, whose radius changes little from ray to ray: the best closed path is found by dynamic programming. Only a face
whose ridges are strong below both eyes and across the nose wears glasses. The path is kept relative to the eye
corners, so it moves with the head at once, while what is measured is smoothed in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Canvas, Stroke, curve
from realtime.ink.face import FaceSketch
from realtime.ink.measure import Floats, Points, length, luma, middle_colour, smoothstep, smoothsteps, vector
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES
from realtime.types import GrayImage

RAYS = 32
_ANGLES = np.linspace(0, 2 * np.pi, RAYS, endpoint=False, dtype=np.float32)
BELOW = slice(2, RAYS // 2 - 1)  # rays that go down
MIRRORED = (RAYS // 2 - np.arange(RAYS)) % RAYS  # the ray of the other eye at the same place
RADII = np.linspace(0.5, 1.5, 34, dtype=np.float32)
HALF_WIDTH, HALF_HEIGHT, DROP = 0.43, 0.34, 0.06  # of radius 1, over the distance between the eyes
BRIDGE_X = np.linspace(-0.10, 0.10, 7, dtype=np.float32)
BRIDGE_Y = np.linspace(-0.22, 0.36, 36, dtype=np.float32)
WORN_TAU_S, TAKEN_OFF_TAU_S, SHAPE_TAU_S, INKED_TAU_S = 0.8, 8.0, 0.25, 0.08
LOOK_AGAIN_S = 0.35  # at a face that wears none
LOOK_EVERY_S = 0.15  # of the source's time: rims sit still on a face, their shape need not be measured at each frame
NEAR = 0.05  # eye distances within which the generator's ink is the same rim
APART = (0.74, 0.84)  # radius of what lies below the eyes: bags and wrinkles, rims
CLUTTER, NOSE_CLUTTER = (0.26, 0.17), (0.32, 0.20)  # other ridges over the one that was found: wrinkles, rims
BESIDE = 4  # steps to each side of a ridge that are its own
TURN = 2  # steps of radius a rim may change by from ray to ray
TURN_COST = 0.006


def see_glasses(face: FaceSketch, memory: FaceMemory) -> None:
    """Looks in the photo for rims and bridge."""
    every_s = LOOK_EVERY_S if memory.get("glasses worn", 1.0) > 0.02 else LOOK_AGAIN_S
    if face.detail >= 0.5 and memory.due("glasses worn", every_s):
        _look(face, _Seat.of(face), memory)


def draw_glasses(canvas: Canvas, lines: GrayImage, face: FaceSketch, memory: FaceMemory) -> None:
    """Draws rims and bridge of glasses, where the photo shows some and the generator's ink (`lines`) does not."""
    worn = are_worn(memory)
    if face.detail < 0.5 or not worn:
        return
    seat = _Seat.of(face)
    # Dark lenses need no rims, and what looks like rims round no eyes is something else.
    seen = (memory.get("visible 0", 0.0) + memory.get("visible 1", 0.0)) / 2
    alpha = 0.9 * face.alpha * face.detail * worn * smoothstep(0.4, 0.8, seen)
    if alpha < 0.02:
        return
    shape, colour = memory["glasses shape"], face.drawn(memory["glasses colour"] * face.photo_skin)
    colour = np.minimum(colour * np.float32(0.42), 130) + face.ink * np.float32(0.45)
    closed = np.arange(RAYS + 1) % RAYS
    rims = [curve(seat.at(side, shape[side, :, None])[closed, 0], 4 * RAYS + 1) for side in range(2)]
    bridge = seat.across_nose(memory["glasses bridge"])
    ends = [rim[((rim - end) ** 2).sum(1).argmin()] for rim, end in zip(rims, (bridge[0], bridge[-1]), strict=True)]
    bridge = curve(np.stack([ends[0], *bridge, ends[1]]), RAYS)
    near_px = NEAR * seat.span
    found = np.stack([_inked(lines, path, near_px) for path in (rims[0][:-1:4], rims[1][:-1:4], bridge)])
    inked = memory.ease("rims inked", found, INKED_TAU_S)
    # What is drawn between pieces of the generator's rim is of its weight and colour.
    share = inked[:2].mean(1).max()
    # Faint rims of which the generator sees nothing below the eyes, where there are no brows or lids, are wrinkles.
    below = np.s_[3 : RAYS // 2 - 2]
    seen_too = smoothstep(0.05, 0.20, float(inked[:2, below].mean(1).max()))
    alpha *= max(seen_too, smoothstep(0.18, 0.26, float(shape[2:, below].mean(1).min())))
    colour = colour + smoothstep(0.1, 0.4, share) * (face.ink - colour)
    full = face.stroke_px(9) * (1 + smoothstep(0.1, 0.4, share))
    lost = np.concatenate([_calm(1 - inked[:2]), 1 - inked[2:]])
    for side, rim in enumerate(rims):
        widths = (full * (0.3 + 0.7 * smoothsteps(0.02, 0.10, shape[2 + side])) * lost[side])[closed]
        widths = np.interp(np.arange(4 * RAYS + 1) / 4, np.arange(RAYS + 1), widths)
        canvas.stroke(Stroke(rim, widths, colour, alpha))
    canvas.stroke(Stroke(bridge, 0.85 * full * lost[2], colour, alpha))


def _inked(lines: GrayImage, points: Points, reach_px: float) -> Floats:
    """(n,) 0..1: how much of the generator's ink lies on or near each point."""
    offsets = reach_px * np.array(((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (0.5, 0.5), (-0.5, -0.5)), np.float32)
    around = (points[:, None] + offsets).reshape(-1, 2)
    x = np.clip(around[:, 0], 0, lines.shape[1] - 1).astype(np.intp)
    y = np.clip(around[:, 1], 0, lines.shape[0] - 1).astype(np.intp)
    most = lines[y, x].reshape(len(points), -1).max(1)
    return smoothsteps(60, 150, most.astype(np.float32))


def are_worn(memory: FaceMemory) -> float:
    """0..1: how sure it is that this face wears glasses whose rims are drawn here."""
    return smoothstep(0.35, 0.65, memory.get("glasses worn", 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    """Where glasses sit on a face. centres: of the eyes, from corner to corner. right, down: unit vectors. span: px
    between the centres, the unit of all sizes here."""

    centres: Points
    right: Floats
    down: Floats
    span: float

    @classmethod
    def of(cls, face: FaceSketch) -> _Seat:
        """The seat on this face."""
        centres = np.stack([(face.points[e.outer_corner] + face.points[e.inner_corner]) / 2 for e in EYES])
        axis = centres[1] - centres[0]
        span = max(length(axis), 1e-3)
        right = axis / span
        return cls(centres, right, vector(-right[1], right[0]), span)

    def at(self, side: int, radii: Floats) -> Points:
        """(rays, n, 2) px: the points on each ray of an eye at the radii (rays, n) or (n,)."""
        middle = self.centres[side] + self.down * (DROP * self.span)
        wide = np.cos(_ANGLES)[:, None, None] * (HALF_WIDTH * self.span * self.right)
        high = np.sin(_ANGLES)[:, None, None] * (HALF_HEIGHT * self.span * self.down)
        return (middle + radii[..., None] * (wide + high)).astype(np.float32)

    def across_nose(self, y: Floats) -> Points:
        """(BRIDGE_X, ..., 2) px: points across the nose at the heights `y`."""
        middle = self.centres.mean(0)
        x = BRIDGE_X.reshape(-1, *(1,) * (y.ndim - 1)) if y.ndim > 1 else BRIDGE_X
        x, y = np.broadcast_arrays(x, y)
        points = middle + x[..., None] * (self.span * self.right) + y[..., None] * (self.span * self.down)
        return points.astype(np.float32)


def _look(face: FaceSketch, seat: _Seat, memory: FaceMemory) -> None:
    """Measures rims and bridge in this frame's photo."""
    nose = _read(face, seat.across_nose(np.broadcast_to(BRIDGE_Y, (len(BRIDGE_X), len(BRIDGE_Y)))))
    ridge = _ridge(luma(nose) / face.photo_skin)
    there = np.minimum(ridge, 0.3)
    at = _best_path(np.concatenate([there, there[-2:0:-1]])[None])[0, : len(ridge)]  # across and back again
    height = np.sort(at)[len(at) // 2]
    across = float(np.sort(ridge[np.arange(len(at)), at])[len(at) // 2])
    # Wrinkles and shades cross the nose too, but fainter, or further down, or many of them;
    bridge = smoothstep(0.07, 0.14, across) * smoothstep(0.24, 0.16, float(BRIDGE_Y[height]))
    bridge *= smoothstep(-0.15, -0.12, float(BRIDGE_Y[height]))  # nor do frowns between the brows
    bridge *= smoothstep(*NOSE_CLUTTER, _clutter(there, at) / max(across, 0.02))
    sure = memory.get("glasses worn", 0.0)
    if bridge == 0 and sure < 0.02:  # no need to look for rims
        memory.ease_share("glasses worn", 0.0, TAKEN_OFF_TAU_S)
        return

    rays = np.concatenate([seat.at(side, RADII[None]) for side in range(2)])
    colours = _read(face, rays)
    level = np.minimum(luma(colours) / face.photo_skin, 1.6).reshape(2, RAYS, len(RADII))
    gain = np.minimum(_ridge(level), 0.3)
    path = _best_path(gain)
    strength = np.take_along_axis(gain, path[..., None], 2)[..., 0]
    below = np.sort(strength[:, BELOW], 1)[:, 6]
    found = float(np.sqrt(max(below.min() * across, 0.0)))
    odd = float(np.abs(RADII[path[0, MIRRORED]] - RADII[path[1]]).mean())
    worn = bridge * smoothstep(0.10, 0.14, found) * smoothstep(0.30, 0.18, odd)
    # Bags and wrinkles of old age are ridges as well, but nearer to the eyes, and many beside each other.
    worn *= smoothstep(*APART, float(RADII[path[:, BELOW]].mean()))
    others = [_clutter(gain[side, BELOW], path[side, BELOW]) / max(below[side], 0.02) for side in range(2)]
    worn *= smoothstep(*CLUTTER, sum(others) / 2)
    # Nobody takes glasses off as often as a bowed head or a reflection hides them.
    memory.ease_share("glasses worn", worn, WORN_TAU_S if worn > sure else TAKEN_OFF_TAU_S)
    radii = _calm(RADII[path])
    believed = 0.15 + 0.85 * smoothstep(0.3, 0.7, worn)
    memory.ease("glasses shape", np.concatenate([radii, _calm(strength)]), SHAPE_TAU_S, believed)
    heights = np.convolve(np.pad(BRIDGE_Y[at], 1, mode="edge"), (0.25, 0.5, 0.25), "valid")
    memory.ease("glasses bridge", heights, SHAPE_TAU_S, believed)
    on_rim = np.take_along_axis(colours.reshape(2, RAYS, len(RADII), 3), path[..., None, None], 2).reshape(-1, 3)
    memory.ease("glasses colour", middle_colour(on_rim) / face.photo_skin, WORN_TAU_S)


def _read(face: FaceSketch, points: Points) -> NDArray[np.float32]:
    """The photo's colours at (a, b, 2) px: (a, b, 3)."""
    x, y = points[..., 0] - np.float32(0.5), points[..., 1] - np.float32(0.5)
    return cv2.remap(face.photo, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def _calm(values: Floats) -> Floats:
    """(eyes, rays) smoothed along the rays, round and round: median of three, then a mean."""
    around = np.concatenate([values[:, -1:], values, values[:, :1]], 1)
    middle = np.sort(np.stack([around[:, :-2], around[:, 1:-1], around[:, 2:]]), 0)[1]
    around = np.concatenate([middle[:, -1:], middle, middle[:, :1]], 1)
    return (around[:, :-2] + 2 * around[:, 1:-1] + around[:, 2:]) / 4


def _ridge(level: Floats, steps: tuple[int, ...] = (2, 3, 4)) -> Floats:
    """How much each value of the last axis lies above or below both its neighbours at some distance."""
    best = np.zeros_like(level)
    n = level.shape[-1]
    for k in steps:
        mid = level[..., k : n - k]
        a, b = mid - level[..., : n - 2 * k], mid - level[..., 2 * k :]
        found = np.maximum(np.minimum(a, b), np.minimum(-a, -b))
        best[..., k : n - k] = np.maximum(best[..., k : n - k], found)
    return best


def _clutter(gain: Floats, path: NDArray[np.intp]) -> float:
    """How strong ridges (rays, places) are in the mean, away from the path (rays,)."""
    away = np.abs(np.arange(gain.shape[1]) - path[:, None]) > BESIDE
    return float(gain[away].mean())


def _best_path(gain: Floats) -> NDArray[np.intp]:
    """(eyes, rays) radius index of the closed path with the largest sum of `gain` (eyes, rays, radii).

    Viterbi's dynamic programming, twice round, so that the second lap closes.
    """
    eyes, rays, radii = gain.shape
    padded = np.full((eyes, radii + 2 * TURN), -1e6, np.float32)
    total = padded[:, TURN:-TURN]
    total[:] = gain[:, 0]
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * TURN + 1, 1)  # of `total`, as it changes
    cost = TURN_COST * np.abs(np.arange(-TURN, TURN + 1, dtype=np.float32))
    came = np.zeros((2 * rays, eyes, radii), np.intp)
    for step in range(1, 2 * rays):
        options = windows - cost
        came[step] = options.argmax(2)
        np.add(options.max(2), gain[:, step % rays], out=total)
    came -= TURN
    path = np.empty((eyes, 2 * rays), np.intp)
    at = total.argmax(1)
    for step in range(2 * rays - 1, -1, -1):
        path[:, step] = at
        at = at + came[step, np.arange(eyes), at]
    middle = rays // 2
    lap = path[:, middle : middle + rays]
    return np.roll(lap, middle, 1)
