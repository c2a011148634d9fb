"""MediaPipe's face landmark network as OpenVINO runs it fastest: planes go in, its direct convolutions do the work.

In: the network as it is read, of f32 (1, h, w, 3). Out: one of u8 (1, 3, h, w) that gives the landmarks and how sure it
is. On the caller's thread. By itself OpenVINO works convolutions out as products of matrices (brgemm). With the 8 to
128 channels that there are here its older kernels, made for one kind of convolution each, take three quarters of the
time, and their sums are of the same precision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from engines.openvino_graph import openvino, openvino_core

_READ = 2  # of its outputs: landmarks, sure of a face


def rearranged(network: Any, folder: Path) -> Any:
    """The network, of u8 planes to two outputs. folder: where it can be written for a moment."""
    return _with_direct_convolutions(_of_planes(network), folder)


def _of_planes(network: Any) -> Any:
    import openvino.opset13 as ops

    _, height, width, _ = network.input(0).get_shape()
    planes = ops.parameter([1, 3, height, width], np.uint8)
    parts = ops.divide(ops.convert(planes, "f32"), np.float32(255))
    network.input(0).replace(ops.transpose(parts, np.array([0, 2, 3, 1])).output(0))  # it begins by turning it back
    return openvino().Model(network.get_results()[:_READ], [planes])


def _with_direct_convolutions(network: Any, folder: Path) -> Any:
    """Which kernel a node prefers is an attribute that OpenVINO reads from a network's file only."""
    kernels = {node.get_friendly_name(): kernel for node in network.get_ops() if (kernel := _direct_kernel(node))}
    description, weights = folder / "network.xml", folder / "network.bin"
    openvino().serialize(network, description, weights)
    written = ElementTree.parse(description).getroot()
    for layer in written.iter("layer"):
        if kernel := kernels.get(layer.get("name", "")):
            about = layer.find("rt_info")
            if about is None:
                about = ElementTree.SubElement(layer, "rt_info")
            ElementTree.SubElement(about, "attribute", name="primitives_priority", version="0", value=f"cpu:{kernel}")
    return openvino_core().read_model(ElementTree.tostring(written), weights.read_bytes())


def _direct_kernel(node: Any) -> str | None:
    """What computes it directly; a processor without AVX-512 takes its own of the same kind."""
    if node.get_type_name() == "GroupConvolution":
        return "jit_avx512_dw"
    if node.get_type_name() != "Convolution" or list(node.get_output_shape(0))[2:] == [1, 1]:
        return None  # of one pixel: a product of matrices
    return "jit_avx512_1x1" if list(node.get_input_shape(1))[2:] == [1, 1] else "jit_avx512"
