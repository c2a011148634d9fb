"""How fast the device path is, part by part, and what it must move and compute at least.

In: open generators that run on device arrays, scenes. Out: `PathFigures`. On the caller's thread. On a GPU its own
events measure the parts; on a CPU, where only tests run this, the clock does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch

from engines.assets import perception_files
from engines.engine import DeviceGenerator
from realtime.device.stylize import StylizeOnDevice
from realtime.layers import Finish
from realtime.perceive import Perceiver
from realtime.settings import Pace
from realtime.source import open_source
from realtime.steady import Steady
from realtime.types import Frame, Scene, Size

MIB = 2**20
FPS = 30.0
WARM_UP = 100
_COPY_BYTES, _COPIES = 64 * MIB, 20


@dataclass(frozen=True, slots=True)
class PathFigures:
    """The device path at one frame size, all times in milliseconds.

    part_ms: each part on the device, (p50, p95). call_ms: a frame, from the call to the drawing in this machine's
    memory. ahead_ms: a frame where the next is submitted before the last is waited for. mib: of the device, reserved
    after the first 100 frames and after the last. slower: what could not be recorded.
    least_ms: what the copies alone take, at the rate measured here. up_mib, down_mib, gmac: what is moved and
    multiplied for a frame with one face.
    """

    size: str
    engine: str
    precision: str
    frames: int
    faces: int
    part_ms: dict[str, tuple[float, float]]
    call_ms: tuple[float, float]
    ahead_ms: float
    mib: tuple[float, float]
    slower: list[str]
    up_mib: float
    down_mib: float
    least_ms: float
    gmac: float


class _Marks:
    """When each part of a frame was done, on the device."""

    def __init__(self, on_gpu: bool) -> None:
        self._on_gpu = on_gpu
        self._now: list[tuple[str, Any]] = []
        self.ms: defaultdict[str, list[float]] = defaultdict(list)

    def __call__(self, name: str) -> None:
        if not self._on_gpu:
            self._now.append((name, perf_counter()))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._now.append((name, event))

    def end(self) -> None:
        """The frame is done."""
        for (_, before), (name, after) in pairwise(self._now):
            self.ms[name].append(before.elapsed_time(after) if self._on_gpu else (after - before) * 1e3)
        self._now = []


def measure_path(
    background: DeviceGenerator,
    face: DeviceGenerator,
    models: tuple[Path, Path],
    scenes: Sequence[Scene],
    frames: int,
    *,
    names: tuple[str, str],
    device: str = "cuda",
) -> PathFigures:
    """Draws the scenes over and over, `frames` times in all. models: the generators' files; names: engine, precision.

    Raises `ImportError` without onnx, and what the device raises.
    """
    on_gpu = device != "cpu"
    size, slower = scenes[0].frame.size, list[str]()
    stylize = StylizeOnDevice(background, face, Finish(), size, say=slower.append, device=device)
    marks, call_ms, mib = _Marks(on_gpu), [], [0.0, 0.0]
    stylize.mark = marks
    for i in range(frames):
        scene = _later(scenes, i)
        start = perf_counter()
        stylize(scene)
        call_ms.append((perf_counter() - start) * 1e3)
        marks.end()
        if on_gpu and i in (WARM_UP, frames - 1):
            mib[int(i == frames - 1)] = torch.cuda.memory_reserved() / MIB
    stylize.mark = lambda _: None
    stylize.reset()
    start, waiting = perf_counter(), None
    ahead = min(frames, 500)
    for i in range(ahead):
        submitted = stylize.submit(_later(scenes, i))
        if waiting is not None:
            waiting()
        waiting = submitted
    if waiting is not None:
        waiting()
    ahead_ms = (perf_counter() - start) * 1e3 / ahead
    up, down = size.width * size.height * 3 / MIB, size.width * size.height * 4 / MIB
    up_rate, down_rate = copy_rates() if on_gpu else (float("inf"), float("inf"))
    skip = min(WARM_UP, frames // 2)
    return PathFigures(
        size=str(size),
        engine=names[0],
        precision=names[1],
        frames=frames,
        faces=len(scenes[0].faces),
        part_ms={name: _percentiles(ms[skip:]) for name, ms in marks.ms.items()},
        call_ms=_percentiles(call_ms[skip:]),
        ahead_ms=round(ahead_ms, 3),
        mib=(round(mib[0], 1), round(mib[1], 1)),
        slower=slower,
        up_mib=round(up, 2),
        down_mib=round(down, 2),
        least_ms=round((up / up_rate + down / down_rate) * 1e3, 3),
        gmac=round((macs(models[0], background.size) + macs(models[1], face.size)) / 1e9, 2),
    )


def demo_scenes(size: Size, count: int) -> list[Scene]:
    """The first frames of the demo clip at `size`, with what is seen in them; raises `SourceError`."""
    found, steady = [], Steady()
    with (
        Perceiver(*perception_files()) as perceive,
        open_source("demo", size=None, fps=None, pace=Pace.ALL, say=lambda _: None) as source,
    ):
        for i in range(count):
            read = source.read()
            if not isinstance(read, Frame):
                break
            rgb = cv2.resize(read.rgb, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
            found.append(steady(perceive(Frame(np.asarray(rgb, np.uint8), i / FPS, i / FPS, i))))
    return found


def macs(model: Path, size: Size) -> int:
    """Multiplications of a generator's convolutions for one picture; raises `ImportError` without onnx."""
    import onnx

    network = onnx.load(str(model))
    for dim, value in zip(
        network.graph.input[0].type.tensor_type.shape.dim, (1, 3, size.height, size.width), strict=True
    ):
        dim.dim_value = value
    graph = onnx.shape_inference.infer_shapes(network, data_prop=True).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    weights = {w.name: list(w.dims) for w in graph.initializer}
    return sum(
        int(np.prod(weights[node.input[1]])) * int(np.prod(shapes[node.output[0]][2:]))
        for node in graph.node
        if node.op_type == "Conv"
    )


def copy_rates() -> tuple[float, float]:
    """MiB a second to the device and back, from and to pinned memory."""
    here = torch.empty(_COPY_BYTES, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(_COPY_BYTES, dtype=torch.uint8, device="cuda")
    rates = []
    for to, source in ((there, here), (here, there)):
        to.copy_(source, non_blocking=True)
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        for _ in range(_COPIES):
            to.copy_(source, non_blocking=True)
        after.record()
        after.synchronize()
        rates.append(_COPIES * _COPY_BYTES / MIB / (before.elapsed_time(after) / 1e3))
    return rates[0], rates[1]


def _later(scenes: Sequence[Scene], i: int) -> Scene:
    """The scenes forth and back, without an end and without a cut."""
    there = i % (2 * len(scenes) - 2) if len(scenes) > 1 else 0
    scene = scenes[there if there < len(scenes) else 2 * len(scenes) - 2 - there]
    return replace(scene, frame=replace(scene.frame, t=i / FPS, index=i), fresh=i == 0)


def _percentiles(ms: Sequence[float]) -> tuple[float, float]:
    p50, p95 = (round(float(p), 3) for p in np.percentile(ms, (50, 95)))
    return p50, p95
