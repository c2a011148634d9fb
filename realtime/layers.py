"""Layers to a picture: what a generator gives, flat colour and ink, becomes the drawing at full size.

Comes in: `Layers` at the generator's size and a `Finish`. Goes out: RGB u8 and ink at the size asked for. One pass on
luma and chroma in 16 bits; the generator runs small, yet lines and tone edges are as crisp as the full size allows
because tone steps and ink are made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.colours import graded, is_tinted, tint_tables
from realtime.types import GrayImage, RgbImage, Size

Levels = NDArray[Any]  # 0..255 as u8, or u16 in 1/256 of a level
FineImage = NDArray[np.uint16]  # in 1/256 of a level; or shares, of which 65535 is all
FineTable = NDArray[np.uint16]  # (65536,)
Table = NDArray[np.uint8]  # (65536,)

FINE = 256
FINE_LEVELS = np.arange(65536, dtype=np.float32) / FINE
NEUTRAL = 128 * FINE  # chroma of grey
INK_FINE = 16  # units a level of ink: what it is looked up in is small enough for the nearest cache
TONE_COLUMNS, HARD_ROWS = 2048, 32  # of the table of tones: eighths of a level, and how hard the steps are
LEAST_DEPTH = 0.05  # of lines, below which what luma keeps does not tell how much ink there is
MOST_SIMPLIFIED_PX = 15

# Luma is sharpened by so much of what a box of so many pixels of the picture takes away. An edge between black and
# white goes beyond both, to be cut off after enlarging: luma in half of the units, from black at this on, has room.
SHARPENED, SHARPENED_PX = 1.5, 7
_ROOM, _BLACK = 2, 65536 // 4
SMALL_FROM = 1.6  # times as large as the layers: from here on they are sharpened before they are enlarged

_LUMA = np.array([0.299, 0.587, 0.114])
_TO_YCRCB = np.stack(  # as OpenCV's, whose own conversion takes three times as long
    [
        np.append(_LUMA, 0),
        np.append(0.713 * (np.array([1, 0, 0]) - _LUMA), NEUTRAL),
        np.append(0.564 * (np.array([0, 0, 1]) - _LUMA), NEUTRAL),
    ]
)
_TO_RGB = np.array([[2, 1.403, 0], [2, -0.714, -0.344], [2, 0, 1.773]])  # luma comes in 1/128 of a level
_TO_RGB = np.column_stack([_TO_RGB, -NEUTRAL * _TO_RGB[:, 1:].sum(axis=1)])


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """What a generator draws, at the generator's size.

    flat: (h, w, 3) RGB, smooth colour areas before any tone step. ink: (h, w), 0 none to 255 full line. Both u8 as
    they come from a generator, or u16, in 1/256 of a level, where averaging gave parts of one.
    """

    flat: Levels
    ink: Levels


@dataclass(frozen=True, slots=True)
class Finish:
    """How layers become a picture. All of a style that is not in its networks.

    tone_steps: number of grey levels a surface is painted in. tone_share: 0 smooth to 1 stepped.
    tone_hardness: slope of a step's edge (tanh). black, white: where the grade puts 0 and 1.
    ink_low, ink_high: ink values where a line begins and is full. ink_weight: 0 none to 1 full black.
    ink_depth: how dark a full line is, 1 black. ink_grow: 0 lines as they are to 1 a pixel of the layers wider.
    simplify: side of the square, in pixels of the layers and odd, below which details are left out; 0 none.
    contrast: of lightness, -1 to 1; 0 as it is. chroma: factor on colourfulness; warm_chroma, green_chroma,
    blue_chroma: on that of a range of hues. green_light, blue_light: what such a colour gains in lightness, -1 to 1.
    green_turn, blue_turn: by how many degrees such a hue turns, towards blue (green) or violet (blue) above 0.
    shade_tint, light_tint: how much, 0..1, shades and lights take of a hue: shade_hue, light_hue, 0 red, 120 green,
    240 blue.
    restless: how many times more than layers of a drawing a network's pictures vary by themselves, where the frame does
    not; so much more of it is averaged away. On a CPU only, where pictures are drawn.
    """

    tone_steps: int = 5
    tone_share: float = 0.9
    tone_hardness: float = 10.0
    black: float = 0.06
    white: float = 1.03
    ink_low: float = 0.15
    ink_high: float = 0.50
    ink_weight: float = 1.0
    ink_depth: float = 0.8
    ink_grow: float = 0.0
    simplify: int = 0
    contrast: float = 0.0
    chroma: float = 1.0
    warm_chroma: float = 1.0
    green_chroma: float = 1.0
    blue_chroma: float = 1.0
    green_light: float = 0.0
    blue_light: float = 0.0
    green_turn: float = 0.0
    blue_turn: float = 0.0
    shade_hue: float = 240.0
    shade_tint: float = 0.0
    light_hue: float = 40.0
    light_tint: float = 0.0
    restless: float = 1.0

    def __post_init__(self) -> None:
        """Raises `ValueError` for areas that would take for ever to simplify."""
        if not 0 <= self.simplify <= MOST_SIMPLIFIED_PX:
            raise ValueError(f"'simplify' is not between 0 and {MOST_SIMPLIFIED_PX}")


def draw_layers(layers: Layers, size: Size, finish: Finish) -> tuple[RgbImage, GrayImage]:
    """The drawing at `size` and its ink: RGB u8 (h, w, 3) and u8 (h, w).

    Chroma fades to neutral under ink at the small size; luma is enlarged, sharpened without overshoot (clamped to the
    local extremes of the small picture, so that edges get steep but no halo appears), stepped by a table, and ink is
    put on top. Where the small luma hardly varies (pale walls) steps are soft.

    All of it is in parts of a level: of whole levels, sharpening and steps make contours that crawl as things move,
    and planes that are each rounded before they are added flicker by a tenth more.
    """
    to = (size.width, size.height)
    planes = cv2.split(cv2.transform(fine_levels(_simplified(layers.flat, finish)), _TO_YCRCB))
    luma, *chroma = graded(planes, finish)
    ink = fine_levels(_grown(layers.ink, finish), INK_FINE)
    tones, into, to_rgb, line_keep, lines = _picture_tables(finish)

    roomy = cv2.addWeighted(luma, 1 / _ROOM, luma, 0, _BLACK)
    row = cv2.resize(_hardness(roomy), to, interpolation=cv2.INTER_LINEAR)
    column = TONE_COLUMNS * _ROOM / 65536
    place = cv2.addWeighted(_sharp(roomy, to), column, row, TONE_COLUMNS, -_BLACK * column)
    tone = cv2.GaussianBlur(cv2.LUT(place, tones), (3, 3), 0.6).view(np.uint16)

    large_ink = cv2.resize(ink, to, interpolation=cv2.INTER_CUBIC)
    large_keep = cv2.LUT(large_ink, line_keep)
    tone = _faded(tone, large_keep, into)
    keep = cv2.LUT(ink, line_keep)
    for index, values in enumerate(chroma):
        vivid = finish.chroma
        if is_tinted(finish):
            tint = cv2.LUT(cv2.convertScaleAbs(luma, alpha=1 / FINE), tint_tables(finish)[index])
            values, vivid = cv2.addWeighted(values, vivid, tint, 1, -NEUTRAL * vivid), 1.0
        chroma[index] = cv2.resize(_faded(values, keep, NEUTRAL, vivid), to, interpolation=cv2.INTER_LINEAR)
    rgb = cv2.convertScaleAbs(cv2.transform(cv2.merge([tone, *chroma]), to_rgb), alpha=1 / FINE)
    if finish.ink_depth < LEAST_DEPTH:
        return rgb, cv2.LUT(large_ink, lines)
    return rgb, cv2.convertScaleAbs(large_keep, alpha=-255 / 65535 / finish.ink_depth, beta=255 / finish.ink_depth)


def _sharp(luma: FineImage, to: tuple[int, int]) -> FineImage:
    """Enlarged and sharpened, within the extremes of 5x5 small pixels around."""
    around = np.ones((5, 5), np.uint8)
    scale = to[0] / luma.shape[1]
    if scale < SMALL_FROM:
        large = cv2.resize(luma, to, interpolation=cv2.INTER_LINEAR)
        soft = cv2.blur(large, (SHARPENED_PX, SHARPENED_PX))
        large = cv2.addWeighted(large, 1 + SHARPENED, soft, -SHARPENED, 0)
    else:
        by_3, by_5 = boxes(scale)
        share = by_3 / (by_3 + by_5)
        soft = cv2.addWeighted(cv2.blur(luma, (3, 3)), share, cv2.blur(luma, (5, 5)), 1 - share, 0)
        sharp = cv2.addWeighted(luma, 1 + by_3 + by_5, soft, -by_3 - by_5, 0)
        large = cv2.resize(sharp, to, interpolation=cv2.INTER_LINEAR)
    large = cv2.max(large, cv2.resize(cv2.erode(luma, around), to, interpolation=cv2.INTER_LINEAR))
    return cv2.min(large, cv2.resize(cv2.dilate(luma, around), to, interpolation=cv2.INTER_LINEAR))


@lru_cache(maxsize=64)
def boxes(scale: float) -> tuple[float, float]:
    """How much of what boxes of 3 and of 5 pixels take away sharpens as one of `SHARPENED_PX` does `scale` times as
    large: the same of waves of 8 and of 8/3 pixels, and so nearly of all.
    """
    waves = np.pi / 4 * np.array([1, 3])
    by_3, by_5 = np.linalg.solve(
        np.stack([_taken(3, waves), _taken(5, waves)], 1), SHARPENED * _taken(SHARPENED_PX, waves / scale)
    )
    return float(by_3), float(by_5)


def _taken(side: int, waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of waves, in radians a pixel, a box takes away: all but its response, the Dirichlet kernel."""
    return 1 - np.sin(side * waves / 2) / (side * np.sin(waves / 2))


def _hardness(luma: FineImage) -> FineImage:
    """At half size: the row of the table of tones for a place, by how much luma varies within some 9 pixels."""
    half = ((luma.shape[1] + 1) // 2, (luma.shape[0] + 1) // 2)
    small = cv2.resize(luma, half, interpolation=cv2.INTER_AREA)
    variation = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    return cv2.blur(cv2.LUT(variation, _hard_rows()), (3, 3))


def fine_levels(levels: Levels, units: int = FINE) -> FineImage:
    """Levels of 0..255, u8 or already in 1/256, in so many units a level."""
    if levels.dtype == np.uint8:
        return levels.astype(np.uint16) * np.uint16(units)
    return levels if units == FINE else cv2.addWeighted(levels, units / FINE, levels, 0, 0)


def _simplified(flat: Levels, finish: Finish) -> Levels:
    """Without spots and gaps smaller than the finish wants: opened, then closed (Serra 1982)."""
    if finish.simplify < 2:
        return flat
    around = np.ones((finish.simplify | 1,) * 2, np.uint8)
    return cv2.morphologyEx(cv2.morphologyEx(flat, cv2.MORPH_OPEN, around), cv2.MORPH_CLOSE, around)


def _grown(ink: Levels, finish: Finish) -> Levels:
    if finish.ink_grow <= 0:
        return ink
    return cv2.addWeighted(ink, 1 - finish.ink_grow, cv2.dilate(ink, np.ones((3, 3), np.uint8)), finish.ink_grow, 0)


def _faded(values: FineImage, keep: FineImage, into: float, factor: float = 1.0) -> FineImage:
    """`keep` (65535 is all) of the values, the rest of one value; `factor` times as far from that."""
    kept = cv2.multiply(values, keep, scale=1 / 65535)
    if into == 0:
        return kept
    return cv2.addWeighted(kept, factor, keep, -factor * into / 65535, into)


def line_level(finish: Finish) -> float:
    """The luma, in 1/256, that lines fade into; a full one gets there by `ink_depth`."""
    return 0.3 * (1 - finish.ink_depth) / max(finish.ink_depth, 1e-3) * 255 * FINE


@lru_cache(maxsize=16)
def finish_tables(finish: Finish) -> tuple[FineTable, FineTable, FineTable, Table, FineTable]:
    """By 1/256 of a level: stepped tone and soft tone, what luma keeps under ink (of 65535), ink, and chroma."""
    ink = finish.ink_weight * _smoothstep(finish.ink_low, finish.ink_high)
    return (
        _tone_table(finish, finish.tone_hardness, finish.tone_share),
        _tone_table(finish, 2.0, 0.4 * finish.tone_share),
        _to_u16(65535 * (1 - finish.ink_depth * ink)),
        (255 * ink + 0.5).astype(np.uint8),
        _to_u16(NEUTRAL + (FINE * FINE_LEVELS - NEUTRAL) * finish.chroma),
    )


@lru_cache(maxsize=16)
def _picture_tables(
    finish: Finish,
) -> tuple[NDArray[np.int16], float, NDArray[np.float64], FineTable, Table]:
    """What `draw_layers` looks up: tone, in 1/128 of a level, and what it fades into under lines; the matrix that makes
    RGB of it; and by ink, in `INK_FINE`, what luma keeps, and ink.

    Tone by row, how hard its steps are, and column, luma: one look-up instead of two that are mixed, and most of it in
    the first row or the last, which the nearest cache holds. It is counted from where lines fade into, or from the
    darkest tone if that is darker; the matrix adds it again. So most finishes have nothing to add under lines.
    """
    stepped, soft, line_keep, lines, _ = finish_tables(finish)
    columns = np.arange(TONE_COLUMNS) * (65536 // TONE_COLUMNS)
    hard = np.linspace(0, 1, HARD_ROWS)[:, None]
    tone = soft[columns] + hard * (stepped[columns].astype(np.float64) - soft[columns])
    by_ink = np.minimum(np.arange(65536) * (FINE // INK_FINE), 65535)
    into = line_level(finish) / 2
    least = min(into, float(tone.min()) / 2)
    to_rgb = _TO_RGB + np.array([0, 0, 0, 2 * least])
    return (tone / 2 - least + 0.5).astype(np.int16).ravel(), into - least, to_rgb, line_keep[by_ink], lines[by_ink]


def _tone_table(finish: Finish, hardness: float, share: float) -> FineTable:
    """Luma to graded, stepped luma: the steps are even in CIE L*, joined by tanh edges."""
    lightness = _lightness(FINE_LEVELS / 255)
    scaled = np.clip(lightness, 0, 0.999) * finish.tone_steps
    level = np.floor(scaled) + 0.5
    edge = np.tanh(hardness * (scaled - level)) / np.tanh(hardness / 2)
    stepped = (level + 0.5 * edge) / finish.tone_steps
    tone = lightness + share * (stepped - lightness)
    tone = tone + 2 * finish.contrast * tone * (1 - tone) * (2 * tone - 1)
    return _to_u16(255 * FINE * _grey(np.clip(finish.black + (finish.white - finish.black) * tone, 0, 1)))


def _lightness(grey: NDArray[np.floating]) -> NDArray[np.float32]:
    """CIE L*, 0..1, of greys 0..1. Sources: IEC 61966-2-1 (sRGB), CIE 15 (L*).

    OpenCV's conversion would first fill tables for all colours: a tenth of a second before the first picture.
    """
    linear = np.where(grey <= 0.04045, grey / 12.92, ((grey + 0.055) / 1.055) ** 2.4)
    return np.where(linear > 216 / 24389, 1.16 * np.cbrt(linear) - 0.16, linear * 24389 / 2700).astype(np.float32)


def _grey(lightness: NDArray[np.floating]) -> NDArray[np.float32]:
    """The greys, 0..1, of this lightness: the inverse."""
    linear = np.where(lightness > 0.08, ((lightness + 0.16) / 1.16) ** 3, lightness * 2700 / 24389)
    grey = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
    return grey.astype(np.float32)


@lru_cache(maxsize=1)
def hard_table() -> FineTable:
    """How hard tone steps may be, by how much the luma varies nearby: 0 on a pale wall, 65535 across an edge."""
    return _to_u16(65535 * _smoothstep(0.03, 0.12))


@lru_cache(maxsize=1)
def _hard_rows() -> FineTable:
    """The same as rows of the table of tones, by roomy luma."""
    hard = hard_table()[np.minimum(np.arange(65536) * _ROOM, 65535)]
    return ((HARD_ROWS - 1) / 65535 * hard + 0.5).astype(np.uint16)


def _smoothstep(low: float, high: float) -> NDArray[np.float32]:
    """By 1/256 of a level: 0 below `low`, 1 above `high` (both 0..1 of 255), the cubic 3t^2 - 2t^3 between."""
    t = np.clip((FINE_LEVELS / 255 - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _to_u16(values: NDArray[np.floating]) -> FineTable:
    return np.clip(values + 0.5, 0, 65535).astype(np.uint16)
