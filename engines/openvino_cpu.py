"""OpenVINO on the CPU, f32, bf16 or int8: two to three times as fast as ONNX Runtime on generators.

In: RGB u8 (h, w, 3). Out: u8 (h, w, channels). On the caller's thread, with OpenVINO's own threads behind it.

Of compiled networks only MediaPipe's are kept on disk: landmarks take 0.8 s of work to compile and 0.1 s to read back,
the face detector 0.2 s and 0.03 s. A generator takes 0.1 s and 0.03 s.
"""

from __future__ import annotations

import hashlib
import io
import math
import tempfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.compiled import keep, kept
from engines.engine import Port, check_generator, check_picture, thread_count
from engines.openvino_graph import openvino, openvino_core, with_u8_ends
from engines.openvino_landmarks import rearranged
from engines.processor import processor
from realtime.errors import EngineError
from realtime.types import RgbImage, Size

PACKAGE = "openvino"
_LANDMARKS = "face-landmarks.openvino"


def precisions() -> tuple[str, ...]:
    """What it can compute with on this machine, fastest first; raises `ImportError` where it is not installed."""
    native = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "fp32") if native else ("fp32",)


class OpenVinoEngine:
    """A generator in OpenVINO; opening raises `EngineError`. For "int8" `model` is the quantised twin."""

    name = "openvino"

    def __init__(self, model: Path, size: Size, precision: str) -> None:
        self.precision = precision
        self.size = size
        try:
            core = openvino_core()
            network = core.read_model(model)
            self.channels = check_generator(model, _ports(network.inputs), _ports(network.outputs), size)
            network.reshape([1, 3, size.height, size.width])
            floats = "f32" if precision == "fp32" or "bf16" not in precisions() else "bf16"
            compiled = core.compile_model(with_u8_ends(network), "CPU", _hints(floats, thread_count()))
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO cannot load the generator {model}: restore the file, or use --engine onnxruntime."
            ) from error
        self._request: Any = compiled.create_infer_request()
        self._taken = self._request.get_input_tensor().data.shape
        self._one = threading.Lock()  # for its tensors: a style may draw all with one network
        # The bindings set themselves up in the first call, and two first calls at once wait for each other for ever.
        self.run(np.zeros((size.height, size.width, 3), np.uint8))

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        """(h, w, 3) RGB u8 to (h, w, channels) u8."""
        if self._request is None:
            raise ValueError("the engine is closed")
        with self._one:
            picture = check_picture(rgb, self.size).reshape(self._taken)
            self._request.infer({0: picture}, share_inputs=True, share_outputs=True)
            drawn = self._request.get_output_tensor().data[0]  # overwritten by the next run
            if len(drawn) == self.channels:
                return np.asarray(cv2.merge(list(drawn)), np.uint8)
            pairs = drawn.view(f"V{2 * self.channels}")  # of pixels: (h / 2, w / 2, rows of 2)
            rows = np.ascontiguousarray(pairs.transpose(0, 2, 1))
            return rows.view(np.uint8).reshape(self.size.height, self.size.width, self.channels)

    def close(self) -> None:
        """Lets go of the compiled network."""
        self._request = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class LandmarkNetwork:
    """MediaPipe's face landmark network, out of face_landmarker.task, in f32 on one thread: it is small.

    Opening raises `EngineError`, and `ImportError` where OpenVINO is not installed.
    """

    side = 256  # of the square picture it takes

    def __init__(self, task: Path) -> None:
        try:
            made_from = f"{hashlib.sha256(task.read_bytes()).hexdigest()} direct"
            self._request: Any = compiled_once(_LANDMARKS, made_from, lambda: self._read(task))
        except (RuntimeError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise EngineError(f"OpenVINO cannot load the landmark network in {task.name}: {error}") from error
        unseen = np.empty((self.side, self.side), np.uint8)
        self._planes = [*self._request.get_input_tensor().data[0], unseen]
        self._given = [self._request.get_output_tensor(number) for number in range(2)]

    def _read(self, task: Path) -> Any:
        with (
            zipfile.ZipFile(task) as archive,
            tempfile.TemporaryDirectory(prefix="livetoon-", ignore_cleanup_errors=True) as folder,  # Windows maps files
        ):
            network = openvino_core().read_model(archive.extract("face_landmarks_detector.tflite", folder))
            network.reshape([1, self.side, self.side, 3])
            return rearranged(network, Path(folder))

    def run(self, picture: RgbImage) -> tuple[NDArray[np.float32], float]:
        """Landmarks (478, 3) f32 in the picture's pixels, and how sure it is of a face, 0..1.

        picture: (256, 256, 3 or 4) u8, RGB first. The landmarks are overwritten by the next run.
        """
        if picture.shape[:2] != (self.side, self.side):
            raise ValueError(f"a picture of {picture.shape[:2]}, not {self.side} pixels square")
        cv2.split(picture, self._planes[: picture.shape[2]])
        self._request.infer(share_inputs=True, share_outputs=True)
        points, logit = (tensor.data for tensor in self._given)
        return points.reshape(-1, 3), 0.5 + 0.5 * math.tanh(logit.item() / 2)


def compiled_once(name: str, made_from: str, read: Callable[[], Any]) -> Any:
    """A request to the network that `read` gives, in f32 on one thread. Compiled, it is kept in the cache as `name`.

    made_from: what it depends on, beside OpenVINO and the processor. Raises what `read` raises, and `RuntimeError`.
    """
    core = openvino_core()
    hints = _hints("f32", threads=1)
    made_from = f"{made_from} openvino {openvino().get_version()} {processor()} {hints}"
    if (network := kept(name, made_from)) is not None:
        with suppress(RuntimeError):
            return core.import_model(io.BytesIO(network), "CPU", hints).create_infer_request()
    compiled = core.compile_model(read(), "CPU", hints)
    compiled.export_model(exported := io.BytesIO())
    keep(name, made_from, exported.getvalue())
    return compiled.create_infer_request()


def _hints(floats: str, threads: int) -> dict[str, Any]:
    """How to compile. Not bound to a core: two networks at once would be bound to the same one."""
    return {
        "INFERENCE_PRECISION_HINT": floats,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }


def _ports(nodes: list[Any]) -> list[Port]:
    return [
        Port(
            n.element_type.get_type_name() == "f32",
            tuple(d.get_length() if d.is_static else None for d in n.partial_shape),
        )
        for n in nodes
    ]
