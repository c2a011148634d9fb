"""The hot keys of the preview: what each key does while the filter runs.

Comes in: a character. Goes out: a change of the look, a snapshot, a pause, the end. Runs on the main thread, between
two frames. No key leads to the camera's raw picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from realtime.settings import Background, Look
from realtime.styles import Style

HELP = "q quit  space pause  n style  [ ] strength  e expression  b background  m mirror  s snapshot  r record  h keys"
BACKGROUNDS = (Background("style"), Background("blur"), Background("color", color=(32, 160, 96)))
STRENGTH_STEP = 0.1
EXPRESSIONS = (1.0, 1.25, 1.5)
ESCAPE = "\x1b"

T = TypeVar("T")


class Keys:
    """Turns keys into a new `Look` or an action.

    styles: those whose generators are loaded. on_look draws in a look from the next frame on, on_mirror mirrors,
    on_record starts or ends a recording.
    """

    def __init__(self, look: Look, *, mirror: bool, quit_: Callable[[], None], say: Callable[[str], None]) -> None:
        self.styles: tuple[Style, ...] = ()
        self.on_look: Callable[[Look, Style], None] = lambda look, style: None
        self.on_mirror: Callable[[bool], None] = lambda mirror: None
        self.on_record: Callable[[], None] = lambda: None
        self.paused = False
        self._look = look
        self._mirror = mirror
        self._quit = quit_
        self._say = say
        self._help_shown = False
        self._snapshot: Path | None = None

    def __call__(self, key: str) -> None:
        """One key was pressed; unknown keys do nothing."""
        look = self._look
        if key in ("q", ESCAPE):
            self._quit()
        elif key == " ":
            self.paused = not self.paused
            self._say("Paused: the sinks show a card." if self.paused else "Goes on.")
        elif key == "n" and self.styles:
            names = [style.name for style in self.styles]
            self._change(replace(look, style=_after(look.style, names)))
        elif key in ("[", "]"):
            step = STRENGTH_STEP if key == "]" else -STRENGTH_STEP
            self._change(replace(look, strength=round(min(1.0, max(0.0, look.strength + step)), 2)))
        elif key == "e":
            self._change(replace(look, expression=_after(look.expression, list(EXPRESSIONS))))
        elif key == "b":
            self._change(replace(look, background=_after(look.background, list(BACKGROUNDS))))
        elif key == "m":
            self._mirror = not self._mirror
            self.on_mirror(self._mirror)
        elif key == "s":
            self._snapshot = Path(f"livetoon-{datetime.now():%Y%m%d-%H%M%S}.png")
        elif key == "r":
            self.on_record()
        elif key == "h":
            self._help_shown = not self._help_shown

    def take_snapshot(self) -> Path | None:
        """Where the next picture is to be saved, once per press; else None."""
        path, self._snapshot = self._snapshot, None
        return path

    @property
    def status(self) -> str:
        """The look in a few words, or the list of keys."""
        if self._help_shown:
            return HELP
        strength = "" if self._look.strength == 1 else f" {self._look.strength:.0%}"
        expression = "" if self._look.expression == 1 else f" expression {self._look.expression:g}"
        return f"{self._look.style}{strength}{expression}" + (" PAUSED" if self.paused else "")

    def _change(self, look: Look) -> None:
        style = next((s for s in self.styles if s.name == look.style), None)
        if style is not None:
            self._look = look
            self.on_look(look, style)


def _after(value: T, values: list[T]) -> T:
    return values[(values.index(value) + 1) % len(values)] if value in values else values[0]
