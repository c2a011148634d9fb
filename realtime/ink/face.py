"""The measurements of a face that every stroke depends on: size, direction, light.

Comes in: a `Face`, the photo and the drawing. Goes out: a `FaceSketch` for the eyes, brows and mouth. Filter's thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box, box_of
from realtime.ink.measure import Colour, Points, length, luma, middle_colour, sample, smoothstep, vector
from realtime.ink.memory import FaceMemory
from realtime.ink.touch_up import TouchUp
from realtime.landmarks import CHIN, FOREHEAD_TOP, LEFT_TEMPLE, RIGHT_TEMPLE
from realtime.types import Face, RgbImage

# Cheeks, beside the nose and forehead: skin on nearly everybody, clear of eyes, beard and glasses' rims.
SKIN = np.array([50, 280, 205, 425, 101, 330, 36, 266, 117, 346, 151, 108, 337], np.intp)
LIGHT_TAU_S = 0.4
LOOK_EVERY_S = 0.1  # of the source's time: light changes slowly
WIDTH_TO_HEIGHT = 1.25  # a frontal face's height over its width
SMALLEST_PX, SMALL_PX = 32.0, 42.0  # face width: nothing is drawn below, all that a small face gets above
DETAIL_FROM_PX, DETAIL_PX = 56.0, 76.0  # crease, lower lid, brows come in between
YAW_FADE_DEG = (48.0, 62.0)


@dataclass(frozen=True, slots=True, eq=False)
class FaceSketch:
    """One face as it is to be drawn in this frame.

    points: (478, 2) f32 px. box: round them. perceived: the same before they were held calm. photo, drawing: the frame
    and the generator's picture, same size; that is painted on when all was measured. width: of the face seen from the
    front, px. down: unit vector from forehead to chin. yaw_deg: 0 frontal, positive when the face looks to the
    picture's right. skin, skin_luma: RGB and luma of the drawing's skin. ink: line colour, a dark, warm version of the
    skin, not black. gain: (3,) drawing over photo, place by place. photo_colour, photo_skin: RGB and luma of the skin
    in the photo. alpha: 0..1 for everything. detail: 0..1 for what small faces lack. expression: 1 true, above
    exaggerated.
    """

    points: Points
    box: Box
    perceived: Points
    photo: RgbImage
    drawing: RgbImage
    width: float
    down: NDArray[np.float32]
    yaw_deg: float
    skin: Colour
    skin_luma: float
    ink: Colour
    gain: Colour
    photo_colour: Colour
    photo_skin: float
    alpha: float
    detail: float
    touch_up: TouchUp
    expression: float

    def stroke_px(self, share: float) -> float:
        """A stroke width that is `share` thousandths of the face's width.

        Strokes on small faces are relatively heavier, as a pen's are.
        """
        return share / 1000 * self.width * self.touch_up.weight * (1 + 30 / (self.width + 40))

    def drawn(self, photo_colour: Colour) -> Colour:
        """A colour of the photo in the drawing's light."""
        return np.minimum(photo_colour * self.gain, 250)


def sketch_face(
    memory: FaceMemory, photo: RgbImage, drawing: RgbImage, touch_up: TouchUp, expression: float
) -> FaceSketch | None:
    """What this frame's strokes need; None where nothing is to be drawn: too small, turned away, out of the frame."""
    face = memory.face
    if face is None:
        return None
    points = np.ascontiguousarray(face.landmarks[:, :2], np.float32)
    down = points[CHIN] - points[FOREHEAD_TOP]
    height = length(down)
    across = length(points[LEFT_TEMPLE] - points[RIGHT_TEMPLE])
    width = max(across, height / WIDTH_TO_HEIGHT)
    yaw_deg = yaw_of(face)
    alpha = memory.presence * smoothstep(SMALLEST_PX, SMALL_PX, width) * smoothstep(*YAW_FADE_DEG[::-1], abs(yaw_deg))
    box = box_of(points, 0, photo.shape)
    if alpha < 0.01 or box is None:
        return None
    if memory.due("skin", LOOK_EVERY_S):
        in_photo, in_drawing = (sample(rgb, points[SKIN]) for rgb in (photo, drawing))
        # Place by place: half of them may lie in a shade or behind a lens, and not the same half in both pictures.
        memory.ease("gain", np.clip(middle_colour((in_drawing + 4) / (in_photo + 4)), 0.5, 6), LIGHT_TAU_S)
        memory.ease("skin", middle_colour(in_drawing), LIGHT_TAU_S)
        memory.ease("photo skin", middle_colour(in_photo), LIGHT_TAU_S)
    skin = memory["skin"]
    return FaceSketch(
        points,
        box,
        points if face.perceived is None else np.ascontiguousarray(face.perceived[:, :2], np.float32),
        photo,
        drawing,
        width,
        down / max(height, 1e-6),
        yaw_deg,
        skin,
        float(luma(skin)),
        skin * np.float32(0.13) + vector(17, 7, 9),
        memory["gain"],
        memory["photo skin"],
        max(float(luma(memory["photo skin"])), 8.0),
        alpha,
        smoothstep(DETAIL_FROM_PX, DETAIL_PX, width),
        touch_up,
        expression,
    )


def yaw_of(face: Face) -> float:
    """Degrees the face is turned about its vertical axis, from the pose where it is known, else from the depth."""
    if face.pose is not None:
        return math.degrees(math.atan2(face.pose[0, 2], face.pose[2, 2]))
    if face.landmarks.shape[1] < 3:
        return 0.0
    x, y, depth = (face.landmarks[LEFT_TEMPLE] - face.landmarks[RIGHT_TEMPLE]).tolist()
    return math.degrees(math.atan2(depth, math.hypot(x, y)))
