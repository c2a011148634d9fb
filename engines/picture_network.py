"""Any network that makes a picture of a picture, as a generator of this program.

Comes in: an ONNX network and its `Form`: in what order and range it wants and gives its numbers. Goes out: ONNX with
one input `rgb` and one output `picture`, both f32 (1, 3, h, w) RGB 0..1. Any thread; needs the package onnx.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.errors import ModelFileError
from realtime.types import Size

RANGES = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
OLDEST_OPSET = 7  # before, numbers were broadcast by other rules
NCHW, NHWC = "nchw", "nhwc"
_FORM_OF_CLIP = 11  # the opset from which Clip has its limits as inputs
_OWN = "livetoon_"  # before the names of what is added


@dataclass(frozen=True, slots=True)
class Form:
    """What a network's numbers mean: its input's name, layout and range, its output's, and the order of colours."""

    taken: str
    given: str
    layout_in: str
    layout_out: str
    range_in: str
    range_out: str
    bgr: bool = False


def as_generator(network: Any, form: Form, size: Size | None, constants: Mapping[str, NDArray[np.float32]]) -> Any:
    """The network, an `onnx.ModelProto`, between nodes that translate.

    size: the fixed one it works at, None for any. constants: what its other inputs are to be. Raises `ModelFileError`.
    """
    from onnx import TensorProto, helper, numpy_helper

    opset = next((o.version for o in network.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise ModelFileError(f"The network is written in opset {opset}; export it again in opset 11 or later.")
    nodes: list[Any] = []

    def constant(value: Any, kind: Any, name: str) -> str:
        tensor = numpy_helper.from_array(np.asarray(value, kind), f"{name}_value")
        nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def add(operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{_OWN}{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def number(value: float) -> str:
        return constant(value, np.float32, f"{_OWN}{len(nodes)}")

    def swapped(value: str) -> str:
        order = constant([2, 1, 0], np.int64, f"{_OWN}{len(nodes)}")
        return add("Gather", [value, order], axis=1) if form.bgr else value

    low, high = RANGES[form.range_in]
    value = swapped("rgb")
    value = add("Mul", [value, number(high - low)])
    value = add("Add", [value, number(low)])
    if form.layout_in == NHWC:
        value = add("Transpose", [value], perm=[0, 2, 3, 1])
    nodes.append(helper.make_node("Identity", [value], [form.taken]))
    for name, fixed in constants.items():
        constant(fixed, np.float32, name)
    nodes.extend(network.graph.node)
    low, high = RANGES[form.range_out]
    value = form.given
    if form.layout_out == NHWC:
        value = add("Transpose", [value], perm=[0, 3, 1, 2])
    value = add("Add", [value, number(-low)])
    value = swapped(add("Mul", [value, number(1 / (high - low))]))
    if opset < _FORM_OF_CLIP:
        value = add("Clip", [value], min=0.0, max=1.0)
    else:
        value = add("Clip", [value, number(0.0), number(1.0)])
    nodes.append(helper.make_node("Identity", [value], ["picture"]))
    shape = [1, 3, "height", "width"] if size is None else [1, 3, size.height, size.width]
    graph = helper.make_graph(
        nodes,
        "picture",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        network.graph.initializer,
    )
    opsets = [o for o in network.opset_import if o.domain in ("", "ai.onnx")]
    return helper.make_model(graph, opset_imports=opsets, ir_version=max(4, network.ir_version))
