"""Eyeballs: white, iris, lights and the upper lid's shadow, between the lids.

Comes in: shapes and colours of eyes, and an overlay. Goes out: the overlay with them. Filter's thread.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box, Overlay, blend, box_of, cover
from realtime.ink.eye_shape import SAMPLES, Eye
from realtime.ink.face import FaceSketch
from realtime.ink.measure import Colour, clamp, luma, smoothstep, smoothsteps, vector
from realtime.types import RgbImage

# Lights in the eye: across and along the iris from its centre, size (all in radii), strength.
HIGHLIGHTS = ((-0.22, -0.45, 0.17, 0.95), (0.24, 0.40, 0.08, 0.55))
NOTHING = vector(0, 0, 0)
TEXTURE_HALF = 48  # px, half the side of the iris's texture
NARROWED = (0.85, 0.4)  # share of the usual openness: between them it gets darker in an eye
SHADOW = (102, 112, 107)  # of 255 of red, green and blue that the upper lid's shadow takes
SHADOW_DEPTHS = np.repeat(vector(-0.22, 0.275), SAMPLES)[:, None]  # how far above and below it, over the eye's height
_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False, dtype=np.float32)
SPOT = np.stack([np.cos(_ANGLES), 1.15 * np.sin(_ANGLES)], 1)  # outline of a light with radius 1


def draw_eyeballs(overlay: Overlay, face: FaceSketch, balls: list[tuple[Eye, Colour, Colour, float]]) -> None:
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
