"""The filter over several frames: what it does where another scene begins."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from realtime.compose import Compose
from realtime.cross_fade import FADE_S
from realtime.filter import Filter
from realtime.ink import Ink
from realtime.ink.touch_up import TouchUp
from realtime.look_ahead import Coming
from realtime.perceive import EVERYWHERE
from realtime.redraw import Effort
from realtime.settings import Background, Look
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.style_loader import StyleLoader, Wish
from realtime.styles import Style, load_style
from realtime.types import Frame, Scene, Size, Styled, read_only

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
    """Draws the negative, and notes which scenes are fresh; as the ink it does nothing."""

    def __init__(self) -> None:
        self.fresh: list[bool] = []

    def __call__(self, styled: Styled) -> Styled:
        return styled

    def begin(self, scene: Scene) -> Scene:
        self.fresh.append(scene.fresh)
        return scene

    def draw(self, scene: Scene) -> Styled:
        return Styled(scene, read_only(255 - scene.frame.rgb), np.zeros(scene.frame.rgb.shape[:2], np.uint8))

    def show(self, look: Look, style: Style) -> None:
        pass

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


class Flat:
    """A style that draws one colour."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.shown: list[Look] = []
        self.closed = False

    def begin(self, scene: Scene) -> Scene:
        assert not self.closed
        return scene

    def draw(self, scene: Scene) -> Styled:
        assert not self.closed
        shape = scene.frame.rgb.shape
        rgb = np.full(shape, self.level, np.uint8)
        rgb[shape[0] // 2 :] += 30  # nothing that is drawn is the same everywhere
        return Styled(scene, read_only(rgb), np.zeros(shape[:2], np.uint8))

    def show(self, look: Look, style: Style) -> None:
        self.shown.append(look)

    def reset(self) -> None: ...

    def close(self) -> None:
        self.closed = True


class AtOnce(StyleLoader):
    """Has what is asked for ready when `finish` is called."""

    def load(self, wish: Wish) -> None:
        self.asked = wish

    def finish(self) -> Flat:
        self._ready = (self.asked, stage := Flat(200))
        return stage


def test_another_style_is_drawn_when_it_is_loaded_and_fades_in() -> None:
    webtoon = load_style("webtoon")
    other = replace(webtoon, name="other", background=Path("other.onnx"), touch_up=TouchUp(weight=0.1))
    loader = AtOnce(lambda wish: Flat(0), Wish(Look(), webtoon), print)
    first = Flat(0)
    ink, compose = Ink(webtoon.touch_up, 1.0, None), Compose(Background(), False)
    a_filter = Filter(Perceive(), Steady(), first, ink, compose, Stats(), loader=loader)  # type: ignore[arg-type]
    times = iter(np.arange(0, 5, 0.02))

    def level() -> int:
        return int(a_filter(Frame(ROOMS[0], float(next(times)), 0.0, 0)).rgb[0, 1, 0])

    assert level() == 0
    a_filter.show(Look(style="other"), other)
    assert [level(), level()] == [0, 0], "the old style is drawn until the new one is ready"
    assert not first.closed
    second = loader.finish()
    levels = [level() for _ in range(round(FADE_S / 0.02) + 2)]
    assert first.closed
    assert second.shown == [Look(style="other")]
    assert ink.touch_up == other.touch_up
    assert levels == sorted(levels)
    assert 0 < levels[0] < 40
    assert levels[-1] == 200
    a_filter.show(Look(style="other", strength=0.5), other)
    assert second.shown[-1].strength == 0.5, "numbers change at once"
    a_filter.close()
    assert second.closed


class Source:
    """Frames of a clip, the next of which can be peeked at."""

    def __init__(self, rooms: str) -> None:
        self.frames = [Frame(ROOMS["ab".index(r)], n / 30, 0.0, n) for n, r in enumerate(rooms)]
        self.at = 0

    def read(self) -> Frame:
        self.at += 1
        return self.frames[self.at - 1]

    def peek(self, after: Frame, within_s: float) -> Frame | None:
        if after is self.frames[self.at - 1] and self.at < len(self.frames):
            return self.frames[self.at]
        threading.Event().wait(0.001)
        return None


def drawn_ahead(rooms: str, perceive: Perceive, draw: Draw, background: Background) -> tuple[Source, Filter]:
    source = Source(rooms)
    compose = Compose(background, False)
    coming = Coming(lambda after, within_s: source.peek(after, within_s))
    return source, Filter(perceive, Steady(), draw, draw, compose, Stats(), coming=coming)  # type: ignore[arg-type]


def wait_until_seen(perceive: Perceive, t: float) -> None:
    """Waits until somebody looks ahead at the frame of this time."""
    while t not in perceive.calls:
        threading.Event().wait(0.001)


def test_looking_ahead_sees_every_frame_once_in_order_and_a_cut_with_fresh_eyes() -> None:
    perceive, draw = Perceive(), Draw()
    source, a_filter = drawn_ahead("aabb", perceive, draw, Background())
    indexes = [a_filter(source.read()).index for _ in range(4)]
    a_filter.close()
    cut = 2 / 30
    assert perceive.calls == [0.0, 1 / 30, cut, "reset", cut, 3 / 30]
    assert draw.fresh == [True, False, True, False]
    assert indexes == [0, 1, 2, 3]


def test_a_frame_that_was_looked_at_without_the_mask_is_looked_at_again_where_the_room_is_hidden() -> None:
    class Unmasked(Perceive):
        def __call__(self, frame: Frame) -> Scene:
            scene = super().__call__(frame)
            return scene if self.mask_wanted else replace(scene, person=EVERYWHERE)

    perceive, draw = Unmasked(), Draw()
    source, a_filter = drawn_ahead("aaaa", perceive, draw, Background())
    a_filter(source.read())
    wait_until_seen(perceive, 1 / 30)
    a_filter.show(Look(background=Background("blur")), load_style("webtoon"))
    a_filter(source.read())
    a_filter.close()
    assert perceive.calls.count(1 / 30) == 2


def test_what_fails_while_looking_ahead_fails_with_its_frame_and_the_next_one_works() -> None:
    class Failing(Perceive):
        def __call__(self, frame: Frame) -> Scene:
            if frame.index == 2:
                raise RuntimeError("eyes closed")
            return super().__call__(frame)

    perceive, draw = Failing(), Draw()
    source, a_filter = drawn_ahead("aaaaa", perceive, draw, Background())
    troubles = []
    for _ in range(5):
        a_filter(source.read())
        troubles.append(a_filter.trouble is not None)
    a_filter.close()
    assert troubles == [False, False, True, False, False]


def test_a_reset_while_somebody_looks_ahead_waits_and_forgets() -> None:
    perceive, draw = Perceive(), Draw()
    source, a_filter = drawn_ahead("aaa", perceive, draw, Background())
    a_filter(source.read())
    wait_until_seen(perceive, 1 / 30)
    a_filter.reset()
    a_filter(source.read())
    a_filter.close()
    assert draw.fresh[:3] == [True, False, True]
    assert perceive.calls[:3] == [0.0, 1 / 30, "reset"]


def test_the_next_room_is_begun_while_this_one_is_drawn() -> None:
    class Waiting(Draw):
        """Draws the first frame once the second is begun."""

        def __init__(self) -> None:
            super().__init__()
            self.second = threading.Event()

        def begin(self, scene: Scene) -> Scene:
            if scene.frame.index == 1:
                self.second.set()
            return super().begin(scene)

        def draw(self, scene: Scene) -> Styled:
            assert scene.frame.index != 0 or self.second.wait(20)
            return super().draw(scene)

    source, a_filter = drawn_ahead("aa", Perceive(), Waiting(), Background())
    assert [a_filter(source.read()).index for _ in range(2)] == [0, 1]
    a_filter.close()


def test_a_room_that_cannot_be_begun_ahead_is_an_error_of_its_own_frame() -> None:
    class Failing(Draw):
        def begin(self, scene: Scene) -> Scene:
            if scene.frame.index == 2:
                raise RuntimeError("no room")
            return super().begin(scene)

    source, a_filter = drawn_ahead("aaaa", Perceive(), Failing(), Background())
    drawn = []
    for _ in range(4):
        try:
            drawn.append(a_filter(source.read()).index)
        except RuntimeError:
            a_filter.reset()
    a_filter.close()
    assert drawn == [0, 1, 3]


def test_a_frame_that_nobody_could_look_at_ahead_is_looked_at_when_it_is_its_turn() -> None:
    perceive, draw = Perceive(), Draw()
    source, a_filter = drawn_ahead("aaa", perceive, draw, Background())
    source.peek = lambda *_: None  # type: ignore[method-assign]  # it comes later than it is wanted
    assert [a_filter(source.read()).index for _ in range(3)] == [0, 1, 2]
    a_filter.close()
    assert perceive.calls == [0.0, 1 / 30, 2 / 30] and draw.fresh == [True, False, False]


def test_everything_is_worked_out_at_the_size_that_the_effort_allows() -> None:
    class Sizes(Draw):
        def begin(self, scene: Scene) -> Scene:
            self.size = scene.frame.size
            return super().begin(scene)

    draw, effort = Sizes(), Effort(scale=0.5)
    compose = Compose(Background(), False)
    a_filter = Filter(Perceive(), Steady(), draw, draw, compose, Stats(), effort=effort)  # type: ignore[arg-type]
    frame = Frame(ROOMS[0], 0.0, 0.0, 0)
    assert a_filter(frame).size == frame.size == Size(320, 180) and draw.size == Size(160, 90)
    effort.scale = 1.0
    a_filter(replace(frame, t=1 / 30, index=1))
    assert draw.size == frame.size


def test_a_panic_of_a_native_library_while_looking_ahead_is_its_frames_and_the_thread_goes_on() -> None:
    class Panic(BaseException):
        pass

    class Panicking(Perceive):
        def __call__(self, frame: Frame) -> Scene:
            if frame.index == 1:
                raise Panic
            return super().__call__(frame)

    perceive, draw = Panicking(), Draw()
    source, a_filter = drawn_ahead("aaaa", perceive, draw, Background())
    a_filter(source.read())
    with pytest.raises(Panic):
        a_filter(source.read())
    a_filter.reset()
    assert [a_filter(source.read()).index for _ in range(2)] == [2, 3]
    assert any(t.name == "draw: look ahead" and t.is_alive() for t in threading.enumerate())
    a_filter.close()
