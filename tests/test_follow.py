from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from engines.assets import model_file
from engines.openvino_cpu import LandmarkNetwork
from engines.openvino_faces import FaceDetector
from realtime import perceive as module
from realtime.follow import Place, _cut, follow, place_of, pose_of, square
from realtime.ink.face import yaw_of
from realtime.perceive import Perceiver
from realtime.types import Face, Frame

PORTRAIT = astronaut()
MODELS = ("face_landmarker.task", "selfie_segmentation_landscape.tflite", "selfie_segmentation.tflite")


class Square:
    """A network that finds the square's corners and middle, however sure it is told to be."""

    side = 256

    def __init__(self, sure: float = 1.0) -> None:
        self.sure = sure
        self.runs = 0

    def run(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        self.runs += 1
        return np.full((478, 3), (128, 128, 64), np.float32), self.sure


def landmarks(x: float, y: float, half: float, turn: float = 0.0) -> NDArray[np.float32]:
    points = np.zeros((478, 3), np.float32)
    points[:4, :2] = [(-half, -half), (half, -half), (half, half), (-half, half)]
    points[33, 0], points[263, 0] = -half / 2, half / 2
    cos, sin = np.cos(turn), np.sin(turn)
    points[:, :2] = points[:, :2] @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return points


def test_the_square_is_upright_in_the_faces_own_direction_and_half_as_large_again() -> None:
    matrix = np.array(square(place_of(landmarks(100, 60, 40)), 256))
    assert matrix @ np.array([128, 128, 1]) == pytest.approx((100, 60))
    assert matrix @ np.array([0, 0, 1]) == pytest.approx((40, 0)), "1.5 times 80 px"
    turned = np.array(square(place_of(landmarks(100, 60, 40, 0.5)), 256))[:, :2]
    assert np.arctan2(turned[1, 0], turned[0, 0]) == pytest.approx(0.5, abs=1e-4)


def test_places_come_back_in_pixels_of_the_frame_with_their_depth() -> None:
    frame = np.zeros((120, 200, 3), np.uint8)
    seen = follow(Square(), frame, place_of(landmarks(100, 60, 40)), 1 / 30)
    assert seen is not None
    now, _ = seen
    assert now[0] == pytest.approx((100, 60, 64 * 120 / 256), abs=1e-3)


class Bright(Square):
    """A network whose face is the bright part of what it sees."""

    def run(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        self.runs += 1
        y, x = np.nonzero(rgb[..., 0] > 128)
        points = np.full((478, 3), (x.min(), y.min(), 0), np.float32)
        points[0, :2] = x.max(), y.max()
        return points, 1.0


@pytest.mark.parametrize(("x", "looks"), [(103, 1), (112, 2)])
def test_a_face_that_jumped_is_looked_at_again_in_the_middle_of_the_square(x: int, looks: int) -> None:
    frame = np.zeros((120, 200, 3), np.uint8)
    frame[20:101, x - 40 : x + 41] = 255
    network = Bright()
    seen = follow(network, frame, place_of(landmarks(100, 60, 40)), 1 / 30)
    assert seen is not None
    now, _ = seen
    assert now[:2, 0].mean() == pytest.approx(x, abs=1)
    assert network.runs == looks


def test_what_is_no_face_any_more_is_lost() -> None:
    frame = np.zeros((120, 200, 3), np.uint8)
    assert follow(Square(sure=0.4), frame, place_of(landmarks(100, 60, 40)), 1 / 30) is None


def test_the_pose_says_which_way_the_head_is_turned() -> None:
    points = landmarks(0, 0, 1)
    points[234], points[454] = (-1, 0, -0.3), (1, 0, 0.3)
    face = Face(points, None, pose_of(points))
    assert 5 < abs(yaw_of(face)) < 20
    assert np.sign(yaw_of(face)) == np.sign(yaw_of(Face(points)))


@pytest.fixture(scope="module")
def network() -> LandmarkNetwork:
    return LandmarkNetwork(model_file(MODELS[0]))


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(model_file(MODELS[0]))


@pytest.fixture
def following(network: LandmarkNetwork, detector: FaceDetector) -> Iterator[Perceiver]:
    face, wide, square = (model_file(name) for name in MODELS)
    with Perceiver(face, wide, square, network=network, detector=detector) as perceiver:
        yield perceiver


@pytest.fixture
def without_detector(network: LandmarkNetwork) -> Iterator[Perceiver]:
    face, wide, square = (model_file(name) for name in MODELS)
    with Perceiver(face, wide, square, network=network) as perceiver:
        yield perceiver


def whole_looks(perceiver: Perceiver, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every look of MediaPipe's whole landmarker."""
    return calls_of(perceiver, "_faces_in", monkeypatch)


def calls_of(perceiver: Perceiver, method: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every call."""
    calls: list[int] = []
    called = getattr(perceiver, method)

    def counted(*given: Any) -> Any:
        calls.append(len(calls))
        return called(*given)

    monkeypatch.setattr(perceiver, method, counted)
    return calls


def moved(x: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.warpAffine(PORTRAIT, np.array([[1, 0, x], [0, 1, 0]], np.float32), (512, 512)), np.uint8)


def test_a_face_is_followed_as_mediapipe_follows_it_and_looked_for_once(
    following: Perceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = whole_looks(following, monkeypatch)
    face, wide, square = (model_file(name) for name in MODELS)
    with Perceiver(face, wide, square) as mediapipe:
        for n in range(20):
            frame = Frame(moved(2 * n), n / 30, 0.0, n)
            ours, theirs = following(frame).faces[0], mediapipe(frame).faces[0]
            apart = np.abs(ours.landmarks - theirs.landmarks)[:, :2].mean()
            assert apart < 1.2, "of a face of 105 px"
    assert len(looks) == 1, "at the start: later the detector sees nobody else"


def test_without_a_detector_all_faces_are_looked_for_now_and_then(
    without_detector: Perceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = whole_looks(without_detector, monkeypatch)
    for n in range(20):
        without_detector(Frame(PORTRAIT, n / 30, 0.0, n))
    assert len(looks) == 1 + 1, f"at the start and after {module.LOOK_EVERY_S} s"


def test_a_face_that_goes_is_lost_at_once_and_one_that_comes_is_found(following: Perceiver) -> None:
    wall = np.asarray(cv2.resize(PORTRAIT[:60, 300:380], (512, 512)), np.uint8)
    pictures = [PORTRAIT, PORTRAIT, wall, wall, PORTRAIT]
    counts = [len(following(Frame(rgb, n / 30, 0.0, n)).faces) for n, rgb in enumerate(pictures)]
    assert counts == [1, 1, 0, 0, 1]
    following.reset()
    assert following(Frame(wall, 1.0, 0.0, 9)).faces == ()


def test_in_an_empty_room_mediapipe_has_nothing_to_do_until_somebody_comes(
    following: Perceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = np.asarray(cv2.resize(PORTRAIT[:60, 300:380], (512, 512)), np.uint8)
    looks = calls_of(following, "_detect", monkeypatch)
    counts = [len(following(Frame(wall, n / 30, 0.0, n)).faces) for n in range(8)]
    assert counts == [0] * 8 and not looks
    assert len(following(Frame(PORTRAIT, 8 / 30, 0.0, 8)).faces) == 1, "at once"


def test_a_second_face_is_found_while_the_first_is_followed(
    following: Perceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = PORTRAIT[:256, 90:346]
    alone, both = np.hstack([person, np.full_like(person, 90)]), np.hstack([person, person])
    looks = whole_looks(following, monkeypatch)
    counts = [len(following(Frame(both if n > 2 else alone, n / 30, 0.0, n)).faces) for n in range(45)]
    assert counts[2] == 1 and counts[17:] == [2] * 28
    assert len(looks) == 1 + 1, "the detector sees one that is not known; then both are"


def test_others_are_looked_for_where_a_far_face_has_gone(following: Perceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    room = np.full((720, 1280, 3), 90, np.uint8)
    person = cv2.resize(PORTRAIT, (340, 340), interpolation=cv2.INTER_AREA)  # a face of 70 px, found in a part only
    looks = whole_looks(following, monkeypatch)
    for n in range(30):
        frame, x = room.copy(), 30 + 25 * n
        frame[380:, x : x + 340] = person
        scene = following(Frame(frame, n / 30, 0.0, n))
        assert len(scene.faces) == 1
        if n == 0:
            looks.clear()
    assert not looks, "the detector sees the known face where it is in the frame"
    assert following._view is not None
    assert following._view.x < scene.faces[0].landmarks[:, 0].mean() < following._view.x + following._view.width


def test_the_network_is_compiled_once_and_the_same_when_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, read = model_file(MODELS[0]), LandmarkNetwork._read
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path))
    compiled: list[Path] = []

    def counted(network: LandmarkNetwork, task: Path) -> Any:
        compiled.append(task)
        return read(network, task)

    monkeypatch.setattr(LandmarkNetwork, "_read", counted)
    square = cv2.resize(PORTRAIT[20:220, 120:320], (256, 256))
    (first, sure), (again, as_sure) = LandmarkNetwork(task).run(square), LandmarkNetwork(task).run(square)
    assert sure == as_sure > 0.9
    assert np.array_equal(first, again) and len(compiled) == 1
    whole = (tmp_path / "compiled" / "face-landmarks.openvino").read_bytes()
    monkeypatch.setattr("engines.openvino_cpu.kept", lambda name, made_from: whole[:1000])  # of another OpenVINO
    assert np.array_equal(first, LandmarkNetwork(task).run(square)[0]) and len(compiled) == 2


class There(Square):
    """A network that finds a face at this place of a frame, whatever it is shown of it."""

    def __init__(self, face: NDArray[np.float32], around: Place) -> None:
        super().__init__()
        self.face = face
        self.around = around

    def run(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        to_frame = np.vstack([square(self.around, self.side), (0, 0, 1)])
        self.around = place_of(self.face)  # where it looks again
        return cv2.transform(self.face[None, :, :2], np.linalg.inv(to_frame))[0].astype(np.float32), 1.0


def next_around(before: Place, now: NDArray[np.float32], dt_s: float) -> Place:
    seen = follow(There(now, before), np.zeros((120, 200, 3), np.uint8), before, dt_s)
    assert seen is not None
    np.testing.assert_allclose(seen[0][:, :2], now[:, :2], atol=1e-3)
    return seen[1]


def test_the_square_follows_a_face_that_trembles_calmly_and_one_that_jumped_at_once() -> None:
    before = place_of(landmarks(100, 60, 40))
    calm = next_around(before, landmarks(102, 60, 40, 0.2), 1 / 30)
    assert 100 < calm.x < 100.4 and 0 < calm.down < 1, "of 2 and of 8"
    halves = next_around(next_around(before, landmarks(102, 60, 40, 0.2), 1 / 60), landmarks(102, 60, 40, 0.2), 1 / 60)
    assert halves == pytest.approx(calm, abs=1e-3)
    after = next_around(before, landmarks(110, 60, 40), 1 / 30)
    assert after == pytest.approx(place_of(landmarks(110, 60, 40)), abs=1e-3)


def test_a_face_in_a_picture_that_stays_does_not_tremble(following: Perceiver) -> None:
    for n in range(8):  # on its way
        following(Frame(moved(3 * n), n / 30, 0.0, n))
    still = [following(Frame(moved(21), n / 30, 0.0, n)).faces[0].landmarks[:, :2] for n in range(8, 12)]
    steps = np.abs(np.diff(still, axis=0)).mean(axis=(1, 2))
    assert steps.max() < 0.08, "of a pixel, from picture to picture"


@pytest.mark.parametrize(("scale", "left", "top"), [(0.7, 40, 30), (1.4, -150, 60), (1.4, 420, 380), (3.0, -900, 40)])
def test_a_square_is_cut_as_from_the_whole_frame_also_beyond_its_edges(scale: float, left: float, top: float) -> None:
    to_frame = np.array([[scale, 0.1, left], [-0.1, scale, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    whole = cv2.warpAffine(PORTRAIT, to_frame, (256, 256), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    assert cv2.absdiff(_cut(PORTRAIT, to_frame.tolist(), 256)[..., :3].copy(), whole).max() <= 1
