"""The loop: frames come from the source, pictures go to the sinks, in order, until one side ends or the user stops.

Runs on the main thread. Stopping is asked for by a flag between two frames, or, while a source blocks, by an
interrupt, so that no picture is ever cut in half.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, TypeVar

from realtime.card import card
from realtime.memory import GiveBack
from realtime.stats import Stats
from realtime.types import Frame, Missing, Picture

F = TypeVar("F", bound=Frame | Missing, covariant=True)


class Frames(Protocol[F]):
    """What the loop needs of a source."""

    def read(self) -> F | None:
        """The next frame, where the source can tell `Missing` while there is none, None at the end."""


class Stop:
    """Whether the run is to end: by the user (Ctrl-C, q) or by a limit on frames or seconds of the source's time."""

    def __init__(self, frames: int | None = None, seconds: float | None = None) -> None:
        self._frames = frames
        self._seconds = seconds
        self._first_s: float | None = None
        self._taken = 0
        self._interruptible = False
        self.asked = False

    def ask(self) -> None:
        """End after the picture that is being made."""
        self.asked = True

    def before(self, frame: Frame | Missing) -> bool:
        """Whether the run ends before this frame; one that is missing does not count as taken."""
        if self._first_s is None:
            self._first_s = frame.t
        if self.asked or (self._seconds is not None and frame.t - self._first_s >= self._seconds):
            return True
        self._taken += isinstance(frame, Frame)
        return False

    @property
    def reached(self) -> bool:
        """Whether no further frame is wanted."""
        return self.asked or (self._frames is not None and self._taken >= self._frames)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Ctrl-C and termination ask for the end; only a blocked `read` is interrupted."""

        def on_signal(number: int, _: FrameType | None) -> None:
            self.asked = True
            if self._interruptible:
                raise KeyboardInterrupt

        before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def next_frame(self, source: Frames[F]) -> F | None:
        """The source's next frame; None at its end or when the user stopped."""
        try:
            self._interruptible = True
            if self.asked:
                return None
            return source.read()
        except KeyboardInterrupt:
            return None
        finally:
            self._interruptible = False


def run_loop(
    source: Frames[Frame | Missing],
    draw: Callable[[Frame], Picture],
    send: Callable[[Picture], None],
    stats: Stats,
    stop: Stop,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Draws every frame the source gives until it ends or `stop` says so; a card stands for what is missing.

    between: called before each frame.
    """
    give_back = GiveBack()
    while not stop.reached:
        give_back()
        between()
        frame = stop.next_frame(source)
        if frame is None or stop.before(frame):
            break
        if isinstance(frame, Missing):
            send(card(frame.why, frame.size, frame))
            continue
        stats.took(frame.index)
        picture = draw(frame)
        send(picture)
        stats.delivered(picture.grabbed_s)
