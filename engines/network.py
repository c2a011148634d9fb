"""The network that a GPU's compiler gets: fixed shape, one precision, u8 pictures at both ends.

In: a generator's ONNX file. Out: ONNX bytes with one input `picture` u8 (1, h, w, 3) and one output `drawing` u8
(1, h, w, channels): only bytes travel to and from the GPU, and scaling, rounding and saturating happen there. ONNX
Runtime runs these networks too, on the CPU, so what a compiler is given can be checked where no GPU is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engines.engine import Port, check_generator
from realtime.errors import EngineError
from realtime.types import Size

PICTURE, DRAWING = "picture", "drawing"
PRECISIONS = ("fp16", "fp32")  # fastest first


def read_generator(model: Path, size: Size) -> tuple[Any, int]:
    """The generator as `onnx` reads it, and its channels; raises `ImportError` without onnx, and `EngineError`."""
    import onnx

    try:
        network = onnx.load(str(model))
        onnx.checker.check_model(network)
    except Exception as error:  # protobuf, onnx and the file system each have their own
        raise EngineError(f"The generator {model} is damaged or no ONNX file; restore it.") from error
    return network, check_generator(model, _ports(network.graph.input), _ports(network.graph.output), size)


def gpu_network(model: Path, size: Size, precision: str) -> bytes:
    """ONNX bytes for a compiler that takes the types as they stand ("strongly typed").

    In "fp16" everything between the ends is computed in half precision, which is safe only without normalisation
    layers; the check against the reference finds out. Raises `ImportError` without onnx, and `EngineError`.
    """
    from onnx import TensorProto, helper, numpy_helper

    network, channels = read_generator(model, size)
    graph = network.graph
    inner = TensorProto.FLOAT
    if precision == "fp16":
        inner = TensorProto.FLOAT16
        _to_half(graph)
    taken, given = graph.input[0].name, graph.output[0].name
    node = helper.make_node
    before = [
        node("Cast", [PICTURE], ["picture_f32"], to=TensorProto.FLOAT),
        node("Mul", ["picture_f32", "per_level"], ["picture_0_1"]),
        node("Transpose", ["picture_0_1"], ["picture_planes"], perm=[0, 3, 1, 2]),
        node("Cast", ["picture_planes"], [taken], to=inner),
    ]
    after = [
        node("Cast", [given], ["drawing_f32"], to=TensorProto.FLOAT),
        node("Clip", ["drawing_f32", "none", "all"], ["drawing_0_1"]),
        node("Mul", ["drawing_0_1", "levels"], ["drawing_levels"]),
        node("Round", ["drawing_levels"], ["drawing_whole"]),
        node("Transpose", ["drawing_whole"], ["drawing_pixels"], perm=[0, 2, 3, 1]),
        node("Cast", ["drawing_pixels"], [DRAWING], to=TensorProto.UINT8),
    ]
    numbers = {"per_level": 1 / 255, "levels": 255, "none": 0, "all": 1}
    constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in numbers.items()]
    shape = [1, size.height, size.width]
    whole = helper.make_graph(
        [*before, *graph.node, *after],
        model.stem,
        [helper.make_tensor_value_info(PICTURE, TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info(DRAWING, TensorProto.UINT8, [*shape, channels])],
        [*graph.initializer, *constants],
    )
    made = helper.make_model(whole, opset_imports=network.opset_import, ir_version=network.ir_version)
    return bytes(made.SerializeToString(deterministic=True))


def _to_half(graph: Any) -> None:
    """Makes every f32 weight and constant f16, but for those of Resize, which are no numbers of the picture."""
    from onnx import TensorProto, numpy_helper

    geometry = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
    tensors = [(tensor.name, tensor) for tensor in graph.initializer]
    for node in graph.node:
        if node.op_type == "Cast" or any(a.type == a.GRAPH for a in node.attribute):
            raise EngineError(f"The generator's {node.op_type} layers cannot be had in fp16; use --precision fp32.")
        tensors += [(node.output[0], a.t) for a in node.attribute if a.type == a.TENSOR]
    for name, tensor in tensors:
        if tensor.data_type == TensorProto.FLOAT and name not in geometry:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))


def _ports(values: Any) -> list[Port]:
    from onnx import TensorProto

    return [
        Port(
            v.type.tensor_type.elem_type == TensorProto.FLOAT,
            tuple(d.dim_value if d.HasField("dim_value") else None for d in v.type.tensor_type.shape.dim),
        )
        for v in values
    ]
