"""Mouth: the line between the lips, and what an open mouth shows.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with the mouth drawn. Filter's thread.

Lips keep the generator's form and colour. An open mouth is a dark shape within the inner lips; teeth are where the
photo shows bright, hardly coloured pixels there, a tongue where it shows reddish ones.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box, Canvas, blend, box_of, curve, soft_coverage
from realtime.ink.face import FaceSketch
from realtime.ink.measure import (
    Colour,
    Floats,
    Points,
    clamp,
    length,
    luma,
    lumas,
    middle_colour,
    quantile,
    sample,
    smoothstep,
    smoothsteps,
    vector,
)
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
STATIONS = 31  # places along the mouth
_t = np.linspace(0, 1, STATIONS + 2)
LINE_WIDTHS = np.sin(np.pi * (0.04 + 0.92 * _t)) ** 0.5 * (0.72 + 0.28 * np.cos(6 * np.pi * (_t - 0.5)))
LOWER_WIDTHS = 0.55 * np.sin(np.pi * (0.03 + 0.94 * np.linspace(0, 1, STATIONS))) ** 0.7
Shown = tuple[tuple[Points, Points], Points, float]  # upper and lower teeth, tongue, brightness of the teeth
TEETH_TAU_S, LINE_TAU_S, LIPS_TAU_S, LIP_TAU_S, CORNERS_TAU_S = 0.03, 0.4, 0.3, 0.5, 8.0
LOOK_EVERY_S = 0.15  # of the source's time: colours change slowly
FURTHER = 0.45  # of the lips' gap: how much wider than in the mesh a mouth may be open
LIP_PLACES = 5  # along a lip at which its colour is measured
LIP_SHARE = 0.65  # of the lips' colour is the photo's, the rest the generator's
LIPS = np.array(
    [[LIPS_OUTER_TOP, LIPS_INNER_TOP], [LIPS_OUTER_BOTTOM, LIPS_INNER_BOTTOM]]
)  # each outer edge, inner one
INNER = LIPS[:, 1]
DEPTHS = 20  # places between upper and lower lip where the photo is looked at
SHARES = (np.arange(DEPTHS, dtype=np.float32) + 0.5) / DEPTHS  # where they are, of the way down
FURTHER_SHARES = np.linspace(0, FURTHER, 10, dtype=np.float32)[1:, None]
CALMING, CALMING_COLOURS, ONE = vector(1, 2, 3, 2, 1) / 9, vector(1, 2, 1) / 4, vector(1)  # means along the mouth
SHADOW_WIDTHS = (6 * np.sin(np.pi * (0.05 + 0.9 * np.linspace(0, 1, 7)))).astype(np.float32)


def draw_mouth(canvas: Canvas, face: FaceSketch, memory: FaceMemory) -> None:
    """Draws the mouth."""
    upper, lower = curve(face.points[INNER], STATIONS)
    corners = face.points[LIPS_OUTER_TOP[[0, -1]]]
    ajar = smoothstep(SHUT, AJAR, mouth_opening(face.points))
    width = length(corners[1] - corners[0])
    alpha = face.alpha * smoothstep(0.14, 0.22, width / face.width)
    if alpha < 0.01:
        return
    lips = curve(face.points[LIPS], 2 * LIP_PLACES + 1)
    if memory.due("lips", LOOK_EVERY_S):
        _look(face, lips, (upper + lower) / 2, memory)
    lip, strength = memory["lip"], float(memory["lip line"])
    for (outer, inner), ratio in zip(lips, memory["lips"], strict=True):
        _paint_lip(canvas, face, outer, inner, face.drawn(ratio * face.photo_skin), alpha)
    if ajar > 0.01:
        lower = lower + _further_open(face, upper, lower, memory)
    if face.touch_up.make_up != 1:
        _make_up(canvas, face, alpha)
    shown = _teeth_and_tongue(face, upper, lower, memory) if ajar > 0.01 else None
    upper, lower, corners = _exaggerated(face, upper, lower, corners, memory)
    if shown is not None:
        _draw_inside(canvas, face, upper, lower, lip, shown, alpha * ajar)
    middle = (upper + lower) / 2
    ink = face.ink * np.float32(0.85) + lip * np.float32(0.10)
    line = middle + (upper - middle) * ajar
    line = np.concatenate([corners[:1] * 0.8 + line[:1] * 0.2, line, corners[1:] * 0.8 + line[-1:] * 0.2])
    full = face.stroke_px(4.6 + 2.8 * strength) * clamp(width / (0.36 * face.width), 0.6, 1.15)
    canvas.stroke(line.astype(np.float32), full * (1 - 0.3 * ajar) * LINE_WIDTHS, ink, (0.7 + 0.25 * strength) * alpha)
    if ajar > 0.05:
        canvas.stroke(lower, full * LOWER_WIDTHS, ink + 0.5 * (lip - ink), 0.6 * alpha * ajar)
    _draw_lip_shadow(canvas, face, alpha)


def _exaggerated(
    face: FaceSketch, upper: Points, lower: Points, corners: Points, memory: FaceMemory
) -> tuple[Points, Points, Points]:
    """Lips and corners with more of what they do: an opening goes further down, corners rise and fall further."""
    more = face.expression - 1
    if more <= 0:
        return upper, lower, corners
    sag = float((corners.mean(0) - (upper + lower)[len(upper) // 2] / 2) @ face.down)
    usual = memory.ease_share("mouth corners", sag / face.width, CORNERS_TAU_S) * face.width
    lift = 1.5 * more * (sag - usual) * face.down
    bend = np.abs(np.linspace(-1, 1, len(upper)))[:, None] ** 2
    lower = lower + 0.5 * more * (lower - upper)
    return upper + bend * lift, (lower + bend * lift).astype(np.float32), corners + lift


def _look(face: FaceSketch, lips: Points, between: Points, memory: FaceMemory) -> None:
    """Measures what changes slowly: the lips' colours, and how dark the line between them is."""
    found = []
    for outer, inner in lips:
        across = np.array([outer * (1 - k) + inner * k for k in (0.35, 0.5, 0.65)])
        each = np.array_split(sample(face.photo, across)[:, 1:-1], LIP_PLACES, axis=1)
        found.append(np.array([middle_colour(part.reshape(-1, 3)) for part in each]))
    memory.ease("lips", np.array(found) / face.photo_skin, LIPS_TAU_S)
    memory.ease("lip", middle_colour(sample(face.drawing, _lip_points(face))), LIP_TAU_S)
    # Full dark lips close in hardly any line, thin ones in a dark one: as the photo has it.
    level = quantile(luma(sample(face.photo, between[4:-4])), 0.4) / face.photo_skin
    memory.ease("lip line", smoothstep(0.95, 0.45, level), LINE_TAU_S)


def _paint_lip(canvas: Canvas, face: FaceSketch, outer: Points, inner: Points, colours: Floats, alpha: float) -> None:
    """Gives a lip its form and own colours, (LIP_PLACES, 3) from corner to corner."""
    outline = np.concatenate([outer, inner[::-1]])
    soft_px = 0.006 * face.width
    box = box_of(outline, 1 + 2.5 * soft_px, canvas.rgb.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    calm = cv2.sepFilter2D(colours[None], -1, CALMING_COLOURS, ONE, borderType=cv2.BORDER_REPLICATE)
    left, right = float(outer[0, 0]), float(outer[-1, 0])
    step = (LIP_PLACES - 1) / (right - left if abs(right - left) > 1e-3 else 1e-3)  # places a pixel
    to_places = vector(step, 0, (x0 - left) * step, 0, 0, 0).reshape(2, 3)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    row = cv2.warpAffine(calm, to_places, (x1 - x0, 1), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    paint = np.repeat(cv2.convertScaleAbs(row), y1 - y0, 0)
    blend(canvas.rgb[y0:y1, x0:x1], paint, soft_coverage(outline, box, soft_px), LIP_SHARE * alpha)


def _further_open(face: FaceSketch, upper: Points, lower: Points, memory: FaceMemory) -> Points:
    """(STATIONS, 2) px by which the lower lip is further down than the mesh has it: it opens no mouth wide.

    It ends where the photo's dark of the mouth ends.
    """
    gap = lower - upper
    level = lumas(sample(face.photo, lower + gap * FURTHER_SHARES[:, None])) / face.photo_skin
    lip = float(luma(memory["lips"][1][1:-1].mean(0)))
    dark = np.minimum.accumulate(level < 0.55 * lip, 0).sum(0, np.float32)[None] * (FURTHER / len(FURTHER_SHARES))
    found = cv2.blur(dark, (7, 1), borderType=cv2.BORDER_REPLICATE)[0]
    share = memory.ease("further open", found, TEETH_TAU_S)
    return (gap * share[:, None]).astype(np.float32)


def _make_up(canvas: Canvas, face: FaceSketch, alpha: float) -> None:
    """Takes colour off the lips, or puts more on: what distinguishes them from the skin, by a factor."""
    outline = np.concatenate([face.points[LIPS_OUTER_TOP], face.points[LIPS_OUTER_BOTTOM][::-1]])
    soft_px = 0.008 * face.width
    box = box_of(outline, 3 * soft_px, canvas.rgb.shape)
    if box is None:
        return
    part = canvas.rgb[box[1] : box[3], box[0] : box[2]]
    seen = part.astype(np.float32)
    tone = luma(seen)[..., None] * (face.skin / max(face.skin_luma, 1))
    made_up = np.clip(tone + face.touch_up.make_up * (seen - tone), 0, 255)
    blend(part, made_up.astype(np.uint8), soft_coverage(outline, box, soft_px), alpha)


def _lip_points(face: FaceSketch) -> Points:
    outer, inner = face.points[LIPS_OUTER_BOTTOM[3:-3]], face.points[LIPS_INNER_BOTTOM[3:-3]]
    return np.concatenate([outer * 0.4 + inner * 0.6, outer * 0.6 + inner * 0.4])


def _draw_inside(
    canvas: Canvas, face: FaceSketch, upper: Points, lower: Points, lip: Colour, shown: Shown, alpha: float
) -> None:
    """The dark of the mouth, tongue and teeth, clipped by the inner lips."""
    outline = np.concatenate([upper, lower[::-1]])
    box = box_of(outline, 2, canvas.rgb.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    light = face.skin_luma
    picture = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
    redness = lip - luma(lip)
    dark = face.ink * np.float32(0.72) + redness * np.float32(0.16)
    cv2.rectangle(picture, (0, 0), picture.shape[1::-1], dark.tolist(), cv2.FILLED)

    teeth, tongue, brightness = shown
    soft_px = 0.004 * face.width
    tongue_colour = lip * np.float32(0.54) + redness * np.float32(0.35)
    _draw_band(picture, box, upper, lower, tongue, tongue_colour, soft_px)
    tooth = vector(1, 0.965, 0.915) * min(
        0.5 * (light * 0.55 + 112) + 0.5 * light * clamp(1.25 * brightness, 0.7, 2.6), 236
    )
    tooth = tooth + (0.34 - 0.2 * min(brightness, 1)) * (face.skin * (luma(tooth) / max(light, 1)) - tooth)
    shaded = cv2.multiply(_tooth_shade(face, box), (*tooth.tolist(), 0.0), scale=1 / 255)
    for band in teeth:
        _draw_band(picture, box, upper, lower, band, shaded, soft_px)
    # All of it lies in the lips' shade: most below the upper lip and in the corners.
    gap = float(((lower - upper) @ face.down).max())
    depth = face.down * min(0.016 * face.width, 0.14 * gap)
    shade = soft_coverage(
        np.concatenate([upper - depth, (upper + depth)[::-1]]), box, min(0.006 * face.width, 0.1 * gap)
    )
    blend(picture, vector(0, 0, 0), shade, 0.30)
    blend(canvas.rgb[y0:y1, x0:x1], picture, soft_coverage(outline, box, 0.0), alpha)


def _tooth_shade(face: FaceSketch, box: Box) -> RgbImage:
    """(h, w, 3) u8 shares of the teeth's colour: the photo's own shading, faintly, so that they are no plain band."""
    x0, y0, x1, y1 = box
    gray = cv2.cvtColor(face.photo[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    soft_px = 2 * round(0.006 * face.width) + 1
    gray = cv2.blur(gray, (soft_px, soft_px))
    bright = max(cv2.minMaxLoc(gray)[1], 1.0)
    shade = cv2.convertScaleAbs(gray, alpha=0.32 * 1.15 * 255 / bright, beta=0.68 * 255)
    return cv2.cvtColor(shade, cv2.COLOR_GRAY2RGB)


def _draw_band(
    picture: RgbImage, box: Box, upper: Points, lower: Points, band: Points, colour: Floats, soft_px: float
) -> None:
    """Fills what lies between two shares (2, n) of the way from the upper lip to the lower one."""
    if float((band[1] - band[0]).max()) < 0.04:
        return
    edges = curve((upper + (lower - upper) * band[..., None])[:, ::3], 41)
    blend(picture, colour, soft_coverage(np.concatenate([edges[0], edges[1, ::-1]]), box, soft_px), 1.0)


def _teeth_and_tongue(face: FaceSketch, upper: Points, lower: Points, memory: FaceMemory) -> Shown:
    """Upper teeth, lower teeth and tongue, each (2, n): from where to where, in shares of the lips' gap.

    The last value is how bright the teeth are in the photo, over its skin.

    Each is measured at stations along the mouth and smoothed along them, so that it is drawn with a clean edge.
    Teeth are brighter than their surroundings and less red than the skin; a tongue is redder and not dark.
    """
    points = upper[:, None] + (lower - upper)[:, None] * SHARES[:, None]
    colours = cv2.blur(sample(face.photo, points), (3, 5))  # depth, stations
    level = lumas(colours) / face.photo_skin
    red, yellow = _red_and_yellow(*cv2.split(colours))
    skin_red, skin_yellow = (float(share) for share in _red_and_yellow(*(face.photo_colour)))
    # Warm light reddens teeth too; but then they are as yellow as the skin, and a tongue, like lips, never is.
    limit = max(0.12, 0.72 * skin_red) + 0.18 * smoothsteps(-0.09, -0.04, yellow - skin_yellow)
    tooth = _between(level, 0.27, 0.47) * _between(limit - red, -0.05, 0.05)
    flesh = _between(level, 0.32, 0.47) * (1 - tooth) * (red > 0.06)

    is_tooth = tooth > 0.5
    found_level = quantile(level[is_tooth], 0.7) if is_tooth.any() else 1.0
    brightness = memory.ease_share("teeth brightness", found_level, LINE_TAU_S)
    hits = np.array([is_tooth, is_tooth[:, ::-1], flesh[:, ::-1] > 0.5])
    above, below, tongue = _runs(hits, np.array([[0.45], [0.45], [0.5]]))
    below, tongue = 1 - below[::-1], 1 - tongue[::-1]
    # One row of teeth that fills the gap is the upper one.
    apart = (below[0] > above[1] + 0.12) & (below[0] > 0.55)  # what is taller is a tongue
    below = np.where(apart, below, 1.0)
    tongue[0] = np.maximum(tongue[0], above[1])
    found = memory.ease("teeth", _calm(np.concatenate([above, below, tongue])).reshape(3, 2, -1), TEETH_TAU_S)
    return (found[0], found[1]), found[2], brightness


def _between(values: Floats, low: float, high: float) -> Floats:
    """How far each value is from `low` to `high`: 0..1."""
    return np.minimum(np.maximum((values - low) * (1 / (high - low)), 0), 1)


def _red_and_yellow(red: Floats, green: Floats, blue: Floats) -> tuple[Floats, Floats]:
    """By how much red exceeds green, and green blue, over red."""
    level = np.maximum(red, 12)
    return (red - green) / level, (green - blue) / level


def _runs(hits: NDArray[np.bool_], latest: Points) -> Points:
    """(k, 2, n): where the first run of `hits` (k, n, DEPTHS) begins and ends, gaps of two steps forgiven.

    It has to begin before `latest` (k, 1). A run that begins within the first two steps is taken to reach the edge.
    Where there is none: 0, 0.
    """
    closed = hits.copy()
    closed[..., 1:-1] |= hits[..., :-2] & hits[..., 2:]
    apart = hits[..., :-3] & hits[..., 3:]
    closed[..., 2:-1] |= apart
    closed[..., 1:-2] |= apart
    start = closed.argmax(2)
    begins = closed.any(2) & (SHARES[start] <= latest)
    ended = ~closed & (np.arange(DEPTHS) > start[..., None])
    stop = np.where(ended.any(2), ended.argmax(2), DEPTHS)
    long_enough = begins & (stop - start >= 2)
    first = np.where(start <= 2, 0.0, start / DEPTHS)
    last = np.where(stop >= DEPTHS - 2, 1.0, stop / DEPTHS)
    return np.array([first, last]).swapaxes(0, 1) * long_enough[:, None]


def _calm(bands: Points) -> NDArray[np.float32]:
    """(bands, n) smoothed along the mouth: median against single stations, then a mean."""
    each = np.repeat(bands.astype(np.float32), 5, 0)  # so that a square median sees one band only
    middle = np.ascontiguousarray(cv2.medianBlur(each, 5)[2::5])
    return cv2.sepFilter2D(middle, -1, CALMING, ONE, borderType=cv2.BORDER_REPLICATE)


def _draw_lip_shadow(canvas: Canvas, face: FaceSketch, alpha: float) -> None:
    """One small stroke below the lower lip, where its shadow falls."""
    if face.detail < 0.01:
        return
    path = curve(face.points[LIPS_OUTER_BOTTOM[3:-3]], 13)[3:-3] + face.down * np.float32(0.018 * face.width)
    colour = face.ink + np.float32(0.55) * (face.skin - face.ink)
    canvas.stroke(path, face.stroke_px(1) * SHADOW_WIDTHS, colour, 0.4 * alpha * face.detail)
