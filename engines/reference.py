"""ONNX Runtime on the CPU: in f32 the engine that every other one is verified against; int8 where that is faster.

In: RGB u8 (h, w, 3). Out: u8 (h, w, channels). On the caller's thread, with ONNX Runtime's own threads behind it.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.engine import Port, check_generator, check_picture, thread_count
from realtime.errors import EngineError
from realtime.types import RgbImage, Size

PACKAGE = "onnxruntime"


def precisions() -> tuple[str, ...]:
    """What it can compute with on this machine, fastest first; raises `ImportError` where it is not installed."""
    _onnxruntime()
    return ("fp32",)


class OnnxRuntimeEngine:
    """A generator in ONNX Runtime; opening raises `EngineError`. For "int8" `model` is the quantised twin."""

    name = "onnxruntime"

    def __init__(self, model: Path, size: Size, precision: str = "fp32") -> None:
        onnxruntime = _onnxruntime()
        self.precision = precision
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count()
        options.log_severity_level = 3  # errors only: warnings are about graph optimisations nobody asked for
        try:
            session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a new exception type for every kind of damage, all derived from Exception only
            raise EngineError(f"The generator {model} is damaged or no ONNX file; restore it.") from error
        self.size = size
        self.channels = check_generator(model, _ports(session.get_inputs()), _ports(session.get_outputs()), size)
        self._input = session.get_inputs()[0].name
        self._session: Any = session

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        """(h, w, 3) RGB u8 to (h, w, channels) u8."""
        # multiply rounds and saturates; plain assignment of 1.01 * 255 to u8 would wrap around to black
        planes = [cv2.multiply(plane, 255.0, dtype=cv2.CV_8U) for plane in self.run_f32(rgb)]
        return np.asarray(cv2.merge(planes), np.uint8)

    def run_f32(self, rgb: RgbImage) -> NDArray[np.float32]:
        """(h, w, 3) RGB u8 to (channels, h, w) f32, as the network gives it: where NaN can still be seen."""
        if self._session is None:
            raise ValueError("the engine is closed")
        tensor = cv2.dnn.blobFromImage(check_picture(rgb, self.size), 1 / 255)  # (1, 3, h, w) f32, 0..1
        return np.asarray(self._session.run(None, {self._input: tensor})[0][0], np.float32)

    def close(self) -> None:
        """Lets go of the session."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_session(network: bytes) -> Any:
    """ONNX Runtime's session of any ONNX, on the CPU; raises `EngineError`."""
    options = _onnxruntime().SessionOptions()
    options.intra_op_num_threads = thread_count()
    options.log_severity_level = 3
    try:
        return _onnxruntime().InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise EngineError(f"ONNX Runtime cannot open the network: {str(error).splitlines()[0][:200]}") from error


def run_network(network: bytes, rgb: RgbImage) -> NDArray[np.uint8]:
    """What a network of `network.gpu_network` makes of an (h, w, 3) picture, on the CPU; raises `EngineError`."""
    try:
        session = _onnxruntime().InferenceSession(network, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {session.get_inputs()[0].name: rgb[None]})[0][0], np.uint8)
    except Exception as error:  # as above
        raise EngineError(f"ONNX Runtime cannot run the network: {str(error).splitlines()[0]}") from error


def _onnxruntime() -> Any:
    """The package, kept from reporting its use over the network: its own switch, read while it is imported."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _ports(nodes: list[Any]) -> list[Port]:
    """A free dimension has a name or None instead of a number."""
    return [Port(n.type == "tensor(float)", tuple(d if isinstance(d, int) else None for d in n.shape)) for n in nodes]
