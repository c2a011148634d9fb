"""Ink: eyes, brows and mouth of every face are drawn over what the generators made.

Comes in: a `Styled`. Goes out: a `Styled` with the same picture, painted on, where that is writable, else with a copy.
Runs on the filter's thread.

Only the neighbourhood of each face is touched. A face that is lost fades out where it was. What is remembered of it
(its iris colour, how visible its eyes are) is forgotten when it has been gone for a while.
"""

from __future__ import annotations

import math

import cv2

from realtime.ink.brows import draw_brows
from realtime.ink.canvas import Canvas
from realtime.ink.clean import clean
from realtime.ink.eye_shape import Eye
from realtime.ink.eyes import draw_eyes, see_eyes
from realtime.ink.face import FaceSketch, sketch_face
from realtime.ink.glasses import draw_glasses, see_glasses
from realtime.ink.marks import draw_marks, see_marks
from realtime.ink.measure import clamp
from realtime.ink.memory import FaceMemory
from realtime.ink.mouth import draw_mouth, see_mouth
from realtime.ink.touch_up import TouchUp
from realtime.profile import Profile
from realtime.types import GrayImage, RgbImage, Styled, read_only

APPEAR_TAU_S, VANISH_TAU_S = 0.12, 0.06
AS_IT_IS = TouchUp()
GONE = 0.05  # presence below which nothing is drawn any more
FORGET_S = 0.5
MARGIN = 0.25  # face widths round the mesh within which all is painted


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
        faces_seen = [seen for memory in shown if (seen := self._see(styled, memory)) is not None]
        if not faces_seen:
            return styled
        rgb = styled.rgb if styled.rgb.flags.writeable else styled.rgb.copy()
        for seen in faces_seen:
            self._draw(rgb, styled.lines, *seen)
        return Styled(scene, read_only(rgb), styled.lines)

    def _see(self, styled: Styled, memory: FaceMemory) -> tuple[FaceSketch, FaceMemory, list[Eye], list[float]] | None:
        """What is measured before anything is painted; None where nothing is to be."""
        sketch = sketch_face(memory, styled.scene.frame.rgb, styled.rgb, self.touch_up, self.expression)
        if sketch is None:
            return None
        eyes, seen = see_eyes(sketch, memory)
        see_glasses(sketch, memory)
        see_marks(sketch, memory)
        see_mouth(sketch, memory)
        return sketch, memory, eyes, seen

    def _draw(
        self,
        rgb: RgbImage,
        lines: GrayImage,
        sketch: FaceSketch,
        memory: FaceMemory,
        eyes: list[Eye],
        seen: list[float],
    ) -> None:
        """Paints one face; all of it or, if that raises, nothing."""
        left, top, right, bottom = sketch.box
        margin = round(MARGIN * sketch.width)
        there = rgb[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]
        before, canvas = there.copy(), Canvas(rgb)
        try:
            clean(canvas, lines, sketch, seen, memory)
            draw_marks(canvas, sketch, memory)
            draw_mouth(canvas, sketch, memory)
            draw_brows(canvas, sketch, memory)
            draw_eyes(canvas, lines, sketch, eyes, seen, memory)
            draw_glasses(canvas, lines, sketch, memory)
        except Exception:
            there[:] = before
            raise
        opacity = clamp(self.touch_up.opacity, 0, 1)
        if opacity < 1:
            cv2.addWeighted(there, opacity, before, 1 - opacity, 0, there)
