import threading

import numpy as np
import pytest

from realtime.errors import SourceError
from realtime.read_ahead import ReadAhead
from realtime.types import Frame, Missing, Size, read_only

PICTURE = read_only(np.zeros((4, 4, 3), np.uint8))


class Clip:
    """Gives frames, then ends or fails; `reads` tells how far it was read."""

    def __init__(self, frames: int, error: Exception | None = None) -> None:
        self._frames, self._error = frames, error
        self.reads = 0

    def read(self) -> Frame | Missing | None:
        self.reads += 1
        if self.reads <= self._frames:
            return Frame(PICTURE, self.reads / 30, 0.0, self.reads - 1)
        if self._error is not None:
            raise self._error
        return None


def test_every_frame_comes_in_order_and_then_the_end_again_and_again() -> None:
    with ReadAhead(Clip(50)) as ahead:
        frames = [ahead.read() for _ in range(50)]
        assert [f.index for f in frames if isinstance(f, Frame)] == list(range(50))
        assert ahead.read() is None and ahead.read() is None


def test_what_is_peeked_at_is_the_very_frame_that_comes_next_and_no_more_is_read() -> None:
    clip = Clip(50)
    with ReadAhead(clip) as ahead:
        first = ahead.read()
        assert isinstance(first, Frame)
        peeked = ahead.peek(first, 20)
        assert peeked is not None and peeked.index == 1
        assert ahead.peek(first) is peeked and clip.reads == 2
        assert ahead.read() is peeked


def test_what_follows_a_frame_cannot_be_peeked_at_once_it_was_read() -> None:
    with ReadAhead(Clip(50)) as ahead:
        first, second = ahead.read(), ahead.read()
        assert isinstance(first, Frame) and isinstance(second, Frame)
        assert ahead.peek(first, 0.01) is None, "the third is there by now, and the second would be left out"
        assert ahead.peek(second, 20) is ahead.read()


def test_an_error_comes_after_the_frames_before_it() -> None:
    with ReadAhead(Clip(2, SourceError("gone"))) as ahead:
        assert isinstance(ahead.read(), Frame) and isinstance(ahead.read(), Frame)
        for _ in range(2):
            with pytest.raises(SourceError, match="gone"):
                ahead.read()
        assert ahead.peek(Frame(PICTURE, 0.0, 0.0, 0)) is None


def test_what_is_missing_is_given_but_cannot_be_looked_at() -> None:
    class Away:
        def read(self) -> Missing:
            return Missing("away", Size(4, 4), 0.0, 0.0, 0)

    with ReadAhead(Away()) as ahead:
        assert isinstance(ahead.read(), Missing)
        assert ahead.peek(Frame(PICTURE, 0.0, 0.0, 0)) is None


def test_closing_ends_the_thread_while_frames_are_left() -> None:
    clip = Clip(50)
    ahead = ReadAhead(clip)
    assert clip.reads == 0, "what is read before it is wanted is old when it is"
    assert isinstance(ahead.read(), Frame)
    ahead.close()
    assert not any(t.name == "source ahead" and t.is_alive() for t in threading.enumerate())
    assert ahead.read() is None
