"""Steady: landmarks and person mask calm at rest, prompt in motion.

Comes in: a `Scene` as perceived. Goes out: the same scene with smoothed landmarks, blendshapes and mask. Runs on the
main thread. Everything is set in seconds and hertz and in face heights, so 15, 30 and 60 pictures a second and near
and far faces behave alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from realtime.landmarks import EYES, LIPS_INNER, LIPS_OUTER
from realtime.one_euro import OneEuro
from realtime.types import Face, Mask, Scene, read_only

POINTS = 478
FORGET_S = 0.5  # a face not seen for longer starts anew
SLACK = 0.0010  # face heights a point may drift from where it is drawn: what sensor noise still moves stays dead still
# 1-euro settings: cut-off at rest in Hz, Hz gained per face height a second, cut-off of the speed in Hz
CALM = (0.8, 20.0, 2.0)
PROMPT = (2.0, 80.0, 6.0)  # lids, irises, brows and lips: a blink lasts a tenth of a second
BLENDSHAPES = (4.0, 8.0, 6.0)
MASK_TAU_S = 0.12
MASK_STILL, MASK_MOVED = 0.08, 0.35  # change of the mask that is noise, and that is motion


def _per_point(index: int) -> NDArray[np.float32]:
    """(478, 1): one setting for every landmark."""
    values = np.full((POINTS, 1), CALM[index], np.float32)
    for eye in EYES:
        for part in (eye.opening, eye.iris_ring, [eye.iris_centre], eye.brow_top, eye.brow_bottom):
            values[part] = PROMPT[index]
    for lips in (LIPS_INNER, LIPS_OUTER):
        values[lips] = PROMPT[index]
    return values


@dataclass(slots=True)
class _FaceState:
    """One face as it was last seen and drawn."""

    points: OneEuro = field(default_factory=lambda: OneEuro(_per_point(0), _per_point(1), _per_point(2)))
    shapes: OneEuro = field(default_factory=lambda: OneEuro(*BLENDSHAPES))
    shown: NDArray[np.float32] | None = None
    centre: NDArray[np.float32] = field(default_factory=lambda: np.zeros(2, np.float32))
    seen_s: float = 0.0


class Steady:
    """Smooths what changes slowly, lets through what changes fast."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything that was seen."""
        self._faces: list[_FaceState] = []
        self._person: Mask | None = None
        self._last_s: float | None = None

    def __call__(self, scene: Scene) -> Scene:
        """The scene, steadied."""
        now_s = scene.frame.t
        dt_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        self._faces = [state for state in self._faces if now_s - state.seen_s <= FORGET_S]
        free = list(self._faces)
        faces = tuple(self._face(face, now_s, free) for face in scene.faces)
        return replace(scene, person=self._mask(scene.person, dt_s), faces=faces)

    def _face(self, face: Face, now_s: float, free: list[_FaceState]) -> Face:
        centre = face.landmarks[:, :2].mean(axis=0)
        height = max(float(np.ptp(face.landmarks[:, 1])), 1.0)
        state = min(free, key=lambda s: float(np.linalg.norm(s.centre - centre)), default=None)
        if state is None or float(np.linalg.norm(state.centre - centre)) > height:
            state = _FaceState(seen_s=now_s)
            self._faces.append(state)
        else:
            free.remove(state)
        dt_s = now_s - state.seen_s
        state.centre, state.seen_s = centre, now_s

        landmarks = state.points(face.landmarks, dt_s, unit=height)
        state.shown = landmarks if state.shown is None else _follow(state.shown, landmarks, SLACK * height)
        shapes = face.blendshapes
        if shapes is not None:
            scores = np.fromiter(shapes.values(), np.float32, len(shapes))
            shapes = dict(zip(shapes, state.shapes(scores, dt_s).tolist(), strict=True))
        return replace(face, landmarks=read_only(state.shown.copy()), blendshapes=shapes)

    def _mask(self, person: Mask, dt_s: float) -> Mask:
        if self._person is None or self._person.shape != person.shape:
            self._person = person
            return person
        still = float(1 - np.exp(-max(dt_s, 0.0) / MASK_TAU_S))
        change = np.abs(person - self._person)
        weight = still + (1 - still) * np.clip((change - MASK_STILL) / (MASK_MOVED - MASK_STILL), 0, 1)
        self._person = read_only((self._person + weight * (person - self._person)).astype(np.float32))
        return self._person


def _follow(shown: NDArray[np.float32], wanted: NDArray[np.float32], slack: float) -> NDArray[np.float32]:
    """`shown` moved towards `wanted` until each point is no further than `slack` from it."""
    step = wanted - shown
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return (shown + step * np.clip(1 - slack / np.maximum(length, 1e-9), 0, None)).astype(np.float32)
