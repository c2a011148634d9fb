"""Clean: the generator's own lines are taken off eyes and mouth before they are drawn.

Comes in: a canvas, the generator's ink, a `FaceSketch`, how far each eye is to be seen. Goes out: the canvas without
those lines, and without stray ones. Filter's thread.

What is taken off is filled from round about (`_filled`). Of an eye that is all ink that hangs together within its lids'
neighbourhood, and what hangs from its opening nearly black in flat colour, as lowered lashes do; what goes on beyond it
is a rim, hair or shadow, and is left where it is no part of the opening. Of glasses with clear rims a generator draws a
stub of bridge and a scrap of rim, which look like dirt on the face: ink where the photo has nothing dark is taken off
round the eyes. Thick frames, hair and shadow are dark in the photo and stay, and so do glasses in one piece; thin rims
that were found are drawn by `glasses`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box, Canvas, blend, box_of, halved
from realtime.ink.face import FaceSketch
from realtime.ink.glasses import are_worn
from realtime.ink.measure import Floats, Points, length
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES, FACE_OVAL, LIPS_INNER, LIPS_OUTER_BOTTOM, LIPS_OUTER_TOP, NOSE_TIP
from realtime.types import GrayImage, RgbImage

INKED = 24  # of 255
OWN = 0.6  # of a piece of ink has to lie in an eye's neighbourhood for all of it to be the eye's
ABOVE, BELOW, ASIDE = 0.18, 0.12, 0.14  # the neighbourhood: eye widths beyond the lids
BAG, BAG_LENGTH = 0.32, 0.75  # eye widths below the lids down to which ink shorter than this is a bag's, no rim's
AWAY, AWAY_FROM_LIPS = 0.35, 0.12  # eye and mouth widths round a neighbourhood: further away, ink is nothing to it
LASHES = 0.3  # of the luma of the drawing's skin: as dark are lashes in flat colour
CORE = 0.07  # eye widths beyond the lids within which no ink but the eye's own is kept
PALE = 0.56  # photo luma over that of the face's skin above which there is no line
NO_LINE, DARK = 0.7, 0.38  # nor above these shares of the luma around and of the skin's
GLASSES_WIDTH = 1.1  # eye distances: ink that hangs together over more is both rims, bright as they may be in the photo
CHEEK = 0.3  # eye distances below the lids, about which lower rims lie
AROUND = 0.21  # eye distances that are looked at beyond the outermost brow and lid points
LOOK_PX = 160  # ink is looked at with faces of one to two times this width: a generator draws it no finer
FILL_PX = 72  # a face is filled at about this width: what is filled in is smooth
WITHIN_FACE = 0.92  # of the face's outline: beyond, ink is that of hair and ears
STEP = 4  # from one level of the pyramid to the next
BROWS_AND_LOWER_LIP = np.concatenate([LIPS_OUTER_BOTTOM, *(e.brow_top for e in EYES)])
BROWS_AND_LIDS = np.concatenate([chain for e in EYES for chain in (e.brow_bottom, e.lower_lid)])
# What a place is to the first eye, to the second eye, to the lips; 0 nothing.
ZONES = (1, 2, 3, 4), (5, 6, 7, 8)  # within `AWAY`, below as bags are, in the neighbourhood, in the core
NEAR_LIPS, LIPS, KINDS = 9, 10, 11
HANGING = (1, 2, 3), (4, 5, 6)  # for lashes: within `AWAY`, down to where bags are, in the opening


def _round_eye(above: float, below: float, aside: float = 0.0) -> list[tuple[int, float, float]]:
    """The closed outline so many eye widths beyond the lids: lid points, and how far aside and down of them it lies."""
    over = [(point, 0.0, -above) for point in range(9)]
    if aside:
        over = [(0, -aside, 0.0), *over, (8, aside, 0.0)]
    return over + [(point, 0.0, below) for point in range(17, 8, -1)]


# Of both eyes: opening, core, neighbourhood, the same with bags, opening with bags.
_OUTLINES = [
    _round_eye(*beyond) for beyond in ((0, 0), (CORE, CORE), (ABOVE, BELOW, ASIDE), (ABOVE, BAG, ASIDE), (0, BAG))
]
_PARTS = [slice(end - len(o), end) for o, end in zip(_OUTLINES, accumulate(map(len, _OUTLINES)), strict=True)]
_VERTICES = np.array([vertex for outline in _OUTLINES for vertex in outline], np.float32)
_EYE_POINTS = np.array([(*e.upper_lid, *e.lower_lid) for e in EYES])[:, _VERTICES[:, 0].astype(np.intp)]
_ASIDE, _DOWN = _VERTICES[:, 1:2], _VERTICES[:, 2:]
# The lips and what is just beyond.
_LIP_POINTS = np.concatenate(
    [LIPS_OUTER_TOP[:1], LIPS_OUTER_TOP, LIPS_OUTER_TOP[[-1, -1]], LIPS_OUTER_BOTTOM[::-1], LIPS_OUTER_TOP[:1]]
)
_LIPS_ASIDE, _LIPS_DOWN = np.zeros((2, len(_LIP_POINTS), 1), np.float32)
_LIPS_ASIDE[[0, 12, 13, 25], 0], _LIPS_DOWN[[0, 12, 13, 25], 0] = (-1, 1, 1, -1), (-1, -1, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """The neighbourhood of a face, halved until the face is hardly wider than `LOOK_PX`.

    holes: (h, w) u8, what is to be taken off, 0 nothing; written to. points: (478, 2) of the face in its pixels, plus
    a half, so that whole parts are the nearest numbers. width: of the face in its pixels. down: unit vector down the
    face. halvings: of the picture's pixels.
    """

    holes: GrayImage
    points: Points
    width: float
    down: Floats
    halvings: int


@dataclass(frozen=True, slots=True, eq=False)
class _Eye:
    """One eye in a `_Look`: its width in pixels of it, closed outlines (n, 2), and what its ink is marked with.

    opening: between the lids. core, near: further and further round it. under: as `near`, and down to where bags are.
    hanging: from the upper lid to there.
    """

    width: float
    value: int
    opening: NDArray[np.int32]
    core: NDArray[np.int32]
    near: NDArray[np.int32]
    under: NDArray[np.int32]
    hanging: NDArray[np.int32]


def _eyes(look: _Look, seen: list[float]) -> list[_Eye]:
    """Both eyes. seen: 0..1, how much of each is to be seen."""
    axes = [look.points[e.inner_corner] - look.points[e.outer_corner] for e in EYES]
    widths = [max(length(axis), 1e-3) for axis in axes]
    downs = np.array(widths, np.float32)[:, None, None] * look.down
    outlines = (look.points[_EYE_POINTS] + np.array(axes)[:, None] * _ASIDE + downs * _DOWN).astype(np.int32)
    return [
        _Eye(width, round(255 * visible) if visible >= 0.02 else 0, *(own[part] for part in _PARTS))
        for own, width, visible in zip(outlines, widths, seen, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """The places of a mask, and what they hang together to.

    at: (n,) places, counted row by row. piece: (n,) numbers. kind: (n,) piece and zone of each. areas: (pieces, zones).
    """

    at: NDArray[np.intp]
    piece: NDArray[np.int32]
    kind: NDArray[np.int32]
    areas: NDArray[np.intp]

    @classmethod
    def of(cls, mask: GrayImage, zones: GrayImage, kinds: int) -> _Pieces:
        """mask: (h, w) 0 or 1. zones: (h, w) below `kinds`."""
        # On one thread a third of what OpenCV's own choice takes, and statistics take twice as long as all the rest.
        count, labels = cv2.connectedComponentsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_BBDT)
        at = np.flatnonzero(mask.view(np.bool_))
        piece = labels.ravel()[at]
        kind = piece * kinds + zones.ravel()[at]
        return cls(at, piece, kind, np.bincount(kind, minlength=count * kinds).reshape(count, kinds))


def clean(canvas: Canvas, lines: GrayImage, face: FaceSketch, seen: list[float], memory: FaceMemory) -> None:
    """Takes ink off, and notes in the canvas where. lines: (h, w) u8, the generator's. seen: 0..1 for each eye."""
    box = box_of(face.points[BROWS_AND_LOWER_LIP], AROUND * face.width / 2, lines.shape)
    halvings = max(0, int(math.log2(face.width / LOOK_PX)))
    further = max(0, round(math.log2(face.width / (FILL_PX << halvings))))
    cell = 1 << halvings + further  # of the picture's pixels: one that is filled
    if box is None or min(box[2] - box[0], box[3] - box[1]) < cell:
        return
    x0, y0 = box[:2]
    there = np.s_[y0 : y0 + (box[3] - y0) // cell * cell, x0 : x0 + (box[2] - x0) // cell * cell]
    part, photo = canvas.rgb[there], face.photo[there]
    inked = cv2.threshold(halved(lines[there], halvings), INKED, 1, cv2.THRESH_BINARY)[1]
    look = _Look(
        np.zeros(inked.shape, np.uint8),
        (face.points - np.array((x0, y0), np.float32)) / np.float32(1 << halvings) + np.float32(0.5),
        face.width / (1 << halvings),
        face.down,
        halvings,
    )
    bare = (1 - are_worn(memory)) * sum(seen) / len(seen)  # before hidden eyes there are dark lenses, with rims
    eyes = _eyes(look, seen)
    for eye in eyes:
        cv2.fillPoly(look.holes, [eye.opening], eye.value)
    cv2.fillPoly(look.holes, [look.points[LIPS_INNER].astype(np.int32)], 255)
    _mark_ink(look, inked, eyes, photo, face.photo_skin, bare)  # type: ignore[arg-type]
    _mark_lashes(look, part, LASHES * face.skin_luma, eyes)
    if not cv2.hasNonZero(look.holes):
        return
    reach = round((0.009 * face.width + 0.4) / (1 << halvings))
    colour = _filled(part, look.holes, halvings, further, reach)
    nose = min(max(int(look.points[NOSE_TIP, 1]), 0), len(look.holes))
    for top, rows in ((0, look.holes[:nose]), (nose, look.holes[nose:])):  # hardly anything between them changes
        left, above, width, height = cv2.boundingRect(rows) if rows.size else (0, 0, 0, 0)
        if not width:
            continue
        margin = reach + 1  # what is taken off grows by that, and has a soft edge
        x, y = max(left - margin, 0) >> further, max(top + above - margin, 0) >> further  # in pixels of `colour`
        x_end, y_end = (left + width + margin >> further) + 1, (top + above + height + margin >> further) + 1
        target = part[y * cell : y_end * cell, x * cell : x_end * cell]
        high, wide = target.shape[:2]
        mask = look.holes[y << further : y_end << further, x << further : x_end << further]
        mask = cv2.dilate(mask, _square(reach))  # type: ignore[assignment]
        if halvings:
            mask = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        soft = cv2.blur(mask, (3, 3))
        # OpenCV enlarges three channels of floats faster than those of bytes.
        paint = cv2.resize(colour[y:y_end, x:x_end].astype(np.float32), (wide, high), interpolation=cv2.INTER_LINEAR)
        blend(target, cv2.convertScaleAbs(paint), soft, face.alpha)  # type: ignore[arg-type]
        x, y = x0 + x * cell, y0 + y * cell
        canvas.cleaned.append(((x, y, x + wide, y + high), soft))  # type: ignore[arg-type]


def _filled(rgb: RgbImage, holes: GrayImage, halvings: int, further: int, reach: int) -> RgbImage:
    """The picture halved `halvings` + `further` times, its holes filled smoothly from their rims.

    holes: (h, w) u8, 0 none, after `halvings`; they are `reach` pixels of theirs larger than they say.

    Pull-push: the known pixels are averaged down a pyramid, and what is unknown on a level is taken from the coarser
    one (Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph", SIGGRAPH 1996).
    """
    small = halved(rgb, halvings + further)
    known = cv2.compare(cv2.dilate(halved(holes, further), _square(-(-reach >> further))), 0, cv2.CMP_EQ)
    height, width = known.shape
    level = cv2.copyTo(cv2.cvtColor(small, cv2.COLOR_RGB2RGBA), known)  # the fourth channel: how well it is known
    level = cv2.copyMakeBorder(level, 0, -height % STEP**2, 0, -width % STEP**2, cv2.BORDER_CONSTANT)
    level = halved(level, 2).astype(np.float32)  # type: ignore[arg-type]
    coarse = cv2.resize(level, None, fx=1 / STEP, fy=1 / STEP, interpolation=cv2.INTER_AREA)
    coarse = coarse[..., :3] * (255 / np.maximum(coarse[..., 3:], 1e-2))
    coarse = cv2.resize(coarse, level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    share = level[..., 3:] * np.float32(1 / 255)
    # A pixel that is a quarter known has a colour of its own.
    colour = level[..., :3] / np.maximum(share, 0.25) + coarse * (1 - np.minimum(share * 4, 1))
    colour = cv2.resize(colour, None, fx=STEP, fy=STEP, interpolation=cv2.INTER_LINEAR)
    filled = cv2.convertScaleAbs(colour)[:height, :width]
    return cv2.copyTo(small, known, filled)  # type: ignore[return-value]


def _mark_ink(look: _Look, inked: GrayImage, eyes: list[_Eye], photo: RgbImage, skin: float, bare: float) -> None:
    """Marks the ink of eyes and lips, and with `bare` stray ink. inked: (h, w) 0 or 1.

    An eye's is all ink of a piece that lies mostly in its neighbourhood, and all ink in its core. The lips' is all ink
    on them and just beyond, and all of a piece that lies mostly there.
    """
    zones: GrayImage = np.zeros(inked.shape, np.uint8)
    beyond = (look.points[LIPS_OUTER_TOP[-1]] - look.points[LIPS_OUTER_TOP[0]]) * np.float32(AWAY_FROM_LIPS)
    reach = look.down * np.float32(0.022 * look.width)
    lips = (look.points[_LIP_POINTS] + beyond * _LIPS_ASIDE + reach * _LIPS_DOWN).astype(np.int32)
    _rectangle(zones, NEAR_LIPS, box_of(lips, length(beyond), zones.shape))
    for eye, (away, *_) in zip(eyes, ZONES, strict=True):
        _rectangle(zones, away, box_of(eye.near, AWAY * eye.width, zones.shape))
    cv2.fillPoly(zones, [lips], LIPS)
    for eye, kinds in zip(eyes, ZONES, strict=True):
        for outline, kind in zip((eye.under, eye.near, eye.core), kinds[1:], strict=True):
            cv2.fillPoly(zones, [outline], kind)
    ink = _Pieces.of(inked, zones, KINDS)
    if not ink.at.size:
        return
    x = ink.at % inked.shape[1]
    left, right = np.full(len(ink.areas), inked.shape[1]), np.zeros(len(ink.areas), np.intp)
    np.minimum.at(left, ink.piece, x)
    np.maximum.at(right, ink.piece, x)
    lengths = right - left + 1
    values: NDArray[np.uint8] = np.zeros(ink.areas.shape, np.uint8)
    for eye, (away, under, near, core) in zip(eyes, ZONES, strict=True):
        inside = ink.areas[:, near] + ink.areas[:, core]
        with_bags = inside + ink.areas[:, under]
        enough = OWN * (with_bags + ink.areas[:, away])
        own = (inside > enough) | ((with_bags > enough) & (lengths < BAG_LENGTH * eye.width))
        values[:, away:core] = (own * eye.value)[:, None]
        values[:, core] = eye.value
    beside, inside = ink.areas[:, NEAR_LIPS], ink.areas[:, LIPS]
    values[:, NEAR_LIPS] = 255 * (inside > OWN * (beside + inside))
    values[:, LIPS] = 255
    value = values.ravel()[ink.kind]
    holes = look.holes.ravel()
    holes[ink.at] = np.maximum(holes[ink.at], value)
    span = length(look.points[EYES[0].iris_centre] - look.points[EYES[1].iris_centre])
    if bare >= 0.02:
        short = lengths < GLASSES_WIDTH * span
        _mark_stray(look, ink.at[short[ink.piece]], span, photo, skin, round(255 * bare))


def _mark_stray(look: _Look, at: NDArray[np.intp], span: float, photo: RgbImage, skin: float, value: int) -> None:
    """Marks those places `at`, counted row by row, round the eyes and below, where the photo is pale as skin.

    span: distance between the eyes in pixels of the look.
    """
    around: GrayImage = np.zeros(look.holes.shape, np.uint8)
    boxes = [box_of(look.points[BROWS_AND_LIDS], AROUND * span, around.shape)]
    for eye in EYES:  # where the lower rims of glasses are, beside the nose
        cheek = look.points[eye.lower_lid[2:-2]] + look.down * (CHEEK * span)
        boxes.append(box_of(cheek, 0.12 * span, around.shape))
    for box in boxes:
        _rectangle(around, 1, box)
    oval = look.points[FACE_OVAL]
    middle = oval.mean(axis=0)
    inner = cv2.convexHull((middle + WITHIN_FACE * (oval - middle)).astype(np.int32))
    cv2.bitwise_and(around, cv2.fillConvexPoly(np.zeros_like(around), inner, 1), around)
    at = at[around.ravel()[at].view(np.bool_)]
    if not at.size:
        return
    x0, y0, x1, y1 = _round_all(boxes)
    part = photo[y0 << look.halvings : y1 << look.halvings, x0 << look.halvings : x1 << look.halvings]
    gray = halved(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), look.halvings)  # type: ignore[arg-type]
    place = at - (y0 * around.shape[1] + x0) - (at // around.shape[1] - y0) * (around.shape[1] - (x1 - x0))
    # A line in the drawing may lie a little beside the one in the photo.
    darkest = cv2.erode(gray, _square(max(1, round(0.02 * span)))).ravel()[place]
    # Nor is there a line in a shade that is no darker in the middle than around.
    shade = cv2.blur(gray, (2 * round(0.07 * span) + 1,) * 2).ravel()[place]
    stray = at[darkest > np.minimum(np.maximum(NO_LINE * shade, DARK * skin), PALE * skin)]
    holes = look.holes.ravel()
    holes[stray] = np.maximum(holes[stray], value)


def _mark_lashes(look: _Look, drawing: RgbImage, level: float, eyes: list[_Eye]) -> None:
    """Marks what is darker than `level` in flat colour, hangs from an eye's opening and ends soon below it."""
    boxes = [box_of(eye.hanging, AWAY * eye.width, look.holes.shape) for eye in eyes]
    if all(box is None for box in boxes):
        return
    x0, y0, x1, y1 = _round_all(boxes)
    part = drawing[y0 << look.halvings : y1 << look.halvings, x0 << look.halvings : x1 << look.halvings]
    gray = halved(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), look.halvings)  # type: ignore[arg-type]
    dark = cv2.threshold(gray, level, 1, cv2.THRESH_BINARY_INV)[1]
    zones: GrayImage = np.zeros(dark.shape, np.uint8)
    for box, (away, *_) in zip(boxes, HANGING, strict=True):
        _rectangle(zones, away, box, (x0, y0))
    for eye, (_, hanging, opening) in zip(eyes, HANGING, strict=True):
        cv2.fillPoly(zones, [eye.hanging], hanging, offset=(-x0, -y0))
        cv2.fillPoly(zones, [eye.opening], opening, offset=(-x0, -y0))
    pieces = _Pieces.of(dark, zones, HANGING[-1][-1] + 1)  # type: ignore[arg-type]
    values: NDArray[np.uint8] = np.zeros(pieces.areas.shape, np.uint8)
    for eye, (away, hanging, opening) in zip(eyes, HANGING, strict=True):
        inside = pieces.areas[:, hanging] + pieces.areas[:, opening]
        own = (pieces.areas[:, opening] > 0) & (inside > OWN * (inside + pieces.areas[:, away]))
        values[:, away : opening + 1] = (own * eye.value)[:, None]
    found: GrayImage = np.zeros(dark.shape, np.uint8)
    found.ravel()[pieces.at] = values.ravel()[pieces.kind]
    there = look.holes[y0:y1, x0:x1]
    cv2.max(there, found, there)


@lru_cache(maxsize=32)
def _square(reach: int) -> GrayImage:
    """Of ones, `reach` to each side of its middle."""
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)


def _round_all(boxes: list[Box | None]) -> Box:
    """The box round boxes, of which at least one is there."""
    left, top, right, bottom = zip(*(box for box in boxes if box is not None), strict=True)
    return min(left), min(top), max(right), max(bottom)


def _rectangle(mask: GrayImage, value: int, box: Box | None, corner: tuple[int, int] = (0, 0)) -> None:
    """Writes `value` into a box, in a mask whose first pixel is `corner`."""
    if box is not None:
        x, y = corner
        mask[box[1] - y : box[3] - y, box[0] - x : box[2] - x] = value
