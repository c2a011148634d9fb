"""The demo clip shows what its signals say, and MediaPipe reads them off it."""

import json
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from engines.assets import model_file
from realtime.demo import make_demo
from realtime.landmarks import EYES, LEFT_EYE, RIGHT_EYE, eye_openness, gaze_offset, mouth_opening
from realtime.perceive import Perceiver
from realtime.types import Face, Frame

FOLDER = Path(make_demo.__file__).parent
EVERY = 2  # frames looked at: enough for every blink


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    with av.open(str(FOLDER / "demo.mp4")) as clip:
        assert clip.streams.video[0].codec_context.name == "h264"
        assert clip.streams.video[0].average_rate == 30
        return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]


@pytest.fixture(scope="module")
def truth() -> list[dict[str, float]]:
    frames: list[dict[str, float]] = json.loads((FOLDER / "demo.json").read_text(encoding="utf-8"))["frames"]
    return frames


@pytest.fixture(scope="module")
def faces(pictures: list[NDArray[np.uint8]]) -> list[Face]:
    face, wide, square = (
        model_file(name)
        for name in ("face_landmarker.task", "selfie_segmentation_landscape.tflite", "selfie_segmentation.tflite")
    )
    found = []
    with Perceiver(face, wide, square) as perceive:
        for index in range(0, len(pictures), EVERY):
            scene = perceive(Frame(pictures[index], index / 30, 0.0, index))
            assert len(scene.faces) == 1, f"picture {index}"
            found.append(scene.faces[0])
    return found


def test_size_of_clip_and_file(pictures: list[NDArray[np.uint8]], truth: list[dict[str, float]]) -> None:
    assert len(pictures) == len(truth) == 210
    assert {picture.shape for picture in pictures} == {(720, 1280, 3)}
    assert (FOLDER / "demo.mp4").stat().st_size < 2_000_000


def test_the_file_of_signals_is_what_the_script_makes(truth: list[dict[str, float]]) -> None:
    for number, said in enumerate(truth):
        assert asdict(make_demo.truth(number)) == pytest.approx(said, abs=1e-4)


def test_the_signals_cover_what_a_filter_must_follow(truth: list[dict[str, float]]) -> None:
    def of(key: str) -> NDArray[np.float64]:
        return np.array([frame[key] for frame in truth])

    assert of("gaze").min() < -0.8
    assert of("gaze").max() > 0.8
    assert of("mouth").min() < 0.05
    assert of("mouth").max() > 0.9
    both_closed = (of("left_eye") < 0.1) & (of("right_eye") < 0.1)
    assert np.diff(both_closed.astype(int), prepend=0).clip(0).sum() == len(make_demo.BLINKS_S)
    assert ((of("left_eye") < 0.1) & (of("right_eye") > 0.7)).sum() > 5, "a wink"
    assert np.ptp(of("yaw_deg")) > 10


def test_measured_signals_follow_the_true_ones(faces: list[Face], truth: list[dict[str, float]]) -> None:
    def of(key: str) -> NDArray[np.float64]:
        return np.array([frame[key] for frame in truth[::EVERY]])

    def pearson(measured: list[float], true: NDArray[np.float64], where: NDArray[np.bool_] | None = None) -> float:
        chosen = np.ones(len(true), bool) if where is None else where
        return float(np.corrcoef(np.array(measured)[chosen], true[chosen])[0, 1])

    points = [face.landmarks for face in faces]
    seen = np.minimum(of("left_eye"), of("right_eye")) > 0.5
    gaze = [sum(gaze_offset(p, eye) for eye in EYES) for p in points]
    assert pearson(gaze, of("gaze"), seen) > 0.95
    assert pearson([eye_openness(p, RIGHT_EYE) for p in points], of("right_eye")) > 0.92
    assert pearson([eye_openness(p, LEFT_EYE) for p in points], of("left_eye")) > 0.92
    assert pearson([mouth_opening(p) for p in points], of("mouth")) > 0.92
    assert pearson([p[6, 0] for p in points], of("x")) > 0.8, "the nose's bridge: shift and turn together"


def test_the_script_makes_this_clip(pictures: list[NDArray[np.uint8]]) -> None:
    made = make_demo.draw_pictures(astronaut(), range(40, 41))[0]
    assert np.abs(made.astype(int) - pictures[40]).mean() < 4
    assert np.abs(made.astype(int) - pictures[18]).mean() > np.abs(made.astype(int) - pictures[40]).mean() + 0.5


def test_the_clip_runs_in_a_circle(pictures: list[NDArray[np.uint8]]) -> None:
    def step(a: int, b: int) -> float:
        return float(np.abs(pictures[a].astype(int) - pictures[b]).mean())

    assert step(-1, 0) < 2 * step(0, 1) + 0.5
