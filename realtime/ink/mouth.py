"""Mouth: the line between the lips, and what an open mouth shows.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with the mouth drawn. Main thread.

Lips keep the generator's form and colour. An open mouth is a dark shape within the inner lips; teeth are where the
photo shows bright, hardly coloured pixels there, a tongue where it shows reddish ones.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box, Canvas, blend, box_of, curve, soft_coverage
from realtime.ink.face import FaceSketch
from realtime.ink.measure import Colour, Points, length, luma, middle_colour, sample, smoothstep, vector
from realtime.ink.memory import FaceMemory
from realtime.landmarks import (
    LIPS_INNER_BOTTOM,
    LIPS_INNER_TOP,
    LIPS_OUTER_BOTTOM,
    LIPS_OUTER_TOP,
    mouth_opening,
)
from realtime.types import RgbImage

SHUT, AJAR = 0.02, 0.07  # inner lips' gap over the mouth's width
TEETH_TAU_S = 0.06
DEPTHS = 20  # places between upper and lower lip where the photo is looked at


def draw_mouth(canvas: Canvas, face: FaceSketch, memory: FaceMemory) -> None:
    """Draws the mouth."""
    upper, lower = (curve(face.points[chain], 31) for chain in (LIPS_INNER_TOP, LIPS_INNER_BOTTOM))
    corners = face.points[LIPS_OUTER_TOP[[0, -1]]]
    opening = mouth_opening(face.points)
    ajar = smoothstep(SHUT, AJAR, opening)
    width = length(corners[1] - corners[0])
    alpha = face.alpha * smoothstep(0.14, 0.22, width / face.width)
    if alpha < 0.01:
        return
    lip = memory.ease("lip", middle_colour(sample(face.drawing, _lip_points(face))), 0.5)
    ink = face.ink * np.float32(0.75) + lip * np.float32(0.20)
    if ajar > 0.01:
        _draw_inside(canvas, face, upper, lower, lip, memory, alpha * ajar)
    middle = (upper + lower) / 2
    line = middle + (upper - middle) * ajar
    line = np.concatenate([corners[:1] * 0.3 + line[:1] * 0.7, line, corners[1:] * 0.3 + line[-1:] * 0.7])
    t = np.linspace(0, 1, len(line))
    profile = np.sin(np.pi * (0.04 + 0.92 * t)) ** 0.5 * (0.72 + 0.28 * np.cos(6 * np.pi * (t - 0.5)))
    full = face.stroke_px(8.5)
    canvas.stroke(line.astype(np.float32), (full * profile).astype(np.float32), ink, 0.92 * alpha)
    if ajar > 0.05:
        t = np.linspace(0, 1, len(lower))
        profile = np.sin(np.pi * (0.03 + 0.94 * t)) ** 0.7
        canvas.stroke(lower, (0.55 * full * profile).astype(np.float32), ink + 0.25 * (lip - ink), 0.8 * alpha * ajar)
    _draw_lip_shadow(canvas, face, alpha)


def _lip_points(face: FaceSketch) -> Points:
    outer, inner = face.points[LIPS_OUTER_BOTTOM[3:-3]], face.points[LIPS_INNER_BOTTOM[3:-3]]
    return np.concatenate([outer * 0.4 + inner * 0.6, outer * 0.6 + inner * 0.4])


def _draw_inside(
    canvas: Canvas, face: FaceSketch, upper: Points, lower: Points, lip: Colour, memory: FaceMemory, alpha: float
) -> None:
    """The dark of the mouth, tongue and teeth, clipped by the inner lips."""
    outline = np.concatenate([upper, lower[::-1]])
    box = box_of(outline, 2, canvas.rgb.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    inside = soft_coverage(outline, box, 0.0)
    light = face.skin_luma
    picture = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
    redness = lip - luma(lip)
    picture[:] = np.clip(face.ink * np.float32(0.8) + lip * np.float32(0.10) + redness * np.float32(0.2), 0, 255)

    teeth, tongue = _teeth_and_tongue(face, upper, lower, memory)
    soft_px = 0.004 * face.width
    tongue_colour = np.clip(lip * np.float32(0.54) + redness * np.float32(0.35), 0, 255)
    _draw_band(picture, box, upper, lower, tongue, tongue_colour, soft_px)
    tooth = vector(1, 0.965, 0.915) * min(light * 0.55 + 112, 238)
    tooth = 0.85 * tooth + 0.15 * face.skin
    for band in teeth:
        _draw_band(picture, box, upper, lower, band, tooth, soft_px)
    # All of it lies in the lips' shade: most below the upper lip and in the corners.
    depth = face.down * (0.016 * face.width)
    shade = soft_coverage(np.concatenate([upper - depth, (upper + depth)[::-1]]), box, 0.008 * face.width)
    share = (shade * np.float32(0.36 / 255))[..., None]
    blend(canvas.rgb[y0:y1, x0:x1], (picture * (1 - share)).astype(np.uint8), inside, alpha)


def _draw_band(
    picture: RgbImage, box: Box, upper: Points, lower: Points, band: Points, colour: Colour, soft_px: float
) -> None:
    """Fills what lies between two shares (2, n) of the way from the upper lip to the lower one."""
    if float((band[1] - band[0]).max()) < 0.04:
        return
    span = lower - upper
    edges = [curve((upper + span * share[:, None])[::3].astype(np.float32), 41) for share in band]
    blend(picture, colour, soft_coverage(np.concatenate([edges[0], edges[1][::-1]]), box, soft_px), 1.0)


def _teeth_and_tongue(
    face: FaceSketch, upper: Points, lower: Points, memory: FaceMemory
) -> tuple[tuple[Points, Points], Points]:
    """Upper teeth, lower teeth and tongue, each (2, n): from where to where, in shares of the lips' gap.

    Each is measured at stations along the mouth and smoothed along them, so that it is drawn with a clean edge.
    Teeth are brighter than their surroundings and less red than the skin; a tongue is redder and not dark.
    """
    stations = len(upper)
    share = (np.arange(DEPTHS, dtype=np.float32) + 0.5) / DEPTHS
    points = upper[:, None] + (lower - upper)[:, None] * share[None, :, None]
    colours = sample(face.photo, points.reshape(-1, 2)).reshape(stations, DEPTHS, 3)
    colours = cv2.blur(colours, (3, 5))  # depth, stations
    level = luma(colours) / face.photo_skin
    red = (colours[..., 0] - colours[..., 1]) / np.maximum(colours[..., 0], 12)
    skin = face.skin / face.gain
    skin_red = float((skin[0] - skin[1]) / max(float(skin[0]), 12.0))
    lip_photo = middle_colour(sample(face.photo, _lip_points(face)))
    lip_red = float((lip_photo[0] - lip_photo[1]) / max(float(lip_photo[0]), 12.0))
    limit = max(0.13, 0.9 * skin_red, 0.72 * lip_red)
    bright = np.clip((level - 0.36) / 0.2, 0, 1)
    tooth = bright * np.clip((limit - red) / 0.10 + 0.5, 0, 1)
    flesh = np.clip((level - 0.32) / 0.15, 0, 1) * (1 - tooth) * (red > 0.06)

    is_tooth = tooth > 0.5
    above = _band(is_tooth, share)
    below = 1 - _band(is_tooth[:, ::-1], share)[::-1]
    # One row of teeth that fills the gap is the upper one.
    apart = (below[0] > above[1] + 0.12) & (below[0] > 0.5)
    below = np.where(apart, below, 1.0)
    tongue = 1 - _band((flesh > 0.5)[:, ::-1], share, 0.5)[::-1]
    tongue[0] = np.maximum(tongue[0], above[1])
    found = np.stack([_calm(above), _calm(below), _calm(tongue)]).astype(np.float32)
    found = memory.ease("teeth", found, TEETH_TAU_S)
    return (found[0], found[1]), found[2]


def _band(hits: NDArray[np.bool_], share: Points, latest: float = 0.45) -> Points:
    """(2, n): the first run of hits from the top that begins before `latest`, gaps of two steps forgiven.

    A run that begins within the first two steps is taken to reach the edge. Where there is none: 0, 0.
    """
    closed = hits.copy()
    closed[:, 1:-1] |= hits[:, :-2] & hits[:, 2:]
    closed[:, 2:-1] |= hits[:, :-3] & hits[:, 3:]
    closed[:, 1:-2] |= hits[:, :-3] & hits[:, 3:]
    start = closed.argmax(1)
    begins = closed.any(1) & (share[start] <= latest)
    ended = ~closed & (np.arange(closed.shape[1])[None] > start[:, None])
    stop = np.where(ended.any(1), ended.argmax(1), closed.shape[1])
    long_enough = begins & (stop - start >= 2)
    first = np.where(start <= 2, 0.0, start / closed.shape[1])
    last = np.where(stop >= closed.shape[1] - 2, 1.0, stop / closed.shape[1])
    return np.where(long_enough, np.stack([first, last]), 0.0)


def _calm(band: Points) -> Points:
    """Smoothed along the mouth: median against single stations, then a mean."""
    padded = np.pad(band, ((0, 0), (2, 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=1)
    middle = np.pad(np.sort(windows, -1)[..., 2], ((0, 0), (2, 2)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(middle, 5, axis=1) @ vector(1, 2, 3, 2, 1) / 9


def _draw_lip_shadow(canvas: Canvas, face: FaceSketch, alpha: float) -> None:
    """One small stroke below the lower lip, where its shadow falls."""
    if face.detail < 0.01:
        return
    chain = curve(face.points[LIPS_OUTER_BOTTOM[3:-3]], 13)
    path = chain + face.down * (0.018 * face.width)
    middle = path[3:-3]
    t = np.linspace(0, 1, len(middle))
    widths = (face.stroke_px(6) * np.sin(np.pi * (0.05 + 0.9 * t))).astype(np.float32)
    canvas.stroke(middle, widths, face.ink + 0.45 * (face.skin - face.ink), 0.55 * alpha * face.detail)
