"""Is an engine's picture the reference's, and how long does it take?

In: an engine and a `Trial` (pictures with what ONNX Runtime makes of them). Out: a `Check`. On the caller's thread,
for about a second; meant to be done once for a machine and remembered.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from engines.reference import OnnxRuntimeEngine
from realtime.errors import EngineError
from realtime.types import RgbImage, Size


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an engine may be from the reference, in its worst channel.

    psnr_db: least peak signal-to-noise ratio. p999: most levels (of 255) that 99.9 % of the values may differ by.
    """

    psnr_db: float
    p999: float


TOLERANCES = {
    "fp32": Tolerance(psnr_db=60.0, p999=1.0),
    "fp16": Tolerance(psnr_db=54.0, p999=4.0),
    "bf16": Tolerance(psnr_db=46.0, p999=8.0),
    "int8": Tolerance(psnr_db=40.0, p999=24.0),
}
_MUST_VARY = 1.0  # levels: a picture with a smaller standard deviation shows nothing
_TIMED_RUNS = 6


@dataclass(frozen=True, slots=True)
class Check:
    """What came of checking an engine. why: its agreement in words, or what is wrong. ms: its fastest run."""

    agrees: bool
    why: str
    ms: float


class Trial:
    """Two different pictures and what the reference makes of them; raises `EngineError` if that is no picture."""

    def __init__(self, model: Path, size: Size) -> None:
        self.pictures = trial_pictures(size)
        with OnnxRuntimeEngine(model, size) as reference:
            raw = [reference.run_f32(picture) for picture in self.pictures]
        if not all(np.isfinite(layers).all() for layers in raw):
            raise EngineError(f"The generator {model} gives NaN or infinite values; its file is damaged or badly made.")
        self.expected = [_levels(layers) for layers in raw]
        problem = _without_content(self.expected)
        if problem:
            raise EngineError(f"The generator {model} gives {problem}; its file is damaged or badly made.")


def check_engine(engine: Engine, trial: Trial) -> Check:
    """Runs the trial pictures through the engine, compares, and times it."""
    check = check_drawings([engine.run(picture) for picture in trial.pictures], engine.precision, trial)
    return replace(check, ms=_fastest_ms(engine, trial.pictures[0])) if check.agrees else check


def check_drawings(given: list[NDArray[np.uint8]], precision: str, trial: Trial) -> Check:
    """Compares what came of the trial pictures; `ms` is 0."""
    problem = _without_content(given)
    if problem:
        return Check(False, f"it gives {problem}", 0.0)
    tolerance = TOLERANCES[precision]
    psnr_db, p999 = agreement(given, trial.expected)
    agrees = psnr_db >= tolerance.psnr_db and p999 <= tolerance.p999
    why = f"{psnr_db:.0f} dB to the reference, 99.9 % of values within {p999:.0f}/255"
    if not agrees:
        why += f" (needed: {tolerance.psnr_db:.0f} dB, within {tolerance.p999:.0f})"
    return Check(agrees, why, 0.0)


def agreement(given: list[NDArray[np.uint8]], expected: list[NDArray[np.uint8]]) -> tuple[float, float]:
    """PSNR in dB (at most 99) and 99.9th percentile of |difference|, each of the channel where it is worst."""
    distance = np.abs(np.stack(given).astype(np.float32) - np.stack(expected))  # (pictures, h, w, channels)
    by_channel = np.moveaxis(distance, -1, 0).reshape(distance.shape[-1], -1)
    mean_square = float((by_channel**2).mean(axis=1).max())
    psnr_db = min(99.0, 10 * np.log10(255**2 / max(mean_square, 1e-12)))
    return float(psnr_db), float(np.percentile(by_channel, 99.9, axis=1).max())


def trial_pictures(size: Size) -> tuple[RgbImage, RgbImage]:
    """Two (h, w, 3) pictures with what a camera gives: soft light, edges, a face-like shape, texture, noise."""
    first = _trial_picture(size, seed=1)
    second = np.ascontiguousarray(255 - _trial_picture(size, seed=2)[:, ::-1])
    return first, second


def _trial_picture(size: Size, seed: int) -> RgbImage:
    random = np.random.default_rng(seed)
    w, h = size.width, size.height
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    light = np.stack([80 + 120 * x / w, 90 + 100 * y / h, 170 - 90 * x / w], axis=2)
    picture = np.ascontiguousarray(light.astype(np.uint8))
    unit = min(w, h)
    for _ in range(12):
        corner = (int(random.integers(0, w)), int(random.integers(0, h)))
        colour = tuple(int(c) for c in random.integers(0, 256, 3))
        far = (corner[0] + int(random.integers(8, unit // 2)), corner[1] + int(random.integers(8, unit // 2)))
        cv2.rectangle(picture, corner, far, colour, int(random.choice([-1, 1, 3])), cv2.LINE_AA)
    centre = (w // 2, h // 2)
    cv2.ellipse(picture, centre, (unit // 4, unit // 3), 0, 0, 360, (214, 168, 140), -1, cv2.LINE_AA)
    for side in (-1, 1):
        eye = (centre[0] + side * unit // 10, centre[1] - unit // 12)
        cv2.ellipse(picture, eye, (unit // 20, unit // 40), 0, 0, 360, (250, 250, 250), -1, cv2.LINE_AA)
        cv2.circle(picture, eye, max(1, unit // 50), (40, 30, 30), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (centre[0], centre[1] + unit // 6), (unit // 14, unit // 50), 0, 0, 180, (150, 60, 60), 2)
    noisy = picture + random.normal(0, 4, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _levels(layers: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(channels, h, w) 0..1 to (h, w, channels) u8."""
    return np.clip(np.rint(layers * 255), 0, 255).astype(np.uint8).transpose(1, 2, 0)


def _without_content(pictures: list[NDArray[np.uint8]]) -> str | None:
    """What makes these outputs of two different inputs no pictures, or None."""
    for picture in pictures:
        if not picture.any():
            return "a black picture"
        if picture.std() < _MUST_VARY:
            return "the same value everywhere"
    if np.abs(pictures[0].astype(np.int16) - pictures[1]).mean() < _MUST_VARY:
        return "the same picture whatever goes in"
    return None


def _fastest_ms(engine: Engine, picture: RgbImage) -> float:
    """The fastest of a few runs: other programs can only make it look slower."""
    times = []
    for _ in range(_TIMED_RUNS):
        start = time.perf_counter()
        engine.run(picture)
        times.append(time.perf_counter() - start)
    return min(times) * 1e3
