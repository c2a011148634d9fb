"""The detector alone sees the faces that MediaPipe's landmarker finds, and nobody in an empty room."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from engines import openvino_faces
from engines.assets import model_file
from engines.openvino_faces import FaceDetector
from realtime.errors import EngineError

PORTRAIT = astronaut()
FACE, MIDDLE, FACE_PX = PORTRAIT[20:220, 120:320], (104, 102), 105
TASK = model_file("face_landmarker.task")


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(TASK)


def room(width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(PORTRAIT[:60, 300:380], (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def with_face(picture: NDArray[np.uint8], x: int, y: int, face_px: int, turn_deg: float = 0.0) -> NDArray[np.uint8]:
    """The picture with a face of this height, its middle there."""
    to_picture = cv2.getRotationMatrix2D(MIDDLE, turn_deg, face_px / FACE_PX)
    to_picture[:, 2] += (x - MIDDLE[0], y - MIDDLE[1])
    size = picture.shape[1::-1]
    return np.asarray(cv2.warpAffine(FACE, to_picture, size, picture.copy(), borderMode=cv2.BORDER_TRANSPARENT))


def assert_all_at(boxes: NDArray[np.float32], x: int, y: int, face_px: int) -> None:
    assert len(boxes) > 0, "seen"
    assert np.linalg.norm(boxes[:, :2] - (x, y), axis=1).max() < 0.25 * face_px
    assert np.median(boxes[:, 2]) == pytest.approx(face_px, rel=0.25)


def test_a_portrait(detector: FaceDetector) -> None:
    boxes = detector.run(PORTRAIT)
    assert boxes.dtype == np.float32 and boxes.shape[1] == 3
    assert_all_at(boxes, 224, 122, FACE_PX)


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (720, 1280), (96, 96), (3840, 2160), (1, 1), (7, 900)])
def test_nobody_in_an_empty_room(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert detector.run(room(*size)).shape == (0, 3)


@pytest.mark.parametrize(
    ("size", "x", "y", "face_px", "turn_deg"),
    [
        ((1280, 720), 300, 400, 300, 0),
        ((1280, 720), 1000, 250, 190, 0),  # 1/7 of the longer side: what the landmarker finds
        ((720, 1280), 250, 1000, 190, 0),
        ((1920, 1080), 1500, 500, 290, 0),
        ((320, 180), 80, 100, 60, 0),
        ((1280, 720), 640, 360, 300, 30),
        ((1280, 720), 640, 360, 300, -40),
        ((1280, 720), 60, 360, 300, 0),  # two fifths of it are beyond the rim
        ((1280, 720), 640, 680, 300, 0),
    ],
)
def test_where_a_face_is(
    detector: FaceDetector, size: tuple[int, int], x: int, y: int, face_px: int, turn_deg: float
) -> None:
    assert_all_at(detector.run(with_face(room(*size), x, y, face_px, turn_deg)), x, y, face_px)


def test_two_faces(detector: FaceDetector) -> None:
    boxes = detector.run(with_face(with_face(room(1280, 720), 300, 400, 300), 900, 250, 200))
    left = boxes[:, 0] < 600
    assert_all_at(boxes[left], 300, 400, 300)
    assert_all_at(boxes[~left], 900, 250, 200)


def test_nothing_is_left_of_the_picture_before(detector: FaceDetector) -> None:
    detector.run(with_face(room(1280, 720), 1000, 600, 300))
    beside = np.ascontiguousarray(PORTRAIT[:, 100:400])
    np.testing.assert_array_equal(detector.run(beside), FaceDetector(TASK).run(beside))


def test_it_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path))
    first = FaceDetector(TASK).run(PORTRAIT)
    monkeypatch.setattr(openvino_faces, "_read", lambda content: pytest.fail("compiled again"))
    np.testing.assert_array_equal(FaceDetector(TASK).run(PORTRAIT), first)


def test_a_damaged_file_and_one_without_the_detector_are_named(tmp_path: Path) -> None:
    task = tmp_path / "some.task"
    task.write_bytes(b"not a task")
    with pytest.raises(EngineError, match=r"some\.task"):
        FaceDetector(task)
    with zipfile.ZipFile(task, "w") as archive:
        archive.writestr("face_detector.tflite", b"not a network")
    with pytest.raises(EngineError, match=r"some\.task"):
        FaceDetector(task)
    with zipfile.ZipFile(task, "w") as archive:
        archive.writestr("another.tflite", b"")
    with pytest.raises(EngineError, match=r"some\.task"):
        FaceDetector(task)


@pytest.mark.skipif(sys.platform == "win32", reason="signals to threads")
def test_ctrl_c_is_heard_after_networks_were_given_up_in_any_order() -> None:
    script = """
import gc, os, signal, sys, time
from pathlib import Path
from engines.openvino_faces import FaceDetector
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
opened = [FaceDetector(Path(sys.argv[1])) for _ in range(3)]
while opened:
    opened.pop(0)
    gc.collect()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)
except KeyboardInterrupt:
    print("heard")
"""
    root = Path(openvino_faces.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script, TASK], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
