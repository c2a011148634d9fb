"""Layers kept steady in time, before tone steps make flicker of noise.

Comes in: this frame's `Layers`, the picture they were drawn from, how it moved, and the time since the last. Goes out:
layers, f32, that average, and then hold, what is drawn from the same things, and follow at once where the picture
changes. Runs on the filter's thread, one memory a picture region (the frame, each face crop). All that says how much is
kept is worked out at half the layers' size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.layers import Layers
from realtime.motion import moved
from realtime.types import Flow, Mask, RgbImage

TAU_S = 1.0  # what stays the same is averaged for so long and then held
RECENT = 1.0  # 1 is a plain mean; higher, what is recent counts more
MOVING_TAU_S = 0.5  # what moves without changing is averaged: held, it would blur from being moved again and again
NOISE_LEAST = 0.5
STILL_NOISE, CHANGED = 3.5, 15.0  # change of the picture, in units of its noise and in 1/255: none, and new
# What is new where nothing moves is drawn anew with its surroundings, so far at half size, and for so long: a generator
# draws a wall otherwise beside a thing than alone.
AROUND_PX, ANEW_S = 35, 0.07
LAYER_STILL, LAYER_CHANGED = 8.0, 40.0  # the same of the layers, in 1/255
INK_SHARE = 0.3  # ink varies more than colour
CHANGE_HZ = 250.0  # how fast the new is taken where all is new

_HALF = np.float32(0.5)
_LESS_INK = np.diag([1, 1, 1, INK_SHARE]).astype(np.float32)
_AGE = 3  # its channel among what was seen

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
        self._mean: Values | None = None  # (h, w, 4): flat colour and ink
        self._seen = np.zeros((0, 0, 4), np.float32)  # (h/2, w/2, 4): the picture, and the age of what is kept
        self._carried_s = 0.0  # since the last layers

    def __call__(
        self, layers: Layers, dt_s: float, seen: RgbImage, flow: Flow | None = None, live: Mask | None = None
    ) -> Layers:
        """The layers to show, `dt_s` seconds after the last.

        seen: what they were drawn from, their size. flow: how it moved, in its pixels. live: (h/2, w/2) 0..1, where
        nothing is to be kept.
        """
        tau_s = TAU_S * self.steadiness
        if tau_s < 1e-6:
            self.reset()
            return layers
        both = cv2.cvtColor(layers.flat, cv2.COLOR_RGB2RGBA)
        cv2.insertChannel(layers.ink, both, 3)
        new = both.astype(np.float32)
        height, width = layers.ink.shape
        picture = cv2.resize(seen, (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32)
        if self._mean is None or self._mean.shape != new.shape:
            self._mean, self._seen = new, cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)
            self._seen[..., _AGE] = 0
            return layers
        dt_s, self._carried_s = dt_s + self._carried_s, 0.0
        if dt_s > 0:
            moving = self._moved_along(flow)
            weight = self._weight(self._mean, new, picture, dt_s, tau_s, moving, live)
            weight = cv2.resize(weight, (width, height))
            self._mean = cv2.blendLinear(new, self._mean, weight, 1 - weight)
        return self._shown()

    def carried(self, flow: Flow | None, dt_s: float) -> Layers:
        """The layers to show for a frame that was not drawn: what is remembered, moved along the flow."""
        self._carried_s += dt_s
        self._moved_along(flow)
        return self._shown()

    def _shown(self) -> Layers:
        assert self._mean is not None, "nothing is remembered"
        return Layers(cv2.cvtColor(self._mean, cv2.COLOR_RGBA2RGB), cv2.extractChannel(self._mean, 3))

    def _moved_along(self, flow: Flow | None) -> Values:
        """Moves what is remembered; gives where it moved, (h/2, w/2), above 0."""
        height, width = self._seen.shape[:2]
        if flow is None or not cv2.countNonZero(flow.reshape(len(flow), -1)):
            return np.zeros((height, width), np.float32)
        length = cv2.magnitude(*cv2.split(flow))
        assert self._mean is not None
        self._mean = moved(self._mean, flow)
        self._seen = moved(self._seen, flow * _HALF)
        return cv2.resize(length, (width, height))

    def _weight(
        self,
        mean: Values,
        new: Values,
        picture: Values,
        dt_s: float,
        tau_s: float,
        moving: Values,
        live: Mask | None,
    ) -> Values:
        """(h/2, w/2) 0..1: how much of the new layers is taken; remembers the picture and the age by it."""
        half = (picture.shape[1], picture.shape[0])
        before, age = cv2.cvtColor(self._seen, cv2.COLOR_RGBA2RGB), cv2.extractChannel(self._seen, _AGE)
        rests = cv2.compare(moving, 0, cv2.CMP_EQ)
        change = _most(cv2.blur(cv2.absdiff(picture, before), (3, 3)))
        noise = max(float(np.median(change[::4, ::4])), NOISE_LEAST)
        change = cv2.dilate(change, np.ones((3, 3), np.uint8))
        still = min(STILL_NOISE * noise, CHANGED / 2)
        changed = cv2.min((change - np.float32(still)) * np.float32(1 / (CHANGED - still)), 1)
        new_here = cv2.bitwise_and(rests, cv2.compare(changed, 1, cv2.CMP_GE))
        around = cv2.dilate(new_here, np.ones((AROUND_PX, AROUND_PX), np.uint8))
        drawn = cv2.absdiff(*(cv2.resize(of, half, interpolation=cv2.INTER_NEAREST) for of in (new, mean)))
        drawn = _most(cv2.blur(cv2.transform(drawn, _LESS_INK), (3, 3)))
        drawn = (drawn / np.float32(self.restless) - np.float32(LAYER_STILL)) * np.float32(
            1 / (LAYER_CHANGED - LAYER_STILL)
        )
        changed = np.clip(cv2.max(changed, drawn), 0, 1)
        changed[around != 0] = 1
        if live is not None:
            changed = cv2.max(changed, live)
        older = cv2.max(age, 0)
        older /= older + np.float32(dt_s)
        kept = np.where(age < tau_s, 1 - older**RECENT, np.float32(-np.expm1(-dt_s / MOVING_TAU_S)) * (moving > 0))
        weight = cv2.max(kept, 1 - cv2.exp(np.float32(-dt_s * CHANGE_HZ) * changed * changed * changed))
        self._seen = cv2.cvtColor(cv2.blendLinear(picture, before, weight, 1 - weight), cv2.COLOR_RGB2RGBA)
        age = np.minimum(age + np.float32(dt_s), np.float32(tau_s) * (1 - changed) * (1 - changed))
        age[around != 0] = -ANEW_S
        cv2.insertChannel(age, self._seen, _AGE)
        return weight


def _most(channels: Values) -> Values:
    """The largest of the channels."""
    first, *others = cv2.split(channels)
    for other in others:
        first = cv2.max(first, other)
    return first
