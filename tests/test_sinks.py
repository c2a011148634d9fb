"""Sinks: the contract of each kind, what is left out, and what one that fails does to the others."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.sinks import Sink, Sinks, open_sinks, open_virtual_cameras
from realtime.sinks.clip import ClipFile
from realtime.sinks.null import Null
from realtime.sinks.picture import PictureFile, PictureSequence
from realtime.sinks.threaded import Threaded
from realtime.sinks.virtualcam import VirtualCamera
from realtime.types import Picture, Size, read_only

SIZE = Size(64, 48)


def picture(index: int, t: float | None = None, size: Size = SIZE) -> Picture:
    rgb = np.full((size.height, size.width, 3), (index, 100, 200), np.uint8)
    return Picture(read_only(rgb), index / 30 if t is None else t, time.monotonic(), index)


def no_screen() -> Sink:
    raise SinkError("The preview needs a screen.")


def open_(uris: Sequence[str], said: list[str] | None = None, clip: Path | None = None, live: bool = False) -> Sinks:
    say = (said if said is not None else []).append
    return open_sinks(
        uris,
        virtual_cameras=open_virtual_cameras(uris, SIZE, 30, say),
        size=SIZE,
        fps=30,
        clip=clip,
        microphone=None,
        live=live,
        frame_count=None,
        say=say,
        open_preview=no_screen,
    )


def first_value(path: Path) -> int:
    """The red of the upper left pixel: the index of the `picture` that was written."""
    bgr = cv2.imread(str(path))
    assert bgr is not None
    return int(bgr[0, 0, 2])


class ListSink:
    """Keeps what it gets; fails from the picture `fails_at` on."""

    def __init__(self, name: str = "list", fails_at: int | None = None) -> None:
        self.name = name
        self.got: list[Picture] = []
        self.closed = 0
        self.fails_at = fails_at

    def send(self, picture: Picture) -> None:
        if self.fails_at is not None and picture.index >= self.fails_at:
            raise SinkError(f"{self.name} failed.")
        self.got.append(picture)

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BlockedSink(ListSink):
    """Never comes back from its first picture, until the test lets go."""

    def __init__(self) -> None:
        super().__init__("blocked")
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def send(self, picture: Picture) -> None:
        self.entered.set()
        self.let_go.wait(30)
        super().send(picture)


class FakeDevice:
    """What is used of `pyvirtualcam.Camera`."""

    device = "/dev/video10"

    def __init__(self, fails: bool = False) -> None:
        self.got: list[Any] = []
        self.closed = 0
        self.fails = fails

    def send(self, rgb: Any) -> None:
        if self.fails:
            raise RuntimeError("gone")
        self.got.append(rgb)

    def close(self) -> None:
        self.closed += 1


KINDS: list[Callable[[Path], Sink]] = [
    lambda folder: Null(),
    lambda folder: ClipFile(folder / "out.mp4", SIZE, 30, None, lambda _: None),
    lambda folder: ClipFile(folder / "out.gif", SIZE, 30, None, lambda _: None),
    lambda folder: PictureFile(folder / "out.png", None),
    lambda folder: PictureSequence(folder / "%05d.jpg"),
    lambda folder: VirtualCamera(FakeDevice(), SIZE),
    lambda folder: Threaded(VirtualCamera(FakeDevice(), SIZE), repeat_s=0.1),
    lambda folder: open_(["null", str(folder / "out.mkv")]),  # type: ignore[list-item, return-value]
]


@pytest.mark.parametrize("make", KINDS)
def test_every_sink_keeps_the_contract(make: Callable[[Path], Sink], tmp_path: Path) -> None:
    sink = make(tmp_path)
    with sink:
        for index in range(3):
            sink.send(picture(index))
        sink.close()
        sink.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ZeroDivisionError), make(tmp_path) as sink:  # closed on an error, which is not hidden
        sink.send(picture(0))
        raise ZeroDivisionError
    assert set(before) == set(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("missing/out.mp4", "does not exist"),
        ("missing/out.png", "does not exist"),
        ("missing/%05d.png", "does not exist"),
        ("folder.mp4", "is a folder"),
        ("afile/out.mp4", "does not exist"),
        ("preview", "needs a screen"),
        ("out.xyz", "is no sink"),
    ],
)
def test_a_sink_that_cannot_be_is_one_clear_error(
    uri: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.mp4").mkdir()
    Path("afile").touch()
    with pytest.raises(SinkError, match=says):
        open_([uri])


def test_a_folder_that_refuses_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("realtime.sinks.output.tempfile.TemporaryFile", refuse)
    with pytest.raises(SinkError, match=r"cannot be written \(Permission denied\)"):
        open_([str(tmp_path / "out.mp4")])


def test_the_same_sink_twice_is_an_error_and_nothing_stays_open(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="named twice"):
        open_([str(tmp_path / "out.mp4"), str(tmp_path / "out.mp4")])


def test_sinks_that_do_not_exist_here_are_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Sink:
        raise SinkError("No camera.")

    monkeypatch.setattr("realtime.sinks.virtualcam.open_virtual_camera", missing)
    said: list[str] = []
    with pytest.raises(SinkError, match=r"--sink out\.mp4"):
        open_([], said)
    assert [line.split(":")[0] for line in said] == ["Without virtualcam", "Without preview"]
    there = ListSink("virtualcam")
    monkeypatch.setattr("realtime.sinks.virtualcam.open_virtual_camera", lambda *_: there)
    with open_([], said) as sinks:
        assert sinks.names == ("virtualcam",)


def test_pyvirtualcam_missing_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyvirtualcam", None)
    with pytest.raises(SinkError, match="pip install pyvirtualcam"):
        open_(["virtualcam"])


def test_a_live_run_goes_on_without_a_sink_that_fails() -> None:
    said: list[str] = []
    good, bad = ListSink("good"), ListSink("bad", fails_at=1)
    with Sinks([bad, good], live=True, frame_count=None, say=said.append) as sinks:
        for index in range(3):
            sinks.send(picture(index))
        assert sinks.names == ("good",)
        good.fails_at = 3
        with pytest.raises(SinkError, match="good failed"):
            sinks.send(picture(3))
    assert [p.index for p in good.got] == [0, 1, 2]
    assert said == ["bad failed. Going on without bad."]
    assert (good.closed, bad.closed) == (1, 1)


def test_whatever_a_sink_raises_a_live_run_goes_on() -> None:
    class Odd(ListSink):
        def send(self, picture: Picture) -> None:
            raise KeyError("a bug")

    good = ListSink("good")
    said: list[str] = []
    with Sinks([Odd("odd"), good], live=True, frame_count=None, say=said.append) as sinks:
        sinks.send(picture(0))
    assert len(good.got) == 1
    assert said == ["The sink odd failed (KeyError: 'a bug'). Going on without odd."]


def test_a_conversion_ends_when_any_sink_fails_and_the_others_are_closed() -> None:
    good, bad = ListSink("good"), ListSink("bad", fails_at=1)
    with pytest.raises(SinkError, match="bad failed"), Sinks([bad, good], live=False, frame_count=None, say=print) as s:
        s.send(picture(0))
        s.send(picture(1))
    assert (good.closed, bad.closed) == (1, 1)


def test_an_error_at_the_end_is_raised_after_all_are_closed_and_never_hides_another() -> None:
    class BadEnd(ListSink):
        def close(self) -> None:
            super().close()
            if self.closed == 1:
                raise SinkError("The end failed.")

    bad, good = BadEnd(), ListSink()
    with pytest.raises(SinkError, match="The end failed"):
        Sinks([bad, good], live=False, frame_count=None, say=print).close()
    assert good.closed == 1
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), Sinks([BadEnd()], live=False, frame_count=None, say=said.append):
        raise ZeroDivisionError
    assert said == ["The end failed."]


def test_progress_is_for_terminals_and_known_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    bars: list[Any] = []

    class Bar:
        def __init__(self, total: int, **_: object) -> None:
            self.total, self.count, self.closed = total, 0, False
            bars.append(self)

        def update(self) -> None:
            self.count += 1

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr("realtime.sinks.open.tqdm", Bar)
    Sinks([Null()], live=False, frame_count=5, say=print).close()  # no terminal in a test
    monkeypatch.setattr("realtime.sinks.open.sys.stderr", Terminal())
    Sinks([Null()], live=True, frame_count=5, say=print).close()
    Sinks([Null()], live=False, frame_count=None, say=print).close()
    assert bars == []
    with Sinks([Null()], live=False, frame_count=5, say=print) as sinks:
        sinks.send(picture(0))
    assert (bars[0].total, bars[0].count, bars[0].closed) == (5, 1, True)


def test_a_blocked_sink_does_not_hold_the_loop_and_gets_the_newest() -> None:
    inner = BlockedSink()
    sink = Threaded(inner)
    sink.send(picture(0))
    assert inner.entered.wait(10)
    start_s = time.monotonic()
    for index in range(1, 100):
        sink.send(picture(index))
    sink.close()
    assert time.monotonic() - start_s < 1
    inner.let_go.set()
    sink._thread.join(10)
    assert [p.index for p in inner.got] == [0, 99]
    assert inner.closed == 1


def test_a_failure_on_the_thread_reaches_the_sender() -> None:
    for inner in (ListSink("list", fails_at=0), VirtualCamera(FakeDevice(fails=True), SIZE)):
        sink = Threaded(inner)
        sink.send(picture(0))
        sink._thread.join(10)
        with pytest.raises(SinkError, match=r"failed|takes no more pictures"):
            sink.send(picture(1))
        sink.close()


def test_the_first_picture_is_shown_at_once_and_the_last_again_and_again() -> None:
    device = FakeDevice()
    with Threaded(VirtualCamera(device, SIZE), first=picture(7), repeat_s=0.01):
        until_s = time.monotonic() + 10
        while len(device.got) < 3 and time.monotonic() < until_s:
            threading.Event().wait(0.005)
    assert len(device.got) >= 3 and all((rgb[..., 0] == 7).all() for rgb in device.got)
    assert device.closed == 1


def test_a_virtual_camera_gets_whole_even_pictures() -> None:
    device = FakeDevice()
    VirtualCamera(device, Size(65, 49).even).send(picture(1, size=Size(65, 49)))
    assert device.got[0].shape == (48, 64, 3) and device.got[0].flags.c_contiguous


def test_a_virtual_camera_keeps_its_size_whatever_comes() -> None:
    device = FakeDevice()
    sink = VirtualCamera(device, Size(64, 48))
    sink.send(picture(9, size=Size(32, 48)))
    (rgb,) = device.got
    assert rgb.shape == (48, 64, 3) and rgb.flags.c_contiguous
    assert tuple(rgb[24, 32]) == (9, 100, 200) and tuple(rgb[24, 2]) == (0, 0, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="there devices are no files")
def test_a_device_that_disappears_is_noticed_and_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "video10"
    node.symlink_to("/dev/null")
    monkeypatch.setattr(FakeDevice, "device", str(node))
    gone, back = FakeDevice(), FakeDevice()
    said: list[str] = []

    def reopen() -> Sink:
        if not node.exists():
            raise SinkError("Still away.")
        return VirtualCamera(back, SIZE)

    sink = Threaded(VirtualCamera(gone, SIZE), reopen=reopen, say=said.append, wait=lambda _: False)
    sink.send(picture(0))
    wait_until(lambda: len(gone.got) == 1)
    node.unlink()
    sink.send(picture(1))
    wait_until(lambda: gone.closed == 1)
    node.symlink_to("/dev/null")
    wait_until(lambda: sink._inner is not None)
    sink.send(picture(2))
    wait_until(lambda: len(back.got) == 1)
    sink.close()
    assert len(gone.got) == 1 and len(said) == 1 and "has disappeared. It is opened again" in said[0]


def test_the_virtual_camera_named_is_opened_first_and_its_error_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ListSink("virtualcam")
    asked: list[Any] = []

    def open_one(device: str | None, size: Size, fps: float, say: object) -> ListSink:
        asked.append((device, size, fps))
        if device == "/dev/video11":
            raise SinkError("Busy.")
        return there

    monkeypatch.setattr("realtime.sinks.virtualcam.open_virtual_camera", open_one)
    assert open_virtual_cameras(["null", "virtualcam"], None, None, print)["virtualcam"] is there  # type: ignore[comparison-overlap]
    assert open_virtual_cameras(["null"], None, None, print) == {}
    with pytest.raises(SinkError, match="Busy"):
        open_virtual_cameras(["virtualcam", "virtualcam:/dev/video11"], Size(640, 480), 25, print)
    assert there.closed == 1
    assert asked == [(None, Size(1280, 720), 30), (None, Size(640, 480), 25), ("/dev/video11", Size(640, 480), 25)]


def wait_until(reached: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 10
    while not reached() and time.monotonic() < until_s:
        threading.Event().wait(0.002)
    assert reached()


def test_a_sink_that_fails_is_opened_again_with_pauses_and_said_once() -> None:
    said: list[str] = []
    pauses: list[float] = []
    first, third = ListSink("camera", fails_at=2), ListSink("camera")
    sinks: list[ListSink | Exception] = [SinkError("Busy."), OSError(16, "Busy"), third]

    def reopen() -> Sink:
        following = sinks.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    now = [0.0]
    sink = Threaded(first, reopen=reopen, say=said.append, clock=lambda: now[0], wait=wait)
    for index in range(3):
        sink.send(picture(index))
        wait_until(lambda index=index: (index < 2 and len(first.got) > index) or not sinks)  # type: ignore[misc]
    for index in range(3, 6):
        sink.send(picture(index))
        wait_until(lambda index=index: len(third.got) == index - 2)  # type: ignore[misc]
        now[0] += 3
    sink.close()
    assert first.closed == third.closed == 1
    assert pauses == [1.0, 2.0, 4.0]
    assert said == ["camera failed. It is opened again as soon as that works; the others go on.",
                    "camera takes pictures again."]  # fmt: skip


def test_a_sink_that_never_comes_back_can_be_closed() -> None:
    def reopen() -> Sink:
        raise SinkError("Gone.")

    sink = Threaded(ListSink(fails_at=0), reopen=reopen, say=lambda _: None)
    sink.send(picture(0))
    sink.close()
    sink._thread.join(10)
    assert not sink._thread.is_alive()


def test_a_blocked_sink_is_said_once_and_so_is_that_it_goes_on() -> None:
    said: list[str] = []
    now = [0.0]
    inner = BlockedSink()
    sink = Threaded(inner, say=said.append, clock=lambda: now[0])
    sink.send(picture(0))
    assert inner.entered.wait(10)
    for index in range(1, 30):
        now[0] = index
        sink.send(picture(index))
    assert said == ["blocked takes no pictures at the moment; the others go on."]
    inner.let_go.set()
    for index in range(30, 40):
        now[0] = index
        sink.send(picture(index))
        wait_until(lambda index=index: inner.got[-1:] != [] and inner.got[-1].index == index)  # type: ignore[misc]
    sink.close()
    assert said[1:] == ["blocked takes pictures again."]


def test_when_the_loop_hangs_the_virtual_camera_shows_a_card() -> None:
    device = FakeDevice()
    now = [0.0]
    sink = Threaded(
        VirtualCamera(device, SIZE), repeat_s=0.005, stale=lambda last: picture(200), clock=lambda: now[0]
    )  # fmt: skip
    with sink:
        sink.send(picture(7))
        wait_until(lambda: len(device.got) > 3)
        assert all((rgb[..., 0] == 7).all() for rgb in device.got)
        now[0] = 100.0
        wait_until(lambda: bool((device.got[-1][..., 0] == 200).all()))
        sink.send(picture(8))
        wait_until(lambda: bool((device.got[-1][..., 0] == 8).all()))


def test_files_of_a_live_run_are_finished_and_their_failure_is_told(tmp_path: Path) -> None:
    with open_([str(tmp_path / "out.mp4"), str(tmp_path / "p.png")], live=True) as sinks:
        for index in range(5):
            sinks.send(picture(index))
    assert (tmp_path / "out.mp4").stat().st_size > 500 and first_value(tmp_path / "p.png") == 4
    (tmp_path / "gone").mkdir()
    sinks = open_([str(tmp_path / "gone" / "p.png")], live=True)
    sinks.send(picture(0))
    (tmp_path / "gone").rmdir()
    with pytest.raises(SinkError, match="cannot be written"):
        sinks.close()


def test_one_picture_is_the_first_after_a_second_or_the_last(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    with PictureFile(path, None) as sink:
        for index in range(50):
            sink.send(picture(index, t=100 + index / 30))
    assert first_value(path) == 30
    with PictureFile(path, None) as sink:
        sink.send(picture(3))
        assert first_value(path) == 30  # the older file stays until there is a new one
        sink.send(picture(4))
    assert first_value(path) == 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]


def test_numbered_pictures_carry_their_index_and_alpha(tmp_path: Path) -> None:
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:24] = 128
    with open_([str(tmp_path / "f%03d.png")]) as sinks:
        for index in (0, 2, 5):
            plain = picture(index)
            sinks.send(Picture(plain.rgb, plain.t, plain.grabbed_s, index, read_only(alpha)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f000.png", "f002.png", "f005.png"]
    bgra = cv2.imread(str(tmp_path / "f005.png"), cv2.IMREAD_UNCHANGED)
    assert bgra is not None
    assert tuple(bgra[0, 0]) == (200, 100, 5, 128) and bgra[-1, 0, 3] == 0


def test_a_picture_is_not_written_over_its_source(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"photo")
    with pytest.raises(SinkError, match="is the source itself"):
        open_([str(path)], clip=path)


def test_a_percent_sign_alone_is_no_sequence(tmp_path: Path) -> None:
    with open_([str(tmp_path / "100%.png")]) as sinks:
        sinks.send(picture(0))
    assert (tmp_path / "100%.png").exists()
