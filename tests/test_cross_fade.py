import numpy as np
import pytest

from realtime.cross_fade import FADE_S, CrossFade
from realtime.types import Flow, Frame, Scene, Styled, read_only

SIZE = (40, 60)
RAW = read_only(np.full((*SIZE, 3), 255, np.uint8))
PERSON = np.ones((2, 2), np.float32)


def styled(level: int, t: float, flow: Flow | None = None, fresh: bool = False) -> Styled:
    scene = Scene(Frame(RAW, t, t, round(t * 1000)), PERSON, (), fresh, flow)
    return Styled(scene, read_only(np.full((*SIZE, 3), level, np.uint8)), np.zeros(SIZE, np.uint8))


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_it_takes_a_fifth_of_a_second_at_every_frame_rate(fps: int) -> None:
    fade = CrossFade()
    fade(styled(0, 0.0))
    fade.begin()
    levels = [int(fade(styled(200, i / fps)).rgb[0, 0, 0]) for i in range(1, fps)]
    assert levels == sorted(levels)
    for i, level in enumerate(levels, start=1):
        assert level == pytest.approx(min(1, i / fps / FADE_S) * 200, abs=4)


def test_without_a_change_the_drawing_passes_as_it_is() -> None:
    fade = CrossFade()
    for i in range(3):
        drawing = styled(i, i / 30)
        assert fade(drawing) is drawing


def test_the_old_drawing_moves_with_the_picture() -> None:
    fade = CrossFade()
    old = styled(0, 0.0)
    bar = np.zeros((*SIZE, 3), np.uint8)
    bar[:, 20:24] = 250
    fade(Styled(old.scene, read_only(bar), old.lines))
    fade.begin()
    right = np.zeros((*SIZE, 2), np.float32)
    right[..., 0] = -6  # each place was six pixels to the left
    shown = fade(styled(0, 0.01, right)).rgb
    assert shown[10, 26:30, 0].min() > 200
    assert shown[10, 18:24, 0].max() < 20


@pytest.mark.parametrize("why", ["cut", "reset", "nothing before"])
def test_nothing_of_another_scene_is_shown(why: str) -> None:
    fade = CrossFade()
    if why != "nothing before":
        fade(styled(0, 0.0))
    fade.begin()
    if why == "reset":
        fade.reset()
    assert (fade(styled(200, 0.03, fresh=why == "cut")).rgb == 200).all()


def test_a_change_within_a_change_goes_on_from_what_is_shown() -> None:
    fade = CrossFade()
    fade(styled(0, 0.0))
    fade.begin()
    middle = int(fade(styled(200, FADE_S / 2)).rgb[0, 0, 0])
    fade.begin()
    after = int(fade(styled(100, FADE_S / 2 + 0.001)).rgb[0, 0, 0])
    assert abs(after - middle) < 5
