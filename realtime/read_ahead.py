"""The next frame is fetched while this one is drawn, and can be looked at before it is its turn.

Comes in: a source. Goes out: the same frames, in order, on the caller's thread; the source is read on a thread of its
own, a frame or two ahead: a clip decodes on, a live source gives its newest when the one before was taken.
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
    """Some frames ahead of its reader, `depth` at most, from the first `read` on: a live source's frame would be old by
    then. A context manager: closing ends the thread, not the source.
    """

    def __init__(self, source: Frames[Frame | Missing], depth: int = 1) -> None:
        self._source = source
        self._depth = depth
        self._changed = threading.Condition()
        self._ready: deque[Frame | Missing | Exception | None] = deque()
        self._last: Frame | Missing | Exception | None = None  # that was given
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def read(self) -> Frame | Missing | None:
        """The next frame, None at the end; raises what the source raised."""
        if self._thread.ident is None and not self._closed:
            self._thread.start()
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
            self._last = self._ready.popleft()
            self._changed.notify_all()
            return value

    def peek(self, after: Frame, within_s: float = 0.0) -> Frame | None:
        """The frame that follows `after`, if `read` has not given it yet and it is there within so long. Any thread."""
        with self._changed:
            if (value := self._following(after)) is None:
                self._changed.wait(within_s)
                value = self._following(after)
            return value

    def _following(self, after: Frame) -> Frame | None:
        before: Frame | Missing | Exception | None = self._last
        for value in self._ready:
            if before is after:
                return value if isinstance(value, Frame) else None
            before = value
        return None

    def close(self) -> None:
        """Ends the thread; what was read ahead is dropped."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        if self._thread.ident is not None:
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
                while len(self._ready) >= self._depth and not self._closed:
                    self._changed.wait()
