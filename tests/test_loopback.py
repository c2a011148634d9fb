"""v4l2loopback: which device is taken, what is said where none can be, the remedy for a device nobody can write to."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("v4l2loopback is Linux's", allow_module_level=True)

from realtime.errors import SinkError
from realtime.sinks import loopback
from realtime.sinks.loopback import LOAD, choose_device, give_back, how_to_load, is_watched, is_written, module_state
from realtime.source import v4l2
from realtime.source.v4l2 import describe, has_viewer, output_size, restore_output
from realtime.types import Size


class FakeDriver:
    """The kernel's side of one device, as far as it is asked. It lies in the file system as a pipe: empty, reading it
    says "try again", and what is written to it can be read, as with the real one."""

    def __init__(self, path: Path, *, driver: str = "v4l2 loopback") -> None:
        os.mkfifo(path)
        self.path = path
        self.driver = driver
        self.captures, self.outputs = False, True
        self.restores = True  # 0.12: a writer that streams gives the capability back when it ends
        self.viewers: int | None = None  # 0.13 and newer tell
        self.size = (0, 0)
        self.asked: list[int] = []

    def __call__(self, fd: int, request: int, data: bytearray) -> int:
        self.asked.append(request)
        if request == v4l2._QUERYCAP:
            data[: len(self.driver)] = self.driver.encode()
            flags = self.captures * 0x1 | self.outputs * 0x2
            struct.pack_into("=2I", data, 84, 0x80000003, flags)
        elif request == v4l2._STREAMON:
            assert struct.unpack("=I", data) == (2,), "output"
            if not self.restores:
                raise OSError(errno.EINVAL, "Invalid argument")
            self.outputs = True
        elif request == v4l2._G_FMT:
            struct.pack_into("=2I", data, 8, *self.size)
        elif request == v4l2._SUBSCRIBE_EVENT and self.viewers is not None:
            assert struct.unpack_from("=3I", data) == (0x10E00001, 0, 1)
        elif request == v4l2._DQEVENT and self.viewers is not None:
            struct.pack_into("=3I", data, 0, 0x10E00001, 0, self.viewers)
        else:
            raise OSError(errno.EINVAL, "Invalid argument")
        return 0

    def put_picture(self) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        os.write(fd, b"x")
        self.keep = fd  # a pipe forgets what nobody holds


Put = Callable[..., FakeDriver]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts a device there."""
    drivers: list[FakeDriver] = []

    def ioctl(fd: int, request: int, data: bytearray) -> object:
        here = os.fstat(fd)
        return next(d for d in drivers if os.path.samestat(d.path.stat(), here))(fd, request, data)

    def put_(name: str = "video10", driver: str = "v4l2 loopback") -> FakeDriver:
        drivers.append(FakeDriver(tmp_path / name, driver=driver))
        return drivers[-1]

    for function in (describe, restore_output, has_viewer):
        monkeypatch.setattr(loopback, function.__name__, partial(function, ioctl=ioctl))
    monkeypatch.setattr(
        loopback,
        "loopback_devices",
        lambda *_: [(d.path, "LiveToon") for d in drivers if d.driver == "v4l2 loopback"],
    )
    monkeypatch.setattr(loopback, "_WRITER_WITHIN_S", 0.02)
    monkeypatch.setattr(loopback, "_LOOK_S", 0.002)
    monkeypatch.setattr(loopback, "is_written", partial(is_written, within_s=0.02))
    return put_


def test_a_device_that_takes_pictures_is_left_as_it_is(put: Put) -> None:
    device = put()
    assert choose_device(None) == choose_device(str(device.path)) == device.path
    assert v4l2._STREAMON not in device.asked


def test_one_that_lost_its_output_gets_it_back(put: Put) -> None:
    device = put()
    device.outputs = False
    assert choose_device(None) == device.path
    assert device.asked.count(v4l2._STREAMON) == 1
    device.outputs, device.captures = False, True  # a viewer still holds it, and an old picture lies there
    device.put_picture()
    assert choose_device(None) == device.path
    assert device.asked.count(v4l2._STREAMON) == 2


def test_one_that_somebody_writes_to_is_never_touched(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    device = put()
    device.outputs, device.captures = False, True
    device.put_picture()
    monkeypatch.setattr("time.sleep", lambda _: device.put_picture())
    with pytest.raises(SinkError, match="is used by another program that sends pictures to it"):
        choose_device(None)
    assert v4l2._STREAMON not in device.asked


def test_one_that_cannot_be_mended_names_the_command(put: Put) -> None:
    device = put()
    device.outputs = device.restores = False
    with pytest.raises(SinkError, match=r"takes no pictures; load it anew: sudo modprobe -r v4l2loopback && sudo mod"):
        choose_device(None)


def test_after_a_producer_the_next_one_can_open_it(put: Put) -> None:
    device = put()
    give_back(device.path)
    assert v4l2._STREAMON not in device.asked
    device.outputs = False
    give_back(device.path)
    assert device.outputs
    give_back(device.path.with_name("gone"))


def test_the_first_that_works_is_taken(put: Put) -> None:
    busy, free = put("video10"), put("video11")
    busy.outputs = busy.restores = False
    assert choose_device(None) == free.path
    with pytest.raises(SinkError, match="video10 takes no pictures"):
        choose_device(str(busy.path))


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, "may not be opened by this user: sudo usermod -aG video"),
        (errno.EBUSY, "is opened by too many programs; close one of them"),
        (errno.ENODEV, "There is no device"),
        (errno.ENOTTY, "is no virtual camera"),
    ],
)
def test_a_device_that_cannot_be_opened(put: Put, monkeypatch: pytest.MonkeyPatch, number: int, says: str) -> None:
    device = put()

    def refuse(_: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(loopback, "describe", refuse)
    with pytest.raises(SinkError, match=says):
        choose_device(str(device.path))


def test_a_real_camera_is_no_virtual_one(put: Put) -> None:
    webcam = put("video0", driver="uvcvideo")
    webcam.captures, webcam.outputs = True, False
    put("video10")
    with pytest.raises(SinkError, match=r"video0 is a camera \(uvcvideo\).*Virtual cameras here: .*video10 \(LiveT"):
        choose_device(str(webcam.path))
    with pytest.raises(SinkError, match=r"There is no device .*video42. Virtual cameras here: "):
        choose_device(str(webcam.path.with_name("video42")))


def test_where_there_is_none_the_way_to_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sysfs, root = tmp_path / "sys", tmp_path / "root"
    monkeypatch.setattr("platform.release", lambda: "6.1.0")
    assert how_to_load(sysfs, root).startswith("Install v4l2loopback (Debian: sudo apt-get install v4l2loopback-dkms)")
    (root / "usr/src/v4l2loopback-0.12.7").mkdir(parents=True)
    assert "not built for this kernel; run: sudo apt-get install linux-headers-6.1.0" in how_to_load(sysfs, root)
    (root / "lib/modules/6.1.0").mkdir(parents=True)
    (root / "lib/modules/6.1.0/modules.dep").write_text("updates/dkms/v4l2loopback.ko: kernel/videodev.ko\n")
    assert how_to_load(sysfs, root) == f"Run: {LOAD}"
    (sysfs / "module/v4l2loopback").mkdir(parents=True)
    assert "loaded without a device" in how_to_load(sysfs, root)


def test_the_modules_state_is_what_the_kernel_tells(tmp_path: Path) -> None:
    sysfs, root = tmp_path / "sys", tmp_path / "root"
    assert not module_state(sysfs, root).loaded
    parameters = sysfs / "module/v4l2loopback/parameters"
    parameters.mkdir(parents=True)
    (parameters / "exclusive_caps").write_text("Y,N,N,N\n")
    (parameters / "max_width").write_text("8192\n")
    (root / "usr/src/v4l2loopback-0.12.7").mkdir(parents=True)
    for number, label in ((12, "LiveToon"), (3, "Other")):
        node = sysfs / f"devices/virtual/video4linux/video{number}"
        node.mkdir(parents=True)
        (node / "name").write_text(f"{label}\n")
    state = module_state(sysfs, root)
    assert state.loaded and state.version == "0.12.7"
    assert state.parameters == {"exclusive_caps": "1,0"}
    found = loopback.loopback_devices(sysfs, Path("/dev"))
    assert found == [(Path("/dev/video12"), "LiveToon"), (Path("/dev/video3"), "Other")]


def test_the_driver_tells_whether_somebody_watches(put: Put, tmp_path: Path) -> None:
    device = put()
    for viewers, watched in ((0, False), (1, True)):
        device.viewers = viewers
        assert is_watched(device.path, tmp_path) is watched


def test_an_older_drivers_count_of_openers_tells_it_or_nothing_does(put: Put, tmp_path: Path) -> None:
    device = put()
    assert is_watched(device.path, tmp_path) is None
    count = tmp_path / "module/v4l2loopback/refcnt"
    count.parent.mkdir(parents=True)
    count.write_text("0\n")
    assert is_watched(device.path, tmp_path) is False
    fd = os.open(device.path, os.O_RDWR | os.O_NONBLOCK)
    try:
        count.write_text("1\n")
        assert is_watched(device.path, tmp_path) is False  # that is us
        count.write_text("2\n")
        assert is_watched(device.path, tmp_path) is True
    finally:
        os.close(fd)


def test_what_is_written_has_a_size(put: Put) -> None:
    device = put()
    device.size = (640, 480)
    assert output_size(device.path, device) == Size(640, 480)
    assert output_size(device.path.with_name("gone"), device) is None
