"""Layers kept steady on the device: `realtime.layer_memory` in torch.

In: what was drawn now and how the picture moved. Out: what to show. Tensors, f32, (1, channels, h, w) unless said. On
the caller's stream; the formulae, their numbers and their reasons are there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from realtime.device.resample import box_blurred, highest, pixels, resized, taken
from realtime.layer_memory import (
    ANEW_S,
    AROUND_PX,
    CHANGE_HZ,
    CHANGED,
    FAINT,
    INK_SHARE,
    LAYER_CHANGED,
    LAYER_STILL,
    MOVING_TAU_S,
    NEAR_PX,
    NOISE_LEAST,
    STILL_NOISE,
)
from realtime.types import Size

Tensor = Any

_ROUNDING = 1e-4  # an age that was moved along is full also where a float's last digits are missing


class LayerMemory:
    """A running mean of each place, moved along with the picture; all in tensors that stay where they are.

    `layers` (1, h, w, 4) u8 and `seen` (1, h, w, 3) u8, what they were drawn from, are written before `start` and
    `follow`; before `follow` also `live` (1, 1, h/2, w/2) and, by `move`, how the picture moved.
    """

    def __init__(self, size: Size, tau_s: float, device: str, lenient: float = 1.0) -> None:
        """tau_s: how long what stays the same is averaged, over 0. lenient: as in `realtime.layer_memory`."""

        def zeros(channels: int, of: Size) -> Tensor:
            return torch.zeros((1, channels, of.height, of.width), device=device)

        half = Size(size.width // 2, size.height // 2)
        self._size, self._half, self._tau_s = size, half, tau_s
        self._still_noise, self._changed = lenient * STILL_NOISE, lenient * CHANGED
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
        """The layers to show."""
        return self._mean

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
        still = (self._still_noise * noise).clamp_max(self._changed / 2)
        changed = ((highest(change, 3) - still) / (self._changed - still)).clamp_max(1)
        rests = self._moving == 0
        around = highest((rests & (changed >= 1)).to(torch.float32), AROUND_PX)
        earlier = mean[..., ::2, ::2]
        around = around * (rests | (highest(earlier[:, 3:], NEAR_PX) < FAINT))
        apart = (new[..., ::2, ::2] - earlier).abs() * self._ink_share
        apart = (_most(box_blurred(apart, 3)) - LAYER_STILL) / (LAYER_CHANGED - LAYER_STILL)
        changed = changed.maximum(apart).clamp(0, 1).maximum(around).maximum(self.live)

        held = -torch.expm1(-dt / MOVING_TAU_S) * self._moving
        older = age.clamp_min(0)
        kept = torch.where(age < self._tau_s * (1 - _ROUNDING), dt / (older + dt), held)
        weight = kept.maximum(-torch.expm1(-dt * CHANGE_HZ * changed**3))
        older = (age + dt).minimum(self._tau_s * (1 - changed) ** 2)
        self._age.copy_(torch.where(around > 0, -ANEW_S, older))
        self._picture.copy_(before + (picture - before) * weight)
        self._mean.copy_(mean + (new - mean) * resized(weight, self._size))

    def _new(self) -> Tensor:
        return _planes(self.layers)

    def _half_seen(self) -> Tensor:
        return (functional.avg_pool2d(_planes(self.seen), 2) + 0.5).floor_()  # OpenCV halves with integers: .5 goes up


def _planes(pictures: Tensor) -> Tensor:
    """(1, h, w, channels) u8 to (1, channels, h, w) f32."""
    return pictures.permute(0, 3, 1, 2).to(torch.float32)


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
