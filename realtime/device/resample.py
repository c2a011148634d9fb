"""Resizing, moving and blurring on the device, as OpenCV does it on the CPU.

In and out: tensors (1, channels, h, w) f32, mostly whole levels 0..255; `shrunk` takes a u8 picture as it is. On the
caller's stream. What OpenCV rounds to u8 on the way is rounded here too, where it would be seen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from realtime.stylize import half_first
from realtime.types import Size

Tensor = Any  # torch is untyped here


def shrunk(picture: Tensor, size: Size) -> Tensor:
    """(h, w, channels) u8 to (1, channels, h, w) f32 of `size`, in whole levels, as `realtime.stylize.shrunk` does.

    Enlarges like OpenCV's INTER_AREA too: a frame may be smaller than what the generator works at.
    """
    height, width = picture.shape[:2]
    if (half := half_first(Size(width, height), size)) is not None:
        return resized(shrunk(picture, half), size, "bicubic").round_().clamp_(0, 255)
    shrinks = height >= size.height and width >= size.width
    rows = _weighted(picture, 0, _axis_weights(height, size.height, shrinks, *_where(picture)))
    both = _weighted(rows, 1, _axis_weights(width, size.width, shrinks, *_where(picture)))
    return both.round().permute(2, 0, 1)[None].contiguous()


def _weighted(picture: Tensor, axis: int, neighbours: tuple[Tensor, Tensor]) -> Tensor:
    total: Any = None
    for index, weight in zip(*neighbours, strict=True):
        part = picture.index_select(axis, index).to(torch.float32) * weight.view((-1, 1, 1) if axis == 0 else (-1, 1))
        total = part if total is None else total.add_(part)
    return total


def _where(tensor: Tensor) -> tuple[str, int]:
    """The device and the current stream: what one stream brings there, others do not wait for."""
    return str(tensor.device), torch.cuda.current_stream().cuda_stream if tensor.is_cuda else 0


@lru_cache(maxsize=256)
def _axis_weights(before: int, after: int, shrinks: bool, device: str, stream: int) -> tuple[Tensor, Tensor]:
    """For one axis, one row a neighbour: the old pixels that each new one is made of, and their shares."""
    arrays = (torch.from_numpy(np.ascontiguousarray(a.T)) for a in area_weights(before, after, shrinks))
    index, weight = (a.pin_memory().to(device, non_blocking=True) if stream else a.to(device) for a in arrays)
    return index, weight


def area_weights(before: int, after: int, shrinks: bool) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """OpenCV's INTER_AREA along one axis: (after, k) old pixels and (after, k) shares that sum to 1 in each row.

    shrinks: the picture gets no larger along either axis; otherwise OpenCV takes two neighbours, with shares that keep
    whole pixels sharp.
    """
    scale = before / after
    new = np.arange(after)
    if shrinks:
        start, end = new * scale, (new + 1) * scale
        first = np.floor(start + 1e-9).astype(np.int64)
        index = first[:, None] + np.arange(int(np.ceil(scale - 1e-9)) + 1)
        covered = np.minimum(end[:, None], index + 1) - np.maximum(start[:, None], index)
        weight = np.clip(covered, 0, None) / scale
    else:
        growth = after / before  # in this order and precision, as there: what is nearly whole falls to the same side
        first = np.floor(new * (1 / growth)).astype(np.int64)
        share = ((new + 1) - (first + 1) * growth).astype(np.float32)
        share = np.where(share <= 0, 0, share - np.floor(share))
        index = np.stack([first, first + 1], 1)
        weight = np.stack([1 - share, share], 1)
    used = weight.max(axis=0) > 1e-6
    weight = weight[:, used]
    return np.minimum(index[:, used], before - 1), (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def affine(picture: Tensor, back: NDArray[np.floating], size: Size, outside: str = "border") -> Tensor:
    """A new picture (1, channels, h, w) of `size`, each pixel taken bilinearly from where the (2, 3) map `back` leads.

    outside: "border" repeats the picture's edge, "zeros" is black.
    """
    x, y = pixels(size, picture.device)
    there_x, there_y = (float(row[0]) * x + (float(row[1]) * y + float(row[2])) for row in back)
    return taken(picture, there_x, there_y, outside)


def taken(picture: Tensor, x: Tensor, y: Tensor, outside: str = "border") -> Tensor:
    """The picture's values at the places x, y, each (h, w) in its pixels, bilinearly."""
    height, width = picture.shape[-2:]
    # grid_sample's unit: -1 and 1 are the picture's outer edges, half a pixel beyond its first and last
    grid = torch.stack([x * (2 / width) + (1 / width - 1), y * (2 / height) + (1 / height - 1)], -1)
    return functional.grid_sample(picture, grid[None], "bilinear", outside, align_corners=False)


def pixels(size: Size, device: Any) -> tuple[Tensor, Tensor]:
    """Where each pixel is: x (w,) and y (h, 1), f32."""
    x = torch.arange(size.width, device=device, dtype=torch.float32)
    return x, torch.arange(size.height, device=device, dtype=torch.float32)[:, None]


def inverted(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """The (2, 3) affine map the other way round."""
    return np.linalg.inv(np.concatenate([matrix.astype(np.float64), [[0, 0, 1]]]))[:2]


def resized(planes: Tensor, size: Size, mode: str = "bilinear") -> Tensor:
    """The planes at `size`; pixel centres and edges as in OpenCV. mode: "bilinear" or "bicubic"."""
    return functional.interpolate(planes, (size.height, size.width), mode=mode, align_corners=False)


def box_blurred(planes: Tensor, side: int) -> Tensor:
    """The mean over `side` x `side` pixels; mirrored at the edges without repeating the edge itself, as OpenCV does."""
    padded = _mirrored(planes, side // 2)
    return functional.avg_pool2d(functional.avg_pool2d(padded, (side, 1), 1), (1, side), 1)


def softened(planes: Tensor, side: int, sigma: float) -> Tensor:
    """A Gaussian over `side` x `side` pixels."""
    weights = [float(weight) for weight in cv2.getGaussianKernel(side, sigma)[:, 0]]
    height, width = planes.shape[-2:]
    padded = _mirrored(planes, side // 2)
    across: Any = sum(weight * padded[..., i : i + width] for i, weight in enumerate(weights))
    return sum(weight * across[..., i : i + height, :] for i, weight in enumerate(weights))


def highest(planes: Tensor, side: int) -> Tensor:
    """The largest value among `side` x `side` pixels."""
    return functional.max_pool2d(planes, side, 1, side // 2)


def lowest(planes: Tensor, side: int) -> Tensor:
    """The smallest value among `side` x `side` pixels."""
    return -functional.max_pool2d(-planes, side, 1, side // 2)


def _mirrored(planes: Tensor, by: int) -> Tensor:
    """Padded on all sides; a picture of few pixels, which cannot be mirrored that far, has its edge repeated."""
    mode = "reflect" if min(planes.shape[-2:]) > by else "replicate"
    return functional.pad(planes, (by, by, by, by), mode=mode)
