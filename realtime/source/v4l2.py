"""What a Linux video device says about itself, asked of the kernel (videodev2.h). Nothing is switched on by asking.

Comes in: a device's path. Goes out: its driver, what it can do now, its modes; of a virtual one also its format and
whether somebody watches. Imported on Linux only. Any thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from realtime.types import Size

_QUERYCAP, _ENUM_FMT, _ENUM_FRAMESIZES, _ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
_G_FMT, _STREAMON, _DQEVENT, _SUBSCRIBE_EVENT = 0xC0D05604, 0x40045612, 0x80885659, 0x4020565A
_VIDEO_CAPTURE, _VIDEO_OUTPUT, _VIDEO_CAPTURE_MPLANE, _HAS_DEVICE_CAPS = 0x1, 0x2, 0x1000, 0x80000000
_CAPTURE_BUFFER, _OUTPUT_BUFFER, _DISCRETE = 1, 2, 1
_CLIENT_USAGE = 0x08000000 + 0x08E00000 + 1  # v4l2loopback 0.13 and newer: V4L2_EVENT_PRI_CLIENT_USAGE
_SEND_INITIAL = 1

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True, slots=True)
class Device:
    """driver: the kernel module's name. captures: whether pictures can be read from it now, outputs: written to it.
    modes: of capturing, as text."""

    driver: str
    captures: bool
    modes: tuple[str, ...]
    outputs: bool = False


def query_device(path: Path, ioctl: Ioctl = fcntl.ioctl) -> Device | None:
    """What `path` is; None when it may not be opened or is no video device."""
    try:
        return describe(path, ioctl)
    except OSError:
        return None


def describe(path: Path, ioctl: Ioctl = fcntl.ioctl) -> Device:
    """What `path` is; raises `OSError`: it is not there, may not be opened, is busy or no video device."""
    with _opened(path) as fd:
        capability = bytearray(104)  # struct v4l2_capability
        ioctl(fd, _QUERYCAP, capability)
        driver = bytes(capability[:16]).split(b"\0")[0].decode(errors="replace")
        of_driver, of_node = struct.unpack_from("=2I", capability, 84)
        flags = of_node if of_driver & _HAS_DEVICE_CAPS else of_driver
        captures = bool(flags & (_VIDEO_CAPTURE | _VIDEO_CAPTURE_MPLANE))
        return Device(driver, captures, tuple(_modes(fd, ioctl)) if captures else (), bool(flags & _VIDEO_OUTPUT))


def output_size(path: Path, ioctl: Ioctl = fcntl.ioctl) -> Size | None:
    """The size of what is written to a virtual camera; None when it does not tell."""
    answer = bytearray(208)  # struct v4l2_format
    struct.pack_into("=I", answer, 0, _OUTPUT_BUFFER)
    with suppress(OSError), _opened(path) as fd:
        ioctl(fd, _G_FMT, answer)
        return Size(*struct.unpack_from("=2I", answer, 8))
    return None


def restore_output(path: Path, ioctl: Ioctl = fcntl.ioctl) -> None:
    """Gives a virtual camera of v4l2loopback 0.12 its output capability back; only while nobody writes to it.

    There a writer that never streamed (pyvirtualcam only writes) takes the capability with it when it ends. One that
    streams gives it back: so this starts streaming and ends. Newer drivers refuse with EINVAL, and need nothing.
    Raises `OSError`.
    """
    with _opened(path) as fd:
        try:
            ioctl(fd, _STREAMON, bytearray(struct.pack("=I", _OUTPUT_BUFFER)))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise


def has_viewer(path: Path, ioctl: Ioctl = fcntl.ioctl) -> bool | None:
    """Whether a program takes pictures from a virtual camera, as v4l2loopback 0.13 and newer tell; None where not.

    Asked with a descriptor of its own every time: then the driver tells the state of now, and no event that was missed
    can leave a wrong one behind. A program that only has the device open does not count.
    """
    subscription = bytearray(32)  # struct v4l2_event_subscription
    struct.pack_into("=3I", subscription, 0, _CLIENT_USAGE, 0, _SEND_INITIAL)
    event = bytearray(136)  # struct v4l2_event on 64 bits
    with suppress(OSError), _opened(path) as fd:
        ioctl(fd, _SUBSCRIBE_EVENT, subscription)
        ioctl(fd, _DQEVENT, event)
        kind, _, count = struct.unpack_from("=3I", event)
        return bool(count) if kind == _CLIENT_USAGE else None
    return None


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
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
