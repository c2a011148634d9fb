"""The exposure kept steady: a webcam's own exposure pumps and lamps flicker, the drawn tones must not.

Comes in: the frame at the generator's size and the time since the last. Goes out: the `Exposure` to draw it with. Runs
on the filter's thread.

Two things are told apart. A change of all light, as automatic exposure makes it, is a factor that most of the picture
shares: it is found against a slow mean of the picture and taken out at once. What the picture itself shows, its
darkest and brightest places, is measured on that slow mean, in which what only passes by is left out, and followed
slowly.
"""

from __future__ import annotations

from math import exp, expm1

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.exposure import Exposure, luma_samples, measure_exposure, stretch
from realtime.types import RgbImage

EVERY = 8  # pixels and rows, of which one is remembered
TAU_S = 0.6  # of the stretch
PICTURE_TAU_S = 1.0  # of the mean picture
RECENT_TAU_S = 0.1  # what a place was a moment ago
PASSING = 12.0  # levels from that: it has just changed and may only be something that passes by
SLACK = 0.04  # share by which the gain may be off, and a fifth of it the offset
DARK, BRIGHT = 16, 235  # luma outside tells nothing of a factor
KNOWN_LEAST = 0.25  # share of the picture that must tell something
FACTOR_LIMIT, FACTOR_BINS = 1.0, 200  # on a log scale
ALIKE = 0.03  # how near to the common factor a place is that shares it
SHARED_LEAST = 0.5  # share of the places that must share a factor
FACTOR_LEAST = 0.004  # less is none

Luma = NDArray[np.float32]


class ExposureMemory:
    """`reset()` forgets all. steadiness: 0 each frame as measured, 1 steady."""

    def __init__(self, steadiness: float = 1.0) -> None:
        self.steadiness = steadiness
        self.reset()

    def reset(self) -> None:
        """Forget: the next frame is taken as measured."""
        self._exposure: Exposure | None = None
        self._mean: Luma = np.zeros((0, 0), np.float32)
        self._recent = self._mean

    def __call__(self, rgb: RgbImage, dt_s: float) -> Exposure:
        """The exposure for this frame, `dt_s` seconds after the last."""
        luma = luma_samples(rgb, EVERY).astype(np.float32)
        tau_s = TAU_S * self.steadiness
        if self._exposure is None or self._mean.shape != luma.shape or tau_s < 1e-6:
            self._mean, self._recent, self._exposure = luma, luma.copy(), measure_exposure(rgb)
            return self._exposure
        factor = common_factor(luma, self._mean)
        if factor != 1:
            self._mean, self._recent = self._mean * np.float32(factor), self._recent * np.float32(factor)
        exposure = Exposure(self._exposure.gain / factor, self._exposure.offset)
        share = -expm1(-max(dt_s, 0.0) / PICTURE_TAU_S)
        known = cv2.absdiff(luma, self._recent) < PASSING
        self._mean += (np.float32(share) * known) * (luma - self._mean)
        share = -expm1(-max(dt_s, 0.0) / RECENT_TAU_S)
        self._recent += np.float32(share) * (luma - self._recent)
        wanted = stretch(self._mean)
        share = -expm1(-max(dt_s, 0.0) / tau_s)
        self._exposure = exposure.towards(_within_reach(wanted, exposure), share)
        return self._exposure


def _within_reach(wanted: Exposure, now: Exposure) -> Exposure:
    """The nearest to `now` that is no more than the slack away from `wanted`."""
    gain = min(max(now.gain, wanted.gain * (1 - SLACK)), wanted.gain * (1 + SLACK))
    return Exposure(gain, min(max(now.offset, wanted.offset - SLACK / 5), wanted.offset + SLACK / 5))


def common_factor(now: Luma, before: Luma) -> float:
    """By what most places changed alike, the peak of their factors; 1 where there is none, or hardly any change."""
    known = (np.minimum(now, before) > DARK) & (np.maximum(now, before) < BRIGHT)
    ratio = np.log(now[known] / before[known])
    if ratio.size < KNOWN_LEAST * known.size:
        return 1.0
    bins = ((ratio + np.float32(FACTOR_LIMIT)) * np.float32(FACTOR_BINS / 2 / FACTOR_LIMIT)).astype(np.intp)
    counts = np.bincount(bins[(bins >= 0) & (bins < FACTOR_BINS)], minlength=FACTOR_BINS)
    width = 2 * FACTOR_LIMIT / FACTOR_BINS
    peak = (int(np.argmax(np.convolve(counts, np.ones(3), "same"))) + 0.5) * width - FACTOR_LIMIT
    shared = ratio[np.abs(ratio - peak) < ALIKE]
    if shared.size < SHARED_LEAST * ratio.size:
        return 1.0
    factor = float(shared.mean())
    return exp(factor) if abs(factor) >= FACTOR_LEAST else 1.0
