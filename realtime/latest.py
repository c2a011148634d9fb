"""A channel with one slot where the newest value wins: how a source and the loop, or the loop and a sink, meet.

Comes in: values from one thread. Goes out: the newest of them on another thread, then the end or the error.
"""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")

_SLICE_S = 0.1  # an untimed wait on a lock cannot be interrupted on Windows, so every wait is cut into slices


class Latest(Generic[T]):
    """One slot between two threads; `dropped` counts the values that were replaced before anybody took them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._slot: list[T] = []  # empty or one value: None is a value too
        self._error: Exception | None = None
        self._finished = False
        self.dropped = 0

    def put(self, value: T) -> None:
        """Replaces what is in the slot; nothing happens after `finish`. Never blocks."""
        with self._changed:
            if not self._finished:
                self.dropped += len(self._slot)
                self._slot = [value]
                self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T | None:
        """Takes the newest value, waiting for one; None at the end.

        Raises `TimeoutError` when nothing came for `timeout_s`, and the writer's error once the slot is empty.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._slot and not self._finished:
                left_s = _SLICE_S if until_s is None else until_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError
                self._changed.wait(min(left_s, _SLICE_S))
            if self._slot:
                return self._slot.pop()
            if self._error is not None:
                raise self._error
            return None

    def finish(self, error: Exception | None = None) -> None:
        """No value comes any more; what is in the slot can still be taken. The first call counts."""
        with self._changed:
            if not self._finished:
                self._finished, self._error = True, error
                self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Whether `finish` was called."""
        with self._changed:
            return self._finished
