"""The colour grade of a style: what becomes of each colour, and which tint shades and lights take.

Comes in: luma, Cr and Cb of the layers, small. Goes out: the same, graded. Any thread. Hue and colourfulness are
looked up in one table of all pairs of Cr and Cb, so a grade costs the same however much it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from realtime.layers import Finish

# centre of each range of hues, as an RGB colour, and how wide it is, in degrees of the plane of Cr and Cb
WARM, GREEN, BLUE = (225, 150, 90), (90, 165, 60), (95, 150, 225)
WIDTH_DEGREES = 38.0
FULL_CHROMA = 30.0  # levels from grey at which light changes by hue in full
TINT_LEVELS = 40.0  # what a tint of 1 adds to Cr and Cb at the most

Numbers = tuple[tuple[float, float, float], ...]  # of each range of hues: chroma, turn, light
UNCHANGED: Numbers = ((1, 0, 0),) * 3

NEUTRAL = 128 * 256  # no colour, no change

Plane = NDArray[np.uint16]
Colours = NDArray[np.uint8]  # (65536, 3) by Cr + 256 Cb: Cr, Cb, 128 + what luma gains


def graded(planes: Sequence[Plane], finish: Finish) -> Sequence[Plane]:
    """Luma, Cr and Cb, (h, w) in 1/256 of a level, with each colour as the finish wants it; tints come later."""
    numbers = colour_numbers(finish)
    if numbers == UNCHANGED:
        return planes
    _, red, blue = planes
    colour = cv2.bitwise_or(red >> 8, blue & 0xFF00)
    return [
        cv2.addWeighted(values, 1, cv2.LUT(colour, gain), 1, -NEUTRAL)
        for values, gain in zip(planes, _gains(numbers), strict=True)
    ]


def colour_numbers(finish: Finish) -> Numbers:
    """Chroma, turn and light of warm, green and blue hues."""
    return (
        (finish.warm_chroma, 0.0, 0.0),
        (finish.green_chroma, finish.green_turn, finish.green_light),
        (finish.blue_chroma, finish.blue_turn, finish.blue_light),
    )


def colour_table(finish: Finish) -> Colours | None:
    """What each pair of Cr and Cb becomes; None where all stay as they are."""
    numbers = colour_numbers(finish)
    return None if numbers == UNCHANGED else _colour_table(numbers)


# Kept by these numbers alone: the light of a room changes the finish often, and this table takes 20 ms to make.
@lru_cache(maxsize=8)
def _colour_table(numbers: Numbers) -> Colours:
    blue, red = np.mgrid[0:256, 0:256].astype(np.float32) - 128  # row: Cb, column: Cr
    angle, length = np.arctan2(red, blue), np.hypot(red, blue)
    gain, turn_by, light_by = np.ones_like(angle), np.zeros_like(angle), np.zeros_like(angle)
    for rgb, (chroma, turn, light) in zip((WARM, GREEN, BLUE), numbers, strict=True):
        off = np.angle(np.exp(1j * (angle - _angle(rgb))))
        share = np.exp(-0.5 * (off / np.radians(WIDTH_DEGREES)) ** 2)
        gain += share * (chroma - 1)
        turn_by += share * np.radians(turn)
        light_by += share * light * 255 * np.clip(length / FULL_CHROMA, 0, 1)
    new = length * np.clip(gain, 0, None)
    angle = angle + turn_by
    table = np.dstack([128 + new * np.sin(angle), 128 + new * np.cos(angle), 128 + light_by])
    return np.clip(table + 0.5, 0, 255).astype(np.uint8).reshape(65536, 3)


@lru_cache(maxsize=8)
def _gains(numbers: Numbers) -> NDArray[np.uint16]:
    """(3, 65536) by Cr + 256 Cb: 128 levels + what luma, Cr and Cb gain, in 1/256 of a level."""
    blue, red = np.divmod(np.arange(65536), 256)
    kept = np.stack([red, blue, np.full(65536, 128)], 1)
    return np.ascontiguousarray((NEUTRAL + 256 * (_colour_table(numbers) - kept)[:, [2, 0, 1]]).T, np.uint16)


def tint_tables(finish: Finish) -> NDArray[np.uint16]:
    """(2, 256) by luma in whole levels: 128 levels + what Cr and Cb gain, in 1/256 of a level.

    Shades take one tint, lights another (split toning).
    """
    return _tint_tables(((finish.shade_hue, finish.shade_tint), (finish.light_hue, finish.light_tint)))


@lru_cache(maxsize=8)
def _tint_tables(tints: tuple[tuple[float, float], tuple[float, float]]) -> NDArray[np.uint16]:
    luma = np.arange(256) / 255
    shade, light = np.clip(1 - luma / 0.6, 0, 1), np.clip((luma - 0.4) / 0.6, 0, 1)
    shade = shade * np.clip(luma / 0.08, 0, 1)  # black stays black
    light = light * np.clip((1 - luma) / 0.08, 0, 1)  # and white white
    gain = np.zeros((2, 256))
    for share, (hue, tint) in zip((shade, light), tints, strict=True):
        angle = _angle(_rgb_of_hue(hue))
        gain += TINT_LEVELS * tint * share * np.array([[np.sin(angle)], [np.cos(angle)]])
    return np.clip(256 * (128 + gain) + 0.5, 0, 65535).astype(np.uint16)


def is_tinted(finish: Finish) -> bool:
    """Whether shades or lights take a tint."""
    return finish.shade_tint != 0 or finish.light_tint != 0


def _angle(rgb: tuple[int, int, int]) -> float:
    _, red, blue = cv2.cvtColor(np.array([[rgb]], np.float32) / 255, cv2.COLOR_RGB2YCrCb)[0, 0]
    return float(np.arctan2(red - 0.5, blue - 0.5))


def _rgb_of_hue(degrees: float) -> tuple[int, int, int]:
    """The full colour of a hue of 0..360 degrees: 0 red, 120 green, 240 blue."""
    red, green, blue = cv2.cvtColor(np.array([[(degrees % 360, 1, 1)]], np.float32), cv2.COLOR_HSV2RGB)[0, 0] * 255
    return int(red), int(green), int(blue)
