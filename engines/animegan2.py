"""AnimeGANv2's generator, for weights that somebody else has published.

Comes in: a state dict with the names and shapes of the PyTorch conversion animegan2-pytorch (face_paint_512_v1 and v2,
celeba_distill, paprika). Goes out: a torch module, pictures -1..1 in and out. Any thread. Only the importer and the
comparison of speeds load torch for it.

Source: Chen, Liu, Chen: AnimeGAN, a novel lightweight GAN for photo animation (2020), and the changes of its version 2:
layer norm instead of instance norm, 8.6 MB. A plain encoder to a quarter of the size, inverted residuals
(Sandler et al.: MobileNetV2, 2018) there, bilinear steps back up.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from realtime.errors import ModelFileError

PARAMETERS = 2_143_552
MULTIPLE_PX = 4  # height and width should be multiples of this: it halves them twice
MOST_BYTES = 64 << 20  # of a weights file, packed or not; the published ones have 8.6 MB
_SLOPE = 0.2


class AnimeGan2(nn.Module):  # type: ignore[misc]
    """2.14 M parameters, 53 GFLOP at 256x256. `forward`: RGB (n, 3, h, w), -1..1, to the same."""

    def __init__(self) -> None:
        super().__init__()
        halve = (0, 1, 0, 1)  # as TensorFlow pads a stride of two: right and below only
        self.block_a = nn.Sequential(_conv(3, 32, 7), _conv(32, 64, 3, 2, halve), _conv(64, 64))
        self.block_b = nn.Sequential(_conv(64, 128, 3, 2, halve), _conv(128, 128))
        residuals = (_InvertedResidual(128, 256), *(_InvertedResidual(256, 256) for _ in range(3)))
        self.block_c = nn.Sequential(_conv(128, 128), *residuals, _conv(256, 128))
        self.block_d = nn.Sequential(_conv(128, 128), _conv(128, 128))
        self.block_e = nn.Sequential(_conv(128, 64), _conv(64, 64), _conv(64, 32, 7))
        self.out_layer = nn.Sequential(nn.Conv2d(32, 3, 1, bias=False), nn.Tanh())

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, 3, h, w), -1..1, to the drawn picture of the same shape and range."""
        half = self.block_a(rgb)
        small = self.block_c(self.block_b(half))
        drawn = self.block_d(_enlarged(small, half))
        return self.out_layer(self.block_e(_enlarged(drawn, rgb)))  # type: ignore[no-any-return]


class _InvertedResidual(nn.Module):  # type: ignore[misc]
    """Wider, each channel for itself, narrow again; added to what came in where the widths allow it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        wide = 2 * inputs
        self.layers = nn.Sequential(
            _conv(inputs, wide, 1),
            _conv(wide, wide, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.GroupNorm(1, outputs),
        )
        self.adds = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        made = self.layers(x)
        return x + made if self.adds else made  # type: ignore[no-any-return]


def read_generator(path: Path) -> AnimeGan2:
    """The generator with the weights of this file, ready to draw.

    Nothing but tensors is read: a file that would run code is refused. Raises `ModelFileError`.
    """
    generator = AnimeGan2()
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"it holds more than {MOST_BYTES >> 20} MiB")
        weights = torch.load(str(path), map_location="cpu", weights_only=True)
        if not isinstance(weights, dict):
            raise ValueError("it holds no state dict")
        generator.load_state_dict(weights)
    except zipfile.BadZipFile:
        why = "it is no PyTorch file of version 1.6 or later, or cut short"
    except RuntimeError as error:  # load_state_dict: one line a name; or a damaged archive
        lines = str(error).splitlines()
        why = f"its weights are not those of this generator: {lines[min(1, len(lines) - 1)].strip()[:160]}"
    except Exception as error:  # of its own kind for every sort of damage
        unsafe = type(error).__name__ == "UnpicklingError"
        why = "it holds more than weights, and reading it could run code" if unsafe else str(error)[:160]
    else:
        return generator.eval()
    raise ModelFileError(f"{path} is no weights file of AnimeGANv2 ({why.rstrip('.')}); give one of animegan2-pytorch.")


def _conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    padding: tuple[int, int, int, int] | None = None,
    groups: int = 1,
) -> nn.Sequential:
    """Mirrored edge, convolution, norm over the whole layer, leaky ReLU. padding: left, right, top, bottom."""
    side = kernel // 2
    return nn.Sequential(
        nn.ReflectionPad2d((side, side, side, side) if padding is None else padding),
        nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=groups > 1),
        nn.GroupNorm(1, outputs),
        nn.LeakyReLU(_SLOPE),
    )


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)
