import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from realtime.raw import RAW_R, is_raw, likeness
from realtime.types import RgbImage

PHOTO = astronaut()
DRAWN = cv2.bilateralFilter(PHOTO, 9, 80, 9)


@pytest.mark.parametrize(
    "picture",
    [
        PHOTO,
        PHOTO[:, ::-1],
        cv2.addWeighted(PHOTO, 0.7, PHOTO, 0, 20),
        cv2.cvtColor(PHOTO, cv2.COLOR_RGB2RGBA),
        np.dstack([PHOTO, np.random.default_rng(0).integers(0, 255, PHOTO.shape[:2], np.uint8)]),
    ],
    ids=["itself", "mirrored", "in another tone", "four channels", "with ink"],
)
def test_the_frame_is_known_again(picture: NDArray[np.uint8]) -> None:
    assert is_raw(picture, PHOTO)


def test_a_drawing_is_none() -> None:
    assert not is_raw(DRAWN, PHOTO)
    assert 0.2 < likeness(DRAWN, PHOTO) < RAW_R


def rows_of_noise(rows: slice) -> RgbImage:
    picture = np.full((512, 512, 3), 128, np.uint8)
    picture[rows] = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)[rows]
    return picture


def test_what_shows_on_other_rows_than_the_few_counts() -> None:
    frame = rows_of_noise(slice(8, 40))  # the few rows are every 64th
    assert is_raw(frame, frame)
    half = frame.copy()
    half[24:40] = 128
    assert likeness(half, frame) < RAW_R and not is_raw(half, frame)


def test_what_has_no_structure_tells_nothing() -> None:
    flat = np.full((512, 512, 3), 128, np.uint8)
    assert likeness(flat, flat) == 0 and not is_raw(flat, flat)
    assert likeness(flat, PHOTO) == 0 and likeness(PHOTO, flat) == 0
