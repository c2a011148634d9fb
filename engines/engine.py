"""What a generator looks like to the rest of the filter, whatever runs it.

In: RGB u8 (h, w, 3). Out: u8 (h, w, channels). On the caller's thread; an engine is used by one thread at a time.

A generator is an ONNX file with one input, f32 (1, 3, h, w) RGB 0..1, and one output, f32 (1, channels, h, w) 0..1:
layers (4 channels: flat RGB and ink) or a picture (3). Converting to and from that form happens inside engines only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import psutil
from numpy.typing import NDArray

from realtime.cores import threads_a_frame
from realtime.errors import EngineError
from realtime.types import RgbImage, Size


class NotBuiltError(EngineError):
    """An engine that is compiled ahead of time and was not; the message names the command that does it.

    stale: there is one, for another version of something.
    """

    def __init__(self, message: str, *, stale: bool = False) -> None:
        super().__init__(message)
        self.stale = stale


class Engine(Protocol):
    """A generator compiled for one size, one precision and this machine.

    The caller gives pictures of `size`, from one thread at a time, and calls `close` (or leaves the `with` block);
    after that `run` raises `ValueError`, and closing again is fine.
    """

    @property
    def name(self) -> str:
        """What runs it, as in `--engine`."""

    @property
    def precision(self) -> str:
        """The numbers it computes with: "fp32", "fp16", "bf16" or "int8"."""

    @property
    def size(self) -> Size:
        """The fixed size of what goes in and comes out."""

    @property
    def channels(self) -> int:
        """4 for layers (flat RGB and ink), 3 for a picture."""

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        """(h, w, 3) RGB u8, contiguous or not, to (h, w, channels) u8 of the caller's own; `ValueError` otherwise."""

    def close(self) -> None:
        """Lets go of memory and threads."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


@runtime_checkable
class DeviceGenerator(Protocol):
    """What an engine on a GPU offers besides: pictures that are there already, drawings that stay there."""

    @property
    def size(self) -> Size:
        """The fixed size of what goes in and comes out."""

    def queue(self, picture: Any, drawing: Any, stream: int) -> None:
        """Queues the network on torch's current stream, whose handle is `stream` (0 on a CPU), and returns.

        picture: torch tensor (1, h, w, 3) u8; drawing: (1, h, w, channels) u8, written over. Both contiguous, on the
        engine's device.
        """


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of an ONNX file as an engine reads it. dims: None where a dimension is free."""

    f32: bool
    dims: tuple[int | None, ...]


def check_generator(model: Path, inputs: Sequence[Port], outputs: Sequence[Port], size: Size) -> int:
    """How many channels the generator gives; raises `EngineError` when it is not one that can run at this size."""
    form = "one f32 input (1, 3, h, w) and one f32 output (1, 3 or 4, h, w)"
    if len(inputs) != 1 or len(outputs) != 1 or not inputs[0].f32 or not outputs[0].f32:
        raise EngineError(f"{model} is not a generator: {form} are expected.")
    taken, given = inputs[0].dims, outputs[0].dims
    if len(taken) != 4 or len(given) != 4 or taken[1] not in (3, None) or given[1] not in (3, 4):
        raise EngineError(f"{model} is not a generator: {form} are expected, found {taken} and {given}.")
    if taken[2] not in (size.height, None) or taken[3] not in (size.width, None):
        raise EngineError(f"The generator {model} works at {taken[3]}x{taken[2]} only, not at {size}.")
    return given[1]


def check_picture(rgb: RgbImage, size: Size) -> RgbImage:
    """The picture as contiguous memory; raises `ValueError` unless it is (h, w, 3) u8 of this size."""
    if rgb.dtype != np.uint8 or rgb.shape != (size.height, size.width, 3):
        raise ValueError(f"expected u8 {(size.height, size.width, 3)}, got {rgb.dtype} {rgb.shape}")
    return np.ascontiguousarray(rgb)


def thread_count() -> int:
    """For one network; the second thread of a core does not help networks and is left to other stages."""
    threads = threads_a_frame()
    return max(1, min(threads, psutil.cpu_count(logical=False) or threads))
