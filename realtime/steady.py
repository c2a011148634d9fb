"""Steady: landmarks and person mask calm at rest, prompt in motion.

Comes in: a `Scene` as perceived. Goes out: the same scene with smoothed landmarks, blendshapes and mask. Runs on the
filter's thread. Everything is set in seconds and hertz and in face heights, so 15, 30 and 60 pictures a second and near
and far faces behave alike.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.landmarks import EYES, LIPS_INNER, LIPS_OUTER
from realtime.motion import Motion, flow_pictures, moved, shrunk_gray
from realtime.one_euro import OneEuro
from realtime.types import Face, Flow, Frame, GrayImage, Mask, Scene, read_only

POINTS = 478
GAP_S = 0.5  # after a longer pause, or a face not seen for longer, everything starts anew
# A cut: this share of the places of a thumbnail has a tone that was nowhere near it in the frame before. People before
# a camera come to 0.16 at 30 and 0.22 at 15 frames a second, cuts begin at 0.27.
CUT_SHARE, CUT_CHANGE = 0.25, 10.0
# Points that a face's expression hardly moves: forehead, temples, bridge of the nose, corners of the eyes.
ANCHORS = np.array(
    [10, 109, 338, 67, 297, 103, 332, 54, 284, 21, 251, 162, 389, 127, 356, 234, 454, 93, 323, 151, 9, 8, 168, 6, 197,
     195, 5, 4, 33, 263, 133, 362, 143, 372, 116, 345, 117, 346],
)  # fmt: skip
SPREAD_TO_HEIGHT = 3.04  # a face's height over the root mean square distance of its anchors from their mean
# 1-euro settings: cut-off at rest in Hz, Hz gained per face height a second, cut-off of the speed in Hz, and the speed
# in face heights a second that sensor noise makes
HEAD = (1.2, 90.0, 3.0, 0.04)  # place, size and turn of the whole face
CALM = (0.8, 30.0, 3.0, 0.06)  # skin and outline within the face
PROMPT = (3.0, 100.0, 8.0, 0.06)  # lids, irises, lips: a blink lasts a tenth of a second
BROWS = (1.2, 60.0, 4.0, 0.09)
BLENDSHAPES = (3.0, 8.0, 6.0, 0.3)  # per unit of score a second
# Face heights by which what is shown may lag behind: what sensor noise still moves stays dead still.
HEAD_SLACK, CALM_SLACK, PROMPT_SLACK, BROW_SLACK = 0.0014, 0.0030, 0.0012, 0.0030
MASK_STILL_TAU_S, MASK_MOVED_TAU_S = 0.15, 0.004
MASK_STILL, MASK_MOVED = 0.06, 0.30  # change of the mask that is noise, and that is motion
CHANGES = np.linspace(0, MASK_MOVED, 256, dtype=np.float32)

Points = NDArray[np.float32]
# A face taken apart, (480, 3): its place, its size and turn, its landmarks within it. One array: filtering it costs as
# much for one row as for all.
PLACE, FORM, WITHIN = 0, 1, slice(2, None)


def _per_row(head: float, calm: float, prompt: float, brows: float) -> NDArray[np.float32]:
    """(480, 1): one setting for every row of a face that is taken apart."""
    rows = np.full((POINTS + 2, 1), head, np.float32)
    values = rows[WITHIN]
    values[:] = calm
    for eye in EYES:
        for part in (eye.brow_top, eye.brow_bottom):
            values[part] = brows
        for part in (eye.opening, eye.iris_ring, np.array([eye.iris_centre])):
            values[part] = prompt
    for lips in (LIPS_INNER, LIPS_OUTER):
        values[lips] = prompt
    return rows


_FILTER = tuple(_per_row(*values) for values in zip(HEAD, CALM, PROMPT, BROWS, strict=True))
_SLACK = _per_row(HEAD_SLACK, CALM_SLACK, PROMPT_SLACK, BROW_SLACK)


class Steady:
    """Smooths what changes slowly, lets through what changes fast, and gives each face its `track`.

    Forgets everything after a gap in time, a change of the frame's size, a step back in time and a scene cut; the
    scene it gives then is `fresh`, and so is the first.
    """

    def __init__(self, steadiness: float = 1.0) -> None:
        """steadiness: 0 everything as perceived, 1 fully steady."""
        self.steadiness = steadiness
        self._tracks = itertools.count(1)
        self._motion = Motion()
        self.reset()

    def reset(self) -> None:
        """Forget everything that was seen."""
        self._motion.reset()
        self._faces: list[_FaceState] = []
        self._person: Mask | None = None
        self._last: Frame | None = None
        self._thumbnail: GrayImage | None = None

    def __call__(self, scene: Scene) -> Scene:
        """The scene, steadied."""
        frame = scene.frame
        pictures = flow_pictures(frame.rgb, frame.half)
        thumbnail = _thumbnail(pictures[1])
        if self._starts_anew(frame, thumbnail):
            self.reset()
        fresh = self._last is None
        dt_s = 0.0 if self._last is None else frame.t - self._last.t
        self._last, self._thumbnail = frame, thumbnail
        self._faces = [state for state in self._faces if frame.t - state.seen_s <= GAP_S]
        flow = self._motion(frame.rgb, pictures)
        states = self._matched(scene.faces, frame.t)
        faces = tuple(
            _mixed(face, state(face, frame.t, _steps(flow, face, frame)), self.steadiness)
            for state, face in zip(states, scene.faces, strict=True)
        )
        person = self._mask(scene.person, dt_s, flow, frame)
        if self.steadiness < 1:
            person = read_only(scene.person + np.float32(self.steadiness) * (person - scene.person))
        return replace(scene, person=person, faces=faces, fresh=fresh, flow=flow)

    def _starts_anew(self, frame: Frame, thumbnail: GrayImage) -> bool:
        if self._last is None or self._thumbnail is None:
            return False
        if self._last.size != frame.size or not 0 <= frame.t - self._last.t <= GAP_S:
            return True
        return _is_cut(self._thumbnail, thumbnail)

    def _matched(self, faces: tuple[Face, ...], now_s: float) -> list[_FaceState]:
        """The state of each face: pairs are made by distance, the nearest first; a face without one gets a new one."""
        found = [_anchors(face.landmarks) for face in faces]
        pairs = sorted(
            (math.dist(state.centre, centre), number, known)
            for number, (centre, _) in enumerate(found)
            for known, state in enumerate(self._faces)
        )
        taken: dict[int, int] = {}
        for distance, number, known in pairs:
            if number not in taken and known not in taken.values() and distance <= _spread(found[number][1]):
                taken[number] = known
        states = [
            self._faces[taken[n]] if n in taken else _FaceState(now_s, next(self._tracks)) for n in range(len(faces))
        ]
        self._faces += [state for number, state in enumerate(states) if number not in taken]
        return states

    def _mask(self, person: Mask, dt_s: float, flow: Flow | None, frame: Frame) -> Mask:
        """What is remembered of the mask moves along with the picture before the new one is mixed in."""
        if self._person is None or self._person.shape != person.shape:
            self._person = person
        if self._person is person:  # one that nobody asked for is always the same
            return person
        height, width = person.shape
        before = self._person
        if flow is not None:
            to_mask = np.array([width / frame.size.width, height / frame.size.height], np.float32)
            before = moved(before, flow * to_mask)
        step = person - before
        new = np.clip((CHANGES - MASK_STILL) / (MASK_MOVED - MASK_STILL), 0, 1)
        tau_s = MASK_STILL_TAU_S * (MASK_MOVED_TAU_S / MASK_STILL_TAU_S) ** new  # one to the other on a log scale
        weights = -np.expm1(-dt_s / tau_s).astype(np.float32)
        step *= cv2.LUT(cv2.convertScaleAbs(step, alpha=255 / MASK_MOVED), weights)
        self._person = read_only(before + step)
        return self._person


class _FaceState:
    """One face as it was last seen and drawn.

    The motion of the whole head is smoothed apart from what moves within the face: so all points of a turning head
    keep together although lids are let through at once and the outline is held calm. What was seen before is moved
    along with the picture first: so only what landmarks say beyond that is held calm, and calm costs no delay.
    """

    def __init__(self, now_s: float, track: int) -> None:
        self.seen_s = now_s
        self._track = track
        self.centre = (0.0, 0.0)
        self._first: Points | None = None  # anchors about their mean, as first seen: what turns are measured against
        self._turn = 0.0
        self._seen: tuple[Points, Points] | None = None  # the last landmarks as perceived, and taken apart
        self._filter = OneEuro(*_FILTER)
        self._shapes = OneEuro(*BLENDSHAPES)
        self._shown: Points | None = None  # taken apart

    def __call__(self, face: Face, now_s: float, steps: Points | None = None) -> Face:
        """The face, steadied. steps: (478, 2), by how many pixels the picture moved where its landmarks are."""
        dt_s = now_s - self.seen_s
        self.seen_s = now_s
        if steps is not None and self._seen is not None:
            self._carry(*self._seen, steps)
        parts = self._taken_apart(face.landmarks)
        self._seen = face.landmarks, parts
        self.centre = (float(parts[PLACE, 0]), float(parts[PLACE, 1]))

        size = np.ones_like(_SLACK)
        size[PLACE] = math.exp(2 * parts[FORM, 0])  # its place is in pixels
        self._shown = shown = _follow(self._shown, self._filter(parts, dt_s, unit=size), _SLACK * size)

        landmarks = shown[WITHIN] @ _turn(2 * float(shown[FORM, 1]), math.exp(2 * shown[FORM, 0]))
        landmarks += shown[PLACE]
        scores = self._scores(face.blendshapes, dt_s)
        return replace(
            face,
            landmarks=read_only(landmarks),
            blendshapes=scores,
            track=self._track,
            perceived=face.landmarks,
        )

    def _taken_apart(self, landmarks: Points) -> Points:
        """(480, 3): the face's centre in pixels, its size and turn, the points within it, in its heights.

        Size and turn count as what they move at the face's rim, half a height from its centre.
        """
        centre, anchors = _anchors(landmarks)
        size, turn = _spread(anchors), self._turned_by(anchors)
        parts = np.empty((POINTS + 2, 3), np.float32)
        parts[PLACE] = (*centre, 0)
        parts[FORM] = (math.log(size) / 2, turn / 2, 0)
        np.matmul(landmarks - parts[PLACE], _turn(-turn, 1 / size), out=parts[WITHIN])
        return parts

    def _carry(self, seen: Points, parts: Points, steps: Points) -> None:
        """Moves what is remembered by what moving the landmarks last `seen` by `steps` makes of them."""
        now = seen.copy()
        now[:, :2] += steps
        step = self._taken_apart(now) - parts
        self._filter.carry(step)
        if self._shown is not None:
            self._shown = self._shown + step

    def _turned_by(self, anchors: Points) -> float:
        """Least-squares angle in radians from the anchors as first seen to these (2-D Procrustes), without jumps."""
        if self._first is None:
            self._first = anchors
        (xx, xy), (yx, yy) = (self._first.T @ anchors).tolist()
        angle = math.atan2(xy - yx, xx + yy)
        self._turn = angle + 2 * math.pi * round((self._turn - angle) / (2 * math.pi))
        return self._turn

    def _scores(self, shapes: Mapping[str, float] | None, dt_s: float) -> Mapping[str, float] | None:
        if shapes is None:
            return None
        scores = np.fromiter(shapes.values(), np.float32, len(shapes))
        return dict(zip(shapes, self._shapes(scores, dt_s).tolist(), strict=True))


def _mixed(raw: Face, steady: Face, share: float) -> Face:
    """`share` (0..1) of the steady face, the rest of it as perceived; the track is the steady one's."""
    if share == 1:
        return steady
    landmarks = raw.landmarks + np.float32(share) * (steady.landmarks - raw.landmarks)
    shapes = raw.blendshapes
    if shapes is not None and steady.blendshapes is not None:
        shapes = {name: value + share * (steady.blendshapes[name] - value) for name, value in shapes.items()}
    return replace(steady, landmarks=read_only(landmarks), blendshapes=shapes)


def _anchors(landmarks: Points) -> tuple[tuple[float, float], Points]:
    """The mean of a face's anchors, in pixels, and these about it, (n, 2)."""
    anchors = landmarks[ANCHORS, :2]
    x, y = cv2.mean(anchors.reshape(-1, 1, 2))[:2]
    return (x, y), anchors - np.array((x, y), np.float32)


def _spread(anchors: Points) -> float:
    """About a face's height in pixels, from its anchors about their mean."""
    return max(SPREAD_TO_HEIGHT * math.sqrt(float(np.vdot(anchors, anchors)) / len(anchors)), 1.0)


def _turn(angle: float, scale: float) -> Points:
    """(3, 3): `points @ _turn(...)` are turned by `angle` about the third axis, `scale` times as far off."""
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, scale]], np.float32)


def _steps(flow: Flow | None, face: Face, frame: Frame) -> Points | None:
    """(478, 2): by how many pixels the picture moved where the landmarks are, since the frame before."""
    if flow is None:
        return None
    to_flow = np.array([flow.shape[1] / frame.size.width, flow.shape[0] / frame.size.height], np.float32)
    places = face.landmarks[None, :, :2] * to_flow - np.float32(0.5)
    return -cv2.remap(flow, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]


def _follow(shown: Points | None, wanted: Points, slack: Points) -> Points:
    """`shown` moved towards `wanted` until each row is no further than `slack` from it."""
    if shown is None:
        return wanted
    step = wanted - shown
    length = np.sqrt(np.einsum("ij,ij->i", step, step))[:, None]
    return np.asarray(shown + step * np.maximum(1 - slack / np.maximum(length, 1e-9), 0), np.float32)


def _thumbnail(gray: GrayImage) -> GrayImage:
    """48x27 places of the picture: enough to tell another scene."""
    return shrunk_gray(gray, (48, 27))


def _is_cut(before: GrayImage, now: GrayImage) -> bool:
    """Whether two thumbnails show different scenes: neither motion by a place nor another light explains the change."""
    if cv2.norm(before, now, cv2.NORM_L1) < CUT_SHARE * CUT_CHANGE * now.size:
        return False
    share = (now + np.float32(8)) / (before + np.float32(8))  # 8: dark places are mostly noise
    lit = before * np.float32(np.clip(np.median(share), 1 / 3, 3))
    around = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(lit, around), cv2.dilate(lit, around)
    new = (now < low - CUT_CHANGE) | (now > high + CUT_CHANGE)
    return float(new.mean()) > CUT_SHARE
