"""What stands in for a filter that fails, hangs or dies, when, and how it comes back."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from realtime.card import card
from realtime.errors import EngineError
from realtime.hold import HOLD_S, LEFT_S, LIMIT_S, MOST_LEFT, STEADY_S, HangError, Hold
from realtime.settings import Look
from realtime.styles import Style, load_style
from realtime.types import Frame, Picture, Size

SIZE = Size(32, 16)
FPS = 10


def frame(index: int) -> Frame:
    return Frame(np.zeros((16, 32, 3), np.uint8), index / FPS, index / FPS, index)


class Drawing:
    """Draws its number as a colour; fails, hangs or has trouble on the frames that are named."""

    def __init__(self, number: int = 0, fails: Callable[[int], bool] = lambda _: False) -> None:
        self.number = number
        self.fails = fails
        self.hangs: set[int] = set()
        self.troubles: set[int] = set()
        self.error: Exception = ValueError("a stage broke")
        self.trouble: Exception | None = None
        self.partly = False
        self.busy_s = 0.0
        self.let_go = threading.Event()
        self.shown: list[str] = []
        self.resets = self.closed = 0

    def __call__(self, value: Frame) -> Picture:
        if value.index in self.hangs:
            self.let_go.wait(20)
        if self.fails(value.index):
            raise self.error
        self.trouble = self.error if value.index in self.troubles else None
        rgb = np.full((16, 32, 3), 100 + self.number, np.uint8)
        return Picture(rgb, value.t, value.grabbed_s, value.index)

    def show(self, look: Look, style: Style) -> None:
        self.shown.append(look.style)

    def mirror(self, mirror: bool) -> None:
        self.shown.append(f"mirror {mirror}")

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed += 1


def what(picture: Picture) -> str:
    """The number of the drawing that made it, or "card"."""
    return str(int(picture.rgb[0, 0, 0]) - 100) if picture.rgb.std() == 0 else "card"


def never() -> Drawing:
    raise AssertionError("nothing has to be opened anew")


def test_the_last_picture_for_a_moment_then_a_card_then_the_drawing_again_each_said_once() -> None:
    said: list[str] = []
    first, fails_s = Drawing(fails=lambda i: 10 <= i < 40), 3.0
    hold = Hold(first, never_mind(first), said.append, live=True)
    pictures = [hold(frame(i)) for i in range(100)]
    assert [p.index for p in pictures] == list(range(100))
    kinds = [what(p) for p in pictures]
    held = round(HOLD_S * FPS)
    assert kinds[:10] == ["0"] * 10 and kinds[10 : 9 + held] == ["0"] * (held - 1)
    assert kinds[11 + held : 40] == ["card"] * round(fails_s * FPS - held - 1)
    assert kinds[40:] == ["0"] * 60
    assert len(said) == 2 and "a stage broke" in said[0] and said[1] == "Everything is drawn again."
    assert hold.frames == 30
    assert first.resets == 30
    hold.close()
    assert first.closed >= 1


def never_mind(drawing: Drawing) -> Callable[[], Drawing]:
    """Opening anew gives the same one."""
    return lambda: drawing


def test_a_failure_now_and_then_is_said_once() -> None:
    said: list[str] = []
    drawing = Drawing(fails=lambda i: i % 7 == 3)
    hold = Hold(drawing, never_mind(drawing), said.append, live=True)
    for i in range(300):
        hold(frame(i))
    assert len(said) == 1
    assert hold.frames == 43


def test_a_failure_on_the_first_frame_shows_a_card() -> None:
    hold = Hold(Drawing(fails=lambda i: i == 0), never, lambda _: None, live=True)
    assert np.array_equal(hold(frame(0)).rgb, card("LiveToon starts", SIZE, frame(0)).rgb)


def test_an_engine_that_died_is_opened_anew_in_the_look_of_now_with_longer_and_longer_pauses() -> None:
    opened_at: list[int] = []
    now = 0

    def reopen() -> Drawing:
        opened_at.append(now)
        if len(opened_at) < 4:
            raise EngineError("No GPU.")
        second.hangs.clear()
        return second

    dead, second = Drawing(fails=lambda i: i >= 5), Drawing(1)
    dead.error = EngineError("The GPU is gone.")
    style = load_style("manga")
    said: list[str] = []
    hold = Hold(dead, reopen, said.append, live=True)
    kinds = []
    for now in range(400):
        if now == 8:
            hold.show(Look(style="manga"), style)
            hold.mirror(True)
        kinds.append(what(hold(frame(now))))
    pauses = np.diff(opened_at)
    assert list(pauses) == sorted(pauses) and pauses[0] >= 2 * FPS and pauses[-1] > 1.5 * pauses[0]
    assert kinds[opened_at[-1] :] == ["1"] * (400 - opened_at[-1])
    assert dead.closed == 1
    assert second.shown == ["manga", "mirror True"]
    assert len(said) == 2


def test_a_filter_that_hangs_holds_nothing_up_and_goes_on_when_it_comes_back() -> None:
    drawing = Drawing()
    drawing.hangs = {3}
    hold = Hold(drawing, never, lambda _: None, live=True, patience_s=0.05)
    pictures = [hold(frame(i)) for i in range(6)]
    assert [p.index for p in pictures] == list(range(6))
    assert hold.frames == 3
    drawing.let_go.set()
    while not hold._worker._made._slot:
        threading.Event().wait(0.001)
    late = hold(frame(6))
    assert (late.index, late.t) == (6, 0.6), "what comes late stands in the place of the newest frame"
    assert hold.frames == 3


def test_a_filter_that_never_comes_back_is_left_behind_but_not_without_end() -> None:
    opened: list[Drawing] = []

    def reopen() -> Drawing:
        drawing = Drawing(len(opened) + 1)
        drawing.hangs = set(range(10_000))
        opened.append(drawing)
        return drawing

    first = Drawing()
    first.hangs = set(range(2, 10_000))
    said: list[str] = []
    hold = Hold(first, reopen, said.append, live=True, patience_s=0.02)
    for i in range(round(6 * LEFT_S * FPS)):
        hold(frame(i))
    assert len(opened) == MOST_LEFT
    assert len(said) == 1
    opened[-1].hangs.clear()
    opened[-1].let_go.set()
    while not hold._worker._made._slot:
        threading.Event().wait(0.001)
    i += 1
    assert what(hold(frame(i))) == str(MOST_LEFT), "the card goes when the last one comes back"
    for drawing in (first, *opened):
        drawing.let_go.set()
    hold.close()


def test_trouble_with_faces_is_said_once_and_the_filter_opened_anew_if_it_lasts() -> None:
    first, second = Drawing(), Drawing(1)
    first.troubles = set(range(5, 1000))
    said: list[str] = []
    hold = Hold(first, never_mind(second), said.append, live=True)
    kinds = [what(hold(frame(i))) for i in range(100)]
    assert set(kinds[:25]) == {"0"} and set(kinds[27:]) == {"1"}
    assert [line.split()[0] for line in said] == ["Faces", "Everything"]
    assert hold.frames == 0


def test_a_frame_that_failed_is_not_kept() -> None:
    drawing = Drawing(fails=lambda i: i % 2 == 1)
    hold = Hold(drawing, never_mind(drawing), lambda _: None, live=True)
    kept = []
    gc.collect()
    gc.disable()
    try:
        for i in range(10):
            drawing.error = ValueError("a stage broke")
            given = frame(i)
            kept.append(weakref.ref(given.rgb))
            hold(given)
            del given
        drawing.error = ValueError("another")
        hold(frame(10))
        hold(frame(12))
        assert [reference() is None for reference in kept] == [True] * 10
    finally:
        gc.enable()
        hold.close()


def test_a_conversion_is_patient_for_a_moment_then_ends_with_the_error() -> None:
    drawing = Drawing(fails=lambda i: 3 <= i < 8 or i >= 50)
    hold = Hold(drawing, never, lambda _: None, live=False)
    for i in range(50):
        assert what(hold(frame(i))) == "0", "a conversion holds the last picture"
    with pytest.raises(ValueError, match="a stage broke"):
        for i in range(50, 200):
            hold(frame(i))
    assert i == pytest.approx(50 + LIMIT_S * FPS, abs=2)
    assert LIMIT_S < STEADY_S


def test_a_conversion_ends_at_once_where_the_user_must_act_where_nothing_can_be_held_and_where_it_hangs() -> None:
    for error in (EngineError("The engine died."), ValueError("broken")):
        drawing = Drawing(fails=lambda _: True)
        drawing.error = error
        with pytest.raises(type(error)):
            Hold(drawing, never, lambda _: None, live=False)(frame(0))
    drawing = Drawing()
    drawing.hangs = {1}
    hold = Hold(drawing, never, lambda _: None, live=False, patience_s=0.02)
    hold(frame(0))
    with pytest.raises(HangError):
        hold(frame(1))
    drawing.let_go.set()
