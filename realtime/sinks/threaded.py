"""A sink that may block, on a thread of its own: it gets the newest picture, and the loop never waits for it.

Comes in: pictures on the loop's thread. Goes out: the newest of them to the sink, on the sink's thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from realtime.errors import SinkError
from realtime.latest import Latest
from realtime.sinks.contract import Sink
from realtime.types import Picture

STALE_S = 4.0  # without a picture: the loop itself hangs, and the sink shows a card
BLOCKED_S = 5.0  # in one picture: the sink takes none at the moment, which is said
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
STEADY_S = 5.0  # without a failure: what failed before is over
_LEAVE_S = 0.5  # how long `close` waits for a sink that blocks before it is left to itself


class Threaded:
    """Sends to `inner`, which it closes.

    first: shown until the first picture comes. repeat_s: the last picture is sent again when none came for so long,
    since a receiver that joins late would see nothing. stale: what is shown instead once none came for `STALE_S`.
    reopen: opens the sink anew after it failed, again and again until it works; without, its `SinkError` is raised.
    leave_s: for how long closing waits: a file takes a while to finish.
    """

    def __init__(
        self,
        inner: Sink,
        *,
        first: Picture | None = None,
        repeat_s: float | None = None,
        stale: Callable[[Picture], Picture] | None = None,
        reopen: Callable[[], Sink] | None = None,
        say: Callable[[str], None] = lambda _: None,
        leave_s: float = _LEAVE_S,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.name: str = inner.name
        self._inner: Sink | None = inner
        self._repeat_s = repeat_s
        self._stale = stale
        self._reopen = reopen
        self._say = say
        self._leave_s = leave_s
        self._clock = clock
        self._pictures: Latest[Picture] = Latest()
        self._closed = threading.Event()
        self._wait = self._closed.wait if wait is None else wait
        self._error: SinkError | None = None
        self._raised = False
        self._sending_since_s: float | None = None
        self._blocked = False  # what was said last, and so the next two
        self._failing = False
        self._works_since_s: float | None = None
        self._pause_s = FIRST_RETRY_S
        if first is not None:
            self._pictures.put(first)
        self._thread = threading.Thread(target=self._run, name=f"sink {inner.name}", daemon=True)
        self._thread.start()

    def send(self, picture: Picture) -> None:
        """Leaves the picture for the sink's thread; raises the `SinkError` that happened there."""
        if self._error is not None:
            self._raised = True
            raise self._error
        since_s = self._sending_since_s
        blocked = since_s is not None and self._clock() - since_s > BLOCKED_S
        if blocked and not self._blocked:
            self._blocked = True
            self._say(f"{self.name} takes no pictures at the moment; the others go on.")
        self._pictures.put(picture)

    def close(self) -> None:
        """Sends what is left and closes the sink; one that is blocked closes when it comes back."""
        self._pictures.finish()
        self._closed.set()
        self._thread.join(self._leave_s)
        if self._error is not None and not self._raised:
            self._raised = True
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        last: Picture | None = None
        last_s = self._clock()
        while True:
            try:
                picture = self._pictures.get(self._repeat_s)
                if picture is None:
                    break
                last, last_s = picture, self._clock()
            except TimeoutError:
                if last is None:
                    continue
                hangs = self._stale is not None and self._clock() - last_s > STALE_S
                picture = self._stale(last) if hangs and self._stale is not None else last
            try:
                self._send(picture)
            except Exception as error:  # a device's library may raise anything; it must not vanish with the thread
                failed = _as_sink_error(self.name, error)
                if self._reopen is None:
                    self._error = failed
                    break
                self._open_again(failed, self._reopen)
                if self._inner is None:
                    return
        try:
            if self._inner is not None:
                self._inner.close()
        except Exception as error:
            self._error = self._error or _as_sink_error(self.name, error)

    def _send(self, picture: Picture) -> None:
        assert self._inner is not None
        self._sending_since_s = self._clock()
        try:
            self._inner.send(picture)
        finally:
            now_s, since_s, self._sending_since_s = self._clock(), self._sending_since_s, None
        if self._works_since_s is None or now_s - since_s > BLOCKED_S:
            self._works_since_s = now_s
        if (self._failing or self._blocked) and now_s - self._works_since_s >= STEADY_S:
            self._failing = self._blocked = False
            self._pause_s = FIRST_RETRY_S
            self._say(f"{self.name} takes pictures again.")

    def _open_again(self, failed: SinkError, reopen: Callable[[], Sink]) -> None:
        """Comes back with the sink open, or when it is to be closed."""
        if not self._failing:
            self._failing = True
            self._say(f"{failed} It is opened again as soon as that works; the others go on.")
        self._works_since_s = None
        if self._inner is not None:
            with suppress(Exception):  # its first error says it
                self._inner.close()
            self._inner = None
        while self._inner is None and not self._wait(self._pause_s):
            self._pause_s = min(2 * self._pause_s, LAST_RETRY_S)
            with suppress(Exception):  # still away, whatever that looks like
                self._inner = reopen()


def _as_sink_error(name: str, error: Exception) -> SinkError:
    if isinstance(error, SinkError):
        return error
    return SinkError(f"The sink {name} failed ({type(error).__name__}: {error}).")
