"""A window that shows the picture as a mirror, with a line of status, and passes keys on.

Comes in: pictures; goes out: to the screen, and keys to `on_key`. On the main thread: windows live nowhere else on
macOS.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import cv2
import numpy as np

from realtime.errors import SinkError
from realtime.types import Picture, RgbImage, Size

_TITLE = "LiveToon"
_LARGEST = Size(1280, 720)  # of the window at first; it can be resized
_TEXT_PX = 720 / 0.6  # picture height at which OpenCV's font has scale 1


class Preview:
    """status: the line to show. on_key: gets each key as a character, and "q" once when the window was closed.
    mirrored: left and right are swapped, as people expect of their own picture."""

    def __init__(
        self,
        size: Size,
        *,
        status: Callable[[], str],
        on_key: Callable[[str], None],
        mirrored: bool,
    ) -> None:
        self.name = "preview"
        self._status = status
        self._on_key = on_key
        self._mirrored = mirrored
        self._open = False
        if not display_answers():
            raise SinkError("The preview needs a screen, and none answers here (is DISPLAY set?).")
        scale = min(1.0, _LARGEST.width / size.width, _LARGEST.height / size.height)
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            cv2.resizeWindow(
                _TITLE,
                max(160, round(size.width * scale)),
                max(120, round(size.height * scale)),
            )
        except cv2.error as error:
            raise SinkError("The preview needs a screen; OpenCV cannot open a window here.") from error
        self._open = True

    def send(self, picture: Picture) -> None:
        """Shows it and passes on a key that was pressed; does nothing once the window was closed."""
        if not self._open:
            return
        try:
            cv2.imshow(_TITLE, cv2.cvtColor(self._drawn(picture.rgb), cv2.COLOR_RGB2BGR))
            key = cv2.waitKeyEx(1)
        except cv2.error as error:
            self._open = False
            raise SinkError("The preview window failed; the screen may have gone away.") from error
        if not _visible():
            self._open = False
            self._on_key("q")
        elif 0 < key < 128:  # arrows and the like have larger codes whose low byte looks like a letter
            self._on_key(chr(key))

    def close(self) -> None:
        """Closes the window."""
        if self._open:
            self._open = False
            cv2.destroyWindow(_TITLE)
            cv2.waitKey(1)  # the window goes away only when its events are handled

    def __enter__(self) -> Preview:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drawn(self, rgb: RgbImage) -> RgbImage:
        shown = np.ascontiguousarray(rgb[:, ::-1]) if self._mirrored else rgb.copy()
        return with_status(shown, self._status())


def _visible() -> bool:
    try:
        return bool(cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1)
    except cv2.error:  # Qt's answer for a window that was closed
        return False


def with_status(rgb: RgbImage, text: str) -> RgbImage:
    """`rgb` with `text` on a dark strip along its lower edge, written into it."""
    if text:
        height, width = rgb.shape[:2]
        scale = max(0.35, height / _TEXT_PX)
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        scale *= min(1.0, (width - 2 * high) / wide)
        strip = rgb[max(0, height - 2 * high) :]
        strip[:] = strip // 3
        at = (high, height - high // 2)
        cv2.putText(
            rgb,
            text,
            at,
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            (240, 240, 240),
            1,
            cv2.LINE_AA,
        )
    return rgb


def display_answers() -> bool:
    """Whether a window can be opened. OpenCV's Qt ends the process when X does not answer: ask X first."""
    if not sys.platform.startswith("linux"):
        return True
    if not os.environ.get("DISPLAY"):
        return False
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return False
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if not display:
        return False
    x11.XCloseDisplay(display)
    return True
