"""Ink: eyes, brows and mouth of every face are drawn over what the generators made.

Comes in: a `Styled`, whose arrays are only read. Goes out: a `Styled` with a new picture. Runs on the main thread.

Only the neighbourhood of each face is touched. What is remembered of a face (its iris colour, how visible its eyes
are) belongs to the face nearest to where it was; it is forgotten when the face has been gone for a while.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from realtime.ink.brows import draw_brows
from realtime.ink.canvas import Canvas
from realtime.ink.eyes import draw_eyes
from realtime.ink.face import sketch_face
from realtime.ink.glasses import draw_glasses
from realtime.ink.memory import FaceMemory
from realtime.ink.mouth import draw_mouth
from realtime.landmarks import LEFT_TEMPLE, RIGHT_TEMPLE
from realtime.types import Face, Styled, read_only

APPEAR_TAU_S = 0.12
FORGET_S = 0.5


class Ink:
    """Draws the living face. `weight`: factor of all stroke widths. `eye_scale`: 1 modest enlargement, 0 none."""

    def __init__(self, weight: float = 1.0, eye_scale: float = 1.0) -> None:
        self.weight = weight
        self.eye_scale = eye_scale
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._memories: list[FaceMemory] = []
        self._last_s: float | None = None

    def __call__(self, styled: Styled) -> Styled:
        """The drawing with its faces drawn; the very same object where there is nothing to draw."""
        frame = styled.scene.frame
        first = self._last_s is None or not 0 <= frame.t - self._last_s <= FORGET_S
        if first:
            self._memories = []
        self._last_s = frame.t
        faces = [face for face in styled.scene.faces if np.isfinite(face.landmarks).all()]
        memories = self._recall(faces, frame.t, 1.0 if first else 0.0)
        if not faces:
            return styled
        canvas = Canvas(styled.rgb.copy(), styled.rgb)
        for face, memory in zip(faces, memories, strict=True):
            sketch = sketch_face(face, frame.rgb, styled.rgb, memory, self.weight)
            if sketch is None:
                continue
            draw_mouth(canvas, sketch, memory)
            draw_brows(canvas, sketch, memory)
            draw_eyes(canvas, styled.lines, sketch, memory, self.eye_scale)
            draw_glasses(canvas, sketch, memory)
        return replace(styled, rgb=read_only(canvas.rgb))

    def _recall(self, faces: list[Face], t: float, presence: float) -> list[FaceMemory]:
        """The memory of each face: that of the nearest face seen lately, or a new one."""
        left = [memory for memory in self._memories if t - memory.t <= FORGET_S]
        found = []
        for face in faces:
            points = face.landmarks[:, :2]
            centre = points.mean(0)
            reach = float(np.linalg.norm(points[LEFT_TEMPLE] - points[RIGHT_TEMPLE])) + 8
            near = [m for m in left if np.linalg.norm(m.centre - centre) < reach]
            if near:
                memory = min(near, key=lambda m: float(np.linalg.norm(m.centre - centre)))
                left.remove(memory)
                memory.appear(centre, t, APPEAR_TAU_S)
            else:
                memory = FaceMemory(centre, t, presence)
            found.append(memory)
        self._memories = found + left
        return found
