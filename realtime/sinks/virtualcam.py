"""Pictures become a camera that video calls can choose, through pyvirtualcam.

Comes in: pictures. Goes out: to the system's virtual camera. On the thread of `Threaded`. pyvirtualcam is GPL-2.0 and
optional: it is imported here only, when a virtual camera is opened.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from realtime.card import card
from realtime.errors import SinkError
from realtime.sinks.contract import Sink
from realtime.sinks.threaded import Threaded
from realtime.types import Frame, Picture, Size, read_only

_REPEAT_S = 0.5
_REMEDY = {
    "linux": "Install v4l2loopback (Debian: sudo apt-get install v4l2loopback-dkms), then: "
    "sudo modprobe v4l2loopback exclusive_caps=1 card_label=LiveToon",
    "darwin": "Install OBS Studio 30 or newer, start its virtual camera once and stop it again.",
    "win32": "Install OBS Studio; it brings the virtual camera with it.",
}


class VirtualCamera:
    """camera: an open `pyvirtualcam.Camera`, of which `device`, `send` and `close` are used."""

    def __init__(self, camera: Any, size: Size) -> None:
        self.name = f"virtualcam ({camera.device})"
        self._camera = camera
        self._size = size
        self._closed = False

    def send(self, picture: Picture) -> None:
        """Hands it over; raises `SinkError`. It may block as long as the receiver likes."""
        rgb = np.ascontiguousarray(picture.rgb[: self._size.height, : self._size.width])
        try:
            self._camera.send(rgb)
        except (RuntimeError, OSError, ValueError) as error:
            raise SinkError(f"The virtual camera {self._camera.device} takes no more pictures ({error}).") from error

    def close(self) -> None:
        """The device stays, without a picture."""
        if not self._closed:
            self._closed = True
            self._camera.close()

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_virtual_camera(device: str | None, size: Size, fps: float, say: Callable[[str], None]) -> Sink:
    """A virtual camera of the even part of `size` that shows a card from now on; raises `SinkError` with the remedy."""
    try:
        import pyvirtualcam
    except ImportError as error:
        raise SinkError(
            "The virtual camera needs the package pyvirtualcam, which is not installed. "
            f"Install it with: {sys.executable} -m pip install pyvirtualcam"
        ) from error
    even = size.even

    def opened() -> Sink:
        try:
            return VirtualCamera(pyvirtualcam.Camera(even.width, even.height, fps, device=device), even)
        except (RuntimeError, OSError, ValueError) as error:
            which = f"The virtual camera {device}" if device else "A virtual camera"
            remedy = _REMEDY.get(sys.platform, "")
            raise SinkError(f"{which} cannot be opened ({_first_sentence(error)}). {remedy}") from error

    start = Frame(read_only(np.zeros((1, 1, 3), np.uint8)), 0.0, time.monotonic(), 0)
    return Threaded(
        opened(),
        first=card("LiveToon starts", even, start),
        repeat_s=_REPEAT_S,
        stale=lambda last: card("LiveToon does not answer", even, last),
        reopen=opened,
        say=say,
    )


def _first_sentence(error: Exception) -> str:
    """What pyvirtualcam says, without the name of its backend before it and its own advice after it."""
    said = str(error).strip().removeprefix("'v4l2loopback' backend: ").splitlines()
    return said[0].split(". ")[0].rstrip(".") if said else type(error).__name__
