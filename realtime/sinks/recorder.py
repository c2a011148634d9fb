"""What is shown live becomes a clip file too, from one press of a key to the next.

Comes in: presses. Goes out: a file beside the live sinks, with the times of the pictures, and a sentence when it is
finished. On the thread that sends pictures, between two of them; the file is written on a thread of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from realtime.errors import SinkError
from realtime.sinks.contract import Sink
from realtime.sinks.open import Sinks


class Recorder:
    """open_: makes the sink of a file. folder: where the files go, `livetoon-20260131-120000.mp4`."""

    def __init__(
        self,
        sinks: Sinks,
        open_: Callable[[Path], Sink],
        say: Callable[[str], None],
        folder: Path = Path(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sinks = sinks
        self._open = open_
        self._say = say
        self._folder = folder
        self._clock = clock
        self._file: Sink | None = None
        self._since_s = 0.0

    def toggle(self) -> None:
        """Starts recording, or finishes the file; a file that cannot be written is said and ends nothing."""
        if self.recording:
            self._finish()
        else:
            self._start()

    @property
    def recording(self) -> bool:
        """Whether a file is being written; false again after its disk was full."""
        return self._file is not None and self._file in self._sinks

    @property
    def status(self) -> str:
        """ "REC 1:07" while recording, else empty."""
        if not self.recording:
            return ""
        minutes, seconds = divmod(int(self._clock() - self._since_s), 60)
        return f"REC {minutes}:{seconds:02d}"

    def _start(self) -> None:
        path = self._folder / f"livetoon-{datetime.now():%Y%m%d-%H%M%S}.mp4"
        try:
            self._file = self._open(path)
        except SinkError as error:
            self._say(f"No recording: {error}")
            return
        self._since_s = self._clock()
        self._sinks.add(self._file)
        self._say(f"Recording to {path.absolute()}")

    def _finish(self) -> None:
        assert self._file is not None
        file, self._file = self._file, None

        def closed(error: SinkError | None) -> None:
            self._say(f"Recorded: {Path(file.name).absolute()}" if error is None else str(error))

        self._sinks.remove(file, closed)
