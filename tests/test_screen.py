"""Screens as a source, on a desktop of two stand-in screens."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from realtime.errors import SourceError, UsageError
from realtime.source import open_source
from realtime.source.screen import Grab, Screen, parse_screen
from realtime.types import Size

SCREENS = [
    {"left": 0, "top": 0, "width": 500, "height": 201},
    {"left": 0, "top": 0, "width": 300, "height": 200},
    {"left": 300, "top": 0, "width": 200, "height": 201},
]


class Desk:
    """Red is x, green is y, both halved; the clock goes on when somebody waits."""

    def __init__(self, scale: int = 1, broken: bool = False) -> None:
        self.now_s = 0.0
        self.scale = scale
        self.broken = broken

    def open(self) -> tuple[Grab, list[dict[str, int]]]:
        return self.grab, SCREENS

    def grab(self, part: dict[str, int]) -> np.ndarray:
        if self.broken:
            raise OSError("display is gone")
        y, x = np.mgrid[: part["height"], : part["width"]]
        levels = ((x + part["left"]) // 2, (y + part["top"]) // 2)
        bgra = np.dstack([np.full_like(x, 7), levels[1], levels[0], np.zeros_like(x)]).astype(np.uint8)
        return bgra.repeat(self.scale, 0).repeat(self.scale, 1)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def screen(self, word: str, size: Size | None = None, fps: float | None = None) -> Screen:
        return Screen(parse_screen(word), size, fps, self.open, lambda: self.now_s, self.wait)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(
    ("word", "size", "first"),
    [
        ("screen", Size(300, 200), (0, 0, 7)),
        ("screen:2", Size(200, 200), (150, 0, 7)),
        ("screen:40,20,100x60", Size(100, 60), (20, 10, 7)),
    ],
)
def test_the_part_that_is_named_comes_in_its_size(word: str, size: Size, first: tuple[int, ...], scale: int) -> None:
    with Desk(scale).screen(word) as screen:
        frame = screen.read()
    assert frame is not None
    assert frame.size == screen.size == size
    assert tuple(frame.rgb[0, 0]) == first


def test_another_size_is_letterboxed() -> None:
    with Desk().screen("screen", Size(200, 200)) as screen:
        frame = screen.read()
    assert frame is not None and frame.size == Size(200, 200)
    assert frame.rgb[0].max() == 0 and frame.rgb[100].max() > 50


def test_it_gives_no_more_frames_than_asked_for() -> None:
    desk = Desk()
    with desk.screen("screen", fps=10) as screen:
        times = []
        for _ in range(4):
            frame = screen.read()
            assert frame is not None
            times.append(frame.t)
            desk.now_s += 0.03  # what grabbing takes
        desk.now_s += 5
        late = [frame.t for frame in (screen.read() for _ in range(3)) if frame is not None]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3])
    assert late == pytest.approx([5.33, 5.33, 5.43]), "what was missed is not caught up on"


@pytest.mark.parametrize("word", ["screen:", "screen:0", "screen:1,2", "screen:0,0,1x1", "screen:a,b,3x4", "screens:x"])
def test_odd_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_screen(word)


def test_what_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="no screen 3; there are 2"):
        Desk().screen("screen:3")
    with pytest.raises(SourceError, match="beyond the desktop"):
        Desk().screen("screen:400,0,200x100")
    with Desk(broken=True).screen("screen") as screen, pytest.raises(SourceError, match="display is gone"):
        screen.read()
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(SourceError, match="needs the package mss"):
        open_source("screen", size=None, fps=None, pace=None, say=lambda _: None)
