"""Stray ink: what a generator draws round the eyes although the photo has nothing dark there.

Comes in: a canvas before the eyes are drawn, the generator's ink, a `FaceSketch` and its memory. Goes out: the canvas
with that ink painted out. Filter's thread.

Of glasses with clear rims a generator draws a stub of bridge and a scrap of rim, which look like dirt on the face.
Thick frames, hair and shadow are dark in the photo and stay, and so do whole rims; thin rims that were found are drawn
by `glasses`.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.ink.canvas import Canvas, blend, box_of
from realtime.ink.face import FaceSketch
from realtime.ink.glasses import are_worn
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES
from realtime.types import GrayImage

INKED = 24  # of 255
PALE = 0.56  # photo luma over that of the face's skin above which there is no line
NO_LINE, DARK = 0.8, 0.38  # nor above these shares of the luma around and of the skin's
RIM_HEIGHT = 0.3  # eye distances: ink that hangs together over more is a rim, bright as it may be in the photo
AROUND = 0.21  # eye distances that are looked at beyond the outermost brow and lid points


def hide_stray_ink(canvas: Canvas, lines: GrayImage, face: FaceSketch, memory: FaceMemory) -> None:
    """Paints out ink round the eyes where the photo is as pale as skin. lines: (h, w) u8, the generator's ink."""
    alpha = face.alpha * (1 - are_worn(memory))
    points = np.concatenate([face.points[e.brow_bottom] for e in EYES] + [face.points[e.lower_lid] for e in EYES])
    span = float(np.linalg.norm(face.points[EYES[0].iris_centre] - face.points[EYES[1].iris_centre]))
    box = box_of(points, AROUND * span, lines.shape) if alpha > 0.02 else None
    if box is None:
        return
    place = np.s_[box[1] : box[3], box[0] : box[2]]
    reach = max(3, 2 * round(0.02 * span) + 1)  # a line in the drawing may lie a little beside the one in the photo
    gray = cv2.cvtColor(face.photo[place], cv2.COLOR_RGB2GRAY)
    photo = cv2.erode(gray, np.ones((reach, reach), np.uint8))
    pale = cv2.threshold(photo, PALE * face.photo_skin, 255, cv2.THRESH_BINARY)[1]
    # Nor is there a line in a shade that is no darker in the middle than around.
    around = cv2.blur(gray, (2 * round(0.07 * span) + 1,) * 2)
    plain = (photo > NO_LINE * around) & (photo > DARK * face.photo_skin)
    pale |= plain.astype(np.uint8) * 255
    inked = cv2.threshold(lines[place], INKED, 255, cv2.THRESH_BINARY)[1]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(inked)
    scrap = stats[:, cv2.CC_STAT_HEIGHT] < RIM_HEIGHT * span
    inked = cv2.bitwise_and(inked, np.where(scrap, 255, 0).astype(np.uint8)[labels])
    stray = cv2.dilate(cv2.bitwise_and(inked, pale), np.ones((5, 5), np.uint8))
    if not stray.any() or stray.all():
        return
    clean = cv2.inpaint(canvas.rgb[place], stray, 2, cv2.INPAINT_TELEA)
    blend(canvas.rgb[place], clean, cv2.blur(stray, (3, 3)), alpha)
