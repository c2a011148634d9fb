"""A screen, or a part of it, becomes frames, through mss.

Comes in: `screen`, `screen:2` (the second one) or `screen:X,Y,WxH` (pixels of the whole desktop). Goes out: frames, at
most as many a second as asked for. On the thread that made it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.errors import SourceError, UsageError
from realtime.source.fit import letterbox
from realtime.source.sizes import checked_size
from realtime.types import Frame, RgbImage, Size, read_only

DEFAULT_FPS = 30.0
_SMALLEST_PX = 16

Grab = Callable[[dict[str, int]], Any]  # a part of the desktop as (h, w, 4) u8, blue first


def parse_screen(uri: str) -> int | dict[str, int]:
    """The number of a screen, 1 the first, or a part of the desktop as mss takes it; raises `UsageError`."""
    word = uri.partition(":")[2]
    if uri == "screen":
        return 1
    if re.fullmatch(r"[1-9]\d?", word):
        return int(word)
    match = re.fullmatch(r"(-?\d{1,5}),(-?\d{1,5}),(\d{1,5})x(\d{1,5})", word)
    if match is None or min(int(match[3]), int(match[4])) < _SMALLEST_PX:
        raise UsageError(f"'{uri}' is no screen; expected screen, screen:2 or screen:X,Y,WIDTHxHEIGHT.")
    return {"left": int(match[1]), "top": int(match[2]), "width": int(match[3]), "height": int(match[4])}


class Screen:
    """part: as `parse_screen` gives it. Raises `SourceError`."""

    def __init__(
        self,
        part: int | dict[str, int],
        size: Size | None,
        fps: float | None,
        open_: Callable[[], tuple[Grab, list[dict[str, int]]]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._wait = wait
        self._grab, screens = (_open_mss if open_ is None else open_)()
        whole, *each = screens
        if isinstance(part, int):
            if part > len(each):
                raise SourceError(f"There is no screen {part}; there are {len(each)}.")
            self._part, what = each[part - 1], f"screen {part}"
        else:
            self._part, what = part, f"screen at {part['left']},{part['top']}"
            if not _inside(part, whole):
                raise SourceError(
                    f"{part['width']}x{part['height']} at {part['left']},{part['top']} reaches beyond the desktop, "
                    f"which is {whole['width']}x{whole['height']} at {whole['left']},{whole['top']}."
                )
        own = Size(self._part["width"], self._part["height"])
        self.size = checked_size(own, size, what) if size is not None else own.even
        self.live = False
        self.fps = DEFAULT_FPS if fps is None else fps
        self.frame_count: int | None = None
        self.clip: Path | None = None
        self.name = f"{what}, {own} at {self.fps:g} fps"
        self._next = 0
        self._next_s = self._clock()

    def read(self) -> Frame | None:
        """The screen as it is when the next frame is due; raises `SourceError`."""
        if (ahead_s := self._next_s - self._clock()) > 0:
            self._wait(ahead_s)
        now_s = self._clock()
        self._next_s = max(self._next_s + 1 / self.fps, now_s)
        try:
            bgra = np.asarray(self._grab(self._part), np.uint8)
        except Exception as error:  # mss raises what the system's library does
            raise SourceError(f"The screen cannot be read any more ({error}).") from error
        index, self._next = self._next, self._next + 1
        return Frame(read_only(self._fitted(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB))), now_s, now_s, index)

    def close(self) -> None:
        """Nothing stays open."""

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fitted(self, rgb: Any) -> RgbImage:
        if rgb.shape[:2] != (self._part["height"], self._part["width"]):  # a screen of many points an inch
            rgb = cv2.resize(rgb, (self._part["width"], self._part["height"]), interpolation=cv2.INTER_AREA)
        if self.size == Size(self._part["width"], self._part["height"]).even:
            return np.ascontiguousarray(rgb[: self.size.height, : self.size.width])
        return letterbox(rgb, self.size)


def _inside(part: dict[str, int], whole: dict[str, int]) -> bool:
    return all(
        whole[at] <= part[at] and part[at] + part[length] <= whole[at] + whole[length]
        for at, length in (("left", "width"), ("top", "height"))
    )


def _open_mss() -> tuple[Grab, list[dict[str, int]]]:
    try:
        import mss
    except ImportError as error:
        raise SourceError(
            f"A screen as the source needs the package mss; install it with: {sys.executable} -m pip install mss"
        ) from error
    try:
        opened = mss.mss()
        return opened.grab, list(opened.monitors)
    except Exception as error:  # ScreenShotError, and what the system's library raises
        raise SourceError(f"No screen can be read here ({error}); is there one, and is DISPLAY set?") from error
