"""A camera through OpenCV: asked for MJPG, then the size, then the rate; what it granted is read back.

Comes in: which camera. Goes out: its frames, RGB, cropped to the size asked for. On the thread that made it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from realtime.errors import SourceError
from realtime.source.cameras import CameraInfo
from realtime.source.fit import crop_to_fill
from realtime.types import Frame, Size, read_only

DEFAULT_SIZE, DEFAULT_FPS = Size(1280, 720), 30.0
FIRST_FRAME_S, NEXT_FRAME_S = 5.0, 2.0
_BACKENDS = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_DSHOW}
_RETRY_S = 0.02


class _Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: N802 (OpenCV's name)

    def set(self, propId: int, value: float, /) -> bool: ...  # noqa: N803

    def get(self, propId: int, /) -> float: ...  # noqa: N803

    def grab(self) -> bool: ...

    def retrieve(self) -> tuple[bool, Any]: ...

    def release(self) -> None: ...


def _open_capture(index: int) -> _Capture:
    """OpenCV's capture of a camera; its own warnings are kept from the user, who gets a sentence instead."""
    with _quiet():
        return cv2.VideoCapture(index, _BACKENDS.get(sys.platform, cv2.CAP_ANY))


class Camera:
    """Opened and showing its first picture once it is made; raises `SourceError`.

    `read` blocks until the camera gives a frame, and gives up after two seconds without one.
    """

    def __init__(
        self,
        camera: CameraInfo,
        size: Size | None = None,
        fps: float | None = None,
        open_: Callable[[int], _Capture] = _open_capture,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._camera = camera
        self._clock = clock
        self._wait = wait
        self.live = False
        self.size = size if size is not None else DEFAULT_SIZE
        self.frame_count: int | None = None
        self.clip: Path | None = None
        self._next = 0
        self._released = False
        self._capture = open_(camera.index)
        try:
            if not self._capture.isOpened():
                raise SourceError(_why_not_opened(camera))
            self._ask(fps if fps is not None else DEFAULT_FPS)
            if self._grab(FIRST_FRAME_S) is None:
                raise SourceError(
                    f"{_capital(camera)} opens but gives no pictures. Another program may be using it: "
                    "close that, connect the camera again, or name another --source."
                )
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        """The next frame; `t` is when it was captured."""
        if self._released:
            return None
        grabbed_s = self._grab(NEXT_FRAME_S)
        if grabbed_s is None:
            raise SourceError(f"{_capital(self._camera)} gives no pictures any more; it may have been unplugged.")
        got, bgr = self._capture.retrieve()
        index, self._next = self._next, self._next + 1
        if not got or bgr is None or bgr.size == 0:
            return self.read()  # one damaged JPEG: its number is lost, which counts it as dropped
        rgb = cv2.cvtColor(bgr, cv2.COLOR_GRAY2RGB if bgr.ndim == 2 else cv2.COLOR_BGR2RGB)
        return Frame(read_only(np.ascontiguousarray(crop_to_fill(rgb, self.size))), grabbed_s, grabbed_s, index)

    def close(self) -> None:
        """Releases the camera."""
        if not self._released:
            self._released = True
            self._capture.release()

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, fps: float) -> None:
        """MJPG first: USB carries 1280x720 at 30 frames a second only compressed, and drivers tie rates to formats."""
        capture, wanted = self._capture, self.size
        with _quiet():
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.height)
            capture.set(cv2.CAP_PROP_FPS, fps)
            granted = Size(*(round(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)))
            self.fps = capture.get(cv2.CAP_PROP_FPS)
            code = round(capture.get(cv2.CAP_PROP_FOURCC))
        if not 1 <= self.fps <= 1000:  # some drivers answer 0
            self.fps = fps
        fourcc = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
        form = f", {fourcc.strip()}" if fourcc.isascii() and fourcc.strip().isalnum() else ""
        self.name = f"{self._camera}, {granted} at {self.fps:g} fps{form}"
        if granted != wanted or round(self.fps) != round(fps):
            self.name += f" (asked for {wanted} at {fps:g} fps; pictures are cropped to {wanted})"

    def _grab(self, patience_s: float) -> float | None:
        """The moment at which the next frame was there; None when there is none for `patience_s`."""
        until_s = self._clock() + patience_s
        while not self._capture.grab():
            if self._clock() >= until_s:
                return None
            self._wait(_RETRY_S)
        return self._clock()


def _why_not_opened(camera: CameraInfo) -> str:
    if camera.path is not None and not os.access(camera.path, os.R_OK | os.W_OK):
        return f"{_capital(camera)} may not be opened by this user: sudo usermod -aG video $USER, then log in again."
    if camera.path is not None or camera.name:
        return (
            f"{_capital(camera)} cannot be opened; another program is probably using it. "
            "Close that program, or name another --source."
        )
    return f"There is no {camera}, or another program is using it. python run.py --list cameras shows what there is."


def _capital(camera: CameraInfo) -> str:
    text = str(camera)
    return text[:1].upper() + text[1:]


@contextmanager
def _quiet() -> Iterator[None]:
    log = cv2.utils.logging
    before = log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(before)
