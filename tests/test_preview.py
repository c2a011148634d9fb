"""The preview on the loop's side: its window's process is a thread here, but for one test."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest

from realtime.card import card
from realtime.errors import SinkError
from realtime.sinks import preview as module
from realtime.sinks.preview import BLOCKED_S, STEADY_S, Preview
from realtime.sinks.window import NO_WINDOW, Ended, Pressed, Shown, Taken, display_answers, image_in, run_window
from realtime.types import Frame, Picture, Size, read_only

SIZE = Size(64, 48)
Run = Callable[[Connection, Any, Any], None]


def picture(index: int = 0) -> Picture:
    return Picture(read_only(np.full((48, 64, 3), 200, np.uint8)), index / 30, 0.0, index)


def frame(index: int = 0) -> Frame:
    return Frame(read_only(np.full((48, 64, 3), 77, np.uint8)), index / 30, 0.0, index)


class InThread:
    """Stands in for the window's process; `run` is what it does, given its end of the pipe, the drawing, the photo."""

    run: Run
    starts = 0

    def __init__(self, target: object, args: tuple[Any, ...], name: str, daemon: bool) -> None:
        InThread.starts += 1
        end, drawn, photo = Connection(os.dup(args[0].fileno())), image_in(args[1], args[3]), image_in(args[2], args[3])

        def call() -> None:
            with end, suppress(EOFError, OSError):
                type(self).run(end, drawn, photo)

        self._thread = threading.Thread(target=call, daemon=True)
        self.start, self.join, self.is_alive = self._thread.start, self._thread.join, self._thread.is_alive

    def kill(self) -> None:
        pass


class Spawn:
    Pipe = staticmethod(multiprocessing.Pipe)
    RawArray = staticmethod(multiprocessing.get_context("spawn").RawArray)
    Process = InThread


class Trial:
    """A preview whose window does what `run` says, on a clock that only the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, run: Run, mirrored: bool = True) -> None:
        monkeypatch.setattr(module, "_SPAWN", Spawn)
        monkeypatch.setattr(module, "display_answers", lambda: True)
        InThread.run, InThread.starts = staticmethod(run), 0  # type: ignore[assignment]
        self.now_s = 100.0
        self.swapped = False
        self.pressed: list[str] = []
        self.said: list[str] = []
        self.index = 0
        self.preview = Preview(
            SIZE,
            status=lambda: ("status",),
            on_key=self.pressed.append,
            mirrored=mirrored,
            say=self.said.append,
            is_mirrored=lambda: self.swapped,
            clock=lambda: self.now_s,
        )

    def until(self, what: Callable[[], bool], send: Callable[[int], Picture] = picture) -> None:
        """Pictures are sent until it is so."""
        for _ in range(1000):
            if what():
                return
            self.preview.photo(frame(self.index))
            self.preview.send(send(self.index))
            self.index += 1
            threading.Event().wait(0.005)
        raise AssertionError("it never happened")


def takes(seen: list[tuple[Shown, int, int]], split: Callable[[int], bool] = lambda _: False) -> Run:
    """A window that takes what comes and notes it, with the drawing's and the photo's first value."""

    def run(end: Connection, drawn: Any, photo: Any) -> None:
        end.send(Taken(False))
        while (shown := end.recv()) is not None:
            seen.append((shown, int(drawn[0, 0, 0]), int(photo[0, 0, 0])))
            end.send(Taken(split(len(seen))))

    return run


def test_pictures_arrive_as_a_mirror_and_what_others_see_mirrored_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Shown, int, int]] = []
    trial = Trial(monkeypatch, takes(seen))
    with trial.preview:
        trial.until(lambda: len(seen) == 1)
        assert seen[0] == (Shown(("status",), photo=False, flip_drawn=True, flip_photo=True), 200, 0)
        trial.swapped = True
        trial.until(lambda: not seen[-1][0].flip_drawn)
        assert seen[-1][0].flip_photo, "the photo is not mirrored yet"
        trial.swapped = False
        trial.until(lambda: not seen[-1][0].flip_drawn, lambda i: card("Paused", SIZE, picture(i)))
    trial = Trial(monkeypatch, takes(seen), mirrored=False)
    with trial.preview:
        seen.clear()
        trial.until(lambda: len(seen) == 1)
        assert not seen[0][0].flip_drawn and not seen[0][0].flip_photo


def test_the_photo_is_given_while_the_window_asks_for_it_and_then_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Shown, int, int]] = []
    trial = Trial(monkeypatch, takes(seen, lambda count: 3 <= count < 6))
    with trial.preview:
        trial.until(lambda: len(seen) >= 9)
        photos = [shown.photo for shown, _, _ in seen[:9]]
        assert photos[:3] == [False] * 3 and any(photos[3:6]) and not any(photos[6:])
        assert all(value == (77 if shown.photo else 0) for shown, _, value in seen[:9]), "nothing stays in memory"
        assert not trial.preview._frames


def test_no_photo_is_shown_with_a_picture_that_was_not_made_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Shown, int, int]] = []
    trial = Trial(monkeypatch, takes(seen, lambda _: True))
    with trial.preview:
        trial.until(lambda: len(seen) >= 4, lambda i: picture(i + 1000))
        assert not any(shown.photo for shown, _, _ in seen)


def test_keys_are_passed_on_and_a_closed_window_is_q_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(end: Connection, drawn: Any, photo: Any) -> None:
        for told in (Taken(False), Pressed("n"), Pressed(" "), Ended()):
            end.send(told)

    trial = Trial(monkeypatch, run)
    trial.until(lambda: "q" in trial.pressed)
    trial.preview.send(picture())
    trial.preview.close()
    trial.preview.close()
    assert trial.pressed == ["n", " ", "q"]
    assert InThread.starts == 1


def test_a_window_that_hangs_never_blocks_and_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, taken = threading.Event(), []

    def run(end: Connection, drawn: Any, photo: Any) -> None:
        end.send(Taken(False))
        taken.append(end.recv())
        let_go.wait(20)
        end.send(Taken(False))

    trial = Trial(monkeypatch, run)
    trial.until(lambda: bool(taken))
    for _ in range(5):
        trial.now_s += BLOCKED_S
        trial.preview.send(picture())
    assert len(trial.said) == 1 and "takes no pictures" in trial.said[0]
    let_go.set()
    trial.until(lambda: len(trial.said) > 1)
    assert trial.said[1] == "The preview is back."
    trial.preview.close()


def test_a_window_that_dies_is_opened_again_after_longer_and_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run(end: Connection, drawn: Any, photo: Any) -> None:
        end.send(Taken(True))
        seen.append(end.recv())
        if InThread.starts >= 4:
            while end.recv() is not None:
                end.send(Taken(False))

    trial = Trial(monkeypatch, run)
    for starts, pause_s in ((1, 1.0), (2, 2.0), (3, 4.0)):
        trial.until(lambda starts=starts: len(seen) == starts)  # type: ignore[misc]
        trial.until(lambda: trial.preview._end is None)
        assert not trial.preview._split and not trial.preview._photo.any(), "the photo is not wanted any more"
        trial.now_s += pause_s - 0.1
        trial.preview.send(picture())
        assert InThread.starts == starts, "it is too early"
        trial.now_s += 0.2
        trial.preview.send(picture())
        assert InThread.starts == starts + 1
    trial.now_s += STEADY_S
    trial.until(lambda: len(trial.said) > 1)
    assert "opened again" in trial.said[0] and trial.said[1:] == ["The preview is back."]
    trial.preview.close()


def test_where_no_window_can_be_opened_at_all_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(end: Connection, drawn: Any, photo: Any) -> None:
        end.send(Ended(NO_WINDOW))

    trial = Trial(monkeypatch, run)
    with pytest.raises(SinkError, match="cannot open a window"):
        trial.until(lambda: False)
    trial.preview.send(picture())
    monkeypatch.setattr(module, "display_answers", lambda: False)
    with pytest.raises(SinkError, match="none answers"):
        Preview(SIZE, status=lambda: (), on_key=lambda _: None, mirrored=True, say=print)


def test_the_process_ends_when_there_is_no_screen_or_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    memory = [context.RawArray("B", 64 * 48 * 3) for _ in "dp"]
    process = context.Process(target=run_window, args=(theirs, *memory, SIZE, ()), daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(60)
    assert ours.recv() == Ended("The preview needs a screen, and none answers here (is DISPLAY set?).")
    process.join(30)
    assert process.exitcode == 0


def test_large_pictures_are_shrunk_before_they_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", Size(32, 32))
    seen: list[tuple[Shown, int, int]] = []
    trial = Trial(monkeypatch, takes(seen))
    with trial.preview:
        assert trial.preview._drawn.shape == (24, 32, 3)
        trial.until(lambda: len(seen) == 1)
        assert seen[0][1] == 200


def test_no_answer_from_x_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.sinks.window.sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not display_answers()
    monkeypatch.setenv("DISPLAY", "localhost:4711")
    assert not display_answers()
