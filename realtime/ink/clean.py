"""Clean: the generator's own lines are taken off eyes and mouth before they are drawn.

Comes in: a canvas, the generator's ink, a `FaceSketch`, how far each eye is to be seen. Goes out: the canvas without
those lines, and without stray ones. Filter's thread.

What is taken off is filled from round about (`filled`). Of an eye that is all ink that hangs together within its lids'
neighbourhood, and what hangs from its opening nearly black in flat colour, as lowered lashes do; what goes on beyond it
is a rim, hair or shadow, and is left where it is no part of the opening. Of glasses with clear rims a generator draws a
stub of bridge and a scrap of rim, which look like dirt on the face: ink where the photo has nothing dark is taken off
round the eyes. Thick frames, hair and shadow are dark in the photo and stay, and so do glasses in one piece; thin rims
that were found are drawn by `glasses`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box, Canvas, blend, box_of, halved, pieces
from realtime.ink.face import FaceSketch
from realtime.ink.glasses import are_worn
from realtime.ink.measure import Floats, Points, length
from realtime.ink.memory import FaceMemory
from realtime.landmarks import (
    EYES,
    LIPS_INNER_BOTTOM,
    LIPS_INNER_TOP,
    LIPS_OUTER_BOTTOM,
    LIPS_OUTER_TOP,
    NOSE_TIP,
    EyePoints,
)
from realtime.types import GrayImage, RgbImage

INKED = 24  # of 255
OWN = 0.6  # of a piece of ink has to lie in an eye's neighbourhood for all of it to be the eye's
ABOVE, BELOW, ASIDE = 0.18, 0.12, 0.14  # the neighbourhood: eye widths beyond the lids
BAG, BAG_LENGTH = 0.32, 0.75  # eye widths below the lids down to which ink shorter than this is a bag's, no rim's
LASHES = 0.3  # of the luma of the drawing's skin: as dark are lashes in flat colour
CORE = 0.07  # eye widths beyond the lids within which no ink but the eye's own is kept
PALE = 0.56  # photo luma over that of the face's skin above which there is no line
NO_LINE, DARK = 0.7, 0.38  # nor above these shares of the luma around and of the skin's
GLASSES_WIDTH = 1.1  # eye distances: ink that hangs together over more is both rims, bright as they may be in the photo
CHEEK = 0.3  # eye distances below the lids, about which lower rims lie
AROUND = 0.21  # eye distances that are looked at beyond the outermost brow and lid points
LOOK_PX = 160  # ink is looked at with faces of one to two times this width: a generator draws it no finer
FILL_PX = 72  # a face is filled at about this width: what is filled in is smooth
STEP = 4  # from one level of the pyramid to the next


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """The neighbourhood of a face, halved until the face is hardly wider than `LOOK_PX`.

    inked: (h, w) u8, 255 where there is ink. labels: of its size, which piece of ink that hangs together, 0 none.
    sizes: (n, 2) width and height of each piece. holes: of its size, what is to be taken off, 0 nothing; written to.
    points: (478, 2) of the face in its pixels. width: of the face in its pixels. down: unit vector down the face.
    """

    inked: GrayImage
    labels: NDArray[np.int32]
    sizes: NDArray[np.int32]
    holes: GrayImage
    points: Points
    width: float
    down: Floats


def clean(canvas: Canvas, lines: GrayImage, face: FaceSketch, seen: list[float], memory: FaceMemory) -> None:
    """Takes ink off, and notes in the canvas where. lines: (h, w) u8, the generator's. seen: 0..1 for each eye."""
    around = np.concatenate([face.points[LIPS_OUTER_BOTTOM], *(face.points[e.brow_top] for e in EYES)])
    box = box_of(around, AROUND * face.width / 2, lines.shape)
    halvings = max(0, int(math.log2(face.width / LOOK_PX)))
    size = 1 << halvings  # of a pixel that is looked at
    if box is None or min(box[2] - box[0], box[3] - box[1]) < size:
        return
    x0, y0 = box[:2]
    there = np.s_[y0 : y0 + (box[3] - y0) // size * size, x0 : x0 + (box[2] - x0) // size * size]
    inked = cv2.threshold(halved(lines[there], halvings), INKED, 255, cv2.THRESH_BINARY)[1]
    labels, stats, _ = pieces(inked)
    look = _Look(
        inked,  # type: ignore[arg-type]
        labels,
        stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]],
        np.zeros(inked.shape, np.uint8),
        (face.points - np.array((x0, y0), np.float32)) / np.float32(size),
        face.width / size,
        face.down,
    )
    bare = (1 - are_worn(memory)) * sum(seen) / len(seen)  # before hidden eyes there are dark lenses, with rims
    part = canvas.rgb[there]
    small = halved(part, halvings)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    dark = cv2.threshold(gray, LASHES * face.skin_luma, 255, cv2.THRESH_BINARY_INV)[1]
    for eye, visible in zip(EYES, seen, strict=True):
        _mark_eye(look, eye, visible)
        _mark_lashes(look, dark, eye, visible)  # type: ignore[arg-type]
    _mark_mouth(look)
    _mark_stray(look, face.photo[there], halvings, face.photo_skin, bare)
    if not cv2.hasNonZero(look.holes):
        return
    reach = 2 * round((0.009 * face.width + 0.4) / size) + 1
    holes = cv2.dilate(look.holes, np.ones((reach, reach), np.uint8))
    further = max(0, round(math.log2(look.width / FILL_PX)))
    colour = filled(small, holes, further)
    nose = min(max(int(look.points[NOSE_TIP, 1]), 0), len(holes))
    for top, rows in ((0, holes[:nose]), (nose, holes[nose:])):  # hardly anything between eyes and mouth changes
        if not rows.size or not cv2.hasNonZero(rows):
            continue
        left, above, width, height = cv2.boundingRect(rows)
        x, y = max((left >> further) - 1, 0), max((top + above >> further) - 1, 0)  # in pixels of `colour`
        x_end, y_end = (left + width >> further) + 2, (top + above + height >> further) + 2
        cell = size << further
        target = part[y * cell : y_end * cell, x * cell : x_end * cell]
        high, wide = target.shape[:2]
        paint = cv2.resize(colour[y:y_end, x:x_end], None, fx=cell, fy=cell, interpolation=cv2.INTER_LINEAR)
        mask = holes[y << further : y_end << further, x << further : x_end << further]
        soft = cv2.blur(cv2.resize(mask, (wide, high), interpolation=cv2.INTER_LINEAR), (3, 3))
        blend(target, cv2.convertScaleAbs(paint[:high, :wide]), soft, face.alpha)
        x, y = x0 + x * cell, y0 + y * cell
        canvas.cleaned.append(((x, y, x + wide, y + high), soft))


def filled(rgb: RgbImage, holes: GrayImage, halvings: int) -> Floats:
    """The picture with its holes (u8, 0 none) filled smoothly from their rims, after so many halvings of its size.

    It is a little larger at the right and at the bottom.

    Pull-push: the known pixels are averaged down a pyramid, and what is unknown on a level is taken from the coarser
    one (Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph", SIGGRAPH 1996).
    """
    height, width = holes.shape
    opaque = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)  # the fourth channel is how well a pixel is known
    known = cv2.copyTo(opaque, cv2.compare(holes, 0, cv2.CMP_EQ))
    unit = STEP**2 << halvings
    known = cv2.copyMakeBorder(known, 0, -height % unit, 0, -width % unit, cv2.BORDER_CONSTANT)
    level = halved(known, halvings).astype(np.float32)
    levels = [level]
    for _ in range(2):
        level = cv2.resize(level, None, fx=1 / STEP, fy=1 / STEP, interpolation=cv2.INTER_AREA)
        levels.append(level)
    weight = np.maximum(level[..., 3:], 1e-2)
    colour = level[..., :3] * (255 / weight)
    for level in levels[-2::-1]:
        coarse = cv2.resize(colour, level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        known_share = level[..., 3] * np.float32(1 / 255)
        # a pixel that is a quarter known has a colour of its own
        own = cv2.cvtColor(1 / np.maximum(known_share, 0.25), cv2.COLOR_GRAY2RGB)
        rest = cv2.cvtColor(1 - np.minimum(known_share * 4, 1), cv2.COLOR_GRAY2RGB)
        colour = cv2.cvtColor(level, cv2.COLOR_RGBA2RGB) * own + coarse * rest
    return colour


def _mark_eye(look: _Look, eye: EyePoints, visible: float) -> None:
    """Marks the ink of one eye, and its opening, with `visible`."""
    if visible < 0.02:
        return
    upper, lower = look.points[eye.upper_lid], look.points[eye.lower_lid]
    axis = upper[-1] - upper[0]
    width = max(length(axis), 1e-3)
    aside, down = axis * ASIDE, look.down * width
    above = np.concatenate([upper[:1] - aside, upper - down * ABOVE, upper[-1:] + aside])
    zone, under = (np.concatenate([above, (lower + down * below)[::-1]]) for below in (BELOW, BAG))
    core = np.concatenate([upper - down * CORE, (lower + down * CORE)[::-1]])
    opening = np.concatenate([upper, lower[::-1]])
    _mark_own(look, zone, core, opening, round(255 * visible), 0.35 * width, (under, BAG_LENGTH * width))


def _mark_lashes(look: _Look, dark: GrayImage, eye: EyePoints, visible: float) -> None:
    """Marks, with `visible`, the pieces of `dark` (255, else 0) that hang from the opening and end soon below it."""
    upper, lower = look.points[eye.upper_lid], look.points[eye.lower_lid]
    width = length(upper[-1] - upper[0])
    zone, opening = (np.concatenate([upper, (lower + look.down * (k * width))[::-1]]) for k in (BAG, 0))
    within = box_of(zone, 0.35 * width, dark.shape)
    if within is None or visible < 0.02:
        return
    labels, stats, _ = pieces(dark[within[1] : within[3], within[0] : within[2]])
    inside, hanging = (
        np.bincount(labels[_polygon(outline, within, 1).view(np.bool_)], minlength=len(stats))
        for outline in (zone, opening)
    )
    found = (hanging > 0) & (inside > OWN * stats[:, cv2.CC_STAT_AREA])
    found[0] = False
    there = look.holes[within[1] : within[3], within[0] : within[2]]
    cv2.max(there, (found * round(255 * visible)).astype(np.uint8)[labels], there)


def _mark_own(
    look: _Look,
    zone: Points,
    core: Points,
    opening: Points,
    value: int,
    margin: float,
    short: tuple[Points, float] | None = None,
) -> None:
    """Marks, with `value`: ink that lies mostly in `zone`, all ink in `core`, and all of `opening`.

    margin: px round the zone that are looked at: what a piece of ink is further away is nothing to it.
    short: a larger zone, and a length in px of whole pieces below which ink that lies mostly there is marked as well.
    """
    within = box_of(zone, margin, look.inked.shape)
    if within is None:
        return
    x0, y0, x1, y1 = within
    part, there = look.inked[y0:y1, x0:x1], look.holes[y0:y1, x0:x1]
    labels, count = look.labels[y0:y1, x0:x1], len(look.sizes)
    area = OWN * np.bincount(labels.ravel(), minlength=count)
    found = np.bincount(labels[_polygon(zone, within, 1).view(np.bool_)], minlength=count) > area
    if short is not None:
        near = np.bincount(labels[_polygon(short[0], within, 1).view(np.bool_)], minlength=count)
        found |= (near > area) & (look.sizes[:, 0] < short[1])
    found[0] = False
    own = (found * value).astype(np.uint8)[labels]
    cv2.max(own, cv2.bitwise_and(_polygon(core, within, value), part), own)
    cv2.max(own, _polygon(opening, within, value), own)
    cv2.max(there, own, there)


def _mark_mouth(look: _Look) -> None:
    """Marks the ink on the lips and just beyond."""
    upper, lower = look.points[LIPS_OUTER_TOP], look.points[LIPS_OUTER_BOTTOM]
    beyond = (upper[-1] - upper[0]) * 0.12
    ends = np.stack([upper[0] - beyond, upper[-1] + beyond])
    reach = look.down * (0.022 * look.width)
    zone = np.concatenate([ends[:1] - reach, upper, ends[1:] - reach, ends[1:] + reach, lower[::-1], ends[:1] + reach])
    inner = np.concatenate([look.points[LIPS_INNER_TOP], look.points[LIPS_INNER_BOTTOM][::-1]])
    _mark_own(look, zone, zone, inner, 255, length(beyond))


def _mark_stray(look: _Look, photo: RgbImage, halvings: int, skin: float, share: float) -> None:
    """Marks, with `share`, ink round the eyes and below them where the photo is as pale as skin."""
    if share < 0.02:
        return
    span = length(look.points[EYES[0].iris_centre] - look.points[EYES[1].iris_centre])
    around = np.concatenate([look.points[chain] for e in EYES for chain in (e.brow_bottom, e.lower_lid)])
    places = [box_of(around, AROUND * span, look.inked.shape)]
    for eye in EYES:  # where the lower rims of glasses are, beside the nose
        cheek = look.points[eye.lower_lid[2:-2]] + look.down * (CHEEK * span)
        places.append(box_of(cheek, 0.12 * span, look.inked.shape))
    reach = max(3, 2 * round(0.02 * span) + 1)  # a line in the drawing may lie a little beside the one in the photo
    for within in places:
        if within is None:
            continue
        x0, y0, x1, y1 = within
        part = look.inked[y0:y1, x0:x1]
        if not cv2.hasNonZero(part):
            continue
        size = 1 << halvings
        seen = photo[y0 * size : y1 * size, x0 * size : x1 * size]
        gray = halved(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), halvings)  # type: ignore[arg-type]
        darkest = cv2.erode(gray, np.ones((reach, reach), np.uint8))
        # Nor is there a line in a shade that is no darker in the middle than around.
        shade = cv2.convertScaleAbs(cv2.blur(gray, (2 * round(0.07 * span) + 1,) * 2), alpha=NO_LINE)
        plain = cv2.min(cv2.compare(darkest, shade, cv2.CMP_GT), cv2.compare(darkest, DARK * skin, cv2.CMP_GT))
        plain = cv2.max(plain, cv2.compare(darkest, PALE * skin, cv2.CMP_GT))
        scrap = np.where(look.sizes[:, 0] < GLASSES_WIDTH * span, round(255 * share), 0).astype(np.uint8)
        scrap[0] = 0
        there = look.holes[y0:y1, x0:x1]
        cv2.max(there, cv2.min(scrap[look.labels[y0:y1, x0:x1]], plain), there)


def _polygon(outline: Points, box: Box, value: int) -> GrayImage:
    """A mask of the size of the box: `value` in the closed outline, 0 elsewhere."""
    mask: GrayImage = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], value, offset=(-box[0], -box[1]))
    return mask
