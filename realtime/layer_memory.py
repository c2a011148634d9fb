"""Layers kept steady in time, before tone steps make flicker of noise.

Comes in: what a generator drew, the picture it drew from, how it moved, and the time since the last. Goes out: layers,
in 1/256 of a level, that average, and then hold, what is drawn from the same things, and follow at once where the
picture changes. Runs on the filter's thread, one memory a picture region (the frame, each face crop). All that says how
much is kept is worked out at half the layers' size.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.halved import halved
from realtime.layers import FINE, FineImage, FineTable, Layers, fine_levels
from realtime.motion import moved
from realtime.types import Flow, GrayImage, Mask, RgbImage

TAU_S = 0.88  # what stays the same is averaged for so long and then held: a second after the first frame, all is
_LEAST_TAU_S = 1e-6  # shorter: each drawing is shown as it is
MOVING_TAU_S = 0.7  # what moves without changing is averaged: held, it would blur from being moved again and again
NOISE_LEAST = 0.5
STILL_NOISE, CHANGED = 3.5, 15.0  # change of the picture, in units of its noise and in 1/255: none, and new
MOVES_LENIENT = 1.25  # times all that where something moves: it is not carried along quite right
FACE_LENIENT = 1.6  # times that in a face's crop: its eyes and lips are live, and no lines of a room are dragged along
# What is new where nothing moves is drawn anew with its surroundings, so far at half size, and for so long: a generator
# draws a wall otherwise beside a thing than alone. Not what moves itself and has lines (ink of 255) near: they would
# be other ones in each frame.
AROUND_PX, ANEW_S = 41, 0.07
FAINT, NEAR_PX = 20, 25
LAYER_STILL, LAYER_CHANGED = 8.0, 40.0  # the same of the layers, in 1/255
INK_SHARE = 0.3  # ink varies more than colour
CHANGE_HZ = 120.0  # how fast the new is taken where all is new

_HALF = np.float32(0.5)
_INK = _AGE = 3  # its channel among the layers, and among what was seen
_AGE_UNITS = 65535 / 1.2  # a second: room for `ANEW_S` below 0 and `TAU_S`
_NO_AGE = round(ANEW_S * _AGE_UNITS)
_ROUNDING_S = 1e-4  # an age that was moved along is full also where its last digits are missing


class LayerMemory:
    """A running mean of each place, moved along with the picture. `reset()` forgets it.

    A new value weighs dt / (age + dt), as in a plain mean. The `age` of a place grows up to `TAU_S`. Where the picture
    it was drawn from changes by more than its noise, the age falls and the new is taken. Two half steps give the same
    as a whole one.
    """

    def __init__(self, steadiness: float = 1.0, lenient: float = 1.0) -> None:
        """lenient: how many times more than usual the picture must change to count as new."""
        self.steadiness = steadiness
        self._still_noise, self._changed = lenient * STILL_NOISE, lenient * CHANGED
        self.restless = 1.0  # see `Finish`
        self.reset()

    def reset(self) -> None:
        """Forget: the next layers pass as they are."""
        self._mean: FineImage | None = None  # (h, w, 4): flat colour and ink
        self._seen = np.zeros((0, 0, 4), np.uint16)  # (h/2, w/2, 4): the picture, and the age of what is kept
        self._carried_s = 0.0  # since the last layers
        self._flow: Flow | None = None  # how far the picture moved since

    def __call__(
        self,
        drawn: NDArray[np.uint8],
        dt_s: float,
        seen: RgbImage,
        flow: Flow | None = None,
        live: Mask | None = None,
    ) -> Layers:
        """The layers to show, `dt_s` seconds after the last.

        drawn: (h, w, 4), flat colour and ink as a generator gives them. seen: what they were drawn from, their size.
        flow: how it moved since the last frame, in its pixels. live: (h/2, w/2) 0..1, where nothing is to be kept.
        """
        if self._mean is None or self._mean.shape != drawn.shape or self._tau_s < _LEAST_TAU_S:
            self._begin(drawn, seen)
            return _layers(drawn)
        self._carried_s += dt_s
        if self._carried_s > 0:
            self._follow(flow)
            self.learn(drawn, seen, live)
        return _layers(self._mean)

    def learn(self, drawn: NDArray[np.uint8], seen: RgbImage, live: Mask | None = None) -> None:
        """Takes in what was drawn of the frame shown last; as in a call."""
        if self._mean is None or self._tau_s < _LEAST_TAU_S:
            self._begin(drawn, seen)
            return
        dt_s, self._carried_s = self._carried_s, 0.0
        if dt_s > 0:
            moves = self._moved_along()
            weight = self._weight(self._mean, drawn, _picture(seen), dt_s, self._tau_s, moves, live)
            self._mean = _mixed(fine_levels(drawn), self._mean, weight)

    def carried(self, flow: Flow | None, dt_s: float) -> Layers:
        """The layers to show for a frame that was not drawn: what is remembered, moved along the flow."""
        assert self._mean is not None, "nothing is remembered"
        self._carried_s += dt_s
        self._follow(flow)
        return _layers(self._mean if self._flow is None else moved(self._mean, self._flow))

    @property
    def _tau_s(self) -> float:
        return TAU_S * self.steadiness

    def _begin(self, drawn: NDArray[np.uint8], seen: RgbImage) -> None:
        self.reset()
        self._mean, self._seen = fine_levels(drawn), _picture(seen)
        self._seen[..., _AGE] = _NO_AGE

    def _follow(self, flow: Flow | None) -> None:
        """One step more of the picture: what is remembered is moved by all of them at once, which blurs it once."""
        if flow is None or not cv2.countNonZero(flow.reshape(len(flow), -1)):
            return
        if self._flow is not None:
            flow = flow + moved(self._flow, flow * np.float32(flow.shape[1] / (2 * self._seen.shape[1])))
        self._flow = flow

    def _moved_along(self) -> GrayImage:
        """Moves what is remembered to where it is now; gives where it moved, (h/2, w/2), above 0."""
        height, width = self._seen.shape[:2]
        flow, self._flow = self._flow, None
        if flow is None:
            return np.zeros((height, width), np.uint8)
        assert self._mean is not None
        self._mean = moved(self._mean, flow)
        self._seen = moved(self._seen, flow * _HALF)
        moves = cv2.compare(cv2.magnitude(flow[..., 0], flow[..., 1]), 0, cv2.CMP_GT)
        return cv2.resize(moves, (width, height))

    def _weight(
        self,
        mean: FineImage,
        new: NDArray[np.uint8],
        picture: FineImage,
        dt_s: float,
        tau_s: float,
        moves: GrayImage,
        live: Mask | None,
    ) -> FineImage:
        """(h/2, w/2), of 65535: how much of the new layers is taken; remembers the picture and the age by it."""
        before, rests = self._seen, cv2.bitwise_not(moves)
        age = cv2.extractChannel(before, _AGE)
        change = _most(*cv2.split(cv2.blur(cv2.absdiff(picture, before), (3, 3)))[:_AGE])
        sample = np.sort(change[::4, ::4], axis=None)
        noise = max(float(sample[len(sample) // 2]) / FINE, NOISE_LEAST)
        still = FINE * min(self._still_noise * noise, self._changed / 2)
        changed = _rise(cv2.dilate(change, np.ones((3, 3), np.uint8)), still, FINE * self._changed, moves)
        earlier = cv2.convertScaleAbs(_every_other(mean, np.uint64), alpha=1 / FINE)
        around = cv2.bitwise_and(cv2.compare(changed, 255, cv2.CMP_EQ), rests)
        if cv2.hasNonZero(around):
            lines = cv2.dilate(cv2.extractChannel(earlier, _INK), np.ones((NEAR_PX, NEAR_PX), np.uint8))
            plain = cv2.compare(lines, FAINT, cv2.CMP_LT)
            around = cv2.dilate(around, np.ones((AROUND_PX, AROUND_PX), np.uint8))
            around = cv2.bitwise_and(around, cv2.bitwise_or(rests, plain))
        *flat, ink = cv2.split(cv2.blur(cv2.absdiff(_every_other(new, np.uint32), earlier), (3, 3)))
        apart = _most(*flat, cv2.convertScaleAbs(ink, alpha=INK_SHARE))
        apart = _rise(apart, self.restless * LAYER_STILL, self.restless * LAYER_CHANGED, moves)
        changed = _most(changed, apart, around)
        if live is not None:
            changed = cv2.max(changed, cv2.convertScaleAbs(live, alpha=255))
        taken, oldest = _by_change(dt_s, tau_s)
        step = max(1, round(dt_s * _AGE_UNITS))
        older = cv2.add(cv2.max(age, _NO_AGE), step - _NO_AGE)
        weight = (np.float32(65535 * step) / older).astype(np.uint16)
        held = np.full_like(age, round(-np.expm1(-dt_s / MOVING_TAU_S) * 65535))
        cv2.copyTo(np.zeros_like(age), rests, held)
        cv2.copyTo(held, cv2.compare(age, _NO_AGE + (tau_s - _ROUNDING_S) * _AGE_UNITS, cv2.CMP_GE), weight)
        weight = cv2.max(weight, cv2.LUT(changed, taken))
        self._seen = _mixed(picture, before, weight)
        age = cv2.min(cv2.add(age, step), cv2.LUT(changed, oldest))
        cv2.copyTo(np.zeros_like(age), around, age)
        cv2.insertChannel(age, self._seen, _AGE)
        return weight


def _layers(both: NDArray[Any]) -> Layers:
    return Layers(cv2.cvtColor(both, cv2.COLOR_RGBA2RGB), cv2.extractChannel(both, _INK))  # NumPy's copies: ten times


def _picture(seen: RgbImage) -> FineImage:
    """(h/2, w/2, 4): what is remembered of a frame, without an age."""
    return fine_levels(cv2.cvtColor(halved(seen), cv2.COLOR_RGB2RGBA))


def _every_other(picture: NDArray[Any], pixel: type[np.unsignedinteger]) -> NDArray[Any]:
    """Every other pixel of every other row; `pixel` is as large as its four channels, which then are copied in one."""
    height, width = (side // 2 for side in picture.shape[:2])
    pixels = np.ascontiguousarray(picture.view(pixel)[: 2 * height : 2, : 2 * width : 2])
    return pixels.view(picture.dtype)


def _by_change(dt_s: float, tau_s: float) -> tuple[FineTable, FineTable]:
    """By how much changed, of 255: how much of the new is taken, of 65535, and how old what is kept may be."""
    changed = np.arange(256) / 255
    taken = -65535 * np.expm1(-dt_s * CHANGE_HZ * changed**3)
    oldest = _NO_AGE + _AGE_UNITS * tau_s * (1 - changed) ** 2
    return (taken + 0.5).astype(np.uint16), (oldest + 0.5).astype(np.uint16)


def _mixed(new: FineImage, old: FineImage, share: FineImage) -> FineImage:
    """`share`, of 65535, of the new values, the rest of the old; writes over what was given. One share for all four
    channels, at any size.
    """
    whole = cv2.resize(share, new.shape[1::-1])
    taken = cv2.merge([whole] * 4)
    new = cv2.multiply(new, taken, dst=new, scale=1 / 65535)
    kept = cv2.bitwise_not(taken, dst=taken)
    return cv2.add(new, cv2.multiply(old, kept, dst=kept, scale=1 / 65535), dst=new)


def _most(*channels: GrayImage) -> GrayImage:
    """The largest of the channels."""
    return functools.reduce(cv2.max, channels)


def _rise(values: GrayImage | FineImage, low: float, high: float, moves: GrayImage) -> GrayImage:
    """0 up to `low`, 255 from `high` on, straight between; both `MOVES_LENIENT` times as high where something moves."""
    rise = cv2.convertScaleAbs(cv2.subtract(values, round(low)), alpha=255 / (high - low))  # a third of `addWeighted`
    low, high = MOVES_LENIENT * low, MOVES_LENIENT * high
    later = cv2.convertScaleAbs(cv2.subtract(values, round(low)), alpha=255 / (high - low))
    return cv2.copyTo(later, moves, rise)
