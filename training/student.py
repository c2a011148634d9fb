"""The small network that learns to draw as the teacher does, in one pass of a few milliseconds.

Comes in: RGB f32 (n, 3, h, w), 0..1, exposure-normalised, h and w multiples of 16. Goes out: layers f32 (n, 4, h, w),
0..1: flat colour RGB and ink. A U-Net that works at half resolution and below, with a thin head at full resolution for
the edges; no normalisation layers, so that half precision stays exact. Flat colour and ink come from one convolution:
their ranges differ too much to share an int8 scale, so int8 leaves it in float.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE_PX = 16  # height and width must be multiples of this


class Residual(nn.Module):  # type: ignore[misc]
    """x + conv(relu(conv(x))), starting as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """x (n, channels, h, w) to the same shape."""
        return x + self.second(functional.relu(self.first(x)))  # type: ignore[no-any-return]


class Student(nn.Module):  # type: ignore[misc]
    """0.43 M parameters and 0.83 GMAC at 256x256 with the default widths. `forward` gives (flat, ink logits)."""

    def __init__(self, base: int = 16, head: int = 12) -> None:
        super().__init__()
        n = base
        self.to_half = nn.Sequential(nn.Conv2d(3, n, 6, 2, 2), nn.ReLU(), _conv(n, n), nn.ReLU())
        self.to_quarter = nn.Sequential(_conv(n, 2 * n, 2), nn.ReLU(), Residual(2 * n), nn.ReLU())
        self.to_eighth = nn.Sequential(_conv(2 * n, 3 * n, 2), nn.ReLU(), Residual(3 * n), nn.ReLU())
        self.to_sixteenth = nn.Sequential(
            _conv(3 * n, 4 * n, 2), nn.ReLU(), Residual(4 * n), Residual(4 * n), Residual(4 * n), nn.ReLU()
        )
        self.up_eighth = nn.Sequential(nn.Conv2d(7 * n, 3 * n, 1), nn.ReLU(), Residual(3 * n))
        self.up_quarter = nn.Sequential(nn.Conv2d(5 * n, 2 * n, 1), nn.ReLU(), Residual(2 * n), Residual(2 * n))
        self.up_half = nn.Sequential(nn.Conv2d(3 * n, n, 1), nn.ReLU(), Residual(n), _conv(n, 4 * head))
        self.edges = _conv(head + 3, head)
        self.layers = _conv(head, 4)  # flat colour and ink in one: a fifth faster on a CPU than one each
        with torch.no_grad():
            self.layers.bias[3] = -3.0  # type: ignore[index]  # most of a drawing is not ink

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) to flat colour (n, 3, h, w) and ink before its sigmoid (n, 1, h, w)."""
        x = rgb - 0.5
        half = self.to_half(x)
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        y = self.to_sixteenth(eighth)
        y = self.up_eighth(torch.cat([_twice(y), eighth], 1))
        y = self.up_quarter(torch.cat([_twice(y), quarter], 1))
        y = self.up_half(torch.cat([_twice(y), half], 1))
        y = functional.pixel_shuffle(functional.relu(y), 2)
        y = functional.relu(self.edges(torch.cat([y, x.type_as(y)], 1)))  # one type: joining two makes slow copies
        flat, ink = self.layers(y).split((3, 1), 1)
        return rgb + flat, ink


class Generator(nn.Module):  # type: ignore[misc]
    """A student as it is shipped: one output `layers`, flat colour clipped to 0..1, ink through the sigmoid."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, 3, h, w) to layers (n, 4, h, w), 0..1."""
        flat, ink = self.student(rgb)
        return torch.cat([flat.clamp(0, 1), torch.sigmoid(ink)], 1)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
