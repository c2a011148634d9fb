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


class Beside:
    """Unlike an executor's, its thread never keeps the process from ending. It starts with the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Makes the call as soon as those before it are through; the future raises what it raises."""
        future: Future[T] = Future()

        def made() -> None:
            try:
                future.set_result(call())
            except BaseException as error:  # a native library's panic must not end the thread in silence either
                future.set_exception(error.with_traceback(None))  # which would keep the frame

        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._calls.put(made)
        return future

    def close(self) -> None:
        """Ends the thread after the calls that were asked for."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it holds must not live on until the next one comes
