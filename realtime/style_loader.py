"""Another style's generators are opened beside the loop, and handed over when they are ready.

Comes in: a look and its style. Goes out: the stage that draws in them, once. Opening runs on a thread of its own, which
lives as long as there is something to open; everything else on the caller's threads. The newest wish wins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from realtime.errors import LiveToonError
from realtime.open_style import Opened
from realtime.settings import Look
from realtime.styles import Style


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be drawn in."""

    look: Look
    style: Style

    def shares_generators(self, other: Wish) -> bool:
        """Whether the other look is a matter of numbers only."""
        return self._generators == other._generators

    @property
    def _generators(self) -> tuple[object, ...]:
        style = self.style
        return style.background, style.face, style.faces, style.pixels, self.look.room_style


class StyleLoader:
    """Opens what `load` asks for. open_: opens the stage for a look. `say` gets why it could not.

    last: the last one that could be opened, `first` at the beginning. state: what is going on, for the status line.
    """

    def __init__(self, open_: Callable[[Wish], Opened], first: Wish, say: Callable[[str], None]) -> None:
        self._open = open_
        self._say = say
        self.last = first
        self._lock = threading.Lock()
        self._wish: Wish | None = None  # what is to be opened or has been
        self._ready: tuple[Wish, Opened] | None = None
        self._thread: threading.Thread | None = None
        self.state = ""

    def load(self, wish: Wish) -> None:
        """Opens this instead of what was asked for before; returns at once."""
        with self._lock:
            self._wish = wish
            self.state = f"loading {wish.style.name}"
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="draw style", daemon=True)
                self._thread.start()

    def cancel(self) -> None:
        """Nothing is wanted any more; what is being opened is closed as soon as it is."""
        with self._lock:
            self._wish, self.state = None, ""
        if (ready := self.take()) is not None:
            ready[1].close()

    def take(self) -> tuple[Wish, Opened] | None:
        """What is ready, once; the caller closes it."""
        with self._lock:
            ready, self._ready = self._ready, None
        return ready

    def _run(self) -> None:
        while (wish := self._next()) is not None:
            try:
                opened = self._open(wish)
            except Exception as error:
                self._failed(wish, error)
            else:
                self._hand_over(wish, opened)

    def _next(self) -> Wish | None:
        with self._lock:
            if self._wish is None:
                self._thread = None
            return self._wish

    def _hand_over(self, made_for: Wish, opened: Opened) -> None:
        not_needed: Opened | None = opened
        with self._lock:
            wish = self._wish
            if wish is not None and wish.shares_generators(made_for):  # the numbers may have changed since
                not_needed = None if self._ready is None else self._ready[1]
                self._ready, self.last = (wish, opened), wish
                self._wish, self.state = None, ""
        if not_needed is not None:
            not_needed.close()

    def _failed(self, wish: Wish, error: Exception) -> None:
        why = str(error) if isinstance(error, LiveToonError) else f"{type(error).__name__}: {error}"
        with self._lock:
            if self._wish is None or not self._wish.shares_generators(wish):
                return
            self._wish, self.state = None, f"{wish.style.name} cannot be shown"
        self._say(f"The style {wish.style.name} cannot be shown, the one before stays: {why}")
