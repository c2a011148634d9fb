"""Mouth: the line between the lips, and what an open mouth shows.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with the mouth drawn. Filter's thread.

Lips keep the generator's form and colour. An open mouth is a dark shape within the inner lips; teeth are where the
photo shows bright, hardly coloured pixels there, a tongue where it shows reddish ones.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import (
    FINE_PX,
    Box,
    Canvas,
    Overlay,
    Stroke,
    blend,
    box_of,
    cover,
    coverage,
    curve,
    ribbons,
    soft_coverage,
    softened,
)
from realtime.ink.face import FaceSketch
from realtime.ink.measure import (
    LUMA,
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
from realtime.types import GrayImage, RgbImage

SHUT, AJAR = 0.02, 0.07  # inner lips' gap over the mouth's width
STATIONS = 31  # places along the mouth
_t = np.linspace(0, 1, STATIONS + 2)
LINE_WIDTHS = np.sin(np.pi * (0.04 + 0.92 * _t)) ** 0.5 * (0.72 + 0.28 * np.cos(6 * np.pi * (_t - 0.5)))
LOWER_WIDTHS = 0.55 * np.sin(np.pi * (0.03 + 0.94 * np.linspace(0, 1, STATIONS))) ** 0.7
TEETH_TAU_S, LINE_TAU_S, LIPS_TAU_S, LIP_TAU_S, CORNERS_TAU_S = 0.03, 0.4, 0.3, 0.5, 8.0
LOOK_EVERY_S = 0.15  # of the source's time: colours change slowly
MOVES = 0.004  # of its width: a mouth that opens or closes by that is looked into at once, one that is still sometimes
LOOK_INTO_EVERY_S, STILL_TEETH_TAU_S = 0.065, 0.06
FURTHER = 0.45  # of the lips' gap: how much wider than in the mesh a mouth may be open
LIP_PLACES = 5  # along a lip at which its colour is measured
LIP_SHARE = 0.65  # of the lips' colour is the photo's, the rest the generator's
LIPS = np.array(
    [[LIPS_OUTER_TOP, LIPS_INNER_TOP], [LIPS_OUTER_BOTTOM, LIPS_INNER_BOTTOM]]
)  # each outer edge, inner one
INNER, CORNERS = LIPS[:, 1], LIPS_OUTER_TOP[[0, -1]]
LEAST_ALPHA = 0.01
DEPTHS = 20  # places between upper and lower lip where the photo is looked at
SHARES = (np.arange(DEPTHS, dtype=np.float32) + 0.5) / DEPTHS  # where they are, of the way down
BITS = np.stack([2.0 ** np.arange(DEPTHS), 2.0 ** np.arange(DEPTHS)[::-1]], 1).astype(np.float32)
LATEST = np.array([[0.45], [0.45], [0.5]])  # of the way from their lip: teeth above, below, a tongue
TONES = np.arange(256, dtype=np.float32)[:, None]
# Luma, red, by how much red exceeds green, and green blue.
LUMA_AND_HUE = np.array([LUMA, (1, 0, 0), (1, -1, 0), (0, 1, -1)], np.float32)
BEYOND_ENDS = np.array([[1], [-1]], np.float32)
FURTHER_SHARES = np.linspace(0, FURTHER, 10, dtype=np.float32)[1:, None]
CALMING, CALMING_COLOURS, ONE = vector(1, 2, 3, 2, 1) / 9, vector(1, 2, 1) / 4, vector(1)  # means along the mouth
SHADOW_WIDTHS = (6 * np.sin(np.pi * (0.05 + 0.9 * np.linspace(0, 1, 7)))).astype(np.float32)


def see_mouth(face: FaceSketch, memory: FaceMemory) -> None:
    """Looks in photo and drawing for the lips' colours."""
    if _alpha(face, _width(face)) >= LEAST_ALPHA and memory.due("lips", LOOK_EVERY_S):
        _look(face, face.points.take(LIPS, 0), curve(face.points.take(INNER, 0), STATIONS).mean(0), memory)


def draw_mouth(canvas: Canvas, face: FaceSketch, memory: FaceMemory) -> None:
    """Draws the mouth."""
    width = _width(face)
    alpha = _alpha(face, width)
    if alpha < LEAST_ALPHA:
        return
    upper, lower = curve(face.points.take(INNER, 0), STATIONS)
    corners, lips = face.points.take(CORNERS, 0), face.points.take(LIPS, 0)
    opening = mouth_opening(face.points)
    ajar = smoothstep(SHUT, AJAR, opening)
    lip, strength = memory["lip"], memory.get("lip line", 0.0)
    _paint_lips(canvas, face, lips, face.drawn(memory["lips"] * face.photo_skin), alpha)
    if ajar > 0.01:
        moves = abs(opening - memory.get("opening looked into", -1.0)) > MOVES
        if moves or memory.stale("teeth", LOOK_INTO_EVERY_S):
            _look_into(face, upper, lower, memory, TEETH_TAU_S if moves else STILL_TEETH_TAU_S)
            memory.ease_share("opening looked into", opening, 1e-3)
        lower = (lower + (lower - upper) * memory["further open"][:, None]).astype(np.float32)
    if face.touch_up.make_up != 1:
        _make_up(canvas, face, alpha)
    if face.expression > 1:
        upper, lower, corners = _exaggerated(face, upper, lower, corners, memory)
    if ajar > 0.01:
        _draw_inside(canvas, face, upper, lower, lip, memory, alpha * ajar)
    middle = (upper + lower) / 2
    ink = face.ink * np.float32(0.85) + lip * np.float32(0.10)
    line = middle + (upper - middle) * ajar
    ends = corners * np.float32(0.8) + line[:: STATIONS - 1] * np.float32(0.2)
    line = np.concatenate([ends[:1], line, ends[1:]])
    full = face.stroke_px(4.6 + 2.8 * strength) * clamp(width / (0.36 * face.width), 0.6, 1.15)
    all_of_it = np.concatenate([line, lower, lips[1, 0]])
    box = box_of(all_of_it, 0.03 * face.width + 2, canvas.rgb.shape)
    if box is None:
        return
    strokes = [_lip_shadow(face, alpha)]
    if ajar > 0.05:
        strokes.append(Stroke(lower, full * LOWER_WIDTHS, ink + 0.5 * (lip - ink), 0.6 * alpha * ajar))
    strokes.append(Stroke(line, full * (1 - 0.3 * ajar) * LINE_WIDTHS, ink, (0.7 + 0.25 * strength) * alpha))
    overlay = Overlay(box)
    for shape in ribbons(strokes):
        overlay.fill(*shape)
    overlay.put_on(canvas.rgb)


def _width(face: FaceSketch) -> float:
    """Of the mouth, px."""
    left, right = face.points.take(CORNERS, 0)
    return length(right - left)


def _alpha(face: FaceSketch, width: float) -> float:
    """0..1 for all of the mouth; `width` of it, px: seen from the side there is none."""
    return face.alpha * smoothstep(0.14, 0.22, width / face.width)


def _exaggerated(
    face: FaceSketch, upper: Points, lower: Points, corners: Points, memory: FaceMemory
) -> tuple[Points, Points, Points]:
    """Lips and corners with more of what they do: an opening goes further down, corners rise and fall further."""
    more = face.expression - 1
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
    calm = cv2.sepFilter2D(np.array(found), -1, CALMING_COLOURS, ONE, borderType=cv2.BORDER_REPLICATE)
    memory.ease("lips", calm / face.photo_skin, LIPS_TAU_S)
    memory.ease("lip", middle_colour(sample(face.drawing, _lip_points(face))), LIP_TAU_S)
    # Full dark lips close in hardly any line, thin ones in a dark one: as the photo has it.
    level = quantile(luma(sample(face.photo, between[4:-4])), 0.4) / face.photo_skin
    memory.ease_share("lip line", smoothstep(0.95, 0.45, level), LINE_TAU_S)


def _paint_lips(canvas: Canvas, face: FaceSketch, lips: Points, colours: Floats, alpha: float) -> None:
    """Gives the lips their form and own colours, (2, LIP_PLACES, 3) from corner to corner. lips: (2, 2, n, 2) px."""
    soft_px = 0.006 * face.width
    box = box_of(lips.reshape(-1, 2), 1 + 2.5 * soft_px, canvas.rgb.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    left, right = float(lips[0, 0, 0, 0]), float(lips[0, 0, -1, 0])
    step = (LIP_PLACES - 1) / (right - left if abs(right - left) > 1e-3 else 1e-3)  # places a pixel
    to_places = vector(step, 0, (x0 - left) * step, 0, 1, 0).reshape(2, 3)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    rows = cv2.warpAffine(colours, to_places, (x1 - x0, 2), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    both = cv2.resize(cv2.convertScaleAbs(rows), (x1 - x0, 2 * (y1 - y0)), interpolation=cv2.INTER_NEAREST)
    upper, lower = both[: y1 - y0], both[y1 - y0 :]
    middle, aside = lips[0, 1], lips[0, 0, -1] - lips[0, 0, 0]
    ends = middle[[-1, 0]] + aside * BEYOND_ENDS
    above = np.concatenate([middle, ends[:1], ends - face.down * np.float32(face.width), ends[1:]])
    cv2.copyTo(upper, coverage(above, box, 1), lower)
    mask = coverage(np.concatenate([lips[0, 0], lips[0, 1, ::-1]]), box, 1)
    cover(mask, np.concatenate([lips[1, 0], lips[1, 1, ::-1]]), box, 1, 255)
    blend(canvas.rgb[y0:y1, x0:x1], lower, softened(mask, soft_px), LIP_SHARE * alpha)  # type: ignore[arg-type]


def _look_into(face: FaceSketch, upper: Points, lower: Points, memory: FaceMemory, tau_s: float) -> None:
    """Measures what an open mouth shows, and by how much it is further open than in the mesh."""
    gap = lower - upper
    share = memory.ease("further open", _further_open(face, lower, gap, memory), tau_s)
    teeth, brightness = _teeth_and_tongue(face, upper, gap * (1 + share[:, None]))
    memory.ease("teeth", teeth, tau_s)
    memory.ease_share("teeth brightness", brightness, LINE_TAU_S)


def _further_open(face: FaceSketch, lower: Points, gap: Points, memory: FaceMemory) -> Floats:
    """(STATIONS,) shares of the lips' gap by which the lower lip is further down than the mesh has it.

    The mesh opens no mouth wide. It ends where the photo's dark of the mouth ends.
    """
    level = lumas(sample(face.photo, lower + gap * FURTHER_SHARES[:, None])) / face.photo_skin
    lip = float(luma(memory["lips"][1, 1:-1]).sum()) / (LIP_PLACES - 2)
    dark = np.minimum.accumulate(level < 0.55 * lip, 0).sum(0, np.float32)[None] * (FURTHER / len(FURTHER_SHARES))
    found: Floats = cv2.blur(dark, (7, 1), borderType=cv2.BORDER_REPLICATE)[0]
    return found


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
    canvas: Canvas, face: FaceSketch, upper: Points, lower: Points, lip: Colour, memory: FaceMemory, alpha: float
) -> None:
    """The dark of the mouth, tongue and teeth, clipped by the inner lips."""
    outline = np.concatenate([upper, lower[::-1]])
    box = box_of(outline, 2, canvas.rgb.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    light = face.skin_luma
    scale = 2 if x1 - x0 < FINE_PX else 1
    picture: RgbImage = np.empty(((y1 - y0) * scale, (x1 - x0) * scale, 3), np.uint8)
    redness = lip - luma(lip)
    dark = face.ink * np.float32(0.72) + redness * np.float32(0.16)
    cv2.rectangle(picture, (0, 0), picture.shape[1::-1], dark.tolist(), cv2.FILLED)

    *bands, tongue = _bands(upper, lower, memory["teeth"])
    brightness = memory.get("teeth brightness", 1.0)
    if tongue is not None:
        tongue_colour = lip * np.float32(0.54) + redness * np.float32(0.35)
        cover(picture, tongue, box, scale, tongue_colour.tolist())
    if any(band is not None for band in bands):
        tooth = vector(1, 0.965, 0.915) * min(
            0.5 * (light * 0.55 + 112) + 0.5 * light * clamp(1.25 * brightness, 0.7, 2.6), 236
        )
        tooth = tooth + (0.34 - 0.2 * min(brightness, 1)) * (face.skin * (luma(tooth) / max(light, 1)) - tooth)
        where: GrayImage = np.zeros(picture.shape[:2], np.uint8)
        for band in bands:
            if band is not None:
                cover(where, band, box, scale, 255, cv2.LINE_8)
        cv2.copyTo(_teeth(face, box, scale, tooth), where, picture)
    if scale > 1:
        picture = cv2.resize(picture, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    picture = softened(picture, 0.004 * face.width)
    # All of it lies in the lips' shade: most below the upper lip and in the corners.
    gap = float(((lower - upper) @ face.down).max())
    depth = face.down * min(0.016 * face.width, 0.14 * gap)
    shade = coverage(np.concatenate([upper - depth, (upper + depth)[::-1]]), box, 1)
    shade = cv2.cvtColor(softened(shade, min(0.006 * face.width, 0.1 * gap)), cv2.COLOR_GRAY2RGB)  # type: ignore[assignment]
    cv2.subtract(picture, cv2.multiply(picture, shade, scale=0.30 / 255), picture)
    blend(canvas.rgb[y0:y1, x0:x1], picture, soft_coverage(outline, box, 0.0), alpha)


def _teeth(face: FaceSketch, box: Box, scale: int, colour: Colour) -> RgbImage:
    """Teeth all over a box, enlarged `scale` times, faintly shaded as in the photo, so that they are no plain band."""
    x0, y0, x1, y1 = box
    gray = cv2.cvtColor(face.photo[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    soft_px = 2 * round(0.006 * face.width) + 1
    gray = cv2.blur(gray, (soft_px, soft_px))
    bright = max(cv2.minMaxLoc(gray)[1], 1.0)
    shades = np.minimum(0.68 + TONES * np.float32(0.32 * 1.15 / bright), 1) * colour
    teeth = cv2.applyColorMap(gray, cv2.convertScaleAbs(shades).reshape(256, 1, 3))
    return cv2.resize(teeth, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]


def _bands(upper: Points, lower: Points, shares: Points) -> list[Points | None]:
    """Closed outlines of what lies between shares (k, 2, n) of the way from the upper lip to the lower one, or None."""
    edges = curve((upper[::3] + (lower - upper)[::3] * shares[..., ::3, None]), 41)
    outlines = np.concatenate([edges[:, 0], edges[:, 1, ::-1]], 1)
    most = (shares[:, 1] - shares[:, 0]).max(1).tolist()
    return [outline if high >= 0.04 else None for outline, high in zip(outlines, most, strict=True)]


def _teeth_and_tongue(face: FaceSketch, upper: Points, gap: Points) -> tuple[Points, float]:
    """(3, 2, n) upper teeth, lower teeth and tongue: from where to where, in shares of the lips' gap.

    Beside it how bright the teeth are in the photo, over its skin.

    Each is measured at stations along the mouth and smoothed along them, so that it is drawn with a clean edge.
    Teeth are brighter than their surroundings and less red than the skin; a tongue is redder and not dark.
    """
    points = upper[:, None] + gap[:, None] * SHARES[:, None]
    colours = cv2.blur(sample(face.photo, points), (3, 5))  # stations, depth
    level, red, redder, yellower = cv2.split(cv2.transform(colours, LUMA_AND_HUE))
    over_red = 1 / np.maximum(red, 12)
    red, yellow, level = redder * over_red, yellower * over_red, level * np.float32(1 / face.photo_skin)
    skin_red, skin_yellow = _red_and_yellow(face.photo_colour)
    # Warm light reddens teeth too; but then they are as yellow as the skin, and a tongue, like lips, never is.
    limit = max(0.12, 0.72 * skin_red) + 0.18 * smoothsteps(-0.09, -0.04, yellow - skin_yellow)
    tooth = _between(level, 0.27, 0.47) * _between(limit - red, -0.05, 0.05)
    flesh = _between(level, 0.32, 0.47) * (1 - tooth) * (red > 0.06)

    is_tooth = tooth > 0.5
    teeth = level[is_tooth]
    brightness = quantile(teeth, 0.7) if len(teeth) else 1.0
    from_above = np.array([is_tooth, flesh > 0.5], np.float32) @ BITS  # (2, stations, 2): from either lip
    above, below, tongue = _runs(from_above[(0, 0, 1), :, (0, 1, 1)].astype(np.int32), LATEST)
    below, tongue = 1 - below[::-1], 1 - tongue[::-1]
    # One row of teeth that fills the gap is the upper one.
    apart = (below[0] > above[1] + 0.12) & (below[0] > 0.55)  # what is taller is a tongue
    below = np.where(apart, below, 1.0)
    tongue[0] = np.maximum(tongue[0], above[1])
    return _calm(np.concatenate([above, below, tongue])).reshape(3, 2, -1), brightness


def _between(values: Floats, low: float, high: float) -> Floats:
    """How far each value is from `low` to `high`: 0..1."""
    return np.minimum(np.maximum((values - low) * (1 / (high - low)), 0), 1)


def _red_and_yellow(colour: Colour) -> tuple[float, float]:
    """By how much red exceeds green, and green blue, over red."""
    red, green, blue = colour.tolist()
    return (red - green) / max(red, 12), (green - blue) / max(red, 12)


def _runs(hits: NDArray[np.int32], latest: Points) -> Points:
    """(k, 2, n): where the first run of `hits` (k, n) begins and ends, gaps of two steps forgiven.

    hits: a bit for each of DEPTHS steps, the lowest the first. A run has to begin before `latest` (k, 1), in shares.
    One that begins within the first two steps is taken to reach the edge. Where there is none: 0, 0.
    """
    apart = hits & hits >> 3
    closed = hits | (hits << 1 & hits >> 1) | apart << 1 | apart << 2
    first = closed & -closed
    after = closed + first  # the carry goes through all of the run
    start, stop = np.log2(np.maximum([first, after & -after], 1))
    found = (closed > 0) & ((start + 0.5) / DEPTHS <= latest) & (stop - start >= 2)
    begin = np.where(start <= 2, 0.0, start / DEPTHS)
    end = np.where(stop >= DEPTHS - 2, 1.0, stop / DEPTHS)
    return np.array([begin, end]).swapaxes(0, 1) * found[:, None]


def _calm(bands: Points) -> NDArray[np.float32]:
    """(bands, n) smoothed along the mouth: median against single stations, then a mean."""
    each = np.repeat(bands.astype(np.float32), 5, 0)  # so that a square median sees one band only
    middle = np.ascontiguousarray(cv2.medianBlur(each, 5)[2::5])
    return cv2.sepFilter2D(middle, -1, CALMING, ONE, borderType=cv2.BORDER_REPLICATE)


def _lip_shadow(face: FaceSketch, alpha: float) -> Stroke:
    """One small stroke below the lower lip, where its shadow falls."""
    path = curve(face.points[LIPS_OUTER_BOTTOM[3:-3]], 13)[3:-3] + face.down * np.float32(0.018 * face.width)
    colour = face.ink + np.float32(0.55) * (face.skin - face.ink)
    return Stroke(path, face.stroke_px(1) * SHADOW_WIDTHS, colour, 0.4 * alpha * face.detail)
