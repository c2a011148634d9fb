"""What a network of unknown origin takes and gives, found by looking at its ports and by trying.

Comes in: an ONNX file that `check_onnx` has let pass. Goes out: its `Form` and the size it is fixed to. On the caller's
thread, with ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.picture_network import NCHW, NHWC, RANGES, Form
from engines.verify import trial_pictures
from realtime.errors import ModelFileError
from realtime.types import RgbImage, Size

TRIED = Size(256, 192)  # where the network takes any size
_ENDS = {"Tanh": "-1..1", "Sigmoid": "0..1", "HardSigmoid": "0..1"}  # operators that say what comes out
_CARRIES = ("Transpose", "Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Slice")
_BELOW_NONE, _ABOVE_ONE = -0.2, 2.0  # values that no picture of 0..1 has, nor noise about it
_BETTER = 0.1  # by so much another range must fit better than that of the output
_LEAST_LIKENESS = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """A network's form and the size it works at, None for any."""

    form: Form
    size: Size | None


def probe(network: Any, session: Any, *, pixels: str | None = None, bgr: bool = False) -> Found:
    """What the network, as `onnx` and as ONNX Runtime have it, takes and gives; raises `ModelFileError`.

    pixels: the range of its numbers where it is known, of `RANGES`. bgr: blue comes first.
    """
    taken, layout, size = _input(session)
    tried = TRIED if size is None else size
    picture = trial_pictures(tried)[0]
    ranges = RANGES if pixels is None else [pixels]
    made = {name: _run(session, taken, picture, layout, name, bgr) for name in ranges}
    given, layout_out = _output(session, next(iter(made.values())), tried)
    index = [output.name for output in session.get_outputs()].index(given)
    drawn = {name: _planes_last(outputs[index], layout_out) for name, outputs in made.items()}
    range_out = pixels or _range_of(network, given, list(drawn.values()))
    likeness = {name: _likeness(d[..., ::-1] if bgr else d, picture) for name, d in drawn.items()}
    best = max(likeness, key=lambda name: likeness[name] + _BETTER * (name == range_out))
    if pixels is None and likeness[best] < _LEAST_LIKENESS:
        raise ModelFileError(
            "What the network gives has nothing of what went in, for any range of numbers; name it with --range, "
            f"one of {', '.join(RANGES)}, or it is no network that makes a picture of a picture."
        )
    return Found(Form(taken, given, layout, layout_out, best, range_out, bgr), size)


def _input(session: Any) -> tuple[str, str, Size | None]:
    ports = session.get_inputs()
    if len(ports) != 1 or ports[0].type != "tensor(float)" or len(ports[0].shape) != 4:
        found = ", ".join(f"{port.type} {port.shape}" for port in ports)
        raise ModelFileError(f"One picture of f32 is expected as the network's input, not {found[:160]}.")
    shape = ports[0].shape
    layout = NHWC if shape[3] == 3 and shape[1] != 3 else NCHW
    if 3 not in (shape[1], shape[3]):
        raise ModelFileError(f"The network's input {shape} has no three colours, neither second nor last.")
    sides = (shape[1], shape[2]) if layout == NHWC else (shape[2], shape[3])
    if not all(isinstance(side, int) for side in sides):
        return ports[0].name, layout, None
    size = Size(sides[1], sides[0])
    if size.width % 16 or size.height % 16 or not 16 <= size.width <= 1920 or not 16 <= size.height <= 1920:
        raise ModelFileError(f"The network works at {size} only; its sides must be multiples of 16 up to 1920.")
    return ports[0].name, layout, size


def _output(session: Any, made: list[NDArray[np.float32]], size: Size) -> tuple[str, str]:
    """The first output that is a picture of this size."""
    for port, value in zip(session.get_outputs(), made, strict=True):
        if value.shape == (1, 3, size.height, size.width):
            return port.name, NCHW
        if value.shape == (1, size.height, size.width, 3):
            return port.name, NHWC
    shapes = ", ".join(str(value.shape) for value in made)
    raise ModelFileError(f"The network gives {shapes[:160]} for a picture of {size}, not a picture of that size.")


def _run(session: Any, taken: str, rgb: RgbImage, layout: str, pixels: str, bgr: bool) -> list[NDArray[np.float32]]:
    low, high = RANGES[pixels]
    value = (rgb[..., ::-1] if bgr else rgb).astype(np.float32)[None] * np.float32((high - low) / 255) + np.float32(low)
    try:
        made = session.run(
            None, {taken: np.ascontiguousarray(value if layout == NHWC else value.transpose(0, 3, 1, 2))}
        )
    except Exception as error:  # a new exception type for every kind of damage, all derived from Exception only
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFileError(
            f"The network cannot draw a picture of {rgb.shape[1]}x{rgb.shape[0]} ({line[:160]})."
        ) from error
    return [np.asarray(value, np.float32) for value in made]


def _planes_last(value: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
    return value[0] if layout == NHWC else value[0].transpose(1, 2, 0)


def _range_of(network: Any, given: str, drawn: list[NDArray[np.float32]]) -> str:
    """The range of what comes out: by the last operator where it tells, else by the values seen."""
    makers = {output: node for node in network.graph.node for output in node.output}
    name = given
    while (node := makers.get(name)) is not None and node.op_type in _CARRIES:
        name = node.input[0]
    if node is not None and node.op_type in _ENDS:
        return _ENDS[node.op_type]
    values = [d[np.isfinite(d)] for d in drawn]
    least, most = (
        min((v.min() for v in values if v.size), default=0),
        max((v.max() for v in values if v.size), default=0),
    )
    typical = min((np.percentile(v, 99) for v in values if v.size), default=0)
    if typical > _ABOVE_ONE and most > _ABOVE_ONE:
        return "0..255"
    return "-1..1" if least < _BELOW_NONE else "0..1"


def _likeness(drawn: NDArray[np.float32], picture: RgbImage) -> float:
    """Pearson's r of what is drawn and what went in, at the scale of areas; 0 where nothing is drawn."""
    small = (picture.shape[1] // 8, picture.shape[0] // 8)
    a, b = (cv2.resize(v.astype(np.float32), small, interpolation=cv2.INTER_AREA) for v in (drawn, picture))
    if not np.isfinite(a).all() or a.std() < 1e-4:
        return 0.0
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
