"""The preview's window, in a process of its own: it can block, crash or lose its screen, and the filter goes on.

Comes in: pictures through shared memory, messages through a pipe. Goes out: the window, and keys through the pipe. On
this process's main thread, where every system wants its windows. No sink lives in this process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import cv2
import numpy as np

from realtime.sinks.view import View
from realtime.types import RgbImage, Size

TITLE = "LiveToon"
NO_SCREEN = "The preview needs a screen, and none answers here (is DISPLAY set?)."
NO_WINDOW = "The preview needs a screen; OpenCV cannot open a window here."
_LARGEST = Size(1280, 720)  # of the window at first; it can be resized
_WAIT_S = 0.008  # for a message, before keys are looked at again


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture lies in the shared memory. photo: so does the frame it was made from. The flips swap left and right."""

    status: tuple[str, ...]
    photo: bool
    flip_drawn: bool
    flip_photo: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The shared memory may be written again. split: the photo is wanted with the next picture."""

    split: bool


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key that is not for the window."""

    key: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The window is gone. why: a sentence, or empty when the user closed it."""

    why: str = ""


Told = Taken | Pressed | Ended


def run_window(end: Connection, drawn: Any, photo: Any, size: Size, help_: Sequence[tuple[str, str]]) -> None:
    """Shows what comes until the pipe ends or the user closes the window. drawn, photo: shared memory for `size`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the filter, which then closes this
    with suppress(EOFError, OSError):  # the filter is gone
        end.send(Ended(_shown(end, image_in(drawn, size), image_in(photo, size), help_)))


def _shown(end: Connection, drawn: RgbImage, photo: RgbImage, help_: Sequence[tuple[str, str]]) -> str:
    """Gives why the window is gone; raises `EOFError` and `OSError` when the filter is."""
    if not display_answers():
        return NO_SCREEN
    try:
        window = _Window(Size(drawn.shape[1], drawn.shape[0]), help_)
        end.send(Taken(split=False))
        while True:
            if end.poll(_WAIT_S):
                message = end.recv()
                if message is None:
                    return ""
                window.take(message, drawn, photo)
                end.send(Taken(window.view.split))
            key = window.refresh()
            if not window.visible:
                return ""
            if key is not None:
                end.send(Pressed(key))
    except cv2.error:
        return NO_WINDOW


class _Window:
    def __init__(self, picture: Size, help_: Sequence[tuple[str, str]]) -> None:
        self.view = View(help_)
        self._picture = picture
        self._full_screen = False
        self._drawn: RgbImage | None = None
        self._photo: RgbImage | None = None
        self._status: tuple[str, ...] = ()
        self._changed = True
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        scale = min(1.0, _LARGEST.width / picture.width, _LARGEST.height / picture.height)
        self._size = Size(max(320, round(picture.width * scale)), max(180, round(picture.height * scale)))
        cv2.resizeWindow(TITLE, self._size.width, self._size.height)
        cv2.setMouseCallback(TITLE, self._mouse)

    def take(self, shown: Shown, drawn: RgbImage, photo: RgbImage) -> None:
        """The next picture, copied out of the shared memory."""
        self._drawn = _copied(drawn, shown.flip_drawn)
        self._photo = _copied(photo, shown.flip_photo) if shown.photo and self.view.split else None
        self._status = shown.status
        self._changed = True

    def refresh(self) -> str | None:
        """Shows what is new and gives a key that was pressed and is not for the window."""
        _, _, width, height = cv2.getWindowImageRect(TITLE)
        if width > 0 and height > 0 and Size(width, height) != self._size:
            self._size, self._changed = Size(width, height), True
        if self._changed:
            self._changed = False
            cv2.imshow(TITLE, self.view.pixels(self._drawn, self._photo, self._status, self._size))
        key = cv2.waitKeyEx(1)
        if not 0 < key < 128:  # arrows and the like have larger codes whose low byte looks like a letter
            return None
        left = self.view.key(chr(key).lower())
        self._changed = True
        if not self.view.split:
            self._photo = None
        if self.view.full_screen != self._full_screen:
            self._full_screen = self.view.full_screen
            how = cv2.WINDOW_FULLSCREEN if self._full_screen else cv2.WINDOW_NORMAL
            cv2.setWindowProperty(TITLE, cv2.WND_PROP_FULLSCREEN, how)
        return left

    @property
    def visible(self) -> bool:
        """Whether the user has not closed it."""
        try:
            return bool(cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1)
        except cv2.error:  # Qt's answer for a window that was closed
            return False

    def _mouse(self, _event: int, x: int, _y: int, flags: int, _: object) -> None:
        pressed = bool(flags & cv2.EVENT_FLAG_LBUTTON)
        if self.view.split:
            self.view.mouse(x, pressed=pressed, picture=self._picture, window=self._size)
            self._changed = self._changed or pressed


def image_in(memory: Any, size: Size) -> RgbImage:
    """Shared memory as a picture, (h, w, 3) u8."""
    return np.frombuffer(memory, np.uint8).reshape(size.height, size.width, 3)


def _copied(rgb: RgbImage, flip: bool) -> RgbImage:
    return cv2.flip(rgb, 1) if flip else rgb.copy()


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
