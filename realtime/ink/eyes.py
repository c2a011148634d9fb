"""Eyes: lid opening, white, iris, lid lines, each eye by itself.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with both eyes drawn. Filter's thread.

What is drawn stands where the person's own lids and iris stand; the enlargement is modest and goes to nothing as the
eye closes, so that a closed eye is one drawn line. Colours of iris and white are the photo's, in the drawing's light.
"""

from __future__ import annotations

import math
from functools import partial

import cv2
import numpy as np

from realtime.ink.canvas import Box, Canvas, Overlay, Stroke, box_of, cover, curve, ribbons, softened
from realtime.ink.eye_colour import Cues, bare_luma, evidence, iris_colour, light_on, remember_iris, remember_white
from realtime.ink.eye_shape import SAMPLES, Eye, shape_eyes
from realtime.ink.eyeball import draw_eyeballs
from realtime.ink.face import FaceSketch
from realtime.ink.measure import (
    Floats,
    Points,
    clamp,
    luma,
    lumas,
    quantile,
    sample,
    smoothstep,
    vector,
)
from realtime.ink.memory import FaceMemory
from realtime.types import GrayImage

VISIBLE_TAU_S, COLOUR_TAU_S = 0.25, 0.1
LOOK_EVERY_S, COLOURS_EVERY_S = 0.1, 0.2  # of the source's time: a hand comes soon, light and colours change slowly
CREASE_AT = np.linspace(0.07, 0.34, 10, dtype=np.float32)  # places above the upper lid, in eye widths
CREASE_T = np.linspace(-1, 1, len(range(SAMPLES)[3:-2:2]), dtype=np.float32)  # places along it
CREASE_TAU_S, LASHES_TAU_S = 0.4, 0.3
LASHES_AT, LID_AT = (-0.02, 0.02, 0.06), (0.16, 0.22)  # places above the upper lid's edge, in eye widths
# Lid line from the outer corner to the inner one: place along the lid, share of the full width.
LID_PROFILE = ((-0.05, 0.05, 0.22, 0.45, 0.8, 1.0), (0.1, 0.75, 1.0, 0.95, 0.6, 0.2))
_ALONG = np.concatenate([[-0.05], np.linspace(0, 1, SAMPLES)])
LID_WIDTHS = np.interp(_ALONG, *LID_PROFILE).astype(np.float32)
# The line along the lower lid, over the upper one's width.
LOWER_WIDTHS = (0.30 * np.sin(np.pi * np.linspace(0.1, 0.95, 15)) ** 0.8).astype(np.float32)
LID_ABOVE, LOWER_BELOW = 0.25 * LID_WIDTHS[:, None], 0.45 * LOWER_WIDTHS[:, None]
CREASE_WIDTHS = (np.sin(np.pi * np.linspace(0.06, 0.96, SAMPLES)) ** 0.7).astype(np.float32)


def see_eyes(face: FaceSketch, memory: FaceMemory) -> tuple[list[Eye], list[float]]:
    """Both eyes as they are to be drawn, and how much of each is to be seen: 0 behind dark glasses or a hand, to 1."""
    eyes = shape_eyes(face, memory)
    if memory.due("visible 0", LOOK_EVERY_S):
        _look(face, eyes, memory)
    # The far eye of a turned face gets narrow: below this it is only a blot.
    return eyes, [
        memory.get(f"visible {side}", 0.0) * smoothstep(0.09, 0.13, eye.width / face.width)
        for side, eye in enumerate(eyes)
    ]


def draw_eyes(
    canvas: Canvas, lines: GrayImage, face: FaceSketch, eyes: list[Eye], seen: list[float], memory: FaceMemory
) -> None:
    """Draws the eyes as they were seen. `lines`: the generator's ink: glasses in it stay on top."""
    shown = [(side, eye, face.alpha * seen[side]) for side, eye in enumerate(eyes) if face.alpha * seen[side] > 0.01]
    if not shown:
        return
    lids = np.concatenate([eye.outline for _, eye, _ in shown])
    box = box_of(lids, 0.22 * max(eye.width for _, eye, _ in shown) + 4, canvas.rgb.shape)
    if box is None:
        return
    below, above, balls = [], [], []
    for side, eye, alpha in shown:
        full = _lid_width(face, eye, memory, side)
        detail = alpha * face.detail
        below += _crease_strokes(face, eye, memory[f"crease {side}"], detail * smoothstep(0.1, 0.6, eye.opened))
        below.append(_lower_lid(face, eye, full, detail * eye.opened))
        if eye.opened > 0.01:
            colours = memory[f"iris colour {side}"], memory[f"white {side}"]
            balls.append((eye, *colours, alpha * smoothstep(0.0, 0.5, eye.opened)))
        above.append(_upper_lid(face, eye, full, alpha))
    overlay = Overlay(box)
    shapes = ribbons(below + above)
    for shape in shapes[: len(below)]:
        overlay.fill(*shape)
    draw_eyeballs(overlay, face, balls)
    for shape in shapes[len(below) :]:
        overlay.fill(*shape)
    overlay.put_on(
        canvas.rgb, over_it=partial(_glasses, canvas.ink_left(lines, box), box, [eye for _, eye, _ in shown])
    )


def _look(face: FaceSketch, eyes: list[Eye], memory: FaceMemory) -> None:
    """Measures what changes slowly: what is to be seen of the eyes, and less often light, colours, lashes, creases."""
    bare = bare_luma(face)
    cues = [Cues.of(face, eye, bare) for eye in eyes]
    seen = evidence(cues)
    for side, eye in enumerate(eyes):
        believed = max(eye.opened, 0.1)  # a blink is no time to judge
        memory.ease_share(f"visible {side}", seen[side], VISIBLE_TAU_S, believed)
    if not memory.stale("light 0", COLOURS_EVERY_S):
        return
    lights = [light_on(face, eye, memory, side) for side, eye in enumerate(eyes)]
    for side, eye in enumerate(eyes):
        remember_white(face, eye, lights[side], seen[side], memory, side)
    remember_iris(face, eyes, lights, [smoothstep(0.1, 0.4, cue.likeness) for cue in cues], memory)
    for side, eye in enumerate(eyes):
        memory.ease(f"iris colour {side}", iris_colour(face, lights[side], memory), COLOUR_TAU_S)
        memory.ease_share(f"lashes {side}", _lashes(face, eye), LASHES_TAU_S)
        placed = _crease(face, eye)
        memory.ease(f"crease {side}", placed, CREASE_TAU_S, 0.2 + 0.8 * placed[2])


def _lid_width(face: FaceSketch, eye: Eye, memory: FaceMemory, side: int) -> float:
    """Of the line along the upper lid, where it is broadest, px."""
    full = face.stroke_px(18) * clamp(eye.width / (0.2 * face.width), 0.5, 1.1)
    return full * (0.5 + 0.85 * memory.get(f"lashes {side}", 0.0) * face.touch_up.lashes)


def _lower_lid(face: FaceSketch, eye: Eye, full: float, alpha: float) -> Stroke:
    path = eye.lower[1:16] + LOWER_BELOW * (full * eye.down)  # below the white, which covers it
    return Stroke(path, full * LOWER_WIDTHS, face.ink + 0.30 * (face.skin - face.ink), 0.45 * alpha)


def _upper_lid(face: FaceSketch, eye: Eye, full: float, alpha: float) -> Stroke:
    (x, y), _, (x2, y2) = eye.upper[:3].tolist()
    (down_x, down_y), sunk = eye.down.tolist(), 0.012 * eye.width
    ahead = 0.05 * eye.width / (math.hypot(x - x2, y - y2) + 1e-6)
    tail = (x + (x - x2) * ahead + down_x * sunk, y + (y - y2) * ahead + down_y * sunk)
    path = np.concatenate([vector(*tail)[None], eye.upper]) - LID_ABOVE * (full * eye.down)
    return Stroke(path, full * LID_WIDTHS, face.ink, alpha)


def _lashes(face: FaceSketch, eye: Eye) -> float:
    """0..0.85: how much darker the photo is along the upper lid's edge than on the lid above."""
    edge, above = (
        quantile(
            luma(sample(face.photo, np.concatenate([eye.own_upper[3:-6] - eye.down * (k * eye.width) for k in at]))),
            0.5,
        )
        for at in (LASHES_AT, LID_AT)
    )
    return clamp(1 - edge / clamp(above, 0.45 * face.photo_skin, face.photo_skin), 0.0, 0.85)


def _crease(face: FaceSketch, eye: Eye) -> tuple[float, float, float]:
    """The fold above the upper lid, a dark valley in the photo: height and slope in eye widths, strength 0..1."""
    path = eye.upper[3:-2:2]
    across = CREASE_AT[:, None, None] * (eye.width * -eye.down)
    level = lumas(sample(face.photo, path + across))
    level = np.minimum(cv2.blur(level, (3, 3)), 1.3 * face.photo_skin)
    below = np.maximum.accumulate(level, 0)
    above = np.maximum.accumulate(level[::-1], 0)[::-1]
    valley = np.minimum(below, above) - level
    at = CREASE_AT[valley.argmax(0)]
    depth = valley.max(0) / face.photo_skin
    height, slope = _weighted_line(CREASE_T, at, depth + 1e-4)
    return height, slope, smoothstep(0.015, 0.08, quantile(depth, 0.5))


def _crease_strokes(face: FaceSketch, eye: Eye, placed: Floats, alpha: float) -> list[Stroke]:
    """The fold above the upper lid, where the photo has one. placed: as `_crease` finds it."""
    height, slope, strength = placed.tolist()
    if strength * alpha < 0.03:
        return []
    lift = np.clip(height + slope * CREASE_T, CREASE_AT[0], CREASE_AT[-1]) * (1 - 0.25 * CREASE_T**2)
    line = curve(eye.upper[3:-2:2] - eye.down * (eye.width * lift[:, None]), SAMPLES)
    widths = face.stroke_px(7) * CREASE_WIDTHS
    return [Stroke(line, widths, face.ink + 0.22 * (face.skin - face.ink), 0.7 * alpha * strength)]


def _weighted_line(x: Points, y: Points, weight: Points) -> tuple[float, float]:
    """Value at 0 and slope of the straight line nearest to the weighted points."""
    total = weight.sum()
    mean_x, mean_y = (x * weight).sum() / total, (y * weight).sum() / total
    slope = (weight * (x - mean_x) * (y - mean_y)).sum() / ((weight * (x - mean_x) ** 2).sum() + 1e-6)
    slope = clamp(slope, -0.06, 0.06)
    return float(mean_y - slope * mean_x), slope


def _glasses(ink: GrayImage, box: Box, eyes: list[Eye], covered: GrayImage) -> GrayImage | None:
    """The generator's ink in a box that is no part of the eyes: rims, straps, strands of hair. None where none is.

    covered: what was drawn there; where that is nothing, nothing can lie on top of it.
    """
    if not cv2.hasNonZero(cv2.min(ink, covered)):
        return None
    own: GrayImage = np.zeros(ink.shape, np.uint8)
    for eye in eyes:
        cover(own, eye.outline, box, 1, 255)
    own = softened(own, 0.02 * max(eye.width for eye in eyes))  # type: ignore[assignment]
    return cv2.subtract(ink, cv2.convertScaleAbs(own, alpha=1.6))  # type: ignore[return-value]
