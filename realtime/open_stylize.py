"""Where the picture is put together: on the GPU where the generators run there, else on the processor.

In: two open engines and a finish. Out: the stage. On the thread that opens the filter; torch is
imported here, and only for a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engines import torch_gpu
from engines.engine import DeviceGenerator
from realtime.checked_generator import CheckedGenerator
from realtime.errors import EngineError
from realtime.layers import Finish
from realtime.redraw import Effort
from realtime.stylize import Generator, Stylize
from realtime.types import Size

if TYPE_CHECKING:
    from realtime.device.stylize import StylizeOnDevice


def open_stylize(
    background: Generator,
    face: Generator | None,
    finish: Finish,
    frame: Size,
    steadiness: float,
    say: Callable[[str], None],
    effort: Effort | None = None,
) -> Stylize | StylizeOnDevice:
    """The stage for frames of this size; `say` gets a line where a GPU draws less than it could."""
    if isinstance(background, DeviceGenerator) and isinstance(face, DeviceGenerator):
        try:
            torch_gpu.precisions()  # raises where torch cannot use the GPU
            from realtime.device.stylize import StylizeOnDevice

            return StylizeOnDevice(background, face, finish, frame, steadiness, say=say)
        except (ImportError, EngineError) as error:
            say(
                f"Only the generators run on the GPU, the rest on the processor, for torch is missing ({error}). "
                "To have all of it there: python bootstrap.py --gpu"
            )
        except RuntimeError as error:  # torch's word for whatever CUDA says
            reason = str(error).partition("\n")[0]
            raise EngineError(
                f"The GPU cannot draw frames of {frame} ({reason}). Take a smaller --size, or --engine openvino."
            ) from error
    checked = None if face is None else CheckedGenerator(face)
    return Stylize(CheckedGenerator(background), checked, finish, steadiness, effort)
