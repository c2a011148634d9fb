import os
import signal
import threading
import time

import numpy as np
import pytest

from realtime.errors import EngineError
from realtime.loop import Stop, run_loop
from realtime.stats import Stats
from realtime.types import Frame, Missing, Picture, Size


def frame(index: int, fps: float = 30) -> Frame:
    return Frame(np.full((16, 16, 3), index % 256, np.uint8), index / fps, index / fps, index)


def draw(value: Frame) -> Picture:
    return Picture(value.rgb, value.t, value.grabbed_s, value.index)


class ListSource:
    def __init__(self, indexes: list[int]) -> None:
        self._frames = [frame(i) for i in indexes]

    def read(self) -> Frame | None:
        return self._frames.pop(0) if self._frames else None


class BlockedSource:
    """A camera that hangs."""

    def __init__(self) -> None:
        self.entered = threading.Event()

    def read(self) -> Frame | None:
        self.entered.set()
        for _ in range(400):  # in slices, as every source: a signal that comes just before a wait does not end it
            threading.Event().wait(0.05)
        return None


def test_pictures_keep_order_and_number_and_drops_are_counted() -> None:
    sent: list[Picture] = []
    stats = Stats()
    run_loop(ListSource([0, 1, 2, 5, 6, 9]), draw, sent.append, stats, Stop())
    assert [p.index for p in sent] == [0, 1, 2, 5, 6, 9]
    assert (stats.frames_in, stats.frames_out, stats.dropped) == (10, 6, 4)


def test_what_was_asked_for_is_done_before_each_frame_one_that_is_missing_too() -> None:
    done: list[str] = []
    source = ListSource([0, 1])
    source._frames.insert(1, Missing("away", Size(16, 16), 0.0, 0.0, 1))  # type: ignore[arg-type]

    def send(picture: Picture) -> None:
        done.append(f"sent {picture.index}")

    run_loop(source, draw, send, Stats(), Stop(), lambda: done.append("between"))
    assert done == ["between", "sent 0", "between", "sent 1", "between", "sent 1", "between"]


def test_what_a_camera_gave_before_the_first_frame_was_taken_is_not_a_drop() -> None:
    stats = Stats()
    run_loop(ListSource([70, 71, 73]), draw, lambda _: None, stats, Stop())
    assert (stats.frames_in, stats.frames_out, stats.dropped) == (4, 3, 1)


def test_frames_and_seconds_limit_the_run() -> None:
    sent: list[Picture] = []
    source = ListSource(list(range(100)))
    run_loop(source, draw, sent.append, Stats(), Stop(frames=7))
    assert len(sent) == 7
    assert source.read() is not None, "the frame after the limit must not be taken"
    sent.clear()
    run_loop(ListSource(list(range(100))), draw, sent.append, Stats(), Stop(seconds=1))
    assert len(sent) == 30


def test_a_failing_sink_ends_the_run_with_its_error() -> None:
    def fail(_: Picture) -> None:
        raise EngineError("the disk is full")

    with pytest.raises(EngineError, match="full"):
        run_loop(ListSource([0]), draw, fail, Stats(), Stop())


def test_interrupt_while_the_source_hangs_leaves_in_under_a_second() -> None:
    source, stop = BlockedSource(), Stop()

    def interrupt() -> None:
        source.entered.wait(5)
        os.kill(os.getpid(), signal.SIGINT)

    with stop.on_signals():
        threading.Thread(target=interrupt).start()
        started = time.monotonic()
        run_loop(source, draw, lambda _: None, Stats(), stop)
    assert time.monotonic() - started < 5
    assert stop.asked


def test_interrupt_while_a_picture_is_drawn_finishes_that_picture() -> None:
    sent: list[Picture] = []
    stop = Stop()

    def slow_draw(value: Frame) -> Picture:
        if value.index == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return draw(value)

    with stop.on_signals():
        run_loop(ListSource(list(range(10))), slow_draw, sent.append, Stats(), stop)
    assert [p.index for p in sent] == [0, 1, 2]


def test_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stop().on_signals():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_card_stands_for_a_frame_that_is_missing() -> None:
    class Away:
        def __init__(self) -> None:
            self._given: list[Frame | Missing] = [frame(0), Missing("No camera", Size(32, 16), 0.5, 0.5, 1), frame(2)]

        def read(self) -> Frame | Missing | None:
            return self._given.pop(0) if self._given else None

    sent: list[Picture] = []
    stats = Stats()
    run_loop(Away(), draw, sent.append, stats, Stop())
    assert [(p.index, p.size) for p in sent] == [(0, Size(16, 16)), (1, Size(32, 16)), (2, Size(16, 16))]
    assert stats.frames_out == 2, "a card is no drawn frame"
