import numpy as np
import pytest
from skimage.data import astronaut

from realtime.types import Frame, read_only


def test_a_frames_half_is_made_once_and_cannot_be_written() -> None:
    frame = Frame(read_only(astronaut()[:500, :300].copy()), 0.0, 0.0, 0)
    assert frame.half.shape == (250, 150, 3) and frame.half is frame.half
    means = frame.rgb.reshape(250, 2, 150, 2, 3).mean(axis=(1, 3))
    assert np.abs(frame.half - means).max() <= 0.5
    with pytest.raises(ValueError, match="read-only"):
        frame.half[0] = 0


def test_odd_sides_are_rounded_down_and_one_of_one_pixel_stays() -> None:
    assert Frame(read_only(np.zeros((1, 8, 3), np.uint8)), 0.0, 0.0, 0).half.shape == (1, 4, 3)
    assert Frame(read_only(np.zeros((7, 5, 3), np.uint8)), 0.0, 0.0, 0).half.shape == (3, 2, 3)
