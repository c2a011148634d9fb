"""Layers and picture kept steady on the device: `realtime.layer_memory` and `realtime.picture_memory` in torch.

In: what was drawn now and how the picture moved. Out: what to show. Tensors, f32, (1, channels, h, w) unless said. On
the caller's stream; the formulae, their numbers and their reasons are there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from realtime import picture_memory
from realtime.device.resample import affine, box_blurred, highest, lowest, pixels, resized, taken
from realtime.layer_memory import (
    CHANGE_HZ,
    CHANGED,
    INK_SHARE,
    LAYER_CHANGED,
    LAYER_STILL,
    MOVING_TAU_S,
    NOISE_LEAST,
    RECENT,
    STILL_NOISE,
)
from realtime.types import Size

Tensor = Any


class LayerMemory:
    """A running mean of each place, moved along with the picture; all in tensors that stay where they are.

    `layers` (1, h, w, 4) u8 and `seen` (1, h, w, 3) u8, what they were drawn from, are written before `start` and
    `follow`; before `follow` also `live` (1, 1, h/2, w/2) and, by `move`, how the picture moved.
    """

    def __init__(self, size: Size, tau_s: float, device: str) -> None:
        """tau_s: how long what stays the same is averaged, over 0."""

        def zeros(channels: int, of: Size) -> Tensor:
            return torch.zeros((1, channels, of.height, of.width), device=device)

        half = Size(size.width // 2, size.height // 2)
        self._size, self._half, self._tau_s = size, half, tau_s
        self.layers = torch.zeros((1, size.height, size.width, 4), dtype=torch.uint8, device=device)
        self.seen = torch.zeros((1, size.height, size.width, 3), dtype=torch.uint8, device=device)
        self.live = zeros(1, half)
        self._mean, self._picture, self._age = zeros(4, size), zeros(3, half), zeros(1, half)
        self._flow, self._half_flow, self._moving = zeros(2, size), zeros(2, half), zeros(1, half)
        self._dt = torch.ones((), device=device)
        self._ink_share = torch.tensor([1, 1, 1, INK_SHARE], device=device).view(1, 4, 1, 1)

    @property
    def state(self) -> tuple[Tensor, ...]:
        """All that is remembered: clones of these are a memory that can be put away, and copied back."""
        return self._mean, self._picture, self._age

    @property
    def shown(self) -> Tensor:
        """The layers to show, in whole levels."""
        return self._mean.round()

    def start(self) -> None:
        """Forgets what was; the layers are taken as they are."""
        self._mean.copy_(self._new())
        self._picture.copy_(self._half_seen())
        self._age.zero_()

    def move(self, flow: Tensor | None, dt: float) -> None:
        """How the picture moved, (1, 2, any size) in pixels of the layers, None not at all; `dt` seconds passed."""
        self._dt.fill_(dt)
        if flow is None:
            for still in (self._flow, self._half_flow, self._moving):
                still.zero_()
            return
        self._flow.copy_(resized(flow, self._size))
        self._half_flow.copy_(resized(flow * 0.5, self._half))
        self._moving.copy_(resized(flow.abs().amax(1, keepdim=True), self._half) > 0)

    def follow(self) -> None:
        """Takes the layers as far as something changed since the last."""
        new, picture, dt = self._new(), self._half_seen(), self._dt
        mean = _moved(self._mean, self._flow)
        before, age = _moved(self._picture, self._half_flow), _moved(self._age, self._half_flow)

        change = _most(box_blurred((picture - before).abs(), 3))
        noise = _median(change[..., ::4, ::4]).clamp_min(NOISE_LEAST)
        still = (STILL_NOISE * noise).clamp_max(CHANGED / 2)
        changed = (highest(change, 3) - still) / (CHANGED - still)
        apart = (new[..., ::2, ::2] - mean[..., ::2, ::2]).abs() * self._ink_share
        apart = (_most(box_blurred(apart, 3)) - LAYER_STILL) / (LAYER_CHANGED - LAYER_STILL)
        changed = changed.maximum(apart).clamp(0, 1).maximum(self.live)

        held = -torch.expm1(-dt / MOVING_TAU_S) * self._moving
        kept = torch.where(age < self._tau_s, 1 - (age / (age + dt)) ** RECENT, held)
        weight = kept.maximum(-torch.expm1(-dt * CHANGE_HZ * changed**3))
        self._age.copy_((age + dt).minimum(self._tau_s * (1 - changed) ** 2))
        self._picture.copy_(before + (picture - before) * weight)
        self._mean.copy_(mean + (new - mean) * resized(weight, self._size))

    def _new(self) -> Tensor:
        return self.layers.permute(0, 3, 1, 2).to(torch.float32)

    def _half_seen(self) -> Tensor:
        planes = self.seen.permute(0, 3, 1, 2).to(torch.float32)
        return (functional.avg_pool2d(planes, 2) + 0.5).floor_()  # OpenCV halves with integers: .5 goes up


def steadied_picture(drawn: Tensor, shown: Tensor, flow: Tensor, box: tuple[slice, slice], share: float) -> Tensor:
    """What to show in `box` of the drawing (h, w, 3) u8: the picture shown before, moved along, and this one, blended.

    flow: (1, 2, any size), in pixels of the drawing. share: of what is drawn now.
    """
    height, width = drawn.shape[:2]
    rows, columns = box
    size = Size(columns.stop - columns.start, rows.stop - rows.start)
    x, y = flow.shape[3] / width, flow.shape[2] / height
    back = np.array([[x, 0, (columns.start + 0.5) * x - 0.5], [0, y, (rows.start + 0.5) * y - 0.5]])
    across, down = pixels(size, drawn.device)
    steps = affine(flow, back, size)[0]
    before = shown.permute(2, 0, 1)[None].to(torch.float32)
    old = taken(before, steps[0] + (across + columns.start), steps[1] + (down + rows.start)).round_()
    part = drawn[box].permute(2, 0, 1)[None].to(torch.float32)
    around = picture_memory.AROUND_PX
    old = old.maximum(lowest(part, around)).minimum(highest(part, around))
    return (old + (part - old) * share).round_()[0].permute(1, 2, 0)


def _moved(planes: Tensor, flow: Tensor) -> Tensor:
    """The planes moved along a flow of their own size and pixels."""
    x, y = pixels(Size(planes.shape[3], planes.shape[2]), planes.device)
    return taken(planes, flow[0, 0] + x, flow[0, 1] + y)


def _most(planes: Tensor) -> Tensor:
    """The largest of the channels."""
    return planes.amax(1, keepdim=True)


def _median(planes: Tensor) -> Tensor:
    """0-d; torch's own is the lower of the two middle values."""
    ordered = planes.flatten().sort().values
    middle = ordered.numel() // 2
    return ordered[middle] if ordered.numel() % 2 else (ordered[middle - 1] + ordered[middle]) / 2
