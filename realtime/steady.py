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
from realtime.motion import Motion, flow_picture, moved, shrunk_gray
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
Parts = tuple[Points, Points, Points]  # place, size and turn, and what is within a face


def _per_point(calm: float, prompt: float, brows: float) -> NDArray[np.float32]:
    """(478, 1): one setting for every landmark."""
    values = np.full((POINTS, 1), calm, np.float32)
    for eye in EYES:
        for part in (eye.brow_top, eye.brow_bottom):
            values[part] = brows
        for part in (eye.opening, eye.iris_ring, np.array([eye.iris_centre])):
            values[part] = prompt
    for lips in (LIPS_INNER, LIPS_OUTER):
        values[lips] = prompt
    return values


_WITHIN_FACE = tuple(_per_point(*values) for values in zip(CALM, PROMPT, BROWS, strict=True))
_WITHIN_SLACK = _per_point(CALM_SLACK, PROMPT_SLACK, BROW_SLACK)


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
        self._thumbnail: NDArray[np.float32] | None = None

    def __call__(self, scene: Scene) -> Scene:
        """The scene, steadied."""
        frame = scene.frame
        gray = flow_picture(frame.rgb, frame.half)
        thumbnail = _thumbnail(gray)
        if self._starts_anew(frame, thumbnail):
            self.reset()
        fresh = self._last is None
        dt_s = 0.0 if self._last is None else frame.t - self._last.t
        self._last, self._thumbnail = frame, thumbnail
        self._faces = [state for state in self._faces if frame.t - state.seen_s <= GAP_S]
        flow = self._motion(frame.rgb, gray)
        states = self._matched(scene.faces, frame.t)
        faces = tuple(
            _mixed(face, state(face, frame.t, _steps(flow, face, frame)), self.steadiness)
            for state, face in zip(states, scene.faces, strict=True)
        )
        person = self._mask(scene.person, dt_s, flow, frame)
        if self.steadiness < 1:
            person = read_only(scene.person + np.float32(self.steadiness) * (person - scene.person))
        return replace(scene, person=person, faces=faces, fresh=fresh, flow=flow)

    def _starts_anew(self, frame: Frame, thumbnail: NDArray[np.float32]) -> bool:
        if self._last is None or self._thumbnail is None:
            return False
        if self._last.size != frame.size or not 0 <= frame.t - self._last.t <= GAP_S:
            return True
        return _is_cut(self._thumbnail, thumbnail)

    def _matched(self, faces: tuple[Face, ...], now_s: float) -> list[_FaceState]:
        """The state of each face: pairs are made by distance, the nearest first; a face without one gets a new one."""
        centres = [_centre(face.landmarks) for face in faces]
        pairs = sorted(
            (float(np.linalg.norm(state.centre - centre)), number, known)
            for number, centre in enumerate(centres)
            for known, state in enumerate(self._faces)
        )
        taken: dict[int, int] = {}
        for distance, number, known in pairs:
            if number not in taken and known not in taken.values() and distance <= _size(faces[number].landmarks):
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
            return person
        height, width = person.shape
        before = self._person
        if flow is not None and height > 2:  # one that nobody asked for is the same everywhere
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
        self.centre = np.zeros(2, np.float32)
        self._anchors: Points | None = None  # (n, 2) about their mean, as first seen: what turns are measured against
        self._turn = 0.0
        self._seen: tuple[Points, Parts] | None = None  # the last landmarks as perceived, and taken apart
        self._place = OneEuro(*HEAD)
        self._form = OneEuro(*HEAD)
        self._within = OneEuro(*_WITHIN_FACE)
        self._shapes = OneEuro(*BLENDSHAPES)
        self._shown_place: Points | None = None
        self._shown_form: Points | None = None
        self._shown_within: Points | None = None

    def __call__(self, face: Face, now_s: float, steps: Points | None = None) -> Face:
        """The face, steadied. steps: (478, 2), by how many pixels the picture moved where its landmarks are."""
        dt_s = now_s - self.seen_s
        self.seen_s = now_s
        if steps is not None and self._seen is not None:
            self._carry(*self._seen, steps)
        place, form, within = parts = self._taken_apart(face.landmarks)
        self._seen = face.landmarks, parts
        self.centre, size = place[0], math.exp(2 * form[0, 0])

        place = self._place(place, dt_s, unit=size)
        form = self._form(form, dt_s)
        within = self._within(within, dt_s)
        self._shown_place = place = _follow(self._shown_place, place, HEAD_SLACK * size)
        self._shown_form = form = _follow(self._shown_form, form, HEAD_SLACK)
        self._shown_within = within = _follow(self._shown_within, within, _WITHIN_SLACK)

        landmarks = within @ _turn(2 * float(form[0, 1]), math.exp(2 * form[0, 0]))
        landmarks[:, :2] += place
        scores = self._scores(face.blendshapes, dt_s)
        return replace(
            face,
            landmarks=read_only(landmarks),
            blendshapes=scores,
            track=self._track,
            perceived=face.landmarks,
        )

    def _taken_apart(self, landmarks: Points) -> Parts:
        """(1, 2) the face's centre in pixels, (1, 2) its size and turn, (478, 3) the points within it, in its heights.

        Size and turn count as what they move at the face's rim, half a height from its centre.
        """
        centre = _centre(landmarks)
        anchors = landmarks[ANCHORS, :2] - centre
        size, turn = _spread(anchors), self._turned_by(anchors)
        within = landmarks.copy()
        within[:, :2] -= centre
        form = np.array([[math.log(size) / 2, turn / 2]], np.float32)
        return centre[None], form, within @ _turn(-turn, 1 / size)

    def _carry(self, seen: Points, parts: Parts, steps: Points) -> None:
        """Moves what is remembered by what moving the landmarks last `seen` by `steps` makes of them."""
        now = seen.copy()
        now[:, :2] += steps
        place, form, within = (after - before for before, after in zip(parts, self._taken_apart(now), strict=True))
        self._place.carry(place)
        self._form.carry(form)
        self._within.carry(within)
        if self._shown_place is not None and self._shown_form is not None and self._shown_within is not None:
            self._shown_place = self._shown_place + place
            self._shown_form = self._shown_form + form
            self._shown_within = self._shown_within + within

    def _turned_by(self, anchors: Points) -> float:
        """Least-squares angle in radians from the anchors as first seen to these (2-D Procrustes), without jumps."""
        if self._anchors is None:
            self._anchors = anchors
        x, y = self._anchors.T
        angle = float(np.arctan2(x @ anchors[:, 1] - y @ anchors[:, 0], x @ anchors[:, 0] + y @ anchors[:, 1]))
        self._turn = angle + 2 * np.pi * round((self._turn - angle) / (2 * np.pi))
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


def _centre(landmarks: Points) -> Points:
    return np.asarray(landmarks[ANCHORS, :2].mean(axis=0), np.float32)


def _size(landmarks: Points) -> float:
    """About a face's height in pixels, from the spread of the anchors."""
    return _spread(landmarks[ANCHORS, :2] - _centre(landmarks))


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


def _follow(shown: Points | None, wanted: Points, slack: float | Points) -> Points:
    """`shown` moved towards `wanted` until each row is no further than `slack` from it."""
    if shown is None:
        return wanted
    step = wanted - shown
    length = np.sqrt(np.einsum("ij,ij->i", step, step))[:, None]
    return np.asarray(shown + step * np.maximum(1 - slack / np.maximum(length, 1e-9), 0), np.float32)


def _thumbnail(gray: GrayImage) -> NDArray[np.float32]:
    """48x27 places of the picture: enough to tell another scene."""
    return shrunk_gray(gray, (48, 27)).astype(np.float32)


def _is_cut(before: NDArray[np.float32], now: NDArray[np.float32]) -> bool:
    """Whether two thumbnails show different scenes: neither motion by a place nor another light explains the change."""
    if cv2.norm(before, now, cv2.NORM_L1) < CUT_SHARE * CUT_CHANGE * now.size:
        return False
    light = float(np.clip(np.median((now + 8) / (before + 8)), 1 / 3, 3))  # 8: dark places are mostly noise
    around = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(before * light, around), cv2.dilate(before * light, around)
    new = (now < low - CUT_CHANGE) | (now > high + CUT_CHANGE)
    return float(new.mean()) > CUT_SHARE
