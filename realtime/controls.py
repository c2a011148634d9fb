"""Controls: the one place that changes what is drawn while the filter runs.

Comes in: commands from any thread (a key, the remote control, a profile that was saved). Goes out: a new `Look`, a
pause, a snapshot, a recording, the end; all of it on the loop's thread, between two frames. No command leads to the
camera's raw picture: the style `none` can only be named at the start.
"""

from __future__ import annotations

import difflib
import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from realtime.errors import LiveToonError, UsageError
from realtime.settings import Background, Look
from realtime.styles import Style

BACKGROUNDS = (Background("style"), Background("blur"), Background("color", color=(32, 160, 96)))
STRENGTH_STEP = 0.1
EXPRESSIONS = (1.0, 1.25, 1.5)
STEADINESSES = (1.0, 0.5, 0.0)
MOST_WAITING = 64  # commands; more come only from a program gone wild

T = TypeVar("T")


class BusyError(LiveToonError):
    """More commands wait than a person can give."""


class Controls:
    """What a user can change while it runs, and how it is now.

    look, mirror, paused: as they are now; to be read on any thread, and changed by the methods on the loop's thread
    only. styles: those that can be switched to. on_look draws in a look from the next frame on, on_mirror mirrors,
    on_record starts or ends a recording, which `recording` tells; they may raise `LiveToonError`, and then nothing has
    changed. check: raises `UsageError` for a look that cannot be shown here.
    """

    def __init__(self, look: Look, *, mirror: bool, quit_: Callable[[], None], say: Callable[[str], None]) -> None:
        self.styles: tuple[Style, ...] = ()
        self.on_look: Callable[[Look, Style], None] = lambda look, style: None
        self.on_mirror: Callable[[bool], None] = lambda mirror: None
        self.on_record: Callable[[], None] = _no_recording
        self.recording: Callable[[], bool] = lambda: False
        self.check: Callable[[Look], None] = lambda look: None
        self.look = look
        self.mirror = mirror
        self.paused = False
        self._quit = quit_
        self._say = say
        self._waiting: queue.Queue[tuple[Callable[[], object], Future[object]]] = queue.Queue(MOST_WAITING)
        self._snapshot: Path | None = None

    def ask(self, command: Callable[[], object]) -> Future[object]:
        """Has `command` called before the next frame and gives what it gives; on any thread.

        Raises `BusyError` when too many wait. One that was cancelled meanwhile is not called.
        """
        done: Future[object] = Future()
        try:
            self._waiting.put_nowait((command, done))
        except queue.Full:
            raise BusyError("Too many commands wait; try again in a moment.") from None
        return done

    def act(self, name: str) -> Future[object]:
        """Has one of `ACTIONS` done before the next frame; on any thread. Raises `UsageError` for any other name."""
        if name not in ACTIONS:
            near = difflib.get_close_matches(name, ACTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(ACTIONS)}."
            raise UsageError(f"There is no action '{name[:40]}': {hint}")
        return self.ask(lambda: ACTIONS[name](self))

    def apply(self) -> None:
        """Does what was asked for since the last time; whoever asked is told what fails. On the loop's thread."""
        while True:
            try:
                command, done = self._waiting.get_nowait()
            except queue.Empty:
                return
            if not done.set_running_or_notify_cancel():
                continue
            try:
                result = command()
            except Exception as error:  # what one command cannot do must not end the show
                done.set_exception(error)
            else:
                done.set_result(result)

    def change(self, **fields: Any) -> None:
        """Another look: fields of `Look` and their values. Raises `UsageError` for a style that is not there."""
        look = replace(self.look, **fields)
        if look == self.look:
            return
        if not self.styles:
            raise UsageError("There is no drawing to change: the style none is the camera's own picture.")
        style = next((s for s in self.styles if s.name == look.style), None)
        names = [s.name for s in self.styles]
        there_are = f"there are: {', '.join(names)}."
        if style is None:
            raise UsageError(f"The style '{look.style}' cannot be switched to while it runs; {there_are}")
        if look.room_style not in (None, self.look.room_style, *names):
            raise UsageError(f"The style '{look.room_style}' cannot be switched to while it runs; {there_are}")
        self.check(look)
        self.on_look(look, style)
        self.look = look

    def next_style(self, step: int) -> None:
        """The style that is `step` places further in the list, which goes round."""
        names = [style.name for style in self.styles]
        if names:
            self.change(style=_after(self.look.style, names, step))

    def strengthen(self, by: float) -> None:
        """Strength changed by so much, within 0 and 1."""
        self.change(strength=round(min(1.0, max(0.0, self.look.strength + by)), 2))

    def pause(self, paused: bool) -> None:
        """Whether every sink gets a card instead of pictures."""
        if paused != self.paused:
            self.paused = paused
            self._say("Paused: the sinks show a card." if paused else "Goes on.")

    def set_mirror(self, mirror: bool) -> None:
        """Whether every sink gets pictures with left and right swapped."""
        if mirror != self.mirror:
            self.on_mirror(mirror)
            self.mirror = mirror

    def record(self, recording: bool) -> None:
        """Whether the pictures are written to a file as well."""
        if recording != self.recording():
            self.on_record()

    def snapshot(self) -> Path:
        """Has the next picture saved, and gives where."""
        self._snapshot = Path(f"livetoon-{datetime.now():%Y%m%d-%H%M%S}.png")
        return self._snapshot

    def take_snapshot(self) -> Path | None:
        """Where the next picture is to be saved, once for each `snapshot`; else None."""
        path, self._snapshot = self._snapshot, None
        return path

    def quit(self) -> None:
        """The end of the run."""
        self._quit()

    @property
    def status(self) -> str:
        """The look in a few words; what is as usual is left out."""
        look = self.look
        words = [look.style]
        if look.strength != 1:
            words.append(f"{look.strength:.0%}")
        if look.expression != 1:
            words.append(f"expression {look.expression:g}")
        if look.steadiness != 1:
            words.append(f"steadiness {look.steadiness:g}")
        if look.background.kind != "style":
            words.append(f"room {look.background.kind}")
        return "  ".join(words + [word for word, on in (("MIRRORED", self.mirror), ("PAUSED", self.paused)) if on])


def _no_recording() -> None:
    raise UsageError("Recording is not available here.")


def _after(value: T, values: list[T], step: int = 1) -> T:
    return values[(values.index(value) + step) % len(values)] if value in values else values[0]


ACTIONS: Mapping[str, Callable[[Controls], object]] = {
    "next-style": lambda c: c.next_style(1),
    "previous-style": lambda c: c.next_style(-1),
    "stronger": lambda c: c.strengthen(STRENGTH_STEP),
    "weaker": lambda c: c.strengthen(-STRENGTH_STEP),
    "next-background": lambda c: c.change(background=_after(c.look.background, list(BACKGROUNDS))),
    "next-steadiness": lambda c: c.change(steadiness=_after(c.look.steadiness, list(STEADINESSES))),
    "next-expression": lambda c: c.change(expression=_after(c.look.expression, list(EXPRESSIONS))),
    "pause": lambda c: c.pause(not c.paused),
    "mirror": lambda c: c.set_mirror(not c.mirror),
    "snapshot": Controls.snapshot,
    "record": lambda c: c.record(not c.recording()),
    "quit": Controls.quit,
}
