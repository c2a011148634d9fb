"""Layers to a picture on the device: `realtime.layers.draw_layers` in torch, with the same tables.

In: layers (1, 4, h, w) f32 in levels, flat RGB and ink. Out: the drawing (1, 3, h, w) and its ink (1, 1, h, w),
f32 in levels, at the size asked for. On the caller's stream.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from realtime.colours import colour_table, tint_tables
from realtime.device.resample import box_blurred, highest, lowest, resized, softened
from realtime.layers import (
    FINE,
    SHARPENED,
    SHARPENED_PX,
    SMALL_FROM,
    Finish,
    boxes,
    finish_tables,
    hard_table,
    line_level,
)
from realtime.types import Size

Tensor = Any

_TONE, _INK, _VIVID, _HARD, _TINTS = slice(0, 2), slice(2, 5), slice(5, 6), slice(6, 7), slice(7, 9)
TABLES = 9
ROWS = 65536  # of the tables, by 1/256 of a level
COLOURS = 65536  # rows of the table of colours


def tables(finish: Finish) -> NDArray[np.float32]:
    """A finish as `drawn` reads it, (ROWS, TABLES): tone stepped and soft; ink, the share that luma keeps under it,
    what it adds; chroma; how hard the steps may be, 0..1; what Cr and Cb gain by luma. In levels where no share.
    """
    stepped, soft, keep, ink, vivid = finish_tables(finish)
    kept = keep / 65535
    level = np.minimum((np.arange(ROWS) + FINE // 2) // FINE, 255)
    tints = tint_tables(finish)[:, level] / FINE - 128
    columns: list[NDArray[Any]] = [
        stepped / FINE,
        soft / FINE,
        ink,
        kept,
        (1 - kept) * line_level(finish) / FINE,
        vivid / FINE,
    ]
    return np.stack([*columns, hard_table() / 65535, *tints], 1).astype(np.float32)


def colours(finish: Finish) -> NDArray[np.float32] | None:
    """The table of colours as `drawn` reads it, (COLOURS, 3): what Cr, Cb and luma gain; None where nothing changes."""
    table = colour_table(finish)
    if table is None:
        return None
    blue, red = np.divmod(np.arange(COLOURS), 256)
    return (table - np.stack([red, blue, np.full(COLOURS, 128)], 1)).astype(np.float32)


def drawn(
    layers: Tensor, size: Size, finish: Tensor, grown: float = 0.0, simplify: int = 0, colour: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The drawing and its ink. finish, colour: `tables` and `colours` on the device. grown, simplify: `ink_grow` and
    `simplify` of the finish.
    """
    flat, ink_small = layers[:, :3], layers[:, 3:]
    if simplify > 1:
        for keeps in (lowest, highest, highest, lowest):
            flat = keeps(flat, simplify | 1)
    if grown > 0:
        ink_small = ink_small + grown * (highest(ink_small, 3) - ink_small)
    y = luma(flat)
    chroma = torch.cat([(flat[:, :1] - y) * 0.713, (flat[:, 2:3] - y) * 0.564], 1) + 128
    if colour is not None:
        index = chroma.clamp(0, 255).to(torch.int32)
        new = functional.embedding(index[0, 0] + 256 * index[0, 1], colour).permute(2, 0, 1)[None]
        y, chroma = (y + new[:, 2:]).clamp_(0, 255), chroma + new[:, :2]
    keep = _looked_up(finish[:, _INK], ink_small)[1:2]
    chroma = _looked_up(finish[:, _VIVID], chroma) + _looked_up(finish[:, _TINTS], y)[:, 0][None]
    chroma = (chroma - 128) * keep
    half = functional.interpolate(y, ((y.shape[2] + 1) // 2, (y.shape[3] + 1) // 2), mode="area")
    hard = box_blurred(_looked_up(finish[:, _HARD], highest(half, 5) - lowest(half, 5)), 3)

    scale = size.width / y.shape[3]
    low, high = lowest(y, 5), highest(y, 5)
    if scale >= SMALL_FROM:
        by_3, by_5 = boxes(scale)
        y = y * (1 + by_3 + by_5) - by_3 * box_blurred(y, 3) - by_5 * box_blurred(y, 5)
    y, low, high, red, blue = resized(torch.cat([y, low, high, chroma], 1), size).split(1, dim=1)
    hard = resized(hard, size)
    if scale < SMALL_FROM:
        y = y * (1 + SHARPENED) - box_blurred(y, SHARPENED_PX) * SHARPENED
    y = y.maximum(low).minimum(high)
    stepped, soft = _looked_up(finish[:, _TONE], y).split(1)
    y = softened(soft + (stepped - soft) * hard, 3, 0.6)

    ink, keep, add = _looked_up(finish[:, _INK], resized(ink_small, size, "bicubic")).split(1)
    y = y * keep + add
    return torch.cat([y + 1.403 * red, y - 0.714 * red - 0.344 * blue, y + 1.773 * blue], 1), ink


def luma(planes: Tensor) -> Tensor:
    """(1, 3, h, w) RGB to (1, 1, h, w) luma."""
    red, green, blue = planes.split(1, dim=1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _looked_up(table: Tensor, planes: Tensor) -> Tensor:
    """(ROWS, n) table at (1, c, h, w) levels: (n, c, h, w)."""
    index = (planes * FINE).round().clamp_(0, ROWS - 1).to(torch.int32)[0]
    return functional.embedding(index, table.contiguous()).permute(3, 0, 1, 2)
