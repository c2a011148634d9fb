from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from skimage.data import astronaut

import realtime.layers
from realtime.layers import Finish, Layers, draw_layers
from realtime.stylize import with_strength
from realtime.types import Size

LARGE = Size(128, 96)


def layers(flat: ArrayLike, ink: ArrayLike = 0) -> Layers:
    return Layers(
        np.broadcast_to(np.asarray(flat, np.uint8), (48, 64, 3)).copy(),
        np.broadcast_to(np.asarray(ink, np.uint8), (48, 64)).copy(),
    )


def test_the_drawing_has_the_size_asked_for() -> None:
    for size in (Size(1, 1), Size(16, 16), Size(64, 48), LARGE, Size(101, 33)):
        rgb, ink = draw_layers(layers(128), size, Finish())
        assert rgb.shape == (size.height, size.width, 3)
        assert ink.shape == (size.height, size.width)
        assert rgb.dtype == ink.dtype == np.uint8


def test_a_ramp_becomes_steps_and_strength_zero_leaves_it_smooth() -> None:
    ramp = np.repeat(np.linspace(0, 255, 64)[None, :, None], 3, axis=2)

    def share_flat(finish: Finish) -> float:
        luma = cv2.cvtColor(draw_layers(layers(ramp), Size(320, 96), finish)[0], cv2.COLOR_RGB2GRAY)[48].astype(int)
        return float(np.mean(np.diff(luma) == 0))

    stepped, smooth = share_flat(Finish(tone_share=1)), share_flat(with_strength(Finish(tone_share=1), 0))
    assert stepped > smooth + 0.3


def test_more_light_is_never_drawn_darker() -> None:
    drawn = [int(draw_layers(layers(v), LARGE, Finish())[0][48, 64].mean()) for v in range(0, 256, 5)]
    assert all(later >= earlier - 1 for earlier, later in pairwise(drawn))
    assert drawn[0] < 40
    assert drawn[-1] > 235


def test_ink_is_dark_where_it_is_and_nothing_elsewhere() -> None:
    line = np.zeros((48, 64), np.uint8)
    line[:, 30:34] = 255
    plain = draw_layers(layers((200, 150, 120)), LARGE, Finish())[0].astype(int)
    inked, ink = draw_layers(layers((200, 150, 120), line), LARGE, Finish())
    assert inked[48, 64].max() < 80
    assert ink[48, 64] == 255
    assert np.abs(inked[:, :40].astype(int) - plain[:, :40]).max() == 0
    faint = draw_layers(layers((200, 150, 120), line), LARGE, Finish(ink_weight=0))[0].astype(int)
    assert np.abs(faint[:, 60] - plain[:, 60]).max() <= 2


def test_lines_that_darken_nothing_are_told_all_the_same() -> None:
    line = np.zeros((48, 64), np.uint8)
    line[:, 30:34] = np.linspace(0, 255, 48)[:, None]
    deep, none = (draw_layers(layers(200, line), LARGE, Finish(ink_depth=depth))[1].astype(int) for depth in (0.8, 0))
    assert np.abs(deep - none).max() <= 1
    assert none.max() == 255
    assert none.min() == 0


def test_no_chroma_is_grey_and_hue_survives_otherwise() -> None:
    red = layers((200, 60, 60))
    assert np.ptp(draw_layers(red, LARGE, Finish(chroma=0))[0][48, 64]) <= 2
    r, g, b = draw_layers(red, LARGE, Finish())[0][48, 64].astype(int)
    assert r > g + 80
    assert abs(g - b) < 12


def test_an_edge_is_steeper_than_plain_enlarging_makes_it() -> None:
    step = np.zeros((48, 64, 1))
    step[:, 32:] = 255
    flat = 80 + 90 * step / 255
    plain = cv2.resize(layers(flat).flat, (128, 96))[48, :, 0].astype(int)
    drawn = draw_layers(layers(flat), LARGE, Finish(tone_share=0, black=0, white=1))[0][48, :, 0].astype(int)
    assert np.abs(np.diff(drawn)).max() > 1.25 * np.abs(np.diff(plain)).max()
    assert drawn.min() >= drawn[:40].min(), "no dark halo beside the edge"
    assert drawn.max() <= drawn[88:].max(), "no bright halo beside the edge"


@pytest.mark.parametrize("size", [Size(440, 440), Size(512, 512)])
def test_sharpening_before_enlarging_is_that_after_it(size: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = cv2.GaussianBlur(cv2.resize(astronaut(), (256, 256), interpolation=cv2.INTER_AREA), (7, 7), 1.3)
    shown = Layers(flat, np.zeros((256, 256), np.uint8))
    before = draw_layers(shown, size, Finish())[0].astype(int)
    monkeypatch.setattr(realtime.layers, "SMALL_FROM", np.inf)
    apart = np.abs(draw_layers(shown, size, Finish())[0] - before)
    assert apart.max() > 0
    assert np.mean(apart > 2) < 0.003


@pytest.mark.parametrize("width", [96, 128, 256])
def test_between_black_and_white_an_edge_is_as_steep(width: int) -> None:
    step = np.zeros((48, 64, 1))
    step[:, 32:] = 215
    drawn = draw_layers(layers(20 + step), Size(width, 96), Finish(tone_share=0, black=0, white=1))[0][48, :, 0]
    assert np.count_nonzero((drawn > 24) & (drawn < 231)) <= max(2, width / 64)


@given(st.floats(0, 1))
def test_every_strength_is_a_valid_finish(strength: float) -> None:
    finish = with_strength(Finish(), strength)
    assert 0.3 <= finish.ink_weight <= 1, "even the faintest strength is drawn"
    assert 0 <= finish.tone_share <= 0.9
