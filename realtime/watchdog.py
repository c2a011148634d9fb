"""A call on a thread of its own, so that its caller can stop waiting for it.

Comes in: a callable, then values, one at a time. Goes out: what the callable makes of each, or its error. The callable
runs on the worker's thread, everything else on the caller's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from realtime.latest import Latest

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


def within(limit_s: float, call: Callable[[], B]) -> B:
    """What `call` gives; raises `TimeoutError` when that takes longer than `limit_s`: the call is left behind."""
    worker: Worker[bool, B] = Worker(lambda _: call(), "draw once")
    worker.give(True)
    try:
        return worker.take(limit_s)
    finally:
        worker.close(0.0)


class Worker(Generic[A, B]):
    """Calls `call` with one value after the other. A call that never comes back keeps the thread, not the caller."""

    def __init__(self, call: Callable[[A], B], name: str) -> None:
        self._call = call
        self._given: Latest[A] = Latest()
        self._made: Latest[B | _Failed] = Latest()
        self.busy = False  # whether a value was given whose result was not taken
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def give(self, value: A) -> None:
        """Starts the call; only when not `busy`."""
        assert not self.busy
        self.busy = True
        self._given.put(value)

    def take(self, timeout_s: float) -> B:
        """The result; raises what the call raised, and `TimeoutError` while it goes on: take again later."""
        made = self._made.get(timeout_s)
        self.busy = False
        if isinstance(made, _Failed):
            error = made.error
            del made
            try:
                raise error
            finally:
                del error  # else error and call stack hold each other, and the frame, until a garbage collection
        return made  # type: ignore[return-value]  # None only where `call` gives None: the channel never ends

    def close(self, timeout_s: float) -> bool:
        """Ends the thread; False if its call still goes on after `timeout_s`."""
        self._given.finish()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while (value := self._given.get()) is not None:
            try:
                self._made.put(self._call(value))
            except Exception as error:
                self._made.put(_Failed(error))
            except BaseException as error:  # a native library's panic must not end the thread in silence either
                self._made.put(_Failed(RuntimeError(f"{type(error).__name__}: {error}")))
            del value  # the frame must not live on until the next one comes
