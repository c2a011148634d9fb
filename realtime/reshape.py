"""Reshape: larger eyes and a smaller nose, before anything is drawn.

Comes in: `Scene`. Goes out: `Scene` whose frame and landmarks are bent alike, so that generators and ink draw the face
as if it were made so. Runs on the filter's thread. The bend is smooth, fades to nothing within the face and follows
the landmarks, which are steady by now; what is bent is pulled from the inside of the face, never from beyond the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.landmarks import CHIN, EYES, FOREHEAD_TOP, NOSE_TIP, NOSE_WINGS
from realtime.types import Face, RgbImage, Scene, read_only

FACE_MIN_PX = 40  # forehead to chin: below, nothing is bent
EYE_GROWTH, NOSE_GROWTH = 0.55, -0.30  # share of their size that `eyes` and `nose` of 1 add
EYE_REACH, NOSE_REACH = 0.92, 0.85  # how far a bend goes, in widths of the eye and heights of the nose
NARROW, WIDE = 0.08, 0.14  # eye width over face height: an eye turned away is not enlarged, one that is seen is
ROUNDS = 6  # of the fixed-point search for where a landmark goes


@dataclass(frozen=True, slots=True)
class Shape:
    """The table [shape] of a style. eyes: how much larger they are, 0 as they are, 1 half as large again. nose: how
    much smaller it is, 0..1.
    """

    eyes: float = 0.0
    nose: float = 0.0

    def __post_init__(self) -> None:
        """Raises `ValueError` for a face that cannot be made."""
        if not (0 <= self.eyes <= 2 and 0 <= self.nose <= 1):
            raise ValueError("'eyes' of the shape is not between 0 and 2, or 'nose' not between 0 and 1")


NOTHING = Shape()


def with_shape_strength(shape: Shape, strength: float) -> Shape:
    """The shape at a strength of 0..1."""
    return Shape(shape.eyes * strength, shape.nose * strength)


@dataclass(frozen=True, slots=True, eq=False)
class _Bend:
    """A disc whose middle grows by `growth` and whose edge, `reach_px` away, stays."""

    centre: NDArray[np.float32]
    reach_px: float
    growth: float

    def pull(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How far from (x, y) lies what is shown there."""
        dx, dy = x - self.centre[0], y - self.centre[1]
        inside = np.clip(1 - (dx * dx + dy * dy) / np.float32(self.reach_px**2), 0, 1)
        share = np.float32(1 / (1 + self.growth) - 1) * inside * inside
        return dx * share, dy * share


class Reshape:
    """The stage. `shape` may change between two frames."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def reset(self) -> None:
        """Nothing is remembered."""

    def __call__(self, scene: Scene) -> Scene:
        """The scene with its faces reshaped."""
        if self.shape == NOTHING or not scene.faces:
            return scene
        rgb = scene.frame.rgb
        faces = []
        for face in scene.faces:
            bends = _bends(face, self.shape)
            if not bends:
                faces.append(face)
            else:
                perceived = None if face.perceived is None else _landmarks(face.perceived, bends)
                faces.append(replace(face, landmarks=_landmarks(face.landmarks, bends), perceived=perceived))
                rgb = _bent(rgb, bends, own=rgb is not scene.frame.rgb)
        return replace(scene, frame=replace(scene.frame, rgb=read_only(rgb)), faces=tuple(faces))


def _bends(face: Face, shape: Shape) -> list[_Bend]:
    points = face.landmarks[:, :2]
    height = float(np.linalg.norm(points[CHIN] - points[FOREHEAD_TOP]))
    bends: list[_Bend] = []
    if height < FACE_MIN_PX:
        return bends
    for eye in EYES if shape.eyes > 0 else ():
        width = float(np.linalg.norm(points[eye.outer_corner] - points[eye.inner_corner]))
        t = np.clip((width / height - NARROW) / (WIDE - NARROW), 0, 1)
        growth = EYE_GROWTH * shape.eyes * float(t * t * (3 - 2 * t))
        if growth > 0.01:
            bends.append(_Bend(points[eye.opening].mean(axis=0), EYE_REACH * max(width, 0.14 * height), growth))
    if shape.nose > 0:
        wings = points[NOSE_WINGS].mean(axis=0)
        reach = NOSE_REACH * 0.24 * height
        bends.append(_Bend((wings + points[NOSE_TIP]) / 2, reach, NOSE_GROWTH * shape.nose))
    return bends


def _landmarks(landmarks: NDArray[np.float32], bends: list[_Bend]) -> NDArray[np.float32]:
    """Where the landmarks are shown: the places whose pull leads back to them (fixed-point iteration)."""
    own_x, own_y = landmarks[:, 0], landmarks[:, 1]
    x, y = own_x.copy(), own_y.copy()
    for _ in range(ROUNDS):
        pulls = [bend.pull(x, y) for bend in bends]
        x, y = own_x - sum(p[0] for p in pulls), own_y - sum(p[1] for p in pulls)
    moved = landmarks.copy()
    moved[:, 0], moved[:, 1] = x, y
    return np.asarray(read_only(moved))


def _bent(rgb: RgbImage, bends: list[_Bend], own: bool) -> RgbImage:
    """The picture with these bends; a copy unless it is the caller's own already."""
    height, width = rgb.shape[:2]
    reach = np.array([[bend.reach_px] * 2 for bend in bends])
    middles = np.array([bend.centre for bend in bends])
    left, top = np.clip(np.floor((middles - reach).min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil((middles + reach).max(axis=0)) + 1, 0, (width, height)).astype(int)
    if right <= left or bottom <= top:
        return rgb
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    pulls = [bend.pull(x, y) for bend in bends]
    from_x, from_y = x + sum(p[0] for p in pulls), y + sum(p[1] for p in pulls)
    part = cv2.remap(rgb, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    bent = rgb if own else rgb.copy()
    bent[top:bottom, left:right] = part
    return bent
