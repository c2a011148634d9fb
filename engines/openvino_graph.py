"""A generator's network as OpenVINO runs it fastest: u8 pictures at both ends, in the order in which pixels lie.

In: a network of f32 (1, 3, h, w) to (1, channels, h, w), of fixed shape. Out: one of u8 whose input is a picture's own
memory. On the caller's thread. Any network gets such ends. Those that `training/student.py` writes are recognised by
their structure and rearranged, so that nothing is left to do at full resolution: four pixels come out as channels.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from typing import Any

import numpy as np

_PIXELS = 4  # that a convolution gives as channels: 2x2
_BY_CHANNEL = {"Add", "Subtract", "Multiply", "Maximum", "Minimum", "Clamp", "Sigmoid", "Relu"}
_one_core = threading.Lock()


@cache
def openvino() -> Any:
    """The package without two parts that it can do without; raises `ImportError` where it is not installed.

    Its telemetry, which would report each import over the network, and its converter, half of the import's time.
    """
    for part in ("openvino_telemetry", "openvino.tools.ovc"):
        sys.modules.setdefault(part, None)  # type: ignore[arg-type]  # None: importing it fails
    import openvino

    return openvino


def openvino_core() -> Any:
    """OpenVINO's one core of this process, never given up; raises `ImportError` where OpenVINO is not installed.

    With a core goes the memory that it had the thread take signals on, and cores that are not given up in the reverse
    order leave that memory in place though it is freed: the next Ctrl-C ends in a crash.
    """
    with _one_core:
        return _core()


@cache
def _core() -> Any:
    return openvino().Core()


def with_u8_ends(network: Any) -> Any:
    """The network with u8 ends, rearranged in place.

    In goes (1, h, w, 3), or the same memory as (1, h, w / 2, 6). Out comes (1, channels, h, w), or, where the network
    ends by spreading four pixels' channels, (1, h / 2, w / 2, 4 * channels), each pixel's channels together.
    """
    import openvino.opset13 as ops

    pairs = _pairs_of_pixels(network)
    picture = _pixels(network) if pairs is None else pairs
    layers, spread = network.output(0).get_node().input_value(0), _four_pixels(network)
    levels = ops.multiply(layers if spread is None else spread, np.float32(255))
    levels = ops.convert(ops.round(ops.clamp(levels, 0.0, 255.0), "half_to_even"), "u8")
    if spread is not None:
        levels = ops.transpose(levels, np.array([0, 2, 3, 1]))
    return openvino().Model([ops.result(levels)], [picture])


def _pixels(network: Any) -> Any:
    import openvino.opset13 as ops

    _, _, height, width = network.input(0).get_shape()
    picture = ops.parameter([1, height, width, 3], np.uint8)
    network.input(0).replace(_planes(_parts_of_one(picture)))
    return picture


def _parts_of_one(levels: Any) -> Any:
    import openvino.opset13 as ops

    return ops.divide(ops.convert(levels, "f32"), np.float32(255))


def _pairs_of_pixels(network: Any) -> Any | None:
    """The input as pairs of pixels, where convolutions with a stride of 2 are all that sees it; None elsewhere.

    Six channels keep a processor better busy than three. Where the network takes a grey off first (so that its padding
    is grey), whole levels less 127.5 are exact in bf16, where parts of one less a half are not.
    """
    import openvino.opset13 as ops

    taken = network.input(0)
    takers = [to.get_node() for to in taken.get_target_inputs()]
    if [node.get_type_name() for node in takers] != ["Subtract"]:
        return None
    (first,) = takers
    grey = first.input_value(1).get_node()
    if grey.get_type_name() != "Constant" or grey.get_data().size != 1:
        return None
    convolutions = [to.get_node() for to in first.output(0).get_target_inputs()]
    _, _, height, width = taken.get_shape()
    if width % 2 or not all(_takes_pairs(node) for node in convolutions):
        return None
    picture = ops.parameter([1, height, width // 2, 6], np.uint8)
    pairs = _planes(ops.subtract(ops.convert(picture, "f32"), np.float32(255 * grey.get_data().item())))
    for node in convolutions:
        weights = node.input_value(1).get_node().get_data() / np.float32(255)
        outputs, channels, high, wide = weights.shape
        weights = weights.reshape(outputs, channels, high, wide // 2, 2).transpose(0, 4, 1, 2, 3)
        weights = np.ascontiguousarray(weights.reshape(outputs, 2 * channels, high, wide // 2))
        given = node.get_attributes()
        (top, left), (bottom, right) = given["pads_begin"], given["pads_end"]
        of_pairs = ops.convolution(pairs, weights, [2, 1], [top, left // 2], [bottom, right // 2], [1, 1])
        node.output(0).replace(of_pairs.output(0))
    return picture


def _takes_pairs(node: Any) -> bool:
    if node.get_type_name() != "Convolution" or node.input_value(1).get_node().get_type_name() != "Constant":
        return False
    given = node.get_attributes()
    even = [node.input_value(1).get_shape()[3], given["pads_begin"][1], given["pads_end"][1]]
    plain = list(given["strides"]) == [2, 2] and list(given["dilations"]) == [1, 1] and given["auto_pad"] == "explicit"
    return plain and all(number % 2 == 0 for number in even)


def _planes(pixels: Any) -> Any:
    """Costs nothing as the last step before a convolution, which takes channels last."""
    import openvino.opset13 as ops

    return ops.transpose(pixels, np.array([0, 3, 1, 2])).output(0)


def _four_pixels(network: Any) -> Any | None:
    """What is spread to 2x2 pixels at the end, with the channels of each pixel together; None where nothing is.

    They are brought into that order where they come from: the weights of convolutions.
    """
    spread = network.output(0).get_node().input_value(0).get_node()
    if spread.get_type_name() != "DepthToSpace" or spread.get_attributes() != {"block_size": 2, "mode": "depth_first"}:
        return None
    channels = spread.input_value(0).get_shape()[1]
    order = np.arange(channels).reshape(-1, _PIXELS).T.ravel()
    places = _channels_come_from(spread, channels)
    if places is None:
        return None
    import openvino.opset13 as ops

    for place, axis in places:
        place.replace_source_output(ops.gather(place.get_source_output(), order, np.int64(axis)).output(0))
    return spread.input_value(0)


def _channels_come_from(spread: Any, channels: int) -> list[tuple[Any, int]] | None:
    """The inputs of nodes, and their axes, that set the order of what is spread; None where others see it too."""
    places: list[tuple[Any, int]] = []
    seen, nodes = {spread.get_name(): spread}, [spread.input_value(0).get_node()]
    while nodes:
        node = nodes.pop()
        if node.get_name() in seen:
            continue
        seen[node.get_name()] = node
        if list(node.get_output_shape(0))[1:2] != [channels]:
            return None
        if node.get_type_name() == "Convolution" and node.input_value(1).get_node().get_type_name() == "Constant":
            places.append((node.input(1), 0))
        elif node.get_type_name() in _BY_CHANNEL:
            for source in node.inputs():
                if list(source.get_shape()) == [1, channels, 1, 1]:
                    places.append((source, 1))
                elif np.prod(source.get_shape()) != 1:
                    nodes.append(source.get_source_output().get_node())
        else:
            return None
    del seen[spread.get_name()]
    takers = [to.get_node() for node in seen.values() for to in node.output(0).get_target_inputs()]
    others = {taker.get_name() for taker in takers if taker.get_type_name() != "ShapeOf"} - {*seen, spread.get_name()}
    return None if others else places
