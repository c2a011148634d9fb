"""The filter over several frames: what it does where another scene begins."""

from __future__ import annotations

from typing import Any

import numpy as np

from realtime.compose import Compose
from realtime.filter import Filter
from realtime.settings import Background
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.types import Frame, Scene, Styled, read_only

RNG = np.random.default_rng(1)
ROOMS = [read_only(np.kron(RNG.integers(0, 255, (9, 16, 3), np.uint8), np.ones((20, 20, 1), np.uint8))) for _ in "ab"]


class Perceive:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[float | str] = []
        self.mask_wanted = True

    def __call__(self, frame: Frame) -> Scene:
        self.calls.append(frame.t)
        return Scene(frame, read_only(np.ones((2, 2), np.float32)), ())

    def reset(self) -> None:
        self.calls.append("reset")


class Draw:
    """Draws the negative, and notes which scenes are fresh."""

    def __init__(self) -> None:
        self.fresh: list[bool] = []

    def __call__(self, scene: Any) -> Any:
        if not isinstance(scene, Scene):
            return scene
        self.fresh.append(scene.fresh)
        return Styled(scene, read_only(255 - scene.frame.rgb), np.zeros(scene.frame.rgb.shape[:2], np.uint8))

    def reset(self) -> None:
        pass


def test_a_cut_is_looked_at_with_fresh_eyes_and_nothing_else_is() -> None:
    perceive, draw = Perceive(), Draw()
    background = Background()
    a_filter = Filter(perceive, Steady(), draw, draw, Compose(background, False), Stats())  # type: ignore[arg-type]
    assert not perceive.mask_wanted, "nobody needs the mask of a room that stays as it is drawn"
    for number, room in enumerate([ROOMS[0], ROOMS[0], ROOMS[1], ROOMS[1]]):
        a_filter(Frame(room, number / 30, 0.0, number))
    cut = 2 / 30
    assert perceive.calls == [0.0, 1 / 30, cut, "reset", cut, 3 / 30]
    assert draw.fresh == [True, False, True, False]
