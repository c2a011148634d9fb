"""What a Linux video device says about itself, asked of the kernel (videodev2.h). Nothing is switched on by asking.

Comes in: a device's path. Goes out: its driver, whether it captures, its modes. Imported on Linux only. Any thread.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_QUERYCAP, _ENUM_FMT, _ENUM_FRAMESIZES, _ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
_VIDEO_CAPTURE, _VIDEO_CAPTURE_MPLANE, _HAS_DEVICE_CAPS = 0x1, 0x1000, 0x80000000
_CAPTURE_BUFFER, _DISCRETE = 1, 1

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True, slots=True)
class Device:
    """driver: the kernel module's name. captures: whether pictures can be read from it now."""

    driver: str
    captures: bool
    modes: tuple[str, ...]


def query_device(path: Path, ioctl: Ioctl = fcntl.ioctl) -> Device | None:
    """What `path` is; None when it may not be opened or is no video device."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        capability = bytearray(104)  # struct v4l2_capability
        ioctl(fd, _QUERYCAP, capability)
        driver = bytes(capability[:16]).split(b"\0")[0].decode(errors="replace")
        of_driver, of_node = struct.unpack_from("=2I", capability, 84)
        flags = of_node if of_driver & _HAS_DEVICE_CAPS else of_driver
        captures = bool(flags & (_VIDEO_CAPTURE | _VIDEO_CAPTURE_MPLANE))
        return Device(driver, captures, tuple(_modes(fd, ioctl)) if captures else ())
    except OSError:
        return None
    finally:
        os.close(fd)


def _modes(fd: int, ioctl: Ioctl) -> Iterator[str]:
    """ "MJPG 1280x720 at 30, 15 fps" for every size of every format; only discrete sizes and rates are listed."""
    for kind in _enumerate(fd, ioctl, _ENUM_FMT, 64, (_CAPTURE_BUFFER,)):
        (fourcc,) = struct.unpack_from("=I", kind, 44)
        name = struct.pack("=I", fourcc).decode("ascii", "replace").strip()
        for size in _enumerate(fd, ioctl, _ENUM_FRAMESIZES, 44, (fourcc,)):
            size_kind, width, height = struct.unpack_from("=3I", size, 8)
            if size_kind != _DISCRETE:
                break
            rates = []
            for interval in _enumerate(fd, ioctl, _ENUM_FRAMEINTERVALS, 52, (fourcc, width, height)):
                rate_kind, seconds, of = struct.unpack_from("=3I", interval, 16)
                if rate_kind == _DISCRETE and seconds:
                    rates.append(f"{of / seconds:.4g}")
            yield f"{name} {width}x{height}" + (f" at {', '.join(rates)} fps" if rates else "")


def _enumerate(fd: int, ioctl: Ioctl, request: int, length: int, asked: tuple[int, ...]) -> Iterator[bytearray]:
    """The kernel's answers for index 0, 1, …, up to its refusal; `asked` follows the index in the structure."""
    for index in range(100):
        answer = bytearray(length)
        struct.pack_into(f"={1 + len(asked)}I", answer, 0, index, *asked)
        try:
            ioctl(fd, request, answer)
        except OSError:
            return
        yield answer
