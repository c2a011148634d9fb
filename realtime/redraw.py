"""Whether a generator has to draw anew, or its last layers, moved along, still show what is there.

Comes in: what the generator would draw from, how it moved and the time since the last frame. Goes out: whether, and
when. One for each picture region, on any thread. A room changes slowly and a person mostly moves: where the optical
flow explains what changed, two of three drawings of a room, 30 a second, and every other of a face can be left out and
nobody sees it, and those of a room may come a frame late. A head that bobs fast drags the lines of the room along in
the flow: then every frame is drawn, and waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from realtime.motion import moved, small_gray
from realtime.types import Flow, GrayImage, RgbImage

ROOM_EVERY_S = 0.090  # at 30 frames a second every third is drawn, at 15 every other, at 60 every fifth
FACE_EVERY_S = 0.060  # at 30 every other, at 20 each
SLACK_S = 0.012  # frames come a little early or late
WIDTH_PX = 160  # of the picture in which changes are looked for
CHANGED = 14.0  # of 255, with noise averaged away: more is new
FAST, FAST_SHARE = 0.3, 0.05  # widths of the picture a second, and in how much of it: no flow is to be trusted


class Due(Enum):
    """Whether a frame is to be drawn: not; at once, for it shows what no earlier drawing does; or only because that has
    become old, and then the drawing may be shown from the next frame on, so that nobody waits for it.
    """

    NO = 0
    NOW = 1
    SOON = 2


@dataclass(slots=True)
class Effort:
    """How much work is done for a picture; may change between two frames. 0 s: everything is drawn in each frame.

    room_every_s, face_every_s: how old a drawing may get. scale: of the sides of what is drawn.
    """

    room_every_s: float = 0.0
    face_every_s: float = 0.0
    scale: float = 1.0


class Redraw:
    """Remembers the last frame, and how long ago was drawn."""

    def __init__(self, new_share: float, late: bool = False) -> None:
        """new_share: of the picture, 0..1; where the flow does not explain more than that, it is drawn at once. late:
        the second drawing comes early, so that two regions need not be drawn on the same frames.
        """
        self._new_share = new_share
        self._late = late
        self._age_s = 0.0
        self._seen: GrayImage | None = None

    def __call__(self, seen: RgbImage, flow: Flow | None, dt_s: float, every_s: float) -> Due:
        """Whether to draw this frame, `dt_s` after the last.

        seen: (h, w, 3) u8. flow: in its pixels. every_s: how old a drawing may get; 0 draws every frame.
        """
        if every_s <= 0:
            self._seen = None
            return Due.NOW
        height, width = seen.shape[:2]
        scale = min(1.0, WIDTH_PX / width)
        gray = small_gray(seen, (round(width * scale), max(1, round(height * scale))))
        before, self._seen = self._seen, gray
        if before is None or before.shape != gray.shape:
            self._age_s = every_s / 2 if self._late else 0.0
            return Due.NOW
        self._age_s += dt_s
        far_apart = dt_s >= every_s - SLACK_S  # each frame is drawn, and there is time to wait for it
        if far_apart or flow is None or not self._carries(flow, before, gray, scale, width * dt_s):
            self._age_s = 0.0
            return Due.NOW
        if self._age_s < every_s - SLACK_S:
            return Due.NO
        self._age_s = 0.0
        return Due.SOON

    def _carries(self, flow: Flow, before: GrayImage, now: GrayImage, scale: float, width_px: float) -> bool:
        """Whether the flow explains what changed."""
        return _new(before, now, flow * np.float32(scale)) <= self._new_share and not _fast(flow, width_px)


def _new(before: GrayImage, now: GrayImage, flow: Flow) -> float:
    """Share of the picture, 0..1, that the flow does not explain."""
    change = cv2.blur(cv2.absdiff(now, moved(before, flow)), (3, 3))
    return cv2.countNonZero(cv2.compare(change, CHANGED, cv2.CMP_GT)) / now.size


def _fast(flow: Flow, width_px: float) -> bool:
    """Whether much moves fast; width_px: by how much a place moves that crosses the picture in a second."""
    far = cv2.compare(cv2.magnitude(*cv2.split(flow)), FAST * width_px, cv2.CMP_GT)
    return cv2.countNonZero(far) > FAST_SHARE * far.size
