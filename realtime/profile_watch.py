"""A profile that is saved while the filter runs changes the look at once.

Comes in: the profile's file, looked at twice a second on a thread of its own. Goes out: a command to `Controls`; a
sentence about what is wrong in the file, or takes effect at the next start only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from realtime.controls import BusyError, Controls
from realtime.errors import UsageError
from realtime.settings import Look, Settings

EVERY_S = 0.5
_LIVE = ("look", "mirror", "profile")


class ProfileWatch:
    """settings: as they were read at the start. read: reads them anew; may raise `UsageError`."""

    def __init__(
        self,
        path: Path,
        settings: Settings,
        read: Callable[[], Settings],
        controls: Controls,
        say: Callable[[str], None],
    ) -> None:
        self._path = path
        self._settings = settings
        self._read = read
        self._controls = controls
        self._say = say
        self._known = self._seen = self._mark()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="profile", daemon=True)

    def __enter__(self) -> ProfileWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def check(self) -> None:
        """Reads the file if it has changed, and not since the last look: then it is written to the end."""
        mark = self._mark()
        if mark is None or mark == self._known:
            return
        if mark != self._seen:
            self._seen = mark
            return
        self._known = mark
        try:
            new = self._read()
        except UsageError as error:
            self._say(f"{error} Nothing has changed.")
            return
        self._apply(self._settings, new)

    def _apply(self, old: Settings, new: Settings) -> None:
        self._settings = new
        names = (field.name for field in fields(Look))
        look = {name: getattr(new.look, name) for name in names if getattr(new.look, name) != getattr(old.look, name)}
        others = (field.name for field in fields(Settings) if field.name not in _LIVE)
        later = [name for name in others if getattr(new, name) != getattr(old, name)]
        if later:
            self._say(f"{self._path.name}: {', '.join(later)} will change at the next start.")

        def change() -> None:
            if look:
                self._controls.change(**look)
            if new.mirror != old.mirror:
                self._controls.set_mirror(bool(new.mirror))

        def tell(done: Future[object]) -> None:
            error = done.exception()
            self._say(f"{self._path.name} is read anew." if error is None else f"{self._path.name}: {error}")

        if look or new.mirror != old.mirror:
            with suppress(BusyError):
                self._controls.ask(change).add_done_callback(tell)

    def _mark(self) -> tuple[int, int, int] | None:
        """What changes when the file is written or replaced; None while there is none."""
        try:
            now = self._path.stat()
        except OSError:
            return None
        return now.st_mtime_ns, now.st_size, now.st_ino

    def _run(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.check()
