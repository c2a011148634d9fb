"""A live source that comes back: unplugged, frozen, dark or cut off, it is opened anew until it gives frames again.

Comes in: something that opens the source. Goes out: its frames on one clock and one count, and `Missing` while there is
none. On the caller's thread; opening runs on a thread of its own, so that the sinks get their card meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from realtime.errors import SourceError
from realtime.idle import LOOK_S
from realtime.source.live import THREAD_NAME, Live
from realtime.source.rate import Rate
from realtime.types import Frame, Missing, Size
from realtime.watchdog import Worker

QUIET_S = 2.0  # without a frame, or with black ones, after which the viewer is told
CARD_S = 0.5  # between two cards
STEADY_S = 5.0  # of frames without a break: what broke before is over
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 10.0
_MOST_BLOCKED = 3  # threads that are left in a device that blocks
_BLACK = 20  # of 255: no pixel of a covered camera is lighter, even with its noise


class Lasting:
    """open_: opens the source at a size, None for its own; the first time here and now, raising its `SourceError`.

    what: it in the user's words. frame_within_s: without a frame for so long it is opened anew.
    ends: whether its end is the end; else it is a break too. dark: whether black frames are told to the viewer.
    rate: whether the user is told how many frames a second come.
    rests: asked before every frame; while it says so, the source is let go and nothing is missed.
    """

    def __init__(
        self,
        open_: Callable[[Size | None], Live],
        *,
        what: str,
        say: Callable[[str], None],
        frame_within_s: float,
        ends: bool,
        dark: bool,
        rate: bool = False,
        rests: Callable[[], bool] = lambda: False,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._open = open_
        self._rests = rests
        self._rate: Rate | None = None
        self._what = what
        self._say = say
        self._frame_within_s = frame_within_s
        self._ends = ends
        self._dark = dark
        self._closed = threading.Event()
        self._wait = self._closed.wait if wait is None else wait
        self._live: Live | None = open_(None)
        self._opener: Worker[Size, Live] | None = None
        self.name = self._live.name
        self.live = True
        self.size = self._live.size
        self.fps = self._live.fps
        if rate:
            self._rate = Rate(what, self.fps, say)
        self.frame_count: int | None = self._live.frame_count if ends else None
        self.clip: Path | None = self._live.clip
        self._quiet_s = 0.0  # waited for without a frame; not by the clock: a process may be stopped and go on
        self._retry_in_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._why = ""
        self._broken = False  # what was said last
        self._steady_since_t: float | None = None
        self._black_since_t: float | None = None
        self._covered = False  # what was said last
        self._shift_s = 0.0  # of this opening's clock and count to the one that goes out
        self._shift_index = 0
        self._shifted = True
        self._last_t, self._last_index = 0.0, -1
        self._last_s = time.monotonic()

    def read(self) -> Frame | Missing | None:
        """The next frame, `Missing` while there is none, None at the end."""
        while not self._closed.is_set():
            if self._rests():
                return self._rested()
            if self._live is None:
                if not self._reopened():
                    return self._missing(self._why)
                continue
            try:
                frame = self._live.take(CARD_S)
            except TimeoutError:
                self._quiet_s += CARD_S
                if self._quiet_s >= self._frame_within_s:
                    self._lose(f"{self._what} gives no pictures any more.")
                    continue
                if self._quiet_s >= QUIET_S:
                    return self._missing("No picture from the camera")
                continue
            except Exception as error:  # whatever a device or a damaged stream makes of it
                self._lose(str(error) if isinstance(error, SourceError) else f"{self._what} failed ({error}).")
                continue
            if frame is not None:
                return self._seen(frame)
            if self._ends or self._closed.is_set():
                return None
            self._lose(f"{self._what} has ended.")
        return None

    def close(self) -> None:
        """Lets go of the source, also of one that is being opened."""
        self._closed.set()
        if self._opener is not None:
            self._opener.close(0.0)
        if self._live is not None:
            self._live.close()

    def __enter__(self) -> Lasting:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rested(self) -> Missing:
        """The source is let go; waits for `CARD_S`, or until it is wanted again. Who comes then sees this card."""
        if self._live is None and self._opener is not None and self._opener.busy:
            self._reopened()  # one that comes only now is let go too
        if self._live is not None:
            self._live.close()
            self._live = None
        self._quiet_s = self._retry_in_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._steady_since_t = self._black_since_t = None
        self._why = "LiveToon wakes up"
        waited_s = 0.0
        while waited_s < CARD_S and not self._closed.is_set() and self._rests():
            self._wait(LOOK_S)
            waited_s += LOOK_S
        return self._missing(self._why)

    def _lose(self, why: str) -> None:
        """The source is let go; the user is told, once, until it has been back for a while."""
        assert self._live is not None
        self._live.close()
        self._live = None
        self._quiet_s = 0.0
        self._steady_since_t = None
        self._retry_in_s = self._retry_s
        self._why = "The camera is away"
        if not self._broken:
            self._broken = True
            self._say(f"{why} It is tried again until it is back.")

    def _reopened(self) -> bool:
        """Whether the source is open again; waits for it for `CARD_S` at most."""
        if self._opener is None or not self._opener.busy:
            if self._retry_in_s > 0:
                step_s = min(CARD_S, self._retry_in_s)
                self._wait(step_s)
                self._retry_in_s -= step_s
                if self._retry_in_s > 0:
                    return False
            if self._opener is None:
                self._opener = Worker(self._open_again, "source opener")
            self._opener.give(self.size)
        try:
            self._live = self._opener.take(CARD_S)
        except TimeoutError:
            if self._opener.busy:
                return False
            self._try_later()
            return False
        except Exception:  # it is still away, whatever that looks like
            self._try_later()
            return False
        self._shifted = False
        return True

    def _open_again(self, size: Size) -> Live:
        if sum(thread.name == THREAD_NAME for thread in threading.enumerate()) >= _MOST_BLOCKED:
            raise SourceError(f"{self._what} blocks.")  # devices that never came back: another one would not either
        live = self._open(size)
        if self._closed.is_set() or live.size != size:
            live.close()
            raise SourceError(f"{self._what} gives {live.size} instead of {size}.")
        return live

    def _try_later(self) -> None:
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)
        self._retry_in_s = self._retry_s

    def _seen(self, frame: Frame) -> Frame | Missing:
        """The frame on the clock and count that go out; a card for one of a covered camera."""
        self._quiet_s = 0.0
        if not self._shifted:
            self._shifted = True
            self._shift_s = self._now_t() - frame.t
            self._shift_index = self._last_index + 1 - frame.index
        frame = replace(frame, t=frame.t + self._shift_s, index=frame.index + self._shift_index)
        self._last_t, self._last_index, self._last_s = frame.t, frame.index, time.monotonic()
        if self._steady_since_t is None:
            self._steady_since_t = frame.t
        if self._broken and frame.t - self._steady_since_t >= STEADY_S:
            self._broken = False
            self._retry_s = FIRST_RETRY_S
            self._say(f"{self._what} is back.")
        if self._rate is not None:
            self._rate.seen(frame)
        return self._unless_black(frame)

    def _unless_black(self, frame: Frame) -> Frame | Missing:
        if not self._dark or frame.rgb[::16, ::16].max() > _BLACK:
            if self._covered:
                self._covered = False
                self._say(f"{self._what} sees something again.")
            self._black_since_t = None
            return frame
        if self._black_since_t is None:
            self._black_since_t = frame.t
        if frame.t - self._black_since_t < QUIET_S:
            return frame
        if not self._covered:
            self._covered = True
            self._say(f"{self._what} gives black pictures; is its cover closed?")
        return Missing("The camera is covered", self.size, frame.t, frame.grabbed_s, frame.index)

    def _now_t(self) -> float:
        """The time that goes out, while no frame tells it."""
        return self._last_t + time.monotonic() - self._last_s

    def _missing(self, why: str) -> Missing:
        now_s, now_t = time.monotonic(), self._now_t()
        self._last_t, self._last_s = now_t, now_s
        return Missing(why, self.size, now_t, now_s, self._last_index + 1)
