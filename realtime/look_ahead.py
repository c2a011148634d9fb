"""The first half of a frame's way: who is where in it, and what the generators make of it.

Comes in: `Frame`. Goes out: `Looked`. On the filter's thread; where the next frames can be had while this one is drawn,
their first halves are done meanwhile on a thread beside, so that two cores have work. Frames keep their order, and each
is seen once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from realtime.open_style import Drawing
from realtime.perceive import Perceiver
from realtime.redraw import Effort
from realtime.reshape import Reshape
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.types import Frame, Scene
from realtime.working_size import shrunk_frame

THREAD_NAME = "draw: look ahead"
_SLICE_S = 0.05  # of waiting for the next frame


@dataclass(frozen=True, slots=True)
class Coming:
    """The frames that are to come: `peek` waits so many seconds for the one that follows another, unless that was asked
    for already. At most `depth` of them are looked at ahead.
    """

    peek: Callable[[Frame, float], Frame | None]
    depth: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A frame's first half.

    scene: what was seen, at the size that is worked at. begun: what the stage that draws made of it; None where it
    could not, and `error` says why. masked: for certain with the person's mask. took_s: how long all that took.
    """

    frame: Frame
    scene: Scene
    begun: Any
    error: Exception | None
    masked: bool
    took_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Failed:
    """A frame that could not be perceived."""

    frame: Frame
    error: BaseException


class LookAhead:
    """Sees frames, one after the other. All calls on one thread, the filter's. coming: None does nothing ahead."""

    def __init__(
        self,
        perceiver: Perceiver,
        steady: Steady,
        reshape: Reshape,
        stage: Drawing,
        stats: Stats,
        effort: Effort,
        coming: Coming | None,
    ) -> None:
        self._perceiver, self._steady, self._reshape, self._effort = perceiver, steady, reshape, effort
        self._timed = stats.timed
        self._perceive = stats.timed("perceive", perceiver)
        self._steadied = stats.timed("steady", steady)
        self._following = False  # whether frames were seen since the start or a reset
        self._coming = coming
        self._changed = threading.Condition()  # guards all below
        self._ready: deque[Looked | _Failed] = deque()
        self._after: Frame | None = None  # the last that was looked at, by whichever thread
        self._stage = stage
        self._at: Frame | None = None  # what the thread beside looks at now
        self._held = self._closed = False
        if coming is not None:
            threading.Thread(target=self._run, args=(coming,), name=THREAD_NAME, daemon=True).start()

    @property
    def overlaps(self) -> bool:
        """Whether first halves can be done while another frame is drawn."""
        return self._coming is not None

    @property
    def mask_wanted(self) -> bool:
        """Whether the person's mask is needed."""
        return self._perceiver.mask_wanted

    @mask_wanted.setter
    def mask_wanted(self, wanted: bool) -> None:
        self._perceiver.mask_wanted = wanted

    def __call__(self, frame: Frame) -> Looked:
        """What there is to see in the frame, and begun. Raises what perceiving it raises."""
        ahead = self._taken(frame)
        if isinstance(ahead, _Failed):
            raise ahead.error
        if ahead is not None and (ahead.masked or not self.mask_wanted):
            return ahead
        self._hold()
        try:
            if ahead is not None or self._ready:  # more is wanted of it than was seen, or what was seen is never drawn
                self._ready.clear()
                self._forget()
            return self._look(frame)
        finally:
            self._go_on(after=frame)

    def draw_with(self, stage: Drawing) -> None:
        """Another stage draws from now on, also what was looked at already; the one before is at rest."""
        self._hold()
        self._stage = stage
        seen = [of if isinstance(of, _Failed) else self._begun(of.frame, of.scene, of.masked) for of in self._ready]
        self._ready = deque(seen)
        self._go_on(self._after if seen else None)  # what a stage does first it does on the caller's thread

    def reset(self) -> None:
        """Forget everything that was seen."""
        self._hold()
        self._ready.clear()
        self._forget()
        self._go_on(after=None)

    def close(self) -> None:
        """Ends the thread beside, and waits until it looks at nothing."""
        self._hold()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _forget(self) -> None:
        self._following = False
        for stage in (self._perceiver, self._steady, self._reshape):
            stage.reset()

    def _taken(self, frame: Frame) -> Looked | _Failed | None:
        """What was seen of the frame ahead, waiting for it where somebody looks at it now."""
        with self._changed:
            while self._at is frame:
                self._changed.wait()
            if not self._ready or self._ready[0].frame is not frame:
                return None
            self._changed.notify_all()
            return self._ready.popleft()

    def _hold(self) -> None:
        """Waits until the thread beside looks at nothing, and keeps it so."""
        with self._changed:
            self._held = True
            while self._at is not None:
                self._changed.wait()

    def _go_on(self, after: Frame | None) -> None:
        with self._changed:
            self._after, self._held = after, False
            self._changed.notify_all()

    def _run(self, coming: Coming) -> None:
        while (after := self._wanted(coming.depth)) is not None:
            frame = coming.peek(after, _SLICE_S)
            with self._changed:
                if frame is None or self._held or self._after is not after:
                    continue
                self._at = frame
            looked: Looked | _Failed
            try:
                looked = self._look(frame)
            except BaseException as error:  # a native library's panic must not end the thread in silence either
                looked = _Failed(frame, error.with_traceback(None))  # which would keep the frame
            with self._changed:
                self._ready.append(looked)
                self._after, self._at = frame, None
                self._changed.notify_all()
            del frame, looked, after  # they must not live on until the next one comes

    def _wanted(self, depth: int) -> Frame | None:
        """Waits until more can be looked at; gives the frame it follows, None at the end."""
        with self._changed:
            while not self._closed and (self._held or self._after is None or len(self._ready) >= depth):
                self._changed.wait()
            return None if self._closed else self._after

    def _look(self, frame: Frame) -> Looked:
        start_s = time.monotonic()
        masked = self.mask_wanted
        seen = shrunk_frame(frame, self._effort.scale)
        scene = self._steadied(self._perceive(seen))
        if scene.fresh and self._following:  # another scene: faces were still looked for where they had been
            self._perceiver.reset()
            self._steady.reset()
            scene = self._steadied(self._perceive(seen))
        self._following = True
        return self._begun(frame, scene, masked, start_s)

    def _begun(self, frame: Frame, scene: Scene, masked: bool, start_s: float | None = None) -> Looked:
        start_s = time.monotonic() if start_s is None else start_s
        begun, failed = None, None
        try:
            begun = self._timed("room", self._stage.begin)(self._reshape(scene))
        except Exception as error:
            failed = error.with_traceback(None)
        return Looked(frame, scene, begun, failed, masked, time.monotonic() - start_s)
