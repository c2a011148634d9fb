"""A clip's next frame is decoded while this one is drawn, and can be looked at before it is its turn.

Comes in: a source that gives every frame in order. Goes out: the same frames, in order, on the caller's thread; the
source is read on a thread of its own. Not for live sources: there the newest frame wins, and waiting for one is right.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Self

from realtime.loop import Frames
from realtime.types import Frame, Missing

THREAD_NAME = "source ahead"
_SLICE_S = 0.1  # an untimed wait on a lock cannot be interrupted on Windows
_LEAVE_S = 2.0


class ReadAhead:
    """One frame ahead of its reader. A context manager: closing ends the thread, not the source."""

    def __init__(self, source: Frames[Frame | Missing]) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._ready: deque[Frame | Missing | Exception | None] = deque()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def read(self) -> Frame | Missing | None:
        """The next frame, None at the end; raises what the source raised."""
        with self._changed:
            while not self._ready and not self._closed:
                self._changed.wait(_SLICE_S)
            if not self._ready:
                return None
            value = self._ready[0]
            if value is None or isinstance(value, Exception):  # stays: the end is the end
                if value is None:
                    return None
                raise value
            self._ready.popleft()
            self._changed.notify_all()
            return value

    def peek(self) -> Frame | None:
        """The frame that `read` will give next, if it is decoded already. Any thread."""
        with self._changed:
            value = self._ready[0] if self._ready else None
            return value if isinstance(value, Frame) else None

    def close(self) -> None:
        """Ends the thread; what was read ahead is dropped."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(_LEAVE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        value: Frame | Missing | Exception | None
        while True:
            try:
                value = self._source.read()
            except Exception as error:
                value = error
            with self._changed:
                if self._closed:
                    return
                self._ready.append(value)
                self._changed.notify_all()
                if value is None or isinstance(value, Exception):
                    return
                del value  # a frame must not live on until the next one comes
                while self._ready and not self._closed:
                    self._changed.wait()
