"""What the preview's window shows, without a window."""

import numpy as np
import pytest

from realtime.sinks.view import PAPER, View, fitted
from realtime.types import RgbImage, Size

WINDOW = Size(640, 360)
DRAWN = np.full((180, 320, 3), (250, 10, 10), np.uint8)  # RGB: red
PHOTO = np.full((180, 320, 3), (10, 10, 250), np.uint8)  # blue
RED, BLUE = (10, 10, 250), (250, 10, 10)  # BGR


def at(shown: RgbImage, x: float, y: float) -> tuple[int, ...]:
    """The colour at a share of the window's width and height."""
    return tuple(int(v) for v in shown[round(y * (shown.shape[0] - 1)), round(x * (shown.shape[1] - 1))])


def test_the_photo_is_shown_left_of_the_line_only_after_its_key() -> None:
    view = View(())
    assert at(view.pixels(DRAWN, PHOTO, (), WINDOW), 0.1, 0.7) == RED, "nobody asked for the photo"
    assert view.key("v") is None
    shown = view.pixels(DRAWN, PHOTO, (), WINDOW)
    assert (at(shown, 0.1, 0.7), at(shown, 0.9, 0.7)) == (BLUE, RED)
    assert at(view.pixels(DRAWN, None, (), WINDOW), 0.1, 0.7) == RED, "no photo came"
    view.key("v")
    assert at(view.pixels(DRAWN, PHOTO, (), WINDOW), 0.1, 0.7) == RED


def test_the_line_moves_by_keys_and_by_the_mouse() -> None:
    view = View(())
    view.key("v")
    for _ in range(30):
        view.key(",")
    assert view.wipe == 0
    assert at(view.pixels(DRAWN, PHOTO, (), WINDOW), 0.1, 0.7) == RED
    for _ in range(30):
        view.key(".")
    assert view.wipe == 1
    assert at(view.pixels(DRAWN, PHOTO, (), WINDOW), 0.9, 0.7) == BLUE
    wide = Size(1000, 360)  # the picture is 640 wide and stands in the middle
    view.mouse(500, pressed=True, picture=Size(320, 180), window=wide)
    assert view.wipe == 1, "the line was not where the mouse is"
    view.mouse(815, pressed=True, picture=Size(320, 180), window=wide)
    view.mouse(340, pressed=True, picture=Size(320, 180), window=wide)
    assert view.wipe == 0.25
    view.mouse(700, pressed=False, picture=Size(320, 180), window=wide)
    assert view.wipe == 0.25


def test_status_help_and_clean() -> None:
    view = View((("n", "next style"),))
    plain = view.pixels(DRAWN, None, (), WINDOW)
    status = view.pixels(DRAWN, None, ("webtoon", "camera 30"), WINDOW)
    assert (status[:280] == plain[:280]).all() and (status[330:] != plain[330:]).any()
    view.key("h")
    helped = view.pixels(DRAWN, None, ("webtoon",), WINDOW)
    assert np.ptp(helped[120:240, 200:440], axis=(0, 1)).min() > 100, "text on a dark panel"
    assert view.key("\x1b") is None
    view.key("c")
    assert (view.pixels(DRAWN, None, ("webtoon", "camera 30"), WINDOW) == plain).all()
    view.key("v")
    for view.wipe, end in ((0.5, 310), (0.05, 100)):
        both = view.pixels(DRAWN, PHOTO, ("webtoon",), WINDOW)
        assert (both[:30, :end].min(axis=2) > 180).sum() > 20, "the photo keeps its label in a clean window"


def test_keys_that_are_not_for_the_window_are_given_back() -> None:
    view = View(())
    assert [view.key(key) for key in ("n", "q", " ", "\x1b", "f")] == ["n", "q", " ", "\x1b", None]
    assert view.full_screen
    assert view.key("\x1b") is None and not view.full_screen, "it leaves full screen before it quits"


@pytest.mark.parametrize("window", [Size(320, 180), Size(1920, 1200), Size(90, 300), Size(2, 2)])
@pytest.mark.parametrize("picture", [Size(320, 180), Size(64, 48), Size(100, 400)])
def test_a_picture_of_any_shape_fits_a_window_of_any_shape(window: Size, picture: Size) -> None:
    left, top, width, height = fitted(picture, window)
    assert left >= 0 and top >= 0 and left + width <= window.width and top + height <= window.height
    view = View((("n", "next style"),))
    for key in "vh":
        view.key(key)
    rgb = np.zeros((picture.height, picture.width, 3), np.uint8)
    shown = view.pixels(rgb, rgb, ("a long line " * 20, "another"), window)
    assert shown.shape == (window.height, window.width, 3)


def test_before_the_first_picture_it_says_that_it_starts() -> None:
    shown = View(()).pixels(None, None, (), WINDOW)
    assert tuple(shown[0, 0]) == PAPER and (shown > 200).any()
