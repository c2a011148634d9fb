"""Which cameras there are, and which one the user means.

Comes in: an index, a path, a name or part of it. Goes out: `CameraInfo`. Any thread.
"""

from __future__ import annotations

import difflib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from realtime.errors import SourceError

_LOOPBACK_DRIVER = "v4l2 loopback"
_VIRTUAL_NAMES = ("OBS Virtual Camera", "Unity Video Capture")  # which sinks write to, on Windows and macOS


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera. index: as `--source` and OpenCV take it. path: its device on Linux. modes: formats, sizes and rates
    it offers, empty where the system does not tell."""

    index: int
    path: str | None
    name: str
    modes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"camera {self.index}" + (f" ({self.name})" if self.name else "")


def list_cameras() -> list[CameraInfo]:
    """The cameras of this machine, by index; without virtual ones, where a sink may write."""
    if sys.platform == "linux":
        return [camera for camera, driver in linux_cameras() if driver != _LOOPBACK_DRIVER]
    return [camera for camera in _others_cameras() if camera.name not in _VIRTUAL_NAMES]


def find_camera(wanted: str) -> CameraInfo:
    """The camera that an index, a device path, a name or part of a name means; raises `SourceError`."""
    known = [camera for camera, _ in linux_cameras()] if sys.platform == "linux" else _others_cameras()
    if wanted.isdecimal() or wanted.startswith("/dev/"):
        index = int(wanted) if wanted.isdecimal() else _index_of_device(Path(wanted))
        for camera in known:
            if camera.index == index:
                return camera
        if sys.platform == "linux":
            path = Path(f"/dev/video{index}")
            if not path.exists():
                raise SourceError(f"There is no camera {wanted}. {_what_there_is(known)}")
            if Path(f"/sys/class/video4linux/{path.name}").exists() and _readable(path):
                raise SourceError(f"{path} gives no pictures: it is not a camera. {_what_there_is(known)}")
            return CameraInfo(index, str(path), "")
        return CameraInfo(index, None, "")
    folded = wanted.casefold()
    for matches in (lambda name: name == folded, lambda name: folded in name):
        for camera in known:
            if matches(camera.name.casefold()):
                return camera
    names = {camera.name.casefold(): camera.name for camera in known}
    near = difflib.get_close_matches(folded, names, n=1, cutoff=0.5)
    hint = f"Did you mean '{names[near[0]]}'?" if near else _what_there_is(known)
    raise SourceError(f"There is no camera, clip or picture '{wanted}'. {hint}")


def find_again(camera: CameraInfo) -> CameraInfo:
    """The same camera after it was unplugged and connected again, maybe under another index: by its name."""
    if not camera.name:
        return camera
    named = [known for known in list_cameras() if known.name == camera.name]
    return next((known for known in named if known.index == camera.index), named[0] if named else camera)


def linux_cameras(
    sysfs: Path = Path("/sys/class/video4linux"), devices: Path = Path("/dev")
) -> list[tuple[CameraInfo, str]]:
    """Every device that captures now, with its driver, by index; one that may not be opened counts as a camera."""
    from realtime.source.v4l2 import query_device

    found = []
    for entry in sysfs.glob("video*"):
        number = entry.name.removeprefix("video")
        if not number.isdecimal():
            continue
        path = devices / entry.name
        device = query_device(path)
        if device is None and (not path.exists() or _readable(path)):
            continue
        if device is not None and not device.captures:
            continue
        try:
            name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            name = ""
        camera = CameraInfo(int(number), str(path), name, device.modes if device is not None else ())
        found.append((camera, device.driver if device is not None else ""))
    return sorted(found, key=lambda pair: pair[0].index)


def _what_there_is(known: list[CameraInfo]) -> str:
    if not known:
        return "No camera was found on this machine; connect one, or try --source demo."
    return "There is: " + ", ".join(f"{camera.index} ({camera.name})" for camera in known) + "."


def _index_of_device(path: Path) -> int:
    """N of /dev/videoN, also through links such as those in /dev/v4l/by-id."""
    match = re.fullmatch(r"video(\d+)", path.resolve().name)
    if match is None:
        raise SourceError(f"There is no camera {path}; expected a device such as /dev/video0.")
    return int(match[1])


def _readable(path: Path) -> bool:
    try:
        path.open("rb", buffering=0).close()
    except OSError:
        return False
    return True


def _others_cameras() -> list[CameraInfo]:
    """The cameras of macOS or Windows, by the numbers that OpenCV gives them; none when the system cannot be asked."""
    try:
        import cv2
        from cv2_enumerate_cameras import enumerate_cameras

        found = enumerate_cameras(cv2.CAP_AVFOUNDATION if sys.platform == "darwin" else cv2.CAP_DSHOW)
    except Exception:  # not installed, or whatever the system's interface raises
        return []
    return sorted((CameraInfo(c.index, None, c.name or "") for c in found), key=lambda camera: camera.index)
