import threading
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import EngineError
from realtime.ink.touch_up import TouchUp
from realtime.layers import Finish
from realtime.page import Page
from realtime.reshape import Shape
from realtime.settings import Look
from realtime.style_loader import StyleLoader, Wish
from realtime.styles import Style

WAIT_S = 20


class Stage:
    """An opened style that counts itself."""

    open = 0

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.closed = False
        Stage.open += 1

    def begin(self, scene: Any) -> Any:
        raise AssertionError

    def draw(self, begun: Any) -> Any:
        raise AssertionError

    def show(self, look: Look, style: Style) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None:
        assert not self.closed
        self.closed = True
        Stage.open -= 1


class Slow:
    """Opens a style when it is let."""

    def __init__(self) -> None:
        self.may = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.said: list[str] = []
        self.opened: list[str] = []
        self.loader = StyleLoader(self, wish("first"), self.said.append)

    def __call__(self, wish: Wish) -> Stage:
        self.begun.release()
        assert self.may.acquire(timeout=WAIT_S)
        self.opened.append(wish.style.name)
        if wish.style.name == "broken":
            raise EngineError("It is damaged.")
        return Stage(wish)

    def done(self) -> None:
        """Waits until nothing is being opened."""
        while (thread := self.loader._thread) is not None:
            thread.join(WAIT_S)


def wish(name: str, strength: float = 1.0, room: str | None = None) -> Wish:
    style = Style(name, name, "MIT", Path(name), Path("face"), Finish(), TouchUp(), Page(), Shape())
    return Wish(Look(style=name, strength=strength, room_style=room), style)


@pytest.fixture
def slow() -> Slow:
    Stage.open = 0
    return Slow()


def test_what_was_asked_for_is_handed_over_once_when_it_is_ready(slow: Slow) -> None:
    slow.loader.load(wish("meadow"))
    assert slow.loader.take() is None, "asking does not wait"
    assert slow.loader.state == "loading meadow"
    slow.may.release()
    slow.done()
    taken = slow.loader.take()
    assert taken is not None
    assert taken[0].style.name == slow.loader.last.style.name == "meadow"
    assert slow.loader.take() is None
    assert slow.loader.state == ""
    assert Stage.open == 1


def test_the_newest_wish_wins_and_what_nobody_wants_is_closed(slow: Slow) -> None:
    slow.loader.load(wish("meadow"))
    assert slow.begun.acquire(timeout=WAIT_S)
    slow.loader.load(wish("comic"))
    slow.loader.load(wish("sketch"))
    slow.may.release(3)
    slow.done()
    taken = slow.loader.take()
    assert taken is not None
    assert taken[0].style.name == "sketch"
    assert slow.opened == ["meadow", "sketch"], "what was never begun is not opened"
    assert Stage.open == 1


def test_numbers_that_change_while_it_loads_are_those_handed_over(slow: Slow) -> None:
    slow.loader.load(wish("meadow"))
    assert slow.begun.acquire(timeout=WAIT_S)
    slow.loader.load(wish("meadow", strength=0.4))
    slow.may.release()
    slow.done()
    taken = slow.loader.take()
    assert taken is not None
    assert taken[0].look.strength == 0.4
    assert slow.opened == ["meadow"]


def test_what_is_cancelled_is_closed_when_it_is_ready_or_already(slow: Slow) -> None:
    slow.may.release(2)
    slow.loader.load(wish("meadow"))
    slow.done()
    slow.loader.cancel()
    slow.loader.load(wish("comic"))
    slow.loader.cancel()
    slow.done()
    assert slow.loader.take() is None
    assert Stage.open == 0


def test_a_style_that_cannot_be_opened_is_said_and_another_can(slow: Slow) -> None:
    slow.may.release(2)
    slow.loader.load(wish("broken"))
    slow.done()
    assert slow.loader.take() is None
    assert slow.loader.state == "broken cannot be shown"
    assert slow.said == ["The style broken cannot be shown, the one before stays: It is damaged."]
    assert slow.loader.last.style.name == "first"
    slow.loader.load(wish("meadow"))
    slow.done()
    assert slow.loader.take() is not None


def test_a_thousand_wishes_leave_one_open_and_no_thread(slow: Slow) -> None:
    threads = threading.active_count()
    slow.may.release(1000)
    held: Stage | None = None
    for i in range(1000):
        slow.loader.load(wish(f"style {i % 7}"))
        if (taken := slow.loader.take()) is not None:
            if held is not None:
                held.close()
            held = taken[1]  # type: ignore[assignment]
    slow.done()
    assert threading.active_count() == threads
    slow.loader.cancel()
    assert Stage.open == (held is not None)


def test_another_room_is_another_set_of_generators() -> None:
    assert wish("webtoon").shares_generators(wish("webtoon", strength=0.1))
    assert not wish("webtoon").shares_generators(wish("webtoon", room="meadow"))
