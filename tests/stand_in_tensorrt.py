"""What the compiled engines see of NVIDIA's packages, computed by ONNX Runtime on the CPU: no GPU runs here.

`tensorrt_module` has the names that `engines.tensorrt` uses of TensorRT, `Cuda` those of the CUDA runtime. An "engine"
is a mark and the network itself; "device" memory is memory.
"""
# ruff: noqa: N802, N815  # the names are NVIDIA's

from __future__ import annotations

import ctypes
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

MARK = b"compiled:"


class Logger:
    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class Monitor:
    pass


class Capability(IntEnum):
    SM75 = 75
    SM80 = 80
    SM86 = 86
    SM89 = 89
    SM120 = 120


class Config:
    num_compute_capabilities = 0

    def __init__(self) -> None:
        self.progress_monitor: Any = None
        self.capabilities: list[Capability] = []

    def set_compute_capability(self, capability: Capability, index: int) -> bool:
        self.capabilities.append(capability)
        return index < self.num_compute_capabilities


class Builder:
    def __init__(self, logger: Logger) -> None:
        self.logger = logger

    def create_network(self, flags: int) -> SimpleNamespace:
        assert flags == 2
        return SimpleNamespace(content=b"")

    def create_builder_config(self) -> Config:
        return Config()

    def build_serialized_network(self, network: SimpleNamespace, config: Config) -> bytes | None:
        config.progress_monitor.phase_start("Building engine", None, 2)
        if not config.progress_monitor.step_complete("Building engine", 1):
            return None
        return MARK + bytes(network.content)


class Parser:
    num_errors = 0

    def __init__(self, network: SimpleNamespace, logger: Logger) -> None:
        self.network, self.logger = network, logger

    def parse(self, content: bytes) -> bool:
        self.network.content = content
        if content:
            return True
        self.logger.log(1, "nothing\nto parse")
        return False


class Context:
    def __init__(self, session: Any) -> None:
        self.session = session
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        assert stream
        (port,) = self.session.get_inputs()
        picture = memory(self.addresses[port.name], int(np.prod(port.shape))).reshape(port.shape)
        (drawn,) = self.session.run(None, {port.name: picture})
        memory(self.addresses["drawing"], drawn.size)[:] = Runtime.paint(drawn).ravel()
        return True


class Runtime:
    """`paint` is what this GPU does wrongly."""

    @staticmethod
    def paint(drawn: Any) -> Any:
        return drawn

    def __init__(self, logger: Logger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, content: bytes) -> SimpleNamespace | None:
        if not content.startswith(MARK):
            self.logger.log(1, "magic tag does not match")
            return None
        session = onnxruntime.InferenceSession(content.removeprefix(MARK), providers=["CPUExecutionProvider"])
        return SimpleNamespace(
            get_tensor_shape=lambda name: session.get_outputs()[0].shape,
            create_execution_context=lambda: Context(session),
        )


def memory(address: int, count: int) -> Any:
    return np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(address))


class Cuda(ModuleType):
    """Counts what is allocated; with `fails` every allocation on the device does."""

    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)

    def __init__(self) -> None:
        super().__init__("cuda.bindings.runtime")
        self.held: dict[int, Any] = {}
        self.fails = False

    def cudaMalloc(self, count: int) -> tuple[int, int]:
        if self.fails:
            return 2, 0
        buffer = ctypes.create_string_buffer(count)
        self.held[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cudaMallocHost(self, count: int) -> tuple[int, int]:
        buffer = ctypes.create_string_buffer(count)
        self.held[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cudaStreamCreate(self) -> tuple[int, int]:
        self.held[7] = None
        return 0, 7

    def cudaFree(self, address: int) -> tuple[int]:
        del self.held[address]
        return (0,)

    cudaFreeHost = cudaStreamDestroy = cudaFree

    def cudaMemcpyAsync(self, to: int, source: int, count: int, kind: int, stream: int) -> tuple[int]:
        ctypes.memmove(to, source, count)
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        return (0,)

    def cudaGetErrorString(self, error: int) -> tuple[int, bytes]:
        return 0, b"out of memory"


def tensorrt_module() -> ModuleType:
    module = ModuleType("tensorrt_rtx_bindings")
    module.__dict__.update(
        ILogger=Logger,
        IProgressMonitor=Monitor,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        ComputeCapability=Capability,
        Builder=Builder,
        OnnxParser=Parser,
        Runtime=Runtime,
    )
    for base in (Logger, Monitor):
        assert base.__init__ is object.__init__
    return module
