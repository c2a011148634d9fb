"""Calls beside the caller's own work: made one after the other, in order, on a thread of their own.

Comes in: callables, from one thread. Goes out: futures, to be waited for on any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

LEAVE_S = 2.0


class Beside:
    """Unlike an executor's, its thread never keeps the process from ending. It starts with the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Makes the call as soon as those before it are through; the future raises what it raises."""
        future: Future[T] = Future()

        def made() -> None:
            try:
                future.set_result(call())
            except BaseException as error:  # a native library's panic must not end the thread in silence either
                future.set_exception(error.with_traceback(None))  # which would keep the frame

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(made)
        return future

    def close(self) -> None:
        """Ends the thread after the calls that were asked for, and waits for it, but not for one that hangs."""
        self._calls.put(None)
        if self._thread is not None:
            self._thread.join(LEAVE_S)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it holds must not live on until the next one comes
