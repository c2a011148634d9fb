"""Ink: eyes, brows and mouth of every face are drawn over what the generators made.

Comes in: a `Styled`, whose arrays are only read. Goes out: a `Styled` with a new picture. Runs on the main thread.

Only the neighbourhood of each face is touched. What is remembered of a face (its iris colour, how visible its eyes
are) is forgotten when the face has been gone for a while.
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
from realtime.ink.stray import hide_stray_ink
from realtime.types import Styled, read_only

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
        self._memories: dict[int, FaceMemory] = {}  # by track
        self._last_s: float | None = None

    def __call__(self, styled: Styled) -> Styled:
        """The drawing with its faces drawn; the very same object where there is nothing to draw."""
        scene = styled.scene
        first = scene.fresh or self._last_s is None
        if first:
            self.reset()
        self._last_s = now_s = scene.frame.t
        faces = [face for face in scene.faces if np.isfinite(face.landmarks).all()]
        self._memories = {n: memory for n, memory in self._memories.items() if 0 <= now_s - memory.t <= FORGET_S}
        if not faces:
            return styled
        canvas = Canvas(styled.rgb.copy(), styled.rgb)
        for face in faces:
            memory = self._memories.setdefault(face.track, FaceMemory(now_s, 1.0 if first else 0.0))
            memory.appear(now_s, APPEAR_TAU_S)
            sketch = sketch_face(face, scene.frame.rgb, styled.rgb, memory, self.weight)
            if sketch is None:
                continue
            hide_stray_ink(canvas, styled.lines, sketch, memory)
            draw_mouth(canvas, sketch, memory)
            draw_brows(canvas, sketch, memory)
            draw_eyes(canvas, styled.lines, sketch, memory, self.eye_scale)
            draw_glasses(canvas, styled.lines, sketch, memory)
        return replace(styled, rgb=read_only(canvas.rgb))
