"""Linux's virtual camera, v4l2loopback: what state it is in, which device to write to, whether somebody watches.

Comes in: the device the user named, if any. Goes out: the device to open, or one sentence with the remedy. Imported on
Linux only. Any thread.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from realtime.errors import SinkError
from realtime.source.v4l2 import Device, describe, has_viewer, restore_output

DRIVER = "v4l2 loopback"
LABEL = "LiveToon"
OPTIONS = f"exclusive_caps=1 card_label={LABEL}"
LOAD = f"sudo modprobe v4l2loopback {OPTIONS}"
RELOAD = f"sudo modprobe -r v4l2loopback && {LOAD}"
SYSFS = Path("/sys")
_PARAMETERS = ("devices", "video_nr", "card_label", "exclusive_caps")
_WRITER_WITHIN_S = 1.2  # a producer that gives fewer pictures than that is none
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Module:
    """The kernel module.

    version: as it tells, else as installed, empty where neither is known. parameters: those that decide what programs
    see, as loaded; of each list as many values as there are devices.
    """

    loaded: bool
    version: str
    parameters: dict[str, str]


def module_state(sysfs: Path = SYSFS, root: Path = Path("/")) -> Module:
    """What the kernel tells about v4l2loopback."""
    folder = sysfs / "module" / "v4l2loopback"
    count = max(1, len(loopback_devices(sysfs)))
    parameters = {}
    for name in _PARAMETERS:
        if value := _text(folder / "parameters" / name):
            values = ",".join(value.split(",")[:count])
            parameters[name] = values.replace("Y", "1").replace("N", "0") if name == "exclusive_caps" else values
    installed = sorted(path.name.removeprefix("v4l2loopback-") for path in _sources(root))
    return Module(folder.is_dir(), _text(folder / "version") or " or ".join(installed), parameters)


def loopback_devices(sysfs: Path = SYSFS, devices: Path = Path("/dev")) -> list[tuple[Path, str]]:
    """Path and label of every device that can be one of v4l2loopback, LiveToon's own first, then by number."""
    found = []
    for entry in (sysfs / "devices" / "virtual" / "video4linux").glob("video*"):
        number = entry.name.removeprefix("video")
        if number.isdecimal():
            label = _text(entry / "name")
            found.append((label != LABEL, int(number), devices / entry.name, label))
    return [(path, label) for _, _, path, label in sorted(found)]


def how_to_load(sysfs: Path = SYSFS, root: Path = Path("/")) -> str:
    """The command that brings a virtual camera here."""
    if module_state(sysfs).loaded:
        return f"v4l2loopback is loaded without a device; load it anew: {RELOAD}"
    release = platform.release()
    if "/v4l2loopback.ko" in _text(root / "lib" / "modules" / release / "modules.dep"):
        return f"Run: {LOAD}"
    if any(_sources(root)):
        build = f"sudo apt-get install linux-headers-{release} && sudo dkms autoinstall"
        return f"v4l2loopback is installed but not built for this kernel; run: {build} && {LOAD}"
    return f"Install v4l2loopback (Debian: sudo apt-get install v4l2loopback-dkms), then: {LOAD}"


def choose_device(wanted: str | None) -> Path:
    """The device to write to, ready for it; raises `SinkError` in one sentence with the remedy."""
    devices = loopback_devices()
    if wanted is not None:
        return _ready(Path(wanted).resolve(), devices)
    if not devices:
        raise SinkError(f"There is no virtual camera here. {how_to_load()}")
    first: SinkError | None = None
    for path, _ in devices:
        try:
            return _ready(path, devices)
        except SinkError as error:
            first = first or error
    assert first is not None
    raise first


def give_back(path: Path) -> None:
    """After a producer of ours closed the device: the next one, of any program, can open it."""
    try:
        if not describe(path).outputs:
            restore_output(path)
    except OSError:
        pass  # gone, or nothing that can be mended from here


def _ready(path: Path, devices: list[tuple[Path, str]]) -> Path:
    device = _described(path, devices)
    if device.driver != DRIVER:
        what = "a camera" if device.captures else "no virtual camera"
        raise SinkError(f"{path} is {what} ({device.driver}), pictures cannot be sent to it. {_others(devices)}")
    if device.outputs:
        return path
    if device.captures and is_written(path):
        raise SinkError(
            f"The virtual camera {path} is used by another program that sends pictures to it; close that program, "
            "or load v4l2loopback with a second device (devices=2) and name it: --sink virtualcam:DEVICE."
        )
    try:
        restore_output(path)
        if describe(path).outputs:
            return path
    except OSError:
        pass
    raise SinkError(f"The virtual camera {path} takes no pictures; load it anew: {RELOAD}")


def _described(path: Path, devices: list[tuple[Path, str]]) -> Device:
    try:
        return describe(path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise SinkError(
                f"The virtual camera {path} may not be opened by this user: "
                "sudo usermod -aG video $USER, then log in again."
            ) from error
        if error.errno == errno.EBUSY:
            raise SinkError(f"The virtual camera {path} is opened by too many programs; close one of them.") from error
        if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
            raise SinkError(f"There is no device {path}. {_others(devices)}") from error
        raise SinkError(f"{path} is no virtual camera. {_others(devices)}") from error


def _others(devices: list[tuple[Path, str]]) -> str:
    if not devices:
        return how_to_load()
    return "Virtual cameras here: " + ", ".join(f"{path} ({label})" for path, label in devices) + "."


def is_written(path: Path, within_s: float = _WRITER_WITHIN_S) -> bool:
    """Whether somebody sends pictures to it: the last one is taken, then the next is waited for.

    A device that lets nobody read any more has a reader already, and counts as written to. Others that read see no
    difference: each reader has a position of its own.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        until_s: float | None = None
        while until_s is None or time.monotonic() < until_s:
            try:
                got = os.read(fd, 1)  # a whole picture, of which one byte is wanted
            except BlockingIOError:
                got = b""
            except OSError as error:
                return error.errno == errno.EBUSY
            if got and until_s is not None:  # none of those that lay there from a producer that has ended
                return True
            if not got:
                until_s = time.monotonic() + within_s if until_s is None else until_s
                time.sleep(_LOOK_S)
        return False
    finally:
        os.close(fd)


def is_watched(path: Path, sysfs: Path = SYSFS, own: Callable[[Path], int] | None = None) -> bool | None:
    """Whether somebody may watch this virtual camera; None when it cannot be known.

    v4l2loopback 0.13 and newer tell. Of an older one the kernel counts how often it is open, over all programs of all
    users, whatever they may hide: more often than here means that somebody may watch. With several devices another
    one's user counts too: better awake than wrong.
    """
    told = has_viewer(path)
    if told is not None:
        return told
    count = _text(sysfs / "module" / "v4l2loopback" / "refcnt")
    if not count.isdecimal():
        return None
    return int(count) > (_own_descriptors if own is None else own)(path)


def _own_descriptors(path: Path) -> int:
    """How often this process has the device open."""
    return sum(target == str(path) for target in _descriptors())


def _descriptors() -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            yield re.sub(r" \(deleted\)$", "", str(entry.readlink()))
        except OSError:
            continue  # the descriptor of the listing itself


def _sources(root: Path) -> Iterator[Path]:
    """Where Debian's package keeps the module's source, by version."""
    return (root / "usr" / "src").glob("v4l2loopback-*")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
