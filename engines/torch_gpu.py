"""torch on an NVIDIA GPU, fp16 or fp32, replayed as one CUDA graph: for GPUs that no TensorRT serves.

In: RGB u8 (h, w, 3). Out: u8 (h, w, channels). On the caller's thread. A generator's ONNX file is run layer by layer by
torch's own functions; on a CPU, where only tests run it, without the graph.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.engine import check_picture
from engines.gpu import nvidia_gpu
from engines.network import PRECISIONS, read_generator
from realtime.errors import EngineError
from realtime.types import RgbImage, Size

PACKAGE = "torch"

_WARM_UP_RUNS = 3  # before capture: cuDNN chooses its algorithms, which may not happen inside a graph


def precisions() -> tuple[str, ...]:
    """What it can compute with on this machine, fastest first; raises `ImportError` and `EngineError`."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise ModuleNotFoundError(f"No module named '{PACKAGE}'", name=PACKAGE)
    if nvidia_gpu() is None:  # asked first: importing torch takes seconds
        raise EngineError(
            "The engine torch needs an NVIDIA GPU with its driver (nvidia-smi finds none here). Use --engine auto."
        )
    import torch

    if not torch.cuda.is_available():
        raise EngineError(
            f"torch {torch.__version__} was built without CUDA or for a newer driver; install one that fits this GPU: "
            'pip install --upgrade "torch>=2.6"'
        )
    return PRECISIONS


class TorchEngine:
    """A generator in torch; opening raises `EngineError` and `ImportError`."""

    name = "torch"

    def __init__(self, model: Path, size: Size, precision: str, device: str = "cuda") -> None:
        import torch

        self.precision = precision
        self.size = size
        network, self.channels = read_generator(model, size)
        kind = torch.float16 if precision == "fp16" else torch.float32
        layers = torch_network(network, device, kind)
        on_gpu = device == "cuda"
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32; fp16 is there for speed
        self._torch = torch
        self._picture = torch.zeros((1, size.height, size.width, 3), dtype=torch.uint8, pin_memory=on_gpu)
        self._picture_there = self._picture.to(device) if on_gpu else self._picture
        self._drawing_there: Any = None
        self._graph: Any = None

        def draw(picture: Any) -> Any:
            planes = picture.permute(0, 3, 1, 2).to(torch.float32) / 255
            levels = (layers(planes.to(kind)).to(torch.float32).clamp(0, 1) * 255).round()
            return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()

        self._draw: Callable[[Any], Any] | None = draw

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        """(h, w, 3) RGB u8 to (h, w, channels) u8."""
        if self._draw is None:
            raise ValueError("the engine is closed")
        self._picture.numpy()[0] = check_picture(rgb, self.size)
        with self._torch.inference_mode():
            if self._picture_there is self._picture:
                return np.asarray(self._draw(self._picture)[0].numpy(), np.uint8)
            if self._graph is None:
                self._capture(self._draw)
            self._picture_there.copy_(self._picture, non_blocking=True)
            self._graph.replay()
            self._drawing.copy_(self._drawing_there, non_blocking=True)
            self._torch.cuda.current_stream().synchronize()
            return np.array(self._drawing[0].numpy(), np.uint8)

    def queue(self, picture: Any, drawing: Any, stream: int) -> None:
        """Queues the network on torch's current stream; see `DeviceGenerator`."""
        if self._draw is None:
            raise ValueError("the engine is closed")
        drawing.copy_(self._draw(picture))

    def close(self) -> None:
        """Lets go of the network and its memory."""
        self._draw = None
        self._graph = None
        self._drawing_there = self._picture_there = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _capture(self, draw: Callable[[Any], Any]) -> None:
        """Records the network once, so that a frame costs one launch instead of a hundred."""
        torch = self._torch
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UP_RUNS):
                draw(self._picture_there)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._drawing_there = draw(self._picture_there)
        self._drawing = torch.empty(self._drawing_there.shape, dtype=torch.uint8, pin_memory=True)


def torch_network(network: Any, device: str, kind: Any) -> Callable[[Any], Any]:
    """An ONNX generator as a function of tensors (1, 3, h, w) of type `kind`; raises `EngineError`."""
    import torch
    from onnx import helper, numpy_helper

    graph = network.graph
    unknown = sorted({node.op_type for node in graph.node} - {*_LAYERS, "Constant"})
    if unknown:
        raise EngineError(f"The engine torch does not know the layers {', '.join(unknown)}; use --engine onnxruntime.")

    def tensor(value: Any) -> Any:
        made = torch.from_numpy(np.array(numpy_helper.to_array(value)))
        if made.is_floating_point():
            made = made.to(kind)
        return made.to(device, memory_format=torch.channels_last) if made.ndim == 4 else made.to(device)

    weights = {value.name: tensor(value) for value in graph.initializer}
    steps = []
    for node in graph.node:
        options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            weights[node.output[0]] = tensor(options["value"])
        else:
            steps.append((_LAYERS[node.op_type], list(node.input), list(node.output), options))
    # numbers that decide shapes are wanted here, not on the GPU, where reading them would break a CUDA graph
    numbers = {name: value.tolist() for name, value in weights.items() if value.numel() <= 8}
    taken, given = graph.input[0].name, graph.output[0].name

    def run(picture: Any) -> Any:
        values = {**weights, taken: picture.contiguous(memory_format=torch.channels_last)}
        for layer, inputs, outputs, options in steps:
            result = layer(
                torch, [values.get(name) for name in inputs], [numbers.get(name) for name in inputs], options
            )
            values.update(zip(outputs, result if len(outputs) > 1 else [result], strict=True))
        return values[given]

    return run


def _conv(torch: Any, x: list[Any], _: list[Any], options: dict[str, Any]) -> Any:
    top, left, bottom, right = options.get("pads", [0, 0, 0, 0])
    picture = x[0]
    if (top, left) != (bottom, right):
        picture = torch.nn.functional.pad(picture, (left, right, top, bottom))
        top = left = 0
    return torch.nn.functional.conv2d(
        picture,
        x[1],
        x[2] if len(x) > 2 else None,
        options.get("strides", 1),
        (top, left),
        options.get("dilations", 1),
        options.get("group", 1),
    )


def _resize(torch: Any, x: list[Any], numbers: list[Any], options: dict[str, Any]) -> Any:
    ways = (options.get("mode", b"nearest"), options.get("coordinate_transformation_mode", b"half_pixel"))
    if len(x) != 3 or numbers[2] is None or ways != (b"nearest", b"asymmetric"):
        raise EngineError("The engine torch knows Resize as plain repetition only; use --engine onnxruntime.")
    return torch.nn.functional.interpolate(x[0], scale_factor=numbers[2][2:], mode="nearest")


def _depth_to_space(torch: Any, x: list[Any], _: list[Any], options: dict[str, Any]) -> Any:
    if options.get("mode", b"DCR") != b"CRD":
        raise EngineError("The engine torch knows DepthToSpace in the order CRD only; use --engine onnxruntime.")
    return torch.nn.functional.pixel_shuffle(x[0], options["blocksize"])


def _clip(torch: Any, x: list[Any], numbers: list[Any], _: dict[str, Any]) -> Any:
    least, most = [*numbers[1:], None, None][:2]
    return torch.clamp(x[0], least, most)


def _split(torch: Any, x: list[Any], numbers: list[Any], options: dict[str, Any]) -> Any:
    return torch.split(x[0], numbers[1], dim=options.get("axis", 0))


_LAYERS: dict[str, Callable[[Any, list[Any], list[Any], dict[str, Any]], Any]] = {
    "Abs": lambda torch, x, n, o: x[0].abs(),
    "Add": lambda torch, x, n, o: x[0] + x[1],
    "Clip": _clip,
    "Concat": lambda torch, x, n, o: torch.cat(x, dim=o["axis"]),
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "Mul": lambda torch, x, n, o: x[0] * x[1],
    "Relu": lambda torch, x, n, o: torch.relu(x[0]),
    "Resize": _resize,
    "Sigmoid": lambda torch, x, n, o: torch.sigmoid(x[0]),
    "Split": _split,
    "Sub": lambda torch, x, n, o: x[0] - x[1],
}
