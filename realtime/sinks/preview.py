"""The preview: a window that shows the picture as a mirror, and, if its user asks for it there, the photo beside it.

Comes in: pictures, and frames while the window's split view is on. Goes out: to a window in a process of its own
(`window.py`), and keys to `on_key`. On the loop's thread, which never waits for the window: it copies a picture into
shared memory when the window has taken the last one. A window that dies is opened again.

The raw picture has no other way out than `photo`, which no other sink has; the photo goes into a process without sinks,
is never a `Picture`, and is wanted only after its key was pressed in that very window.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import cv2
import numpy as np

from realtime.errors import SinkError
from realtime.sinks.window import (
    NO_SCREEN,
    NO_WINDOW,
    Ended,
    Pressed,
    Shown,
    Taken,
    display_answers,
    image_in,
    run_window,
)
from realtime.types import Frame, Picture, RgbImage, Size

LARGEST = Size(1920, 1080)  # of what is sent to the window
STATUS_EVERY_S = 0.25  # faster, nobody can read it
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
STEADY_S = 5.0  # without a failure: what failed before is over
BLOCKED_S = 5.0  # in one picture: the window takes none at the moment, which is said
MOST_FRAMES = 4  # that wait for their drawing
_CLOSE_S = 1.0
_SPAWN = multiprocessing.get_context("spawn")  # a fork would take the engines' and sinks' memory along

Help = Sequence[tuple[str, str]]


class Preview:
    """status: the lines to show. on_key: gets each key as a character, and "q" once when the window was closed.
    mirrored: it is a mirror to the user, whatever others see. is_mirrored: whether pictures have left and right swapped
    now. help_: keys and what they do."""

    def __init__(
        self,
        size: Size,
        *,
        status: Callable[[], Sequence[str]],
        on_key: Callable[[str], None],
        mirrored: bool,
        say: Callable[[str], None],
        is_mirrored: Callable[[], bool] = lambda: False,
        help_: Help = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises `SinkError` where there is no screen."""
        self.name = "preview"
        self._status = status
        self._on_key = on_key
        self._mirrored = mirrored
        self._is_mirrored = is_mirrored
        self._say = say
        self._help = help_
        self._clock = clock
        if not display_answers():
            raise SinkError(NO_SCREEN)
        scale = min(1.0, LARGEST.width / size.width, LARGEST.height / size.height)
        self._size = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
        self._memory = [_SPAWN.RawArray("B", self._size.width * self._size.height * 3) for _ in "dp"]
        self._drawn, self._photo = (image_in(memory, self._size) for memory in self._memory)
        self._frames: deque[Frame] = deque(maxlen=MOST_FRAMES)
        self._split = False
        self._lines: tuple[str, ...] = ()
        self._lines_s: float | None = None
        self._end: Connection | None = None
        self._free = False  # whether the window has taken the last picture
        self._sent_s = self._began_s = 0.0
        self._open = True
        self._worked = self._failing = self._blocked = False
        self._retry_s, self._next_try_s = FIRST_RETRY_S, 0.0
        self._start()

    def photo(self, frame: Frame) -> None:
        """The frame that the next pictures are made from; forgotten at once unless the window shows the photo too."""
        if self._split:
            self._frames.append(frame)

    def send(self, picture: Picture) -> None:
        """Shows it and passes on keys that were pressed; does nothing once the window was closed.

        Raises `SinkError` where no window can be opened at all.
        """
        if not self._open:
            return
        self._hear()
        if self._end is None:
            if self._open and self._clock() >= self._next_try_s:
                self._start()
            return
        now_s = self._clock()
        if not self._free:
            if self._worked and not self._blocked and now_s - self._sent_s > BLOCKED_S:
                self._blocked = True
                self._say("The preview takes no pictures at the moment; the others go on.")
            return
        if self._lines_s is None or now_s - self._lines_s >= STATUS_EVERY_S:
            self._lines, self._lines_s = tuple(self._status()), now_s
        frame = next((f for f in self._frames if f.index == picture.index), None)
        if frame is not None:
            _put(frame.rgb, self._photo)
        _put(picture.rgb, self._drawn)
        swapped = self._is_mirrored()
        flip = self._mirrored and not swapped
        with suppress(OSError):  # that it died is heard with the next picture
            self._end.send(Shown(self._lines, frame is not None, flip and not picture.card, swapped != flip))
        self._free, self._sent_s = False, now_s

    def close(self) -> None:
        """Closes the window."""
        self._open = False
        self._frames.clear()
        end, self._end = self._end, None
        if end is not None:
            with suppress(OSError):
                end.send(None)
            self._process.join(_CLOSE_S)
            end.close()
        if self._process.is_alive():
            self._process.kill()

    def __enter__(self) -> Preview:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        ours, theirs = _SPAWN.Pipe()
        self._process: BaseProcess = _SPAWN.Process(
            target=run_window, args=(theirs, *self._memory, self._size, tuple(self._help)), name="preview", daemon=True
        )
        with _interrupts_ignored():
            self._process.start()
        theirs.close()
        self._end, self._free = ours, False
        self._sent_s = self._began_s = self._clock()

    def _hear(self) -> None:
        """Everything the window has said since the last picture."""
        try:
            while self._end is not None and self._end.poll():
                told = self._end.recv()
                if isinstance(told, Pressed):
                    self._on_key(told.key)
                elif isinstance(told, Taken):
                    self._took(told.split)
                elif isinstance(told, Ended):
                    self._gone(told.why)
        except (EOFError, OSError):
            self._gone(NO_WINDOW)

    def _took(self, split: bool) -> None:
        self._free = self._worked = True
        if self._split and not split:
            self._forget_photos()
        self._split = split
        if self._clock() - self._began_s >= STEADY_S and (self._failing or self._blocked):
            self._failing = self._blocked = False
            self._retry_s = FIRST_RETRY_S
            self._say("The preview is back.")

    def _forget_photos(self) -> None:
        self._frames.clear()
        self._photo[:] = 0

    def _gone(self, why: str) -> None:
        """The window has ended. why: empty when the user closed it."""
        end, self._end = self._end, None
        assert end is not None
        end.close()
        self._split = False
        self._forget_photos()
        if not why:
            self._open = False
            self._on_key("q")
        elif not self._worked:
            self._open = False
            raise SinkError(why)
        else:
            if not self._failing:
                self._failing = True
                self._say("The preview's window failed. It is opened again as soon as that works; the others go on.")
            self._next_try_s = self._clock() + self._retry_s
            self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)


def _put(rgb: RgbImage, memory: RgbImage) -> None:
    if rgb.shape == memory.shape:
        np.copyto(memory, rgb)
    else:
        cv2.resize(rgb, (memory.shape[1], memory.shape[0]), memory, interpolation=cv2.INTER_AREA)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process that is started meanwhile ignores Ctrl-C from its first moment."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not on the main thread: then the new process ignores it a moment later
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
