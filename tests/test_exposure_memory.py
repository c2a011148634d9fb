import cv2
import numpy as np
import pytest
from skimage import data

from realtime.exposure import apply_exposure, measure_exposure
from realtime.exposure_memory import SLACK, ExposureMemory
from realtime.types import RgbImage

PHOTO: RgbImage = cv2.convertScaleAbs(cv2.resize(data.astronaut(), (640, 368)), alpha=0.7)


def lit(factor: float) -> RgbImage:
    return cv2.convertScaleAbs(PHOTO, alpha=factor)


def test_the_first_frame_is_taken_as_measured_and_a_still_scene_keeps_it() -> None:
    memory = ExposureMemory()
    first = memory(PHOTO, 0.0)
    assert first == measure_exposure(PHOTO)
    for _ in range(30):
        assert memory(PHOTO, 1 / 30) == first


def test_a_pumping_webcam_and_a_flickering_lamp_do_not_show() -> None:
    memory = ExposureMemory()
    first = apply_exposure(PHOTO, memory(PHOTO, 0.0)).astype(int)
    for n in range(60):
        frame = lit(1 + 0.15 * np.sin(n / 5) + 0.03 * (n % 2))
        shown = apply_exposure(frame, memory(frame, 1 / 30)).astype(int)
        assert np.abs(shown - first)[np.minimum(shown, first) < 235].mean() < 3.5


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_a_thing_that_passes_by_does_not_move_it(fps: int) -> None:
    memory = ExposureMemory()
    before = memory(PHOTO, 0.0)
    for n in range(fps):
        frame = PHOTO.copy()
        left = round(640 * n / fps)
        frame[:, left : left + 40] = 255
        now = memory(frame, 1 / fps)
    assert measure_exposure(frame).gain < 0.94 * before.gain
    assert now.gain == pytest.approx(before.gain, rel=0.06)


def test_a_dark_start_is_forgotten_within_seconds() -> None:
    memory = ExposureMemory()
    memory(np.full_like(PHOTO, 4), 0.0)
    for n in range(90):
        frame = lit(min(1.0, n / 15))
        now = memory(frame, 1 / 30)
    assert now.gain == pytest.approx(measure_exposure(PHOTO).gain, rel=3 * SLACK)


def test_a_lasting_change_is_followed_alike_at_any_rate() -> None:
    def gain(fps: int) -> float:
        memory = ExposureMemory()
        memory(PHOTO, 0.0)
        changed = PHOTO.copy()
        changed[:, 320:] = 255
        for _ in range(fps):
            now = memory(changed, 1 / fps)
        return now.gain

    assert gain(15) == pytest.approx(gain(60), rel=0.03)
    assert gain(60) < 0.95 * measure_exposure(PHOTO).gain


def test_reset_is_a_new_object_and_no_steadiness_takes_each_as_measured() -> None:
    used, none = ExposureMemory(), ExposureMemory(0.0)
    for factor in (1.0, 0.5, 0.3):
        used(lit(factor), 1 / 30)
        assert none(lit(factor), 1 / 30) == measure_exposure(lit(factor))
    used.reset()
    assert used(lit(0.4), 1 / 30) == measure_exposure(lit(0.4))


def test_nothing_to_measure_is_no_error() -> None:
    memory = ExposureMemory()
    for level in (0, 255, 0):
        memory(np.full((16, 16, 3), level, np.uint8), 1 / 30)
