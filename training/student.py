"""The small network that learns to draw as the teacher does, in one pass of a few milliseconds.

Comes in: RGB f32 (n, 3, h, w), 0..1, exposure-normalised, h and w multiples of 16. Goes out: layers f32 (n, 4, h, w),
0..1: flat colour RGB and ink. A U-Net in which nothing is worked out at full resolution, where few channels leave a CPU
half idle: four pixels at a time go in and come out as channels (sub-pixel convolution, Shi et al., CVPR 2016). No
normalisation layers, so that half precision stays exact. Flat colour and ink come from one convolution: their ranges
differ too much to share an int8 scale, so int8 leaves it in float.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE_PX = 16  # height and width must be multiples of this
PIXELS = 4  # that go through the network as one


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


class Joined(nn.Module):  # type: ignore[misc]
    """A deeper level enlarged twice, and what its own level saw before, joined by a 1x1 convolution each.

    The same as one convolution of both side by side, without having to put them there.
    """

    def __init__(self, deep: int, own: int, outputs: int) -> None:
        super().__init__()
        self.deep = nn.Conv2d(deep, outputs, 1)
        self.own = nn.Conv2d(own, outputs, 1, bias=False)

    def forward(self, deep: Tensor, own: Tensor) -> Tensor:
        """deep (n, c, h / 2, w / 2) and own (n, d, h, w) to (n, outputs, h, w)."""
        enlarged = functional.interpolate(self.deep(deep), scale_factor=2.0, mode="nearest")
        return functional.relu(enlarged + self.own(own))


class Student(nn.Module):  # type: ignore[misc]
    """0.43 M parameters and 0.67 GMAC at 256x256 with the default width. `forward` gives (flat, ink logits)."""

    def __init__(self, base: int = 16) -> None:
        super().__init__()
        n = base
        self.to_half = nn.Sequential(nn.Conv2d(3, n, 6, 2, 2), nn.ReLU(), _conv(n, n), nn.ReLU())
        self.to_quarter = nn.Sequential(_conv(n, 2 * n, 2), nn.ReLU(), Residual(2 * n), nn.ReLU())
        self.to_eighth = nn.Sequential(_conv(2 * n, 3 * n, 2), nn.ReLU(), Residual(3 * n), nn.ReLU())
        self.to_sixteenth = nn.Sequential(
            _conv(3 * n, 4 * n, 2), nn.ReLU(), Residual(4 * n), Residual(4 * n), Residual(4 * n), nn.ReLU()
        )
        self.join_eighth, self.up_eighth = Joined(4 * n, 3 * n, 3 * n), Residual(3 * n)
        self.join_quarter = Joined(3 * n, 2 * n, 2 * n)
        self.up_quarter = nn.Sequential(Residual(2 * n), Residual(2 * n))
        self.join_half, self.up_half = Joined(2 * n, n, n), nn.Sequential(Residual(n), nn.ReLU())
        self.edges, self.pixels = _conv(n, n), nn.Conv2d(3, n, 6, 2, 2, bias=False)
        self.layers, self.picture = _conv(n, 4 * PIXELS), nn.Conv2d(3, 4 * PIXELS, 2, 2, bias=False)
        with torch.no_grad():
            self.layers.bias[3 * PIXELS :] = -3.0  # type: ignore[index]  # most of a drawing is not ink
            self.layers.bias[: 3 * PIXELS] = 0.5  # type: ignore[index]
            self.picture.weight.zero_()
            for channel in range(3 * PIXELS):  # flat colour begins as the picture itself
                colour, pixel = divmod(channel, PIXELS)
                self.picture.weight[channel, colour, pixel // 2, pixel % 2] = 1.0

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) to flat colour (n, 3, h, w) and ink before its sigmoid (n, 1, h, w)."""
        flat, ink = functional.pixel_shuffle(self.of_four_pixels(rgb), 2).split((3, 1), 1)
        return flat, ink

    def of_four_pixels(self, rgb: Tensor) -> Tensor:
        """The same, four pixels as channels: (n, 16, h / 2, w / 2), all of flat colour before all of ink."""
        x = rgb - 0.5
        half = self.to_half(x)
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        y = self.to_sixteenth(eighth)
        y = self.up_eighth(self.join_eighth(y, eighth))
        y = self.up_quarter(self.join_quarter(y, quarter))
        y = self.up_half(self.join_half(y, half))
        y = functional.relu(self.edges(y) + self.pixels(x))
        return self.layers(y) + self.picture(x)


class Generator(nn.Module):  # type: ignore[misc]
    """A student as it is shipped: one output `layers`, flat colour clipped to 0..1, ink through the sigmoid.

    Both are worked out for every channel and one is taken: taking channels apart and together costs more.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, 3, h, w) to layers (n, 4, h, w), 0..1."""
        values = self.student.of_four_pixels(rgb)
        flat = torch.tensor([1.0] * 3 * PIXELS + [0.0] * PIXELS).view(1, -1, 1, 1).to(values)
        return functional.pixel_shuffle(values.clamp(0, 1) * flat + torch.sigmoid(values) * (1 - flat), 2)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)
