"""Pictures become a camera that video calls can choose, through pyvirtualcam.

Comes in: pictures. Goes out: to the system's virtual camera, at one size for the whole run. On the thread of
`Threaded`. pyvirtualcam is GPL-2.0 and optional: it is imported here only, when a virtual camera is opened.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realtime.card import card
from realtime.errors import SinkError
from realtime.sinks.contract import Sink
from realtime.sinks.threaded import Threaded
from realtime.source.fit import letterbox
from realtime.types import Missing, Picture, Size

SIZE, FPS = Size(1280, 720), 30.0  # without --size and --fps: what every program for calls knows
_REPEAT_S = 0.5
_REMEDY = {
    "linux": "Close the program that uses it, or name another one: --sink virtualcam:DEVICE.",
    "darwin": "Install OBS Studio 30 or newer, start its virtual camera once and stop it again.",
    "win32": "Install OBS Studio; it brings the virtual camera with it.",
}


class VirtualCamera:
    """camera: an open `pyvirtualcam.Camera` of `size`, of which `device`, `send` and `close` are used."""

    def __init__(self, camera: Any, size: Size) -> None:
        self.device = str(camera.device)
        self.name = f"virtualcam ({self.device})"
        self._camera = camera
        self._size = size
        self._node = _node(self.device)
        self._closed = False

    def send(self, picture: Picture) -> None:
        """Hands it over, letterboxed where it has another shape; raises `SinkError`.

        It may block as long as the receiver likes.
        """
        if _node(self.device) != self._node:  # pyvirtualcam would write on, and only complain on stderr
            raise SinkError(f"The virtual camera {self.device} has disappeared.")
        size = self._size
        rgb = picture.rgb
        if size != picture.size.even:
            rgb = letterbox(rgb, size)
        try:
            self._camera.send(np.ascontiguousarray(rgb[: size.height, : size.width]))
        except (RuntimeError, OSError, ValueError) as error:
            raise SinkError(f"The virtual camera {self.device} takes no more pictures ({error}).") from error

    def close(self) -> None:
        """The device stays, without a picture."""
        if not self._closed:
            self._closed = True
            self._camera.close()
            if sys.platform == "linux" and self._node is not None:
                from realtime.sinks.loopback import give_back

                give_back(Path(self.device))

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LastingVirtualCamera(Threaded):
    """A virtual camera with a thread, opened anew when it fails."""

    @property
    def device(self) -> str | None:
        """The device that gets pictures now; None while there is none."""
        inner = self._inner
        return inner.device if isinstance(inner, VirtualCamera) else None


def anybody_watches(cameras: Sequence[LastingVirtualCamera]) -> bool | None:
    """Whether somebody may watch one of these; None when it cannot be known, as on Windows and macOS."""
    if sys.platform != "linux":
        return None
    from realtime.sinks.loopback import is_watched

    watched: bool | None = False
    for camera in cameras:
        device = camera.device
        here = True if device is None else is_watched(Path(device))  # away: it is opened anew any moment
        if here:
            return True
        watched = None if here is None else watched
    return watched


def open_virtual_camera(device: str | None, size: Size, fps: float, say: Callable[[str], None]) -> LastingVirtualCamera:
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
        chosen = device
        if sys.platform == "linux":
            from realtime.sinks.loopback import choose_device

            chosen = str(choose_device(device))
        try:
            camera = pyvirtualcam.Camera(even.width, even.height, fps, device=chosen)
        except (RuntimeError, OSError, ValueError) as error:
            which = f"The virtual camera {chosen}" if chosen else "A virtual camera"
            remedy = _REMEDY.get(sys.platform, "")
            raise SinkError(f"{which} cannot be opened ({_first_sentence(error)}). {remedy}".rstrip()) from error
        try:
            _check_size(str(camera.device), even)
        except BaseException:
            camera.close()
            raise
        return VirtualCamera(camera, even)

    start = Missing("LiveToon starts", even, 0.0, time.monotonic(), 0)
    return LastingVirtualCamera(
        opened(),
        first=card(start.why, even, start),
        repeat_s=_REPEAT_S,
        stale=lambda last: card("LiveToon does not answer", even, last),
        reopen=opened,
        say=say,
    )


def _check_size(device: str, size: Size) -> None:
    """A viewer that never let go keeps v4l2loopback at the size it had; pyvirtualcam would write into it all the same.

    Raises `SinkError`.
    """
    if sys.platform != "linux":
        return
    from realtime.source.v4l2 import output_size

    kept = output_size(Path(device))
    if kept is not None and kept != size:
        raise SinkError(
            f"The virtual camera {device} is kept at {kept} by a program that still shows it; "
            f"close that program, or use --size {kept}."
        )


def _node(device: str) -> int | None:
    """Which device the path leads to now; None where devices are no files."""
    try:
        return Path(device).stat().st_rdev
    except OSError:
        return None


def _first_sentence(error: Exception) -> str:
    """What pyvirtualcam says, without the name of its backend before it and its own advice after it."""
    said = str(error).strip().removeprefix("'v4l2loopback' backend: ").splitlines()
    return said[0].split(". ")[0].rstrip(".") if said else type(error).__name__
