"""Ink: eyes, brows and mouth of every face are drawn over what the generators made.

Comes in: a `Styled`, whose arrays are only read. Goes out: a `Styled` with a new picture. Runs on the filter's thread.

Only the neighbourhood of each face is touched. A face that is lost fades out where it was. What is remembered of it
(its iris colour, how visible its eyes are) is forgotten when it has been gone for a while.
"""

from __future__ import annotations

import math

import cv2

from realtime.ink.brows import draw_brows
from realtime.ink.canvas import Canvas
from realtime.ink.clean import clean
from realtime.ink.eyes import draw_eyes, see_eyes
from realtime.ink.face import sketch_face
from realtime.ink.glasses import draw_glasses, see_glasses
from realtime.ink.marks import draw_marks
from realtime.ink.measure import clamp
from realtime.ink.memory import FaceMemory
from realtime.ink.mouth import draw_mouth
from realtime.ink.touch_up import TouchUp
from realtime.profile import Profile
from realtime.types import Styled, read_only

APPEAR_TAU_S, VANISH_TAU_S = 0.12, 0.06
AS_IT_IS = TouchUp()
GONE = 0.05  # presence below which nothing is drawn any more
FORGET_S = 0.5


class Ink:
    """Draws the living face. `touch_up` and `expression` may change between two frames."""

    def __init__(self, touch_up: TouchUp = AS_IT_IS, expression: float = 1.0, profile: Profile | None = None) -> None:
        """`expression`: 1 as the person's, up to 1.5 exaggerated. `profile`: of the largest face at first sight."""
        self.touch_up = touch_up
        self.expression = expression
        self._profile = profile
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._memories: dict[int, FaceMemory] = {}  # by track
        self._last_s: float | None = None

    def memory_of(self, track: int) -> FaceMemory | None:
        """What is remembered of a face, None when there is none of that `Face.track`."""
        return self._memories.get(track)

    def __call__(self, styled: Styled) -> Styled:
        """The drawing with its faces drawn; the very same object where there is nothing to draw."""
        scene = styled.scene
        first = scene.fresh or self._last_s is None
        if first:
            self.reset()
        self._last_s = now_s = scene.frame.t
        faces = [face for face in scene.faces if math.isfinite(float(face.landmarks.sum()))]
        self._memories = {n: memory for n, memory in self._memories.items() if 0 <= now_s - memory.seen_s <= FORGET_S}
        for face in faces:
            if face.track not in self._memories:
                known = any(memory.profile is not None for memory in self._memories.values())
                profile = None if known else self._profile
                self._memories[face.track] = FaceMemory(now_s, 1.0 if first else 0.0, profile)
            self._memories[face.track].appear(face, now_s, APPEAR_TAU_S)
        here = {face.track for face in faces}
        for track in self._memories.keys() - here:
            self._memories[track].vanish(now_s, VANISH_TAU_S)
        shown = [memory for memory in self._memories.values() if memory.presence > GONE or memory.seen_s == now_s]
        if not shown:
            return styled
        canvas = Canvas(styled.rgb.copy(), styled.rgb)
        for memory in shown:
            sketch = sketch_face(memory, scene.frame.rgb, styled.rgb, self.touch_up, self.expression)
            if sketch is None:
                continue
            eyes, seen = see_eyes(sketch, memory)
            see_glasses(sketch, memory)
            canvas.cleaned.clear()
            clean(canvas, styled.lines, sketch, seen, memory)
            draw_marks(canvas, sketch, memory)
            draw_mouth(canvas, sketch, memory)
            draw_brows(canvas, sketch, memory)
            draw_eyes(canvas, styled.lines, sketch, eyes, seen, memory)
            draw_glasses(canvas, styled.lines, sketch, memory)
        opacity, rgb = clamp(self.touch_up.opacity, 0, 1), canvas.rgb
        if opacity < 1:
            rgb = cv2.addWeighted(rgb, opacity, styled.rgb, 1 - opacity, 0)
        return Styled(scene, read_only(rgb), styled.lines)
