"""The landmark network, rearranged, finds what it finds as it is read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from engines.assets import model_file
from engines.openvino_graph import openvino_core
from engines.openvino_landmarks import rearranged

SQUARE = cv2.resize(astronaut()[20:220, 120:320], (256, 256))


@pytest.fixture
def as_read(tmp_path: Path) -> Any:
    with zipfile.ZipFile(model_file("face_landmarker.task")) as archive:
        network = openvino_core().read_model(archive.extract("face_landmarks_detector.tflite", tmp_path))
    network.reshape([1, 256, 256, 3])
    return network


def outputs(network: Any, taken: Any) -> list[Any]:
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return list(openvino_core().compile_model(network, "CPU", exact)([taken]).values())


def test_planes_of_levels_give_the_landmarks_that_parts_of_one_give(as_read: Any, tmp_path: Path) -> None:
    points, sure, _ = outputs(as_read, SQUARE[None] / np.float32(255))
    network = rearranged(as_read, tmp_path)
    assert network.input(0).get_element_type().get_type_name() == "u8"
    same_points, as_sure = outputs(network, SQUARE.transpose(2, 0, 1)[None])
    assert np.ptp(points) > 100, "a face fills the square"
    np.testing.assert_allclose(same_points, points, atol=0.01)
    assert as_sure.item() == pytest.approx(sure.item(), abs=0.01)


def test_every_convolution_but_those_to_one_pixel_prefers_a_direct_kernel(as_read: Any, tmp_path: Path) -> None:
    convolutions = [node for node in rearranged(as_read, tmp_path).get_ops() if "Convolution" in node.get_type_name()]
    assert len(convolutions) > 100
    for node in convolutions:
        one_pixel = list(node.get_output_shape(0))[2:] == [1, 1]
        assert ("primitives_priority_0" in node.get_rt_info()) != one_pixel, node.get_friendly_name()
