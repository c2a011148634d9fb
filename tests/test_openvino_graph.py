"""Networks with u8 ends, rearranged or not, draw what the reference draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.openvino_cpu import OpenVinoEngine
from engines.openvino_graph import openvino_core, with_u8_ends
from engines.verify import Trial, check_engine
from realtime.types import Size

SIZE = Size(96, 64)
PAIRS, PIXELS = (1, 64, 48, 6), (1, 64, 96, 3)
FOUR, PLANES = (1, 32, 48, 16), (1, 4, 64, 96)


def write_network(
    path: Path, *, grey: float = 0.5, kernel: int = 6, stride: int = 2, mode: str = "CRD", seen_twice: bool = False
) -> Path:
    """A small network with the ends of a student: four pixels go in and come out as channels."""
    random = np.random.default_rng(1)
    around = (kernel - 1) // 2
    weights = {
        "first": random.normal(0, 0.1, (8, 3, kernel, kernel)),
        "first_bias": random.normal(0, 0.1, 8),
        "last": random.normal(0, 0.2, (16, 8, 3, 3)),
        "last_bias": random.normal(0.4, 0.2, 16),
        "picture": random.normal(0, 0.3, (16, 3, 2, 2)),
        "flat": np.array([1.0] * 12 + [0.0] * 4).reshape(1, 16, 1, 1),
        "ink": np.array([0.0] * 12 + [1.0] * 4).reshape(1, 16, 1, 1),
        "grey": np.array(grey),
        "none": np.array(0.0),
        "all": np.array(1.0),
    }
    node = helper.make_node
    last = "twice" if seen_twice else "both"
    nodes = [
        node("Sub", ["rgb", "grey"], ["x"]),
        node("Conv", ["x", "first", "first_bias"], ["half"], strides=[stride, stride], pads=[around] * 4),
        node("Relu", ["half"], ["seen"]),
        *([] if stride == 2 else [node("MaxPool", ["seen"], ["small"], kernel_shape=[2, 2], strides=[2, 2])]),
        node("Conv", ["seen" if stride == 2 else "small", "last", "last_bias"], ["drawn"], pads=[1, 1, 1, 1]),
        node("Conv", ["x", "picture"], ["copied"], strides=[2, 2]),
        node("Add", ["drawn", "copied"], ["both"]),
        node("ReduceMax", ["both"], ["most"], axes=[1]),
        node("Mul", ["both", "most"], ["twice"]),
        node("Clip", [last, "none", "all"], ["clipped"]),
        node("Mul", ["clipped", "flat"], ["colours"]),
        node("Sigmoid", [last], ["logistic"]),
        node("Mul", ["logistic", "ink"], ["lines"]),
        node("Add", ["colours", "lines"], ["four"]),
        node("DepthToSpace", ["four"], ["layers"], blocksize=2, mode=mode),
    ]
    graph = helper.make_graph(
        [n for n in nodes if seen_twice or n.output[0] not in ("most", "twice")],
        "network",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("layers", TensorProto.FLOAT, [1, 4, "h", "w"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize(
    ("changed", "taken", "given"),
    [
        ({}, PAIRS, FOUR),
        ({"grey": 0.25, "kernel": 2}, PAIRS, FOUR),
        ({"kernel": 4}, PIXELS, FOUR),  # its padding of one pixel is no whole pair
        ({"kernel": 3, "stride": 1}, PIXELS, FOUR),
        ({"mode": "DCR"}, PAIRS, PLANES),
        ({"seen_twice": True}, PAIRS, PLANES),
    ],
)
def test_ends_are_rearranged_where_that_is_the_same_network(
    tmp_path: Path, changed: dict[str, float], taken: tuple[int, ...], given: tuple[int, ...]
) -> None:
    model = write_network(tmp_path / "network.onnx", **changed)  # type: ignore[arg-type]
    network = openvino_core().read_model(model)
    network.reshape([1, 3, SIZE.height, SIZE.width])
    ends = with_u8_ends(network)
    assert (tuple(ends.input(0).get_shape()), tuple(ends.output(0).get_shape())) == (taken, given)
    with OpenVinoEngine(model, SIZE, "fp32") as engine:
        check = check_engine(engine, Trial(model, SIZE))
    assert check.agrees, check.why


def test_the_shipped_generators_are_rearranged() -> None:
    models = Path(__file__).parent.parent / "engines" / "models"
    for model in models.glob("webtoon-*.onnx"):
        network = openvino_core().read_model(model)
        network.reshape([1, 3, 256, 256])
        ends = with_u8_ends(network)
        assert tuple(ends.input(0).get_shape()) == (1, 256, 128, 6), model.name
        assert tuple(ends.output(0).get_shape()) == (1, 128, 128, 16), model.name
