"""A sink that may block, on a thread of its own: it gets the newest picture, and the loop never waits for it.

Comes in: pictures on the loop's thread. Goes out: the newest of them to the sink, on the sink's thread.
"""

from __future__ import annotations

import threading

from realtime.errors import SinkError
from realtime.latest import Latest
from realtime.sinks.contract import Sink
from realtime.types import Picture

_LEAVE_S = 0.5  # how long `close` waits for a sink that blocks before it is left to itself


class Threaded:
    """Sends to `inner`, which it closes.

    first: shown until the first picture comes. repeat_s: the last picture is sent again when none came for so long,
    since a receiver that joins late would see nothing.
    """

    def __init__(
        self,
        inner: Sink,
        *,
        first: Picture | None = None,
        repeat_s: float | None = None,
    ) -> None:
        self.name: str = inner.name
        self._inner = inner
        self._repeat_s = repeat_s
        self._pictures: Latest[Picture] = Latest()
        self._error: SinkError | None = None
        if first is not None:
            self._pictures.put(first)
        self._thread = threading.Thread(target=self._run, name=f"sink {inner.name}", daemon=True)
        self._thread.start()

    def send(self, picture: Picture) -> None:
        """Leaves the picture for the sink's thread; raises the `SinkError` that happened there."""
        if self._error is not None:
            raise self._error
        self._pictures.put(picture)

    def close(self) -> None:
        """Sends what is left and closes the sink; one that is blocked closes when it comes back."""
        self._pictures.finish()
        self._thread.join(_LEAVE_S)

    def __enter__(self) -> Threaded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        last: Picture | None = None
        try:
            with self._inner:
                while True:
                    try:
                        picture = self._pictures.get(self._repeat_s)
                    except TimeoutError:
                        picture = last
                        if picture is None:
                            continue
                    if picture is None:
                        return
                    last = picture
                    self._inner.send(picture)
        except SinkError as error:
            self._error = error
        except Exception as error:  # a device's library may raise anything; it must not vanish with the thread
            self._error = SinkError(f"The sink {self.name} failed ({type(error).__name__}: {error}).")
