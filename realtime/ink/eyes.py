"""Eyes: lid opening, white, iris, lid lines, each eye by itself.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with both eyes drawn. Filter's thread.

What is drawn stands where the person's own lids and iris stand; the enlargement is modest and goes to nothing as the
eye closes, so that a closed eye is one drawn line. Colours of iris and white are the photo's, in the drawing's light.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box, Canvas, Overlay, Stroke, blend, box_of, cover, curve, ribbons, softened
from realtime.ink.eye_colour import Cues, bare_luma, evidence, iris_colour, light_on, remember_iris, remember_white
from realtime.ink.eye_shape import SAMPLES, Eye, shape_eyes
from realtime.ink.face import FaceSketch
from realtime.ink.measure import (
    Colour,
    Floats,
    Points,
    clamp,
    luma,
    lumas,
    quantile,
    sample,
    smoothstep,
    smoothsteps,
    vector,
)
from realtime.ink.memory import FaceMemory
from realtime.types import GrayImage, RgbImage

VISIBLE_TAU_S, COLOUR_TAU_S = 0.25, 0.1
LOOK_EVERY_S, COLOURS_EVERY_S = 0.1, 0.2  # of the source's time: a hand comes soon, light and colours change slowly
CREASE_AT = np.linspace(0.07, 0.34, 10, dtype=np.float32)  # places above the upper lid, in eye widths
CREASE_T = np.linspace(-1, 1, len(range(SAMPLES)[3:-2:2]), dtype=np.float32)  # places along it
CREASE_TAU_S, LASHES_TAU_S = 0.4, 0.3
LASHES_AT, LID_AT = (-0.02, 0.02, 0.06), (0.16, 0.22)  # places above the upper lid's edge, in eye widths
# Lights in the eye: across and along the iris from its centre, size (all in radii), strength.
HIGHLIGHTS = ((-0.22, -0.45, 0.17, 0.95), (0.24, 0.40, 0.08, 0.55))
# How far above and below the upper lid it goes, over the eye's height.
SHADOW_DEPTHS = np.repeat(vector(-0.22, 0.275), SAMPLES)[:, None]
NOTHING = vector(0, 0, 0)
TEXTURE_HALF = 48  # px, half the side of the iris's texture
NARROWED = (0.85, 0.4)  # share of the usual openness: between them it gets darker in an eye
SHADOW = (102, 112, 107)  # of 255 of red, green and blue that the upper lid's shadow takes
_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False, dtype=np.float32)
SPOT = np.stack([np.cos(_ANGLES), 1.15 * np.sin(_ANGLES)], 1)  # outline of a light with radius 1
# Lid line from the outer corner to the inner one: place along the lid, share of the full width.
LID_PROFILE = ((-0.05, 0.05, 0.22, 0.45, 0.8, 1.0), (0.1, 0.75, 1.0, 0.95, 0.6, 0.2))
_ALONG = np.concatenate([[-0.05], np.linspace(0, 1, SAMPLES)])
LID_WIDTHS = np.interp(_ALONG, *LID_PROFILE).astype(np.float32)
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
    _draw_balls(overlay, face, balls)
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


@lru_cache(maxsize=8)
def _iris_texture(blur_px: int) -> NDArray[np.uint8]:
    """(96, 96, 2) u8: tone of the iris (0 pupil, 60 rim, 128 its colour, 255 its light) and coverage.

    A comic's iris: dark rim and pupil, upper half in the lid's shade, light gathering in the lower half.
    """
    axis = (np.arange(2 * TEXTURE_HALF, dtype=np.float32) + 0.5) / TEXTURE_HALF * 1.1 - 1.1
    x, y = np.meshgrid(axis, axis)
    radius = np.hypot(x, y)

    tone = 78 + 62 * smoothsteps(-0.45, 0.25, y)
    glow = smoothsteps(0.62, 0.38, np.hypot(x / 1.15, (y - 0.42) / 0.8))
    tone = tone + glow * (235 - tone)
    tone = tone + smoothsteps(0.76, 0.93, radius) * (45 - tone)
    tone = tone + smoothsteps(0.46, 0.36, radius) * (0 - tone)
    share = smoothsteps(1.02, 0.98, radius) * 255
    return cv2.blur(np.stack([tone, share], 2).astype(np.uint8), (blur_px, blur_px))  # type: ignore[return-value]


@lru_cache(maxsize=1)
def _iris_stops() -> NDArray[np.float32]:
    """(256, 4): how much of four colours makes each tone of the texture: pupil, shade, the iris's colour, its light."""
    at = (0, 50, 130, 255)
    return np.stack([np.interp(np.arange(256), at, stop) for stop in np.eye(4)], 1).astype(np.float32)


@lru_cache(maxsize=16)
def _iris_table(iris: tuple[int, ...], ink: tuple[int, ...]) -> RgbImage:
    """(1, 256, 3) RGB of the texture's tones, for an iris and ink of these colours."""
    colour, dark = vector(*iris), vector(*ink)
    light = smoothstep(70, 130, float(luma(colour)))  # a light iris is light all over, within its dark rim
    shade = dark * (0.5 - 0.2 * light) + colour * (0.28 + 0.22 * light)
    bright = np.minimum(colour * (1.55 - 0.2 * light) + 16, 240)
    stops = np.array([dark * 0.55, shade, colour * (0.86 + 0.1 * light), bright], np.float32)
    return cv2.convertScaleAbs(_iris_stops() @ stops)[None]


@lru_cache(maxsize=16)
def _iris_picture(
    blur_px: int, iris: tuple[int, ...], ink: tuple[int, ...], white: tuple[int, ...]
) -> NDArray[np.uint8]:
    """(96, 96, 4) RGB and nothing: the iris on its white."""
    tone, share = cv2.split(_iris_texture(blur_px))
    picture: RgbImage = np.empty((*tone.shape, 3), np.uint8)
    picture[:] = white
    blend(picture, cv2.LUT(cv2.cvtColor(tone, cv2.COLOR_GRAY2RGB), _iris_table(iris, ink)), share, 1.0)  # type: ignore[arg-type]
    return cv2.merge([*cv2.split(picture), np.zeros_like(tone)])


def _draw_balls(overlay: Overlay, face: FaceSketch, balls: list[tuple[Eye, Colour, Colour, float]]) -> None:
    """White, iris, highlights and the upper lid's shadow, clipped by the lids, for eyes, colours of iris and white."""
    found = [(box, *ball) for ball in balls if (box := _ball_box(ball[0], overlay.box)) is not None]
    if not found:
        return
    scale, (left, top, *_) = overlay.scale, overlay.box
    places = [[side * scale for side in (x0 - left, y0 - top, x1 - left, y1 - top)] for (x0, y0, x1, y1), *_ in found]
    wide, high = max(x1 - x0 for x0, _, x1, _ in places), max(y1 - y0 for _, y0, _, y1 in places)
    pictures: NDArray[np.uint8] = np.empty((len(found) * high, wide, 4), np.uint8)  # one below the other
    shadows, shares = np.zeros(pictures.shape, np.uint8), np.zeros(pictures.shape[:2], np.uint8)
    rows = [np.s_[place * high : (place + 1) * high] for place in range(len(found))]
    ink = _whole(face.ink)
    for row, (box, eye, iris, white, alpha) in zip(rows, found, strict=True):
        ground = _whole(white)
        matrix, shrink = _iris_matrix(eye, box, scale)
        # Fewer pixels than the texture has: average first, or the rim breaks up.
        blur_px = int(1 / shrink) | 1 if shrink < 0.6 else 1
        texture = _iris_picture(blur_px, _whole(iris), ink, ground)
        cv2.warpAffine(texture, matrix, (wide, high), pictures[row], cv2.INTER_LINEAR, cv2.BORDER_CONSTANT, ground)
        _draw_shadow(shadows[row], eye, box, scale)
        cover(shares[row], eye.outline, box, scale, 255 * alpha)
        overlay.fill(eye.outline, NOTHING, alpha)
    soft = max(int(0.05 * max(eye.width for _, eye, *_ in found) * scale), 1) | 1
    shadows = cv2.blur(shadows, (soft, soft))  # type: ignore[assignment]
    cv2.subtract(pictures, cv2.multiply(pictures, shadows, scale=1 / 255), pictures)
    for row, (box, eye, *_) in zip(rows, found, strict=True):
        _draw_highlights(pictures[row], face, eye, box, scale)
    pictures = cv2.multiply(pictures, cv2.merge([shares] * 4), scale=1 / 255)  # type: ignore[assignment]
    for row, (x0, y0, x1, y1) in zip(rows, places, strict=True):
        there = overlay.rgba[y0:y1, x0:x1]
        cv2.add(there, pictures[row][: y1 - y0, : x1 - x0], there)


def _ball_box(eye: Eye, within: Box) -> Box | None:
    """Of an eye's opening and a little more."""
    return box_of(eye.outline, 2 + 0.03 * eye.width, within[:1:-1])


def _iris_matrix(eye: Eye, box: Box, scale: int) -> tuple[NDArray[np.float32], float]:
    """(2, 3) from the iris's texture to a picture of the box, enlarged `scale` times; and how far that shrinks it."""
    unit = TEXTURE_HALF / 1.1  # texture pixels that make one iris radius
    (across_x, across_y), (along_x, along_y), (x, y) = eye.across.tolist(), eye.along.tolist(), eye.iris.tolist()
    grown, middle = scale / unit, TEXTURE_HALF - 0.5
    matrix = vector(
        across_x * grown, along_x * grown, (x - box[0]) * scale - 0.5 - (across_x + along_x) * grown * middle,
        across_y * grown, along_y * grown, (y - box[1]) * scale - 0.5 - (across_y + along_y) * grown * middle,
    )  # fmt: skip
    return matrix.reshape(2, 3), math.hypot(along_x, along_y) * grown


def _draw_shadow(shadow: NDArray[np.uint8], eye: Eye, box: Box, scale: int) -> None:
    """What the upper lid's shadow takes of white and iris, in (h, w, 4) u8; a narrowed eye is darker all over."""
    darker = 0.22 * smoothstep(*NARROWED, eye.share)
    red, green, blue = (255 * darker + (1 - darker) * value for value in SHADOW)
    if darker:
        cv2.rectangle(shadow, (0, 0), shadow.shape[1::-1], (255 * darker,) * 3, cv2.FILLED)
    outline = np.concatenate([eye.upper, eye.upper[::-1]]) + SHADOW_DEPTHS * (eye.openness * eye.width * eye.down)
    cover(shadow, outline, box, scale, (red, green, blue))


def _whole(colour: Colour) -> tuple[int, ...]:
    """In even levels: what is worked out for a colour is kept as long as it hardly changes."""
    return tuple([2 * int(value / 2 + 0.5) for value in colour.tolist()])


def _draw_highlights(ball: NDArray[np.uint8], face: FaceSketch, eye: Eye, box: Box, scale: int) -> None:
    """One large light above, one small below on the other side: the same in both eyes, as from one window."""
    awake = smoothstep(0.55, 0.85, eye.share)  # light in lowered eyes looks haunted
    if not awake:
        return
    bright = clamp(0.62 + face.skin_luma / 400, 0.7, 1.0)
    light = (255 * bright, 253 * bright, 250 * bright, 0.0)
    (x, y), (right_x, right_y), (down_x, down_y) = eye.iris.tolist(), eye.right.tolist(), eye.down.tolist()
    (across_x, across_y), (along_x, along_y), whole = eye.across.tolist(), eye.along.tolist(), eye.radius
    for across, along, size, strength in HIGHLIGHTS[: 2 if whole > 3.5 else 1]:
        radius = max(size * whole * (0.6 + 0.4 * awake), 0.7)
        centre_x, centre_y = x + across * across_x + along * along_x, y + across * across_y + along * along_y
        if along < 0:  # a lowered lid must not put the light out at once: it slides down with it
            nearest = np.abs(eye.upper @ eye.right - (centre_x * right_x + centre_y * right_y)).argmin()
            lid_x, lid_y = eye.upper[nearest].tolist()
            room = (centre_x - lid_x) * down_x + (centre_y - lid_y) * down_y
            lower = clamp(1.15 * radius - room, 0, 0.5 * whole)
            centre_x, centre_y = centre_x + lower * down_x, centre_y + lower * down_y
        column, row = int((centre_x - box[0]) * scale), int((centre_y - box[1]) * scale)
        if not (0 <= row < ball.shape[0] and 0 <= column < ball.shape[1]):
            continue
        # A light is as good as all of one colour, and so is what it shines through to.
        opacity, under = strength * awake, ball[row, column].tolist()
        colour = tuple([dark + opacity * (lit - dark) for dark, lit in zip(under, light, strict=True)])
        cover(ball, vector(centre_x, centre_y) + radius * SPOT, box, scale, colour)


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
