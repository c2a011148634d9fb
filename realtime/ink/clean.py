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

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box, Canvas, blend, box_of, halved
from realtime.ink.face import FaceSketch
from realtime.ink.glasses import are_worn
from realtime.ink.memory import FaceMemory
from realtime.ink.outlines import (
    BROWS_AND_LIDS,
    CHEEKS,
    CORE,
    EYE_PARTS,
    GAP,
    HANGING,
    LIPS,
    NEAR,
    OPENING,
    UNDER,
    Outlines,
)
from realtime.landmarks import EYES, LIPS_OUTER_BOTTOM, NOSE_TIP
from realtime.types import GrayImage, RgbImage

INKED = 24  # of 255
OWN = 0.6  # of a piece of ink has to lie in an eye's neighbourhood for all of it to be the eye's
BAG_LENGTH = 0.75  # eye widths: ink below the lids that is shorter is a bag's, no rim's
AWAY, AWAY_FROM_LIPS = 0.35, 0.12  # eye and mouth widths round a neighbourhood: further away, ink is nothing to it
LASHES = 0.3  # of the luma of the drawing's skin: as dark are lashes in flat colour
PALE = 0.56  # photo luma over that of the face's skin above which there is no line
NO_LINE, DARK = 0.7, 0.38  # nor above these shares of the luma around and of the skin's
GLASSES_WIDTH = 1.1  # eye distances: ink that hangs together over more is both rims, bright as they may be in the photo
AROUND, BESIDE_NOSE = 0.21, 0.12  # eye distances that are looked at beyond brows and lids, about lower rims
LOOK_PX = 160  # ink is looked at with faces of one to two times this width: a generator draws it no finer
FILL_PX = 72  # a face is filled at about this width: what is filled in is smooth
STEP = 4  # from one level of the pyramid to the next
BROWS_AND_LOWER_LIP = np.concatenate([LIPS_OUTER_BOTTOM, *(e.brow_top for e in EYES)])
# Zones of the lips, the first and the second eye, four each: nothing, near the lips, on them; within `AWAY` of an eye,
# below as bags are, in the neighbourhood, in the core.
ZONES = 4
NEAR_LIPS, ON_LIPS = 1, 2
# For lashes three each: none; within `AWAY` of an eye, down to where bags are, in the opening.
LASH_ZONES = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """The neighbourhood of a face, halved until the face is hardly wider than `LOOK_PX`.

    holes: (h, w) u8, what is to be taken off, 0 nothing; written to. outlines: of the face in its pixels. halvings: of
    the picture's pixels. values: what the ink of both eyes is marked with, 0 to 255.
    """

    holes: GrayImage
    outlines: Outlines
    halvings: int
    values: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """The places of a mask, and what they hang together to.

    at: (n,) places, counted row by row. piece: (n,) numbers. kind: (n,) piece and zone of each. areas: (pieces, 3, k)
    pixels in the zones of the lips and both eyes, k each.
    """

    at: NDArray[np.intp]
    piece: NDArray[np.int32]
    kind: NDArray[np.int32]
    areas: NDArray[np.intp]

    @classmethod
    def of(cls, mask: GrayImage, zones: GrayImage, each: int) -> _Pieces:
        """mask: (h, w) 0 or 1. zones: (h, w) below three times `each`."""
        # On one thread a third of what OpenCV's own choice takes, and statistics take twice as long as all the rest.
        count, labels = cv2.connectedComponentsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_BBDT)
        at = np.flatnonzero(mask.view(np.bool_))
        piece = labels.ravel().take(at)
        kind = piece * (3 * each) + zones.ravel().take(at)
        return cls(at, piece, kind, np.bincount(kind, minlength=count * 3 * each).reshape(count, 3, each))

    def lengths(self, width: int) -> NDArray[np.intp]:
        """(pieces,) from each one's first column to its last, in a mask of that width; all of it for what is none."""
        there: NDArray[np.bool_] = np.zeros((len(self.areas), width), np.bool_)
        column = self.at - self.at // width * width  # NumPy has no fast remainder
        there.ravel()[self.piece * width + column] = True
        return width - there.argmax(1) - there[:, ::-1].argmax(1)


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
    points = (face.points - np.array((x0, y0), np.float32)) * np.float32(1 / (1 << halvings)) + np.float32(0.5)
    look = _Look(
        np.zeros(inked.shape, np.uint8),
        Outlines.of(points, face.down, face.width / (1 << halvings), AWAY_FROM_LIPS),
        halvings,
        tuple([round(255 * visible) if visible >= 0.02 else 0 for visible in seen]),  # type: ignore[arg-type]
    )
    bare = (1 - are_worn(memory)) * sum(seen) / len(seen)  # before hidden eyes there are dark lenses, with rims
    openings, gap = [look.outlines[side * EYE_PARTS + OPENING] for side in range(2)], look.outlines[GAP]
    if look.values == (255, 255):
        cv2.fillPoly(look.holes, [*openings, gap], 255)
    else:
        for opening, value in zip((*openings, gap), (*look.values, 255), strict=True):
            cv2.fillPoly(look.holes, [opening], value)
    _mark_ink(look, inked, photo, face.photo_skin, bare)  # type: ignore[arg-type]
    _mark_lashes(look, part, LASHES * face.skin_luma)
    if not cv2.hasNonZero(look.holes):
        return
    reach = round((0.009 * face.width + 0.4) / (1 << halvings))
    colour = _filled(part, look.holes, halvings, further, reach)
    nose = min(max(int(points[NOSE_TIP, 1]), 0), len(look.holes))
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
        paint = cv2.resize(colour[y:y_end, x:x_end], (wide, high), interpolation=cv2.INTER_LINEAR)
        blend(target, cv2.cvtColor(paint, cv2.COLOR_RGBA2RGB), soft, face.alpha)  # type: ignore[arg-type]
        x, y = x0 + x * cell, y0 + y * cell
        canvas.cleaned.append(((x, y, x + wide, y + high), soft))  # type: ignore[arg-type]


def _filled(rgb: RgbImage, holes: GrayImage, halvings: int, further: int, reach: int) -> NDArray[np.uint8]:
    """The picture halved `halvings` + `further` times, its holes filled smoothly from their rims: RGBA, opaque.

    holes: (h, w) u8, 0 none, after `halvings`; they are `reach` pixels of theirs larger than they say.

    Pull-push: the known pixels are averaged down a pyramid, and what is unknown on a level is taken from the coarser
    one (Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph", SIGGRAPH 1996).
    """
    small = halved(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), halvings + further)  # type: ignore[arg-type]
    known = cv2.compare(cv2.dilate(halved(holes, further), _square(-(-reach >> further))), 0, cv2.CMP_EQ)
    height, width = known.shape
    level = cv2.copyTo(small, known)  # the fourth channel: how well it is known
    level = cv2.copyMakeBorder(level, 0, -height % STEP**2, 0, -width % STEP**2, cv2.BORDER_CONSTANT)
    level = halved(level, 2).astype(np.float32)  # type: ignore[arg-type]
    coarse = cv2.resize(level, None, fx=1 / STEP, fy=1 / STEP, interpolation=cv2.INTER_AREA)
    coarse *= 255 / np.maximum(coarse[..., 3:], 1e-2)
    coarse = cv2.resize(coarse, level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    share = level[..., 3:] * np.float32(1 / 255)
    # A pixel that is a quarter known has a colour of its own.
    colour = level / np.maximum(share, 0.25) + coarse * (1 - np.minimum(share * 4, 1))
    colour = cv2.resize(colour, None, fx=STEP, fy=STEP, interpolation=cv2.INTER_LINEAR)
    filled = cv2.convertScaleAbs(colour)[:height, :width]
    return cv2.copyTo(small, known, filled)


def _mark_ink(look: _Look, inked: GrayImage, photo: RgbImage, skin: float, bare: float) -> None:
    """Marks the ink of eyes and lips, and with `bare` stray ink. inked: (h, w) 0 or 1.

    An eye's is all ink of a piece that lies mostly in its neighbourhood, and all ink in its core. The lips' is all ink
    on them and just beyond, and all of a piece that lies mostly there.
    """
    zones: GrayImage = np.zeros(inked.shape, np.uint8)
    outlines, (*widths, mouth) = look.outlines, look.outlines.widths
    _rectangle(zones, NEAR_LIPS, outlines.box(LIPS, AWAY_FROM_LIPS * mouth, zones.shape))
    for side, width in enumerate(widths):
        _rectangle(zones, ZONES * (1 + side), outlines.box(side * EYE_PARTS + NEAR, AWAY * width, zones.shape))
    cv2.fillPoly(zones, [outlines[LIPS]], ON_LIPS)
    for side in range(2):
        for zone, part in enumerate((UNDER, NEAR, CORE), ZONES * (1 + side) + 1):
            cv2.fillPoly(zones, [outlines[side * EYE_PARTS + part]], zone)
    ink = _Pieces.of(inked, zones, ZONES)
    if not ink.at.size:
        return
    lengths = ink.lengths(inked.shape[1])
    away, under, near, core = ink.areas[:, 1:].transpose(2, 0, 1)  # each (pieces, eyes)
    inside = near + core
    with_bags = inside + under
    enough = OWN * (with_bags + away)
    own = (inside > enough) | (with_bags > enough) & (lengths[:, None] < BAG_LENGTH * np.array(widths))
    values: NDArray[np.uint8] = np.zeros(ink.areas.shape, np.uint8)
    values[:, 1:, :3] = (own * np.array(look.values))[..., None]
    values[:, 1:, 3] = look.values
    beside, inside = ink.areas[:, 0, NEAR_LIPS], ink.areas[:, 0, ON_LIPS]
    values[:, 0, NEAR_LIPS] = 255 * (inside > OWN * (beside + inside))
    values[:, 0, ON_LIPS] = 255
    value = values.ravel().take(ink.kind)
    holes = look.holes.ravel()
    holes[ink.at] = np.maximum(holes.take(ink.at), value)
    if bare >= 0.02:
        short = lengths < GLASSES_WIDTH * outlines.span
        _mark_stray(look, ink.at[short.take(ink.piece)], photo, skin, round(255 * bare))


def _mark_stray(look: _Look, at: NDArray[np.intp], photo: RgbImage, skin: float, value: int) -> None:
    """Marks those places `at`, counted row by row, round the eyes and below, where the photo is pale as skin."""
    outlines, span, (high, wide) = look.outlines, look.outlines.span, look.holes.shape
    face, around = np.zeros((2, high, wide), np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(outlines.oval), 1)
    boxes = [outlines.box(BROWS_AND_LIDS, AROUND * span, around.shape)]
    boxes += [outlines.box(part, BESIDE_NOSE * span, around.shape) for part in CHEEKS]
    for box in boxes:
        if box is not None:
            there = np.s_[box[1] : box[3], box[0] : box[2]]
            around[there] = face[there]
    holes = look.holes.ravel()
    at = at[(holes.take(at) < value) & around.ravel().take(at).view(np.bool_)]
    if not at.size:
        return
    row = at // wide
    column = at - row * wide
    # A line in the drawing may lie a little beside the one in the photo.
    near = max(1, round(0.02 * span))
    # Nor is there a line in a shade that is no darker in the middle than around.
    far = max(near, round(0.07 * span))
    x0, y0, x1, y1 = _round_all(boxes)
    x0, y0 = max(x0, int(column.min()) - far), max(y0, int(row[0]) - far)
    x1, y1 = min(x1, int(column.max()) + 1 + far), min(y1, int(row[-1]) + 1 + far)
    part = photo[y0 << look.halvings : y1 << look.halvings, x0 << look.halvings : x1 << look.halvings]
    gray = halved(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), look.halvings)  # type: ignore[arg-type]
    place = (row - y0) * (x1 - x0) + column - x0
    darkest = cv2.erode(gray, _square(near)).ravel().take(place)
    shade = cv2.blur(gray, (2 * far + 1, 2 * far + 1)).ravel().take(place)
    stray = at[darkest > np.minimum(np.maximum(NO_LINE * shade, DARK * skin), PALE * skin)]
    holes[stray] = value


def _mark_lashes(look: _Look, drawing: RgbImage, level: float) -> None:
    """Marks what is darker than `level` in flat colour, hangs from an eye's opening and ends soon below it."""
    outlines = look.outlines
    boxes = [
        outlines.box(side * EYE_PARTS + HANGING, AWAY * outlines.widths[side], look.holes.shape) for side in range(2)
    ]
    if all(box is None for box in boxes):
        return
    x0, y0, x1, y1 = _round_all(boxes)
    part = drawing[y0 << look.halvings : y1 << look.halvings, x0 << look.halvings : x1 << look.halvings]
    gray = halved(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), look.halvings)  # type: ignore[arg-type]
    dark = cv2.threshold(gray, level, 1, cv2.THRESH_BINARY_INV)[1]
    zones: GrayImage = np.zeros(dark.shape, np.uint8)
    for side, box in enumerate(boxes):
        _rectangle(zones, LASH_ZONES * (1 + side), box, (x0, y0))
    for side in range(2):
        for zone, outline in enumerate((HANGING, OPENING), LASH_ZONES * (1 + side) + 1):
            cv2.fillPoly(zones, [outlines[side * EYE_PARTS + outline]], zone, offset=(-x0, -y0))
    pieces = _Pieces.of(dark, zones, LASH_ZONES)  # type: ignore[arg-type]
    away, hanging, opening = pieces.areas[:, 1:].transpose(2, 0, 1)
    inside = hanging + opening
    own = (opening > 0) & (inside > OWN * (inside + away))
    values: NDArray[np.uint8] = np.zeros(pieces.areas.shape, np.uint8)
    values[:, 1:] = (own * np.array(look.values))[..., None]
    found: GrayImage = np.zeros(dark.shape, np.uint8)
    found.ravel()[pieces.at] = values.ravel().take(pieces.kind)
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
