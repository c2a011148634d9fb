"""Clean: the generator's own lines are taken off eyes and mouth before they are drawn.

Comes in: a canvas, the generator's ink, a `FaceSketch`, how far each eye is to be seen. Goes out: the canvas without
those lines, and without stray ones. Filter's thread.

What is taken off is filled from round about (`filled`). Of an eye that is all ink that hangs together within its lids'
neighbourhood; what goes on beyond it is a rim, hair or shadow, and is left where it is no part of the opening. Of
glasses with clear rims a generator draws a stub of bridge and a scrap of rim, which look like dirt on the face: ink
where the photo has nothing dark is taken off round the eyes. Thick frames, hair and shadow are dark in the photo and
stay, and so do whole rims; thin rims that were found are drawn by `glasses`.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.ink.canvas import Box, Canvas, blend, box_of
from realtime.ink.face import FaceSketch
from realtime.ink.glasses import are_worn
from realtime.ink.measure import Floats, Points, length, vector
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES, LIPS_INNER_BOTTOM, LIPS_INNER_TOP, LIPS_OUTER_BOTTOM, LIPS_OUTER_TOP, EyePoints
from realtime.types import GrayImage, RgbImage

INKED = 24  # of 255
OWN = 0.6  # of a piece of ink has to lie in an eye's neighbourhood for all of it to be the eye's
ABOVE, BELOW, ASIDE = 0.18, 0.12, 0.14  # the neighbourhood: eye widths beyond the lids
BAG, BAG_LENGTH = 0.32, 0.75  # eye widths below the lids down to which ink shorter than this is a bag's, no rim's
CORE = 0.07  # eye widths beyond the lids within which no ink but the eye's own is kept
PALE = 0.56  # photo luma over that of the face's skin above which there is no line
NO_LINE, DARK = 0.7, 0.38  # nor above these shares of the luma around and of the skin's
RIM_HEIGHT = 0.3  # eye distances: ink that hangs together over more is a rim, bright as it may be in the photo
CHEEK = 0.3  # eye distances below the lids, about which lower rims lie
AROUND = 0.21  # eye distances that are looked at beyond the outermost brow and lid points
FILL_PX = 72  # a face is filled at about this width: what is filled in is smooth
SMALLEST_PX = 6  # side below which the pyramid ends


def clean(canvas: Canvas, lines: GrayImage, face: FaceSketch, seen: list[float], memory: FaceMemory) -> None:
    """Takes ink off, and notes in the canvas where. lines: (h, w) u8, the generator's. seen: 0..1 for each eye."""
    around = np.concatenate([face.points[LIPS_OUTER_BOTTOM], *(face.points[e.brow_top] for e in EYES)])
    box = box_of(around, AROUND * face.width / 2, lines.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    inked = cv2.threshold(lines[y0:y1, x0:x1], INKED, 255, cv2.THRESH_BINARY)[1]
    holes: GrayImage = np.zeros_like(inked)
    bare = (1 - are_worn(memory)) * sum(seen) / len(seen)  # before hidden eyes there are dark lenses, with rims
    for eye, visible in zip(EYES, seen, strict=True):
        _mark_eye(holes, inked, box, face, eye, visible)
    _mark_mouth(holes, inked, box, face)
    _mark_stray(holes, inked, box, face, bare)
    if not holes.any():
        return
    reach = 2 * round(0.009 * face.width + 0.4) + 1
    holes = cv2.dilate(holes, np.ones((reach, reach), np.uint8))  # type: ignore[assignment]
    part = canvas.rgb[y0:y1, x0:x1]
    soft: GrayImage = cv2.blur(holes, (3, 3))  # type: ignore[assignment]
    blend(part, filled(part, holes, min(1.0, FILL_PX / face.width)), soft, face.alpha)
    canvas.cleaned = (box, holes)


def filled(rgb: RgbImage, holes: GrayImage, scale: float = 1.0) -> RgbImage:
    """The picture with its holes (u8, 0 none) filled smoothly from their rims, made at `scale` of its size.

    Pull-push: the known pixels are averaged down a pyramid, and what is unknown on a level is taken from the coarser
    one (Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph", SIGGRAPH 1996).
    """
    height, width = holes.shape
    opaque = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)  # the fourth channel is how well a pixel is known
    known = cv2.copyTo(opaque, cv2.compare(holes, 0, cv2.CMP_EQ))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    level = cv2.resize(known, small, interpolation=cv2.INTER_AREA).astype(np.float32)
    levels = [level]
    while min(level.shape[:2]) >= SMALLEST_PX:
        level = cv2.resize(level, (level.shape[1] // 3, level.shape[0] // 3), interpolation=cv2.INTER_AREA)
        levels.append(level)
    colour = _over_weight(levels[-1])
    for level in levels[-2::-1]:
        coarse = cv2.resize(colour, (level.shape[1], level.shape[0]), interpolation=cv2.INTER_LINEAR)
        share = np.minimum(level[..., 3:] * (4 / 255), 1)  # a pixel that is a quarter known has a colour of its own
        colour = coarse + share * (_over_weight(level) - coarse)
    full: RgbImage = cv2.resize(cv2.convertScaleAbs(colour), (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return full


def _over_weight(level: Floats) -> Floats:
    """(h, w, 3) colours of sums of colours and their weights (h, w, 4)."""
    return np.asarray(level[..., :3] * (255 / np.maximum(level[..., 3:], 1e-2)), np.float32)


def _mark_eye(
    holes: GrayImage, inked: GrayImage, box: Box, face: FaceSketch, points: EyePoints, visible: float
) -> None:
    """Marks the ink of one eye, and its opening, in `holes` with `visible`."""
    if visible < 0.02:
        return
    upper, lower = (face.points[chain] - vector(*box[:2]) for chain in (points.upper_lid, points.lower_lid))
    axis = upper[-1] - upper[0]
    width = max(length(axis), 1e-3)
    aside = axis * ASIDE
    above, ends = upper - face.down * (ABOVE * width), (upper[:1] - aside, upper[-1:] + aside)
    zone, under = (
        np.concatenate([ends[0], above, ends[1], (lower + face.down * (below * width))[::-1]]) for below in (BELOW, BAG)
    )
    reach = face.down * (CORE * width)
    core = np.concatenate([upper - reach, (lower + reach)[::-1]])
    _mark_own(
        holes,
        inked,
        zone,
        core,
        np.concatenate([upper, lower[::-1]]),
        round(255 * visible),
        0.35 * width,
        (under, BAG_LENGTH * width),
    )


def _mark_own(
    holes: GrayImage,
    inked: GrayImage,
    zone: Points,
    core: Points,
    opening: Points,
    value: int,
    margin: float,
    short: tuple[Points, float] | None = None,
) -> None:
    """Marks, with `value`: ink that lies mostly in `zone`, all ink in `core`, and all of `opening`.

    short: a larger zone, and a length in px below which ink that lies mostly there is marked as well.
    """
    within = box_of(zone, margin, inked.shape)
    if within is None:
        return
    x0, y0, x1, y1 = within
    corner = vector(x0, y0)
    part, there = inked[y0:y1, x0:x1], holes[y0:y1, x0:x1]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(part)
    near = np.bincount(labels[_polygon(zone - corner, part, 255) > 0], minlength=len(stats))
    found = near > OWN * stats[:, cv2.CC_STAT_AREA]
    if short is not None and not found[1:].all():
        near = np.bincount(labels[_polygon(short[0] - corner, part, 255) > 0], minlength=len(stats))
        found |= (near > OWN * stats[:, cv2.CC_STAT_AREA]) & (stats[:, cv2.CC_STAT_WIDTH] < short[1])
    own = np.where(found, value, 0).astype(np.uint8)
    own[0] = 0
    mark = cv2.max(own[labels], cv2.bitwise_and(_polygon(core - corner, part, value), part))
    there[:] = cv2.max(there, cv2.max(mark, _polygon(opening - corner, part, value)))


def _mark_mouth(holes: GrayImage, inked: GrayImage, box: Box, face: FaceSketch) -> None:
    """Marks the ink on the lips and just beyond in `holes`."""
    upper, lower = (face.points[chain] - vector(*box[:2]) for chain in (LIPS_OUTER_TOP, LIPS_OUTER_BOTTOM))
    beyond = (upper[-1] - upper[0]) * 0.12
    ends = np.stack([upper[0] - beyond, upper[-1] + beyond])
    reach = face.down * (0.022 * face.width)
    zone = np.concatenate([ends[:1] - reach, upper, ends[1:] - reach, ends[1:] + reach, lower[::-1], ends[:1] + reach])
    inner = np.concatenate([face.points[LIPS_INNER_TOP], face.points[LIPS_INNER_BOTTOM][::-1]]) - vector(*box[:2])
    _mark_own(holes, inked, zone, zone, inner, 255, length(beyond))


def _mark_stray(holes: GrayImage, inked: GrayImage, box: Box, face: FaceSketch, share: float) -> None:
    """Marks, with `share`, ink round the eyes and below them where the photo is as pale as skin, in `holes`."""
    if share < 0.02:
        return
    span = length(face.points[EYES[0].iris_centre] - face.points[EYES[1].iris_centre])
    around = np.concatenate([face.points[e.brow_bottom] for e in EYES] + [face.points[e.lower_lid] for e in EYES])
    places = [box_of(around - vector(*box[:2]), AROUND * span, inked.shape)]
    for eye in EYES:  # where the lower rims of glasses are, beside the nose
        cheek = face.points[eye.lower_lid[2:-2]] + face.down * (CHEEK * span) - vector(*box[:2])
        places.append(box_of(cheek, 0.12 * span, inked.shape))
    reach = max(3, 2 * round(0.02 * span) + 1)  # a line in the drawing may lie a little beside the one in the photo
    for within in places:
        if within is None:
            continue
        x0, y0, x1, y1 = within
        part = inked[y0:y1, x0:x1]
        if not part.any():
            continue
        gray = cv2.cvtColor(face.photo[box[1] + y0 : box[1] + y1, box[0] + x0 : box[0] + x1], cv2.COLOR_RGB2GRAY)
        photo = cv2.erode(gray, np.ones((reach, reach), np.uint8))
        # Nor is there a line in a shade that is no darker in the middle than around.
        shade = cv2.convertScaleAbs(cv2.blur(gray, (2 * round(0.07 * span) + 1,) * 2), alpha=NO_LINE)
        plain = cv2.min(cv2.compare(photo, shade, cv2.CMP_GT), cv2.compare(photo, DARK * face.photo_skin, cv2.CMP_GT))
        plain = cv2.max(plain, cv2.compare(photo, PALE * face.photo_skin, cv2.CMP_GT))
        _, labels, stats, _ = cv2.connectedComponentsWithStats(part)
        scrap = np.where(stats[:, cv2.CC_STAT_HEIGHT] < RIM_HEIGHT * span, round(255 * share), 0).astype(np.uint8)
        scrap[0] = 0
        there = holes[y0:y1, x0:x1]
        there[:] = cv2.max(there, cv2.min(scrap[labels], plain))


def _polygon(outline: Points, like: GrayImage, value: int) -> GrayImage:
    """A mask of the shape of `like`: `value` in the closed outline, 0 elsewhere."""
    mask: GrayImage = np.zeros(like.shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], value)
    return mask
