import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from engines.assets import model_file
from realtime.errors import ModelFileError
from realtime.landmarks import (
    FACE_OVAL,
    LEFT_EYE,
    NOSE_TIP,
    RIGHT_EYE,
    eye_openness,
    gaze_offset,
    mouth_opening,
)
from realtime.perceive import EVERYWHERE, SQUARE_MASK, WIDE_MASK, Perceiver, _shrunk
from realtime.types import Frame, Scene, Size

PORTRAIT = astronaut()  # 512x512, a face of 105 px, nose tip at (223, 127)
PORTRAIT_FACE_PX = 105


def models() -> tuple[Path, Path, Path]:
    return (
        model_file("face_landmarker.task"),
        model_file("selfie_segmentation_landscape.tflite"),
        model_file("selfie_segmentation.tflite"),
    )


@pytest.fixture(scope="module")
def opened() -> Iterator[Perceiver]:
    with Perceiver(*models()) as perceiver:
        yield perceiver


@pytest.fixture
def perceive(opened: Perceiver) -> Perceiver:
    opened.reset()
    return opened


def see(perceive: Perceiver, rgb: NDArray[np.uint8], t: float = 0.0) -> Scene:
    return perceive(Frame(rgb, t, 0.0, 0))


def room_with_face(face_px: int, share_x: float = 0.5) -> NDArray[np.uint8]:
    """1280x720: the portrait's wall and the person with a face of this height, centred at `share_x` of the width."""
    room = cv2.resize(PORTRAIT[:60, 300:380], (1280, 720), interpolation=cv2.INTER_LINEAR)
    side = round(512 * face_px / PORTRAIT_FACE_PX)
    person = cv2.resize(PORTRAIT, (side, side), interpolation=cv2.INTER_AREA)[:720, :1280]
    x = int(np.clip(share_x * 1280 - side / 2, 0, 1280 - person.shape[1]))
    room[720 - person.shape[0] :, x : x + person.shape[1]] = person
    return np.asarray(room, np.uint8)


def test_a_portrait(perceive: Perceiver) -> None:
    scene = see(perceive, PORTRAIT)
    assert len(scene.faces) == 1, "found in the first frame: a picture has no second"
    face = scene.faces[0]
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == np.float32
    np.testing.assert_allclose(face.landmarks[NOSE_TIP, :2], (223, 127), atol=3)
    assert np.ptp(face.landmarks[FACE_OVAL, 1]) == pytest.approx(PORTRAIT_FACE_PX, abs=5)
    assert face.landmarks[NOSE_TIP, 2] < face.landmarks[FACE_OVAL, 2].mean(), "the nose is nearer"
    assert face.blendshapes is not None
    assert len(face.blendshapes) == 52
    assert face.blendshapes["mouthSmileLeft"] > 0.5
    assert face.blendshapes["eyeBlinkLeft"] < 0.3
    assert face.pose is not None
    assert face.pose.shape == (4, 4)
    np.testing.assert_allclose(face.pose[3], (0, 0, 0, 1))


def test_sides_are_the_persons_own(perceive: Perceiver) -> None:
    points = see(perceive, PORTRAIT).faces[0].landmarks
    assert points[RIGHT_EYE.iris_centre, 0] < points[LEFT_EYE.iris_centre, 0]
    for eye in (RIGHT_EYE, LEFT_EYE):
        assert 0.15 < eye_openness(points, eye) < 0.45
        assert abs(gaze_offset(points, eye)) < 0.25
        away, top, nose, bottom = points[eye.iris_ring, :2] - points[eye.iris_centre, :2]
        assert top[1] < 0 < bottom[1]
        assert np.sign(nose[0]) == -np.sign(away[0]) == np.sign(223 - points[eye.iris_centre, 0])
    assert 0.05 < mouth_opening(points) < 0.3


def test_person_mask(perceive: Perceiver) -> None:
    mask = see(perceive, PORTRAIT).person
    assert mask.shape == (256, 256)
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert mask[64, 112] > 0.9, "the face"
    assert mask[15, 160] < 0.1, "the wall"
    wide = see(perceive, room_with_face(150)).person
    assert wide.shape == (144, 256), "wide frames have the wide model"
    assert wide[100, 128] > 0.9
    assert wide[10, 10] < 0.1
    perceive.mask_wanted = False
    assert see(perceive, PORTRAIT).person is EVERYWHERE
    perceive.mask_wanted = True
    assert see(perceive, PORTRAIT).person[15, 160] < 0.1


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(1280, 720, WIDE_MASK), (1920, 1080, WIDE_MASK), (720, 1280, SQUARE_MASK), (300, 168, WIDE_MASK)],
)
def test_a_noisy_frame_is_shrunk_for_the_mask_as_by_averaging(width: int, height: int, size: Size) -> None:
    portrait = cv2.resize(PORTRAIT, (width, height), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 40, portrait.shape)
    picture = np.clip(portrait + noise, 0, 255).astype(np.uint8)
    small = _shrunk(Frame(picture, 0.0, 0.0, 0), size)
    mean = cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_AREA)
    assert small.shape == mean.shape
    assert cv2.absdiff(small, mean).mean() < 7, "of 255; single pixels instead of means: 17 and more"


def test_values_are_read_only(perceive: Perceiver) -> None:
    scene = see(perceive, PORTRAIT)
    assert scene.faces[0].pose is not None
    for array in (scene.person, scene.faces[0].landmarks, scene.faces[0].pose):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


@pytest.mark.parametrize("face_px", [300, 150, 60])
def test_near_and_far_faces_in_the_first_frame(perceive: Perceiver, face_px: int) -> None:
    faces = see(perceive, room_with_face(face_px)).faces
    assert len(faces) == 1
    assert np.ptp(faces[0].landmarks[FACE_OVAL, 1]) == pytest.approx(face_px, rel=0.08)
    scale = face_px / PORTRAIT_FACE_PX
    side = round(512 * scale)
    nose = (max(640 - side / 2, 0) + 223 * scale, max(720 - side, 0) + 127 * scale)
    np.testing.assert_allclose(faces[0].landmarks[NOSE_TIP, :2], nose, atol=0.05 * face_px)


def test_a_far_face_is_followed_across_the_room(perceive: Perceiver) -> None:
    found = [len(see(perceive, room_with_face(70, 0.15 + 0.7 * i / 20), i / 30).faces) for i in range(20)]
    assert found == [1] * 20


def test_a_far_face_that_comes_later(perceive: Perceiver) -> None:
    empty = room_with_face(1, 0.0)
    assert see(perceive, empty, 0.0).faces == ()
    assert any(see(perceive, room_with_face(80, 0.8), i / 30).faces for i in range(1, 25)), "within a second"


def test_nobody(perceive: Perceiver) -> None:
    scene = see(perceive, np.zeros((240, 320, 3), np.uint8))
    assert scene.faces == ()
    assert scene.person.max() < 0.5


def test_two_people(perceive: Perceiver) -> None:
    faces = see(perceive, np.hstack([PORTRAIT[:, 100:400], PORTRAIT[:, 100:400]])).faces
    assert sorted(round(float(face.landmarks[NOSE_TIP, 0]) / 10) for face in faces) == [12, 42]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (33, 17), (480, 854), (854, 480), (7680, 4320)])
def test_any_size(perceive: Perceiver, width: int, height: int) -> None:
    frame = np.zeros((height, width, 3), np.uint8)
    side = min(width, height)
    frame[:side, :side] = cv2.resize(PORTRAIT, (side, side), interpolation=cv2.INTER_AREA)
    scene = see(perceive, frame)
    assert len(scene.faces) == (side > 100)
    for face in scene.faces:
        np.testing.assert_allclose(face.landmarks[NOSE_TIP, :2] / side, (223 / 512, 127 / 512), atol=0.01)


def test_a_clock_that_stands_or_runs_back(perceive: Perceiver) -> None:
    for t in (5.0, 5.0, 0.0, -3.0, 1e6, 0.0):
        assert len(see(perceive, PORTRAIT, t).faces) == 1


def test_reset_forgets_the_face(perceive: Perceiver) -> None:
    see(perceive, room_with_face(60, 0.2))
    perceive.reset()
    faces = see(perceive, room_with_face(200, 0.7)).faces
    assert len(faces) == 1
    assert np.ptp(faces[0].landmarks[FACE_OVAL, 1]) == pytest.approx(200, rel=0.08)


def test_opening_is_quiet_and_closing_may_be_repeated(capfd: pytest.CaptureFixture[str]) -> None:
    with Perceiver(*models()) as perceiver:
        see(perceiver, PORTRAIT)
        perceiver.close()
    perceiver.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("which", [0, 1, 2])
def test_missing_and_damaged_models(which: int, tmp_path: Path) -> None:
    files = list(models())
    content = files[which].read_bytes()
    files[which] = tmp_path / "model"
    for broken in (None, b"", b"not a model", content[: len(content) // 2]):
        if broken is not None:
            files[which].write_bytes(broken)
        with pytest.raises(ModelFileError, match=re.escape(str(files[which]))) as error:
            Perceiver(files[0], files[1], files[2])
        assert ("missing" if broken is None else "damaged") in str(error.value)
