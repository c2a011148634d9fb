"""Marks: moles and beauty spots, which a generator flattens away with the skin's pores.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with the marks drawn. Filter's thread.

A mark is a small round place that is darker than the skin around it in look after look. It is kept beside the nearest
point of the mesh, so it moves with the face at once. Stubble and strong freckles are many, and many are texture: then
only those that stand out from the others are drawn.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from realtime.ink.canvas import Canvas, box_of, halved, pieces
from realtime.ink.face import FaceSketch
from realtime.ink.measure import Floats, Points, vector
from realtime.ink.memory import FaceMemory, share_after
from realtime.landmarks import EYES, FACE_OVAL, LIPS_OUTER, NOSE_BRIDGE, NOSE_WINGS
from realtime.types import GrayImage

LOOK_EVERY_S = 0.3
SEEN_TAU_S, LOST_TAU_S = 0.5, 2.0
SURE = 0.35  # how sure one is of a mark that begins to be drawn
LOOK_PX = 180  # width at which a face is looked at; it has to have two thirds of it
CLOSING = 11  # px of that: what is larger is no mark
DARKER, DEEP = 0.11, 0.165  # than the skin around, as a share of it: all of a mark, and its middle; less is a shade
LEAST_PX, MOST_PX = 4, 31  # areas
RING_PX = 3.5  # round a mark there is skin
MOST = 40  # marks that are looked at closely
LIP_SHADE = 0.05  # face widths below the lips, where they throw a shade
LONGEST = 1.8  # length over breadth: wrinkles are longer
MANY, OUTSTANDING = 6, 1.6  # as many are texture; but those so much darker than the middle one of them
NEAR = 0.02  # face widths within which two looks saw the same mark
_ANGLES = np.linspace(0, 2 * np.pi, 14, endpoint=False, dtype=np.float32)
_ROUND = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
# A row for each mark: mesh point, offset from it in face widths along x and down the face, radius in face widths,
# luma over the skin's, how sure it is.
POINT, ACROSS, DOWN, RADIUS, TONE, SURENESS = range(6)


def see_marks(face: FaceSketch, memory: FaceMemory) -> None:
    """Looks in the photo for the marks of this face."""
    if _is_large(face) and memory.due("marks", LOOK_EVERY_S):
        right = _right(face)
        since_s = memory.since("marks")
        memory.ease_share("marks", 0.0, 1.0)
        memory.marks = _remembered(memory.marks, _found(face, right), face, right, since_s)


def draw_marks(canvas: Canvas, face: FaceSketch, memory: FaceMemory) -> None:
    """Draws the marks of this face."""
    if not (len(memory.marks) and _is_large(face)):
        return
    right = _right(face)
    for mark in memory.marks:
        sure = min(1.0, (float(mark[SURENESS]) - SURE) / (1 - SURE))
        if sure > 0:
            outline = _place(mark, face, right) + _ROUND * (float(mark[RADIUS]) * face.width)
            tone = face.skin * np.float32(mark[TONE]) * vector(1.0, 0.9, 0.85)
            canvas.fill(outline.astype(np.float32), tone, 0.9 * sure * face.alpha, 0.002 * face.width)


def _is_large(face: FaceSketch) -> bool:
    return face.width >= 2 / 3 * LOOK_PX and face.detail >= 0.5


def _right(face: FaceSketch) -> Floats:
    return vector(face.down[1], -face.down[0])


def _place(mark: Floats, face: FaceSketch, right: Floats) -> Points:
    offset = mark[ACROSS] * right + mark[DOWN] * face.down
    return np.asarray(face.points[int(mark[POINT])] + offset * np.float32(face.width), np.float32)


def _found(face: FaceSketch, right: Floats) -> Floats:
    """(n, 6) the marks to be seen in this frame, wholly sure of each."""
    none = np.zeros((0, 6), np.float32)
    box = box_of(face.points[FACE_OVAL], 0, face.photo.shape)
    if box is None:
        return none
    x0, y0, x1, y1 = box
    scale = min(1.0, LOOK_PX / face.width)
    size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    near = halved(cv2.cvtColor(face.photo[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY), int(-math.log2(scale)))  # type: ignore[arg-type]
    gray = cv2.blur(cv2.resize(near, size, interpolation=cv2.INTER_AREA), (3, 3))
    closed = cv2.morphologyEx(gray, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (CLOSING, CLOSING)))
    darker = (closed.astype(np.float32) - gray) / np.maximum(closed, 24)
    dark = ((darker > DARKER) & (closed > 0.45 * face.photo_skin)).astype(np.uint8)
    dark &= _skin(face, (x0, y0), scale, gray.shape)
    labels, stats, centres = pieces(dark)
    wide, high, area = (stats[:, k] for k in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA))
    good = (area >= LEAST_PX) & (area <= MOST_PX) & (np.maximum(wide, high) <= LONGEST * np.minimum(wide, high))
    good[0] = False
    numbers = np.flatnonzero(good)
    numbers = np.array([n for n in numbers[:MOST] if _alone(gray, closed, centres[n], float(area[n]))], np.intp)
    depth = np.array([float(darker[labels == number].max()) for number in numbers], np.float32)
    if len(numbers) >= MANY:
        keep = depth > OUTSTANDING * np.median(depth)
        numbers, depth = numbers[keep], depth[keep]
    numbers, depth = numbers[depth > DEEP], depth[depth > DEEP]
    rows = []
    for number, deep in zip(numbers, depth, strict=True):
        place = ((centres[number] + 0.5) / scale + (x0, y0)).astype(np.float32)
        nearest = int(((face.points[:468] - place) ** 2).sum(1).argmin())
        offset = (place - face.points[nearest]) / face.width
        radius = max(float(np.sqrt(area[number] / np.pi)) / scale / face.width, 0.006)
        rows.append((nearest, offset @ right, offset @ face.down, radius, max(0.3, 0.8 - 1.2 * float(deep)), 1.0))
    return np.array(rows, np.float32).reshape(-1, 6) if rows else none


def _alone(gray: GrayImage, closed: GrayImage, centre: Floats, area: float) -> bool:
    """Whether skin lies all round: beside a dimple or the end of a wrinkle or brow the dark goes on."""
    ring = np.rint(centre + _ROUND[:-2] * (np.sqrt(area / np.pi) + RING_PX)).astype(np.intp)
    x, y = np.clip(ring[:, 0], 0, gray.shape[1] - 1), np.clip(ring[:, 1], 0, gray.shape[0] - 1)
    cx, cy = (round(float(c)) for c in centre)
    around = gray[y, x].astype(np.float32)
    deep = float(closed[cy, cx]) - float(gray[cy, cx])
    return bool(around.min() > closed[cy, cx] - 0.48 * deep and np.ptp(around) < 1.2 * deep)


def _skin(face: FaceSketch, origin: tuple[int, int], scale: float, shape: tuple[int, ...]) -> GrayImage:
    """(h, w) u8: 1 where the face's bare skin is: not at its rim, on eyes, brows, nose, lips."""
    mask: GrayImage = np.zeros(shape, np.uint8)

    def paint(points: Points, value: int, grown: float) -> None:
        middle = points.mean(0)
        hull = cv2.convexHull((((points - middle) * grown + middle - vector(*origin)) * scale).astype(np.float32))
        cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), value)

    paint(face.points[FACE_OVAL], 1, 0.88)
    for eye in EYES:
        paint(face.points[np.concatenate([eye.opening, eye.brow_top, eye.brow_bottom])], 0, 1.5)
    paint(face.points[np.concatenate([NOSE_BRIDGE, NOSE_WINGS])], 0, 1.25)
    lips = face.points[LIPS_OUTER]
    paint(np.concatenate([lips, lips + face.down * (LIP_SHADE * face.width)]), 0, 1.3)
    return mask


def _remembered(known: Floats, found: Floats, face: FaceSketch, right: Floats, since_s: float | None) -> Floats:
    """The marks after another look: those seen again are surer, those not seen less; all are new at first sight."""
    if since_s is None:
        return found
    seen, lost = share_after(since_s, SEEN_TAU_S), share_after(since_s, LOST_TAU_S)
    new = found.copy()
    new[:, SURENESS] = 0.5 * seen
    kept = []
    for mark in known:
        place = _place(mark, face, right)
        away = [float(np.linalg.norm(_place(other, face, right) - place)) for other in new]
        nearest = int(np.argmin(away)) if away else -1
        if nearest >= 0 and away[nearest] < NEAR * face.width:
            again = mark + np.float32(0.3) * (new[nearest] - mark)
            again[POINT], again[ACROSS : DOWN + 1] = mark[POINT], mark[ACROSS : DOWN + 1]
            again[SURENESS] = mark[SURENESS] + seen * (1 - mark[SURENESS])
            kept.append(again)
            new = np.delete(new, nearest, 0)
        elif mark[SURENESS] * (1 - lost) > 0.05:
            faded = mark.copy()
            faded[SURENESS] *= 1 - lost
            kept.append(faded)
    return np.concatenate([np.array(kept, np.float32).reshape(-1, 6), new])
