"""Layers to a picture on the device: `realtime.layers.draw_layers` in torch, with the same tables.

In: layers (1, 4, h, w) f32 in whole levels, flat RGB and ink. Out: the drawing (1, 3, h, w) and its ink (1, 1, h, w),
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
from realtime.layers import Finish, finish_tables, hard_table
from realtime.types import Size

Tensor = Any

_TONE, _INK, _VIVID, _HARD, _TINTS = slice(0, 2), slice(2, 5), slice(5, 6), slice(6, 7), slice(7, 9)
TABLES = 9
COLOURS = 65536  # rows of the table of colours


def tables(finish: Finish) -> NDArray[np.float32]:
    """A finish as `drawn` reads it, (256, TABLES): tone stepped and soft; ink, what luma keeps under it (of 255), what
    it adds; chroma; how hard the steps may be; 128 + what Cr and Cb gain by luma.
    """
    stepped, soft, ink, keep, add, vivid = finish_tables(finish)
    columns = [stepped, soft, ink, keep[ink], add[ink], vivid, hard_table(), *tint_tables(finish)]
    return np.stack(columns, 1).astype(np.float32)


def colours(finish: Finish) -> NDArray[np.float32] | None:
    """The table of colours as `drawn` reads it, (COLOURS, 3); None where the finish changes none."""
    table = colour_table(finish)
    return None if table is None else table.astype(np.float32)


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
        ink_small = (ink_small + grown * (highest(ink_small, 3) - ink_small)).round_()
    y = luma(flat)
    chroma = torch.cat([(flat[:, :1] - y) * 11682, (flat[:, 2:3] - y) * 9241], 1)  # OpenCV's YCrCb, in 1/2^14
    chroma = (chroma / 16384 + 128.5).floor_().clamp_(0, 255)
    if colour is not None:
        new = functional.embedding((chroma[0, 0] + 256 * chroma[0, 1]).to(torch.int32), colour).permute(2, 0, 1)[None]
        y, chroma = (y + new[:, 2:] - 128).clamp_(0, 255), new[:, :2]
    keep = _looked_up(finish[:, _INK], ink_small)[1:2]
    chroma = _looked_up(finish[:, _VIVID], chroma)
    chroma = (chroma + _looked_up(finish[:, _TINTS], y)[:, 0][None] - 128).clamp_(0, 255)
    chroma = (chroma * keep / 255).round_() + (128 - keep * (128 / 255)).round_()
    hard = box_blurred(_looked_up(finish[:, _HARD], highest(y, 9) - lowest(y, 9)), 7).round_()

    large = resized(torch.cat([y, lowest(y, 5), highest(y, 5), hard, chroma], 1), size).round_()
    y, low, high, hard, red, blue = large.split(1, dim=1)
    y = (y * 2.5 - box_blurred(y, 7).round_() * 1.5).maximum(low).minimum(high)
    stepped, soft = _looked_up(finish[:, _TONE], y).split(1)
    y = softened(soft + (stepped - soft) * (hard / 255))

    ink, keep, add = _looked_up(finish[:, _INK], resized(ink_small, size, "bicubic")).split(1)
    y = y * (keep / 255) + add
    red, blue = red - 128, blue - 128
    return torch.cat([y + 1.403 * red, y - 0.714 * red - 0.344 * blue, y + 1.773 * blue], 1), ink


def luma(planes: Tensor) -> Tensor:
    """(1, 3, h, w) RGB to (1, 1, h, w) luma in whole levels, with OpenCV's fixed-point weights."""
    red, green, blue = planes.split(1, dim=1)
    return ((red * 4899 + green * 9617 + blue * 1868 + 8192) / 16384).floor_()


def _looked_up(table: Tensor, planes: Tensor) -> Tensor:
    """(256, n) table at (1, c, h, w) levels: (n, c, h, w)."""
    index = planes.round().clamp_(0, 255).to(torch.int32)[0]
    return functional.embedding(index, table.contiguous()).permute(3, 0, 1, 2)
