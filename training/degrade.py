"""What a cheap webcam does to a picture, so that a student learns to draw cleanly from bad ones.

Comes in: RGB u8 as taken. Goes out: RGB u8 as such a camera gives it, and as a generator sees it: stretched by
`realtime/exposure.py`. Plain functions of their arguments and a random generator; any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.exposure import apply_exposure, measure_exposure
from realtime.types import RgbImage

METER_STEP = 4  # exposure is measured on every fourth pixel of every fourth row
_NOISE_TABLE = 1 << 22


@dataclass(frozen=True, slots=True)
class Degradation:
    """What one camera does at one moment.

    exposure: factor on the light; cast: factor per channel; slope: red grows and blue falls by this share from left to
    right, as between a lamp and a window; gamma; noise: standard deviation of 0..1 values, `noise_grain` 1 white or 2
    coarse, `noise_gray` without colour; shrink: how many times fewer pixels across the sensor has; jpeg: quality or
    None; blur: Gaussian sigma in pixels.
    """

    exposure: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    slope: float = 0.0
    gamma: float = 1.0
    noise: float = 0.0
    noise_grain: int = 1
    noise_gray: bool = False
    shrink: float = 1.0
    jpeg: int | None = None
    blur: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator) -> Degradation:
        """As webcams are: often dim, mostly noisy, often compressed, sometimes soft, small or burnt out."""
        light = rng.random()
        if light < 0.54:
            exposure = float(np.exp(rng.uniform(np.log(0.25), np.log(1.3))))
        else:
            exposure = float(rng.uniform(0.8, 1.25) if light < 0.93 else rng.uniform(1.25, 1.7))
        noise = float(0.06 * rng.random() ** 2) if rng.random() < 0.85 else 0.0
        red, green, blue = np.exp(rng.normal(0, 0.012, 3))
        return cls(
            exposure,
            (float(red), float(green), float(blue)),
            float(rng.uniform(-0.04, 0.04)) if rng.random() < 0.25 else 0.0,
            float(np.exp(rng.normal(0, 0.02))),
            min(noise, 0.035) if exposure < 0.5 else noise,
            1 if rng.random() < 0.5 else 2,
            bool(rng.random() < 0.4),
            float(rng.uniform(1.3, 2.2)) if rng.random() < 0.12 else 1.0,
            int(rng.integers(45, 96)) if rng.random() < 0.6 else None,
            float(rng.uniform(0.3, 1.0)) if rng.random() < 0.3 else 0.0,
        )


def degrade(photo: RgbImage, how: Degradation, rng: np.random.Generator) -> RgbImage:
    """The photo as such a camera would have given it."""
    h, w = photo.shape[:2]
    if how.blur:
        photo = cv2.GaussianBlur(photo, (0, 0), how.blur)
    if how.shrink > 1:
        small = (round(w / how.shrink), round(h / how.shrink))
        photo = cv2.resize(cv2.resize(photo, small, interpolation=cv2.INTER_AREA), (w, h))
    x = cv2.LUT(np.ascontiguousarray(photo), _light_table(how))  # (h, w, 3) f32, 0..255 and above
    if how.slope:
        ramp = 1 + how.slope * np.linspace(-1, 1, w, dtype=np.float32)
        x *= np.stack([ramp, np.ones_like(ramp), 2 - ramp], 1)
    if how.noise:
        x += (255 * how.noise) * _noise(h, w, how, rng)
    u8 = cv2.convertScaleAbs(cv2.max(x, 0))  # rounds, and clips at 255
    if how.jpeg is not None:
        coded = cv2.imencode(".jpg", u8[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, how.jpeg])[1]
        u8 = cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return u8


def _light_table(how: Degradation) -> NDArray[np.float32]:
    """(256, 1, 3): what each value of each channel becomes."""
    levels = (np.arange(256, dtype=np.float32) / 255) ** np.float32(how.gamma)
    return (255 * how.exposure * levels[:, None, None] * np.array(how.cast, np.float32)).astype(np.float32)


@cache
def _noise_table() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(_NOISE_TABLE, dtype=np.float32)


def _noise(h: int, w: int, how: Degradation, rng: np.random.Generator) -> NDArray[np.float32]:
    """Unit noise (h, w, 3); coarse noise stands for what demosaicing and chroma subsampling leave.

    Taken from a table at a random place and sign: eight times as fast as made anew, and no two crops alike.
    """
    grain = how.noise_grain
    rows, columns = -(-h // grain), -(-w // grain)
    start = int(rng.integers(max(1, _NOISE_TABLE - rows * columns * 3)))
    noise = np.resize(_noise_table()[start : start + rows * columns * 3], (rows, columns, 3))
    noise = noise * np.float32(rng.choice((-1, 1)))
    if grain > 1:
        noise = 1.3 * cv2.resize(noise, (w, h))
    return 0.4 * noise + 0.7 * noise[..., :1] if how.noise_gray else noise


def normalised(photo: RgbImage, whole: RgbImage, how: Degradation, rng: np.random.Generator) -> RgbImage:
    """What a generator sees: the degraded photo, stretched by the exposure of the equally degraded whole picture."""
    seen = degrade(photo, how, rng)
    plain = Degradation(how.exposure, how.cast, how.slope, how.gamma, how.noise)
    metered = degrade(whole[::METER_STEP, ::METER_STEP], plain, rng)  # only these pixels are looked at
    return apply_exposure(seen, measure_exposure(metered.repeat(METER_STEP, 0).repeat(METER_STEP, 1)))
