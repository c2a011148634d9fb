"""What each stage did when, for a viewer of traces: chrome://tracing, Perfetto, speedscope.

Comes in: names and times from any thread. Goes out: a JSON file in Chrome's trace event format ("complete" events, in
microseconds). It holds stages, times and threads: no picture, no path, no name of a person.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from realtime.errors import SinkError

MOST_EVENTS = 200_000  # about 20 minutes at 30 pictures a second; what comes later is left out


class Trace:
    """Collects events. Adding one takes a microsecond."""

    def __init__(self) -> None:
        self._events: list[tuple[str, float, float, int]] = []
        self._threads: dict[int, str] = {}

    def add(self, name: str, start_s: float, end_s: float) -> None:
        """Something went on between these times of `time.monotonic()`, on this thread."""
        if len(self._events) < MOST_EVENTS:
            thread = threading.get_ident()
            self._threads.setdefault(thread, threading.current_thread().name)
            self._events.append((name, start_s, end_s, thread))

    def write(self, path: Path) -> None:
        """Writes the file; raises `SinkError` when that is impossible."""
        number = {thread: n for n, thread in enumerate(self._threads, 1)}
        pid = os.getpid()
        named = [
            {"ph": "M", "name": "thread_name", "pid": pid, "tid": number[thread], "args": {"name": name}}
            for thread, name in self._threads.items()
        ]
        done = [
            {
                "ph": "X",
                "name": name,
                "pid": pid,
                "tid": number[thread],
                "ts": round(start_s * 1e6, 1),
                "dur": round((end_s - start_s) * 1e6, 1),
            }
            for name, start_s, end_s, thread in list(self._events)
        ]
        try:
            path.write_text(json.dumps({"traceEvents": [*named, *done]}), encoding="utf-8")
        except OSError as error:
            raise SinkError(f"The trace {path} cannot be written ({error.strerror}); name another --trace.") from error
