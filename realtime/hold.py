"""What the sinks see when the filter fails, hangs or dies: the last picture for a moment, then a card, never the frame.

Comes in: `Frame`. Goes out: a `Picture`, always and in time. On the main thread; the filter draws on a thread of its
own, so that one that hangs can be left behind and another one opened.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import numpy as np

from realtime.card import card
from realtime.errors import LiveToonError
from realtime.raw import is_raw
from realtime.settings import Look
from realtime.styles import Style
from realtime.types import Frame, Picture
from realtime.watchdog import Worker

HOLD_S = 2.0  # how old the last good picture may be that stands in
LIMIT_S = 2.0  # of failing, in a conversion: then it is broken and says so
STEADY_S = 3.0  # of drawing without a failure: what failed before is over
PATIENCE_S = 1.0  # for one picture of a live run
LEFT_S = 10.0  # a call that takes longer is left behind
CONVERSION_PATIENCE_S = 300.0  # 8K on a slow machine takes seconds a frame
FIRST_RETRY_S, LAST_RETRY_S = 2.0, 30.0  # the filter is opened anew after so long, then twice as long, and so on
MOST_LEFT = 2  # filters that hang and are left behind keep their memory; with more the card stays
_CLOSE_S = 1.0
_SLICES = 10  # of the patience
_STEP_S = 1.0  # a longer one is a process that was stopped, or a source that paused


class Drawing(Protocol):
    """What is used of `Filter`, each as there."""

    trouble: Exception | None
    busy_s: float

    @property
    def partly(self) -> bool:
        """Whether the user asked for a part of the frame undrawn."""

    def __call__(self, frame: Frame, /) -> Picture:
        """Draw."""

    def show(self, look: Look, style: Style, /) -> None:
        """Draw in this look."""

    def mirror(self, mirror: bool, /) -> None:
        """Mirror."""

    def reset(self) -> None:
        """Forget."""

    def close(self) -> None:
        """Let go."""


class HangError(Exception):
    """The filter did not come back in time."""


class WrongPictureError(Exception):
    """What the filter gave is no picture of the frame, or is the frame itself."""


class _Drawer:
    """One filter on one worker's thread; opened anew there when `anew` is set."""

    def __init__(self, drawing: Drawing | None, reopen: Callable[[], Drawing]) -> None:
        self.drawing = drawing
        self.anew = drawing is None
        self._reopen = reopen

    def __call__(self, frame: Frame) -> tuple[Picture, Exception | None]:
        """The picture and what it had to be drawn without; raises what the filter raises."""
        if self.anew:
            self.close()
            self.drawing = self._reopen()
            self.anew = False
        assert self.drawing is not None
        try:
            return _checked(self.drawing(frame), frame, self.drawing.partly), self.drawing.trouble
        except Exception:
            with suppress(Exception):
                self.drawing.reset()
            raise

    def close(self) -> None:
        drawing, self.drawing = self.drawing, None
        if drawing is not None:
            with suppress(Exception):  # what is broken may not close either
                drawing.close()


class Hold:
    """A picture for every frame, whatever happens to the filter.

    drawing: the filter, which it closes. reopen: opens another one like it. live: the show goes on for ever, and the
    filter is opened anew until it works; else, in a conversion, a failure that lasts longer than `LIMIT_S` and every
    error the user must act on is raised. patience_s, left_s: see `PATIENCE_S`, `LEFT_S`.
    """

    def __init__(
        self,
        drawing: Drawing,
        reopen: Callable[[], Drawing],
        say: Callable[[str], None],
        *,
        live: bool,
        patience_s: float | None = None,
        left_s: float = LEFT_S,
    ) -> None:
        self._reopen = reopen
        self._say = say
        self._live = live
        self._patience_s = (PATIENCE_S if live else CONVERSION_PATIENCE_S) if patience_s is None else patience_s
        self._left_s = left_s
        self._look: tuple[Look, Style] | None = None
        self._mirror: bool | None = None
        self._left: list[Worker[Frame, tuple[Picture, Exception | None]]] = []
        self._start(drawing)
        self._last: Picture | None = None
        self._failing_since_s: float | None = None  # the source's time, as all below
        self._failed_s = 0.0
        self._next_try_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._late_s = 0.0  # how long the call that goes on has been waited for
        self._last_t: float | None = None
        self._told: set[str] = set()
        self.frames = 0  # how many pictures were stood in for

    def __call__(self, frame: Frame) -> Picture:
        """The drawn frame, or what stands in for it."""
        step_s = 0.0 if self._last_t is None else max(0.0, frame.t - self._last_t)
        self._last_t = frame.t
        try:
            picture, trouble = self._draw(frame, step_s)
        except LiveToonError as error:
            if not self._live:
                raise
            return self._without(frame, error)
        except Exception as error:
            return self._without(frame, error)
        self._last = replace(picture, t=frame.t, index=frame.index)  # a late one is sent in the place of the newest
        if trouble is None:
            self._worked(frame)
        else:
            self._failed(frame, trouble, "Faces cannot be drawn at the moment; the rest of the picture is")
        return self._last

    @property
    def busy_s(self) -> float:
        """How far apart pictures come at best, as the filter's last one says; 0 while there is none."""
        return 0.0 if self._drawer.drawing is None else self._drawer.drawing.busy_s

    def show(self, look: Look, style: Style) -> None:
        """As `Filter.show`, for the filter of now and every later one."""
        self._look = (look, style)
        if self._drawer.drawing is not None:
            self._drawer.drawing.show(look, style)

    def mirror(self, mirror: bool) -> None:
        """As `Filter.mirror`, for the filter of now and every later one."""
        self._mirror = mirror
        if self._drawer.drawing is not None:
            self._drawer.drawing.mirror(mirror)

    def close(self) -> None:
        """Closes the filter; one that hangs is left to itself."""
        if self._worker.close(_CLOSE_S):
            self._drawer.close()

    def _start(self, drawing: Drawing | None) -> None:
        self._drawer = _Drawer(drawing, self._reopened)
        self._worker: Worker[Frame, tuple[Picture, Exception | None]] = Worker(self._drawer, "draw")
        self._late_s = 0.0

    def _reopened(self) -> Drawing:
        drawing = self._reopen()
        if self._look is not None:
            drawing.show(*self._look)
        if self._mirror is not None:
            drawing.mirror(self._mirror)
        return drawing

    def _draw(self, frame: Frame, step_s: float) -> tuple[Picture, Exception | None]:
        """Raises what the filter raised, and `HangError` while it does not come back."""
        late = self._worker.busy
        if not late:
            if self._drawer.drawing is None and frame.t < self._next_try_s:
                raise HangError("it is opened anew in a moment")
            self._worker.give(frame)
        try:
            made = self._worker.take(0.0) if late else self._waited_for()
        except TimeoutError:
            if not self._worker.busy:
                raise  # it is the filter's own
            self._late_s += min(step_s, _STEP_S) if late else self._patience_s
            self._leave_if_lost()
            raise HangError(f"no picture within {self._patience_s:g} s") from None
        finally:
            if not self._worker.busy:
                self._late_s = 0.0
        return made

    def _waited_for(self) -> tuple[Picture, Exception | None]:
        """In slices, not by the clock: a process that was stopped and goes on has not waited."""
        for _ in range(_SLICES - 1):
            with suppress(TimeoutError):
                return self._worker.take(self._patience_s / _SLICES)
            if not self._worker.busy:
                raise TimeoutError
        return self._worker.take(self._patience_s / _SLICES)

    def _leave_if_lost(self) -> None:
        """Leaves a filter behind that hangs, with its thread, and starts another one."""
        self._left = [worker for worker in self._left if worker.alive]
        if not self._live or self._late_s < self._left_s or len(self._left) >= MOST_LEFT:
            return
        self._worker.close(0.0)  # ends when its call comes back, if ever
        self._left.append(self._worker)
        self._start(None)

    def _without(self, frame: Frame, error: Exception) -> Picture:
        """What stands in for a frame that was not drawn."""
        since_s = self._failed(frame, error, "The drawing failed; the sinks show the last picture, then a card")
        if not self._live and (self._last is None or since_s > LIMIT_S or isinstance(error, HangError)):
            raise error
        self.frames += 1
        if self._last is not None and (not self._live or frame.t - self._last.t <= HOLD_S):
            return replace(self._last, t=frame.t, grabbed_s=frame.grabbed_s, index=frame.index)
        return card("LiveToon starts" if self._last is None else "LiveToon is back in a moment", frame.size, frame)

    def _failed(self, frame: Frame, error: Exception, what: str) -> float:
        """Notes a failure, says it once, has the filter opened anew when it lasts; gives how long it lasts, seconds."""
        if self._failing_since_s is None:
            self._failing_since_s = frame.t
            self._next_try_s = frame.t + self._retry_s
        self._failed_s = frame.t
        if what not in self._told:
            self._told.add(what)
            self._say(f"{what} ({_in_short(error)}).")
        if self._live and frame.t >= self._next_try_s and not self._worker.busy:
            self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)
            self._next_try_s = frame.t + self._retry_s
            self._drawer.anew = True
        return frame.t - self._failing_since_s

    def _worked(self, frame: Frame) -> None:
        if self._failing_since_s is not None and frame.t - self._failed_s >= STEADY_S:
            self._failing_since_s = None
            self._retry_s = FIRST_RETRY_S
            self._told.clear()
            self._say("Everything is drawn again.")


def _checked(picture: Picture, frame: Frame, partly: bool) -> Picture:
    """The picture if it is one of the frame's size and not the frame; raises `WrongPictureError`.

    partly: a part of the frame is to be in it; that the rest is drawn was seen to before it came in.
    """
    if not isinstance(picture, Picture):
        raise WrongPictureError(f"a {type(picture).__name__} instead of a picture")
    if picture.rgb.dtype != np.uint8 or picture.rgb.shape != frame.rgb.shape:
        raise WrongPictureError(f"{picture.rgb.dtype} {picture.rgb.shape} instead of u8 {frame.rgb.shape}")
    if np.may_share_memory(picture.rgb, frame.rgb) or (not partly and is_raw(picture.rgb, frame.rgb)):
        raise WrongPictureError("the camera's own picture")
    return picture


def _in_short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)[:200].rstrip(".")
