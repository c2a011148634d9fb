"""TensorRT and TensorRT for RTX: generators compiled for NVIDIA GPUs, ahead of time, and run on them.

In: ONNX bytes of `network.gpu_network`; RGB u8 (h, w, 3). Out: an engine's bytes; u8 (h, w, channels). On the caller's
thread. The two packages agree in all names used here. TensorRT for RTX compiles for any RTX GPU on a machine without
one; TensorRT compiles on the GPU that it will run on.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines import built
from engines.built import Built, Wanted
from engines.engine import NotBuiltError, check_picture
from engines.gpu import Gpu, nvidia_gpu
from engines.network import DRAWING, PICTURE, PRECISIONS
from realtime.errors import EngineError
from realtime.types import RgbImage, Size

Step = Callable[[str], None]
SEVERE = 1  # ILogger.ERROR; 0 is INTERNAL_ERROR
RTX_LIBRARIES = ("libtensorrt_rtx.so.*", "libtensorrt_onnxparser_rtx.so.*")  # in the order of dependence


@dataclass(frozen=True, slots=True)
class Compiler:
    """One of the two. package: its Python package. ahead: the architectures it compiles for without such a GPU."""

    name: str
    module: str
    package: str
    extra: str
    ahead: tuple[str, ...]

    @property
    def version(self) -> str:
        """Name and version; raises `PackageNotFoundError`, an `ImportError`."""
        return f"{self.name} {version(self.package)}"


TENSORRT = Compiler("tensorrt", "tensorrt", "tensorrt", "gpu", ())
TENSORRT_RTX = Compiler(
    "tensorrt-rtx",
    "tensorrt_rtx_bindings",
    "tensorrt_rtx_cu13_bindings",
    "rtx",
    ("sm75", "sm80", "sm86", "sm89", "sm120"),
)
COMPILERS = (TENSORRT, TENSORRT_RTX)


@cache
def load(compiler: Compiler) -> Any:
    """The package; raises `ImportError` where it is not installed."""
    if compiler is TENSORRT_RTX:
        _preload_rtx()
    return importlib.import_module(compiler.module)


def _preload_rtx() -> None:
    """Makes the bindings find their libraries, which are in another package and, on Linux, under longer names."""
    found = importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx")
    if found is None or found.origin is None:
        return  # libraries installed in another way are found by the bindings themselves
    folder = Path(found.origin).parent
    if sys.platform == "win32":
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        return
    for pattern in RTX_LIBRARIES:
        for library in sorted(folder.glob(pattern)):
            ctypes.CDLL(str(library))  # later loads of the same soname find it; its symbols stay its own


def network_flags(trt: Any) -> int:
    """Strongly typed: the types in the file are the types computed with, whatever the compiler would prefer."""
    return int(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))


def compile_network(compiler: Compiler, network: bytes, architectures: Sequence[str], step: Step) -> bytes:
    """One engine for all these architectures, or with none named, for the GPU of this machine.

    `step` is told what the compiler is at. Raises `ImportError`, `EngineError`, and `KeyboardInterrupt` soon after
    it was asked for.
    """
    trt = load(compiler)
    logger = _logger(trt)
    try:
        builder = trt.Builder(logger)
    except (RuntimeError, TypeError) as error:  # pybind11's word for a null pointer
        raise EngineError(f"{compiler.name} cannot start: {logger.last or error}") from error
    definition = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(definition, logger)
    if not parser.parse(network):
        told = parser.get_error(0).desc() if parser.num_errors else logger.last
        raise EngineError(f"{compiler.name} cannot read the network: {told}")
    config = builder.create_builder_config()
    monitor = _monitor(trt, step)
    config.progress_monitor = monitor
    if architectures:
        config.num_compute_capabilities = len(architectures)
        for i, architecture in enumerate(architectures):
            capability = getattr(trt.ComputeCapability, architecture.upper(), None)
            if capability is None or not config.set_compute_capability(capability, i):
                raise EngineError(f"{compiler.name} cannot compile for {architecture}.")
    content = builder.build_serialized_network(definition, config)
    if monitor.interrupted:
        raise KeyboardInterrupt
    if content is None:
        raise EngineError(f"{compiler.name} cannot compile the network: {logger.last or 'it does not say why'}")
    return bytes(content)


def here(compiler: Compiler) -> Gpu:
    """The GPU that the compiler's engines would run on; raises `ImportError`, and `EngineError` where there is none."""
    load(compiler)
    gpu = nvidia_gpu()
    if gpu is None:
        raise EngineError(
            f"The engine {compiler.name} needs an NVIDIA GPU with its driver (nvidia-smi finds none here). "
            "Use --engine auto."
        )
    return gpu


def find_built(compiler: Compiler, generator: str, model_sha256: str, size: Size) -> dict[str, Built]:
    """The engines for this GPU by precision; raises `NotBuiltError` if there are none, and what `here` raises."""
    gpu = here(compiler)
    found: dict[str, Built] = {}
    missing: NotBuiltError | None = None
    for precision in PRECISIONS:
        wanted = Wanted(generator, model_sha256, compiler.version, precision, str(size), (gpu.architecture,))
        try:
            found[precision] = built.find(wanted, built.default_folder())
        except NotBuiltError as error:
            missing = error if missing is None or error.stale else missing
    if not found and missing is not None:
        raise missing
    return found


class TensorRtEngine:
    """A compiled generator on the GPU; opening raises `EngineError` and `ImportError`.

    Pictures travel through pinned memory, and copies and computation are queued on one stream.
    """

    def __init__(self, compiler: Compiler, content: bytes, precision: str, origin: str) -> None:
        trt = load(compiler)
        self.name = compiler.name
        self.precision = precision
        self._logger = _logger(trt)
        self._cuda = _Cuda(importlib.import_module("cuda.bindings.runtime"))
        runtime = trt.Runtime(self._logger)
        engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise EngineError(
                f"{compiler.name} cannot load {origin} on this GPU: {self._logger.last or 'it does not say why'}"
            )
        _, height, width, self.channels = engine.get_tensor_shape(DRAWING)
        self.size = Size(width, height)
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"{compiler.name} cannot run {origin}: {self._logger.last or 'no memory on the GPU'}")
        self._kept: Any = (runtime, engine)
        try:
            self._stream = self._cuda.stream()
            self._picture = self._cuda.pinned((height, width, 3))
            self._drawing = self._cuda.pinned((height, width, self.channels))
            self._picture_there = self._cuda.device(self._picture.nbytes)
            self._drawing_there = self._cuda.device(self._drawing.nbytes)
        except EngineError:
            self._cuda.close()
            raise

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        """(h, w, 3) RGB u8 to (h, w, channels) u8."""
        if self._context is None:
            raise ValueError("the engine is closed")
        self._picture[...] = check_picture(rgb, self.size)
        self._cuda.upload(self._picture_there, self._picture, self._stream)
        self._queue(self._picture_there, self._drawing_there, self._stream)
        self._cuda.download(self._drawing, self._drawing_there, self._stream)
        self._cuda.finish(self._stream)
        return self._drawing.copy()

    def queue(self, picture: Any, drawing: Any, stream: int) -> None:
        """Queues the network on torch's current stream, bound to the tensors' memory; see `DeviceGenerator`."""
        if self._context is None:
            raise ValueError("the engine is closed")
        self._queue(picture.data_ptr(), drawing.data_ptr(), stream)

    def _queue(self, picture: int, drawing: int, stream: int) -> None:
        self._context.set_tensor_address(PICTURE, picture)
        self._context.set_tensor_address(DRAWING, drawing)
        if not self._context.execute_async_v3(stream):
            raise EngineError(f"{self.name} failed while drawing: {self._logger.last or 'it does not say why'}")

    def close(self) -> None:
        """Lets go of the GPU's memory."""
        if self._context is None:
            return
        self._context = None
        self._kept = None
        self._cuda.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Cuda:
    """The few calls of the CUDA runtime that an engine needs; each raises `EngineError`, as CUDA words it."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._undo: list[Callable[[], None]] = []

    def stream(self) -> int:
        handle = self._done(self._runtime.cudaStreamCreate())
        self._undo.append(lambda: self._runtime.cudaStreamDestroy(handle))
        return int(handle)

    def pinned(self, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Memory of this machine that the GPU copies from and to by itself."""
        count = int(np.prod(shape))
        address = int(self._done(self._runtime.cudaMallocHost(count)))
        self._undo.append(lambda: self._runtime.cudaFreeHost(address))
        return np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(address)).reshape(shape)

    def device(self, count: int) -> int:
        address = int(self._done(self._runtime.cudaMalloc(count)))
        self._undo.append(lambda: self._runtime.cudaFree(address))
        return address

    def upload(self, there: int, here: NDArray[np.uint8], stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._done(self._runtime.cudaMemcpyAsync(there, here.ctypes.data, here.nbytes, kind, stream))

    def download(self, here: NDArray[np.uint8], there: int, stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._done(self._runtime.cudaMemcpyAsync(here.ctypes.data, there, here.nbytes, kind, stream))

    def finish(self, stream: int) -> None:
        self._done(self._runtime.cudaStreamSynchronize(stream))

    def close(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _done(self, answer: tuple[Any, ...]) -> Any:
        """What a call gave, behind its error code."""
        if int(answer[0]) != 0:
            told = self._runtime.cudaGetErrorString(answer[0])[-1]
            raise EngineError(f"The GPU failed: {told.decode() if isinstance(told, bytes) else told}.")
        return answer[1] if len(answer) > 1 else None


def _logger(trt: Any) -> Any:
    """Keeps the last error instead of printing everything; `last` is one line."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: Any, message: str) -> None:
            if int(severity) <= SEVERE:
                self.last = " ".join(message.split())

    return Logger()


def _monitor(trt: Any, step: Step) -> Any:
    """Tells `step` the phases of a build and ends it when the user interrupts."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._told(phase)

        def phase_finish(self, phase: str) -> None:
            """Nothing to tell."""

        def step_complete(self, phase: str, number: int) -> bool:
            self._told(phase)
            return not self.interrupted

        def _told(self, phase: str) -> None:
            try:
                step(phase)
            except KeyboardInterrupt:  # must not travel through the compiler, which is C++
                self.interrupted = True

    return Monitor()
