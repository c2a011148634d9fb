"""Layers kept steady in time, before tone steps make flicker of noise.

Comes in: this frame's `Layers`, the picture they were drawn from, how it moved, and the time since the last. Goes out:
layers that average, and then hold, what is drawn from the same things, and follow at once where the picture changes.
Runs on the filter's thread, one memory a picture region (the frame, each face crop).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.layers import Layers
from realtime.motion import moved
from realtime.types import Flow, Mask, RgbImage

TAU_S = 1.0  # what stays the same is averaged for so long and then held
RECENT = 2.0  # a plain mean has 1; higher, what is recent counts more, so that less of what was uncovered stays
MOVING_TAU_S = 0.5  # what moves without changing is averaged: held, it would blur from being moved again and again
NOISE_LEAST = 0.5
STILL_NOISE, CHANGED = 3.5, 20.0  # change of the picture, in units of its noise and in 1/255: none, and new
LAYER_STILL, LAYER_CHANGED = 8.0, 40.0  # the same of the layers, in 1/255
INK_SHARE = 0.3  # ink varies more than colour
CHANGE_HZ = 250.0  # how fast the new is taken where all is new

_HALF = np.float32(0.5)
_LESS_INK = np.diag([1, 1, 1, INK_SHARE]).astype(np.float32)

Values = NDArray[np.float32]


class LayerMemory:
    """A running mean of each place, moved along with the picture. `reset()` forgets it.

    A new value weighs 1 - (age / (age + dt))^RECENT: what is recent counts a little more than in a plain mean. The
    `age` of a place grows up to `TAU_S`. Where the picture it was drawn from changes by more than its noise, the age
    falls and the new is taken. Two half steps give the same as a whole one.
    """

    def __init__(self, steadiness: float = 1.0) -> None:
        self.steadiness = steadiness
        self.restless = 1.0  # see `Finish`
        self.reset()

    def reset(self) -> None:
        """Forget: the next layers pass as they are."""
        self._mean: Values | None = None
        self._picture = self._age = np.zeros((0, 0), np.float32)

    def __call__(
        self, layers: Layers, dt_s: float, seen: RgbImage, flow: Flow | None = None, live: Mask | None = None
    ) -> Layers:
        """The layers to show, `dt_s` seconds after the last.

        seen: what they were drawn from, their size. flow: how it moved, in its pixels. live: (h/2, w/2) 0..1, where
        nothing is to be kept.
        """
        tau_s = TAU_S * self.steadiness
        both = cv2.cvtColor(layers.flat, cv2.COLOR_RGB2RGBA)
        cv2.insertChannel(layers.ink, both, 3)
        new = both.astype(np.float32)
        height, width = layers.ink.shape
        half = (width // 2, height // 2)
        picture = cv2.resize(seen, half, interpolation=cv2.INTER_AREA).astype(np.float32)
        if self._mean is None or self._mean.shape != new.shape or tau_s < 1e-6:
            self._mean, self._picture = new, picture
            self._age = np.zeros(half[::-1], np.float32)
            return layers
        if dt_s > 0:
            self._mean = self._updated(self._mean, new, picture, dt_s, tau_s, flow, live)
        return _layers(self._mean)

    def carried(self, flow: Flow | None) -> Layers:
        """The layers for a frame that none were drawn for: what is remembered, moved along; nothing gets older."""
        assert self._mean is not None
        if flow is not None and cv2.countNonZero(cv2.extractChannel(flow, 0)) + cv2.countNonZero(
            cv2.extractChannel(flow, 1)
        ):
            half = flow * _HALF
            self._mean, self._picture = moved(self._mean, flow), moved(self._picture, half)
            self._age = moved(self._age, half)
        return _layers(self._mean)

    def _updated(
        self,
        mean: Values,
        new: Values,
        picture: Values,
        dt_s: float,
        tau_s: float,
        flow: Flow | None,
        live: Mask | None,
    ) -> Values:
        before, age = self._picture, self._age
        height, width = new.shape[:2]
        half = (age.shape[1], age.shape[0])
        moving = np.zeros_like(age)
        length = None if flow is None else cv2.magnitude(*cv2.split(flow))
        if flow is not None and length is not None and cv2.countNonZero(length):
            mean, before, age = moved(mean, flow), moved(before, flow * _HALF), moved(age, flow * _HALF)
            moving = cv2.resize(length, half)
        change = _most(cv2.blur(cv2.absdiff(picture, before), (3, 3)))
        noise = max(float(np.median(change[::4, ::4])), NOISE_LEAST)
        change = cv2.dilate(change, np.ones((3, 3), np.uint8))
        still = min(STILL_NOISE * noise, CHANGED / 2)
        changed = (change - np.float32(still)) * np.float32(1 / (CHANGED - still))
        drawn = cv2.absdiff(
            new[: height // 2 * 2 : 2, : width // 2 * 2 : 2], mean[: height // 2 * 2 : 2, : width // 2 * 2 : 2]
        )
        drawn = _most(cv2.blur(cv2.transform(drawn, _LESS_INK), (3, 3)))
        drawn = (drawn / np.float32(self.restless) - np.float32(LAYER_STILL)) * np.float32(
            1 / (LAYER_CHANGED - LAYER_STILL)
        )
        changed = np.clip(cv2.max(changed, drawn), 0, 1)
        if live is not None:
            changed = cv2.max(changed, live)
        older = age / (age + np.float32(dt_s))
        kept = np.where(age < tau_s, 1 - older**RECENT, np.float32(-np.expm1(-dt_s / MOVING_TAU_S)) * (moving > 0))
        weight = cv2.max(kept, 1 - cv2.exp(np.float32(-dt_s * CHANGE_HZ) * changed * changed * changed))
        self._age = np.minimum(age + np.float32(dt_s), np.float32(tau_s) * (1 - changed) * (1 - changed))
        self._picture = cv2.blendLinear(picture, before, weight, 1 - weight)
        weight = cv2.resize(weight, (width, height))
        return cv2.blendLinear(new, mean, weight, 1 - weight)


def _layers(mean: Values) -> Layers:
    shown = cv2.convertScaleAbs(mean)
    return Layers(cv2.cvtColor(shown, cv2.COLOR_RGBA2RGB), cv2.extractChannel(shown, 3))


def _most(channels: Values) -> Values:
    """The largest of the channels."""
    first, *others = cv2.split(channels)
    for other in others:
        first = cv2.max(first, other)
    return first
