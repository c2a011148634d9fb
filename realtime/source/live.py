"""A source on a thread of its own, newest frame wins: cameras and streams, and clips that are played.

Comes in: something that opens a blocking source. Goes out: its newest frame, on the caller's thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from realtime.errors import SourceError
from realtime.latest import Latest
from realtime.source.contract import Source
from realtime.types import Frame, Size

THREAD_NAME = "source"
_LEAVE_S = 0.5  # how long `close` waits for a device that blocks before it is left to itself


class Live:
    """Opens and reads `open_inner()`'s source on its own thread.

    what: the source in the user's words, for messages, for example "Camera 0 (C920)".
    opens_within_s, frame_within_s: how long opening it and each frame may take; None for as long as it takes.
    paced: frames are held back until they are due by their `t`; else they come when they come.
    from_start: capture at once; else with the first `read`, so that nothing of a clip is lost while others get ready.
    """

    def __init__(
        self,
        open_inner: Callable[[], Source],
        *,
        what: str,
        opens_within_s: float | None = None,
        frame_within_s: float | None = None,
        paced: bool = False,
        from_start: bool = False,
    ) -> None:
        self._open_inner = open_inner
        self._what = what
        self._frame_within_s = frame_within_s
        self._paced = paced
        self._start_s: float | None = None
        self._begin = threading.Event()
        self._closed = threading.Event()
        self._opened: Latest[Source] = Latest()
        self._frames: Latest[Frame] = Latest()
        if from_start:
            self._begin.set()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()
        try:
            inner = self._opened.get(opens_within_s)
        except TimeoutError:
            self.close()
            raise SourceError(
                f"{what} did not give a picture within {opens_within_s:.0f} s. "
                "Close other programs that use it, connect it again, or name another --source."
            ) from None
        except BaseException:
            self.close()
            raise
        assert inner is not None  # the channel of opened sources ends with an error or not at all
        self.name: str = inner.name
        self.live = True
        self.size: Size = inner.size
        self.fps: float = inner.fps
        self.frame_count: int | None = inner.frame_count
        self.clip: Path | None = inner.clip

    def read(self) -> Frame | None:
        """The newest frame that was not read yet, None at the end; raises `SourceError`, also when none comes."""
        try:
            return self.take(self._frame_within_s)
        except TimeoutError:
            raise SourceError(
                f"{self._what} gave no picture for {self._frame_within_s:.0f} s; "
                "it may have been unplugged or lost its connection. Connect it again."
            ) from None

    def take(self, timeout_s: float | None) -> Frame | None:
        """As `read`, but raises `TimeoutError` when no frame came for `timeout_s`: read again later."""
        self._begin.set()
        return self._frames.get(timeout_s)

    def close(self) -> None:
        """Ends the thread; one that is blocked in its device closes it when it comes back."""
        self._closed.set()
        self._begin.set()
        self._frames.finish()
        if self._thread is not threading.current_thread():
            self._thread.join(_LEAVE_S)

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            with self._open_inner() as inner:
                self._opened.put(inner)
                self._begin.wait()
                while not self._closed.is_set() and (frame := inner.read()) is not None:
                    self._frames.put(self._when_due(frame) if self._paced else frame)
            self._frames.finish()
        except Exception as error:  # whatever it is, it belongs to the one who reads
            self._opened.finish(error)
            self._frames.finish(error)

    def _when_due(self, frame: Frame) -> Frame:
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s = now_s - frame.t
        self._closed.wait(max(0.0, self._start_s + frame.t - now_s))
        return replace(frame, grabbed_s=time.monotonic())
