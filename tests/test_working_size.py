from dataclasses import replace

import numpy as np

from realtime.types import Frame, Picture, Size, read_only
from realtime.working_size import enlarged_picture, scaled, shrunk_frame

FRAME = Frame(read_only(np.full((72, 128, 3), 90, np.uint8)), 1.5, 2.5, 3)


def test_sizes_stay_even_and_full_size_is_left_alone() -> None:
    assert scaled(Size(1280, 720), 0.75) == Size(960, 540)
    assert scaled(Size(853, 481), 0.5) == Size(426, 240)
    assert scaled(Size(853, 481), 1) == Size(853, 481)
    assert shrunk_frame(FRAME, 1.0) is FRAME


def test_a_picture_comes_back_at_the_size_of_its_frame_with_its_times_and_transparency() -> None:
    small = shrunk_frame(FRAME, 0.5)
    assert small.size == Size(64, 36) and (small.t, small.grabbed_s, small.index) == (1.5, 2.5, 3)
    alpha = np.zeros((36, 64), np.uint8)
    alpha[:, 32:] = 255
    picture = Picture(small.rgb, small.t, small.grabbed_s, small.index, read_only(alpha))
    large = enlarged_picture(picture, FRAME.size)
    assert large.size == FRAME.size and (large.rgb == 90).all() and large.alpha is not None
    assert large.alpha[:, :60].max() == 0 and large.alpha[:, 68:].min() == 255 and not large.rgb.flags.writeable
    assert enlarged_picture(replace(large, alpha=None), FRAME.size).rgb is large.rgb
