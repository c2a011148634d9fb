"""Sources: the contract of each kind, live capture with fake devices, and bad input."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import av
import cv2
import numpy as np
import pytest

from realtime.errors import LiveToonError, SourceError, UsageError
from realtime.settings import Pace
from realtime.source import Source, list_cameras, open_lasting_source, open_source
from realtime.source.camera import Camera
from realtime.source.cameras import CameraInfo, find_camera, linux_cameras
from realtime.source.fit import crop_to_fill, letterbox
from realtime.source.live import Live
from realtime.source.pattern import TestPattern, pattern_index
from realtime.source.v4l2 import query_device
from realtime.types import Frame, Size, read_only


def open_(uri: str, size: Size | None = None, pace: Pace | None = None, said: list[str] | None = None) -> Source:
    return open_source(uri, size=size, fps=None, pace=pace, say=(said if said is not None else []).append)


def small_clip(path: Path, frames: int = 5) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            rgb = np.full((48, 64, 3), 40 * index % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode(None))
    return path


class FakeCapture:
    """A camera that grants 640x480, gives `frames` frames, then none."""

    def __init__(self, frames: int = 1000, opens: bool = True) -> None:
        self.asked: list[tuple[int, float]] = []
        self.left = frames
        self.opens = opens
        self.released = 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def set(self, prop: int, value: float, /) -> bool:
        self.asked.append((prop, value))
        return True

    def get(self, prop: int, /) -> float:
        fourcc = cv2.VideoWriter.fourcc(*"MJPG")
        return {cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480, cv2.CAP_PROP_FOURCC: fourcc}.get(prop, 0)

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, Any]:
        bgr = np.zeros((480, 640, 3), np.uint8)
        bgr[..., 0] = 200  # blue
        return True, bgr

    def release(self) -> None:
        self.released += 1


class ManualClock:
    """Goes on by itself a little with each look, so that it never stands still, and at once where it is waited for."""

    def __init__(self) -> None:
        self.now_s = time.monotonic()

    def __call__(self) -> float:
        self.now_s += 1e-6
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


def camera(capture: FakeCapture, **options: Any) -> Camera:
    clock = ManualClock()
    return Camera(CameraInfo(0, None, "C920"), open_=lambda _: capture, clock=clock, wait=clock.wait, **options)


class BlockedSource:
    """A device whose driver never comes back, until the test lets go."""

    def __init__(self) -> None:
        self.name, self.live, self.size, self.fps = "blocked", False, Size(16, 16), 30.0
        self.frame_count: int | None = None
        self.clip: Path | None = None
        self.let_go = threading.Event()
        self.closed = threading.Event()

    def read(self) -> Frame | None:
        self.let_go.wait(30)
        return None

    def close(self) -> None:
        self.closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BrokenSource(BlockedSource):
    """Gives one frame, then fails."""

    def read(self) -> Frame | None:
        if self.let_go.is_set():
            raise SourceError("It broke.")
        self.let_go.set()
        return Frame(read_only(np.zeros((16, 16, 3), np.uint8)), 0.0, time.monotonic(), 0)


def make_clip(folder: Path) -> Source:
    return open_(str(small_clip(folder / "c.mp4")))


def make_live_clip(folder: Path) -> Source:
    return open_(str(small_clip(folder / "c.mp4")), pace=Pace.LIVE)


def make_picture(folder: Path) -> Source:
    cv2.imwrite(str(folder / "p.png"), np.zeros((40, 60, 3), np.uint8))
    return open_(str(folder / "p.png"))


def make_live_picture(folder: Path) -> Source:
    cv2.imwrite(str(folder / "p.png"), np.zeros((40, 60, 3), np.uint8))
    return open_(str(folder / "p.png"), pace=Pace.LIVE)


def make_pattern(_: Path) -> Source:
    return open_("test:64x48@120", pace=Pace.ALL)


def make_live_pattern(_: Path) -> Source:
    return open_("test:64x48@120")


def make_camera(_: Path) -> Source:
    return camera(FakeCapture())


def make_live_camera(_: Path) -> Source:
    return Live(lambda: camera(FakeCapture()), what="The camera", from_start=True)


KINDS = [make_clip, make_live_clip, make_picture, make_live_picture, make_pattern, make_live_pattern, make_camera,
         make_live_camera]  # fmt: skip


@pytest.mark.parametrize("make", KINDS)
def test_every_source_keeps_the_contract(make: Callable[[Path], Source], tmp_path: Path) -> None:
    before_s = time.monotonic()
    with make(tmp_path) as source:
        frames = [frame for frame in (source.read() for _ in range(4)) if frame is not None]
        assert frames
        for frame in frames:
            assert frame.size == source.size
            assert frame.rgb.dtype == np.uint8
            assert frame.rgb.flags.c_contiguous and not frame.rgb.flags.writeable
            assert before_s <= frame.grabbed_s <= time.monotonic()
        assert [f.index for f in frames] == sorted({f.index for f in frames})
        assert [f.t for f in frames] == sorted({f.t for f in frames})
        assert str(source.size) in source.name
        assert source.fps > 0
        source.close()
        source.close()
        assert source.read() is None


def test_pace_all_gives_every_frame_of_a_clip(tmp_path: Path) -> None:
    with open_(str(small_clip(tmp_path / "c.mp4", 12))) as source:
        frames = list(iter(source.read, None))
    assert [frame.index for frame in frames] == list(range(12))
    assert source.frame_count == 12 and not source.live and source.clip == tmp_path / "c.mp4"
    np.testing.assert_allclose([frame.t for frame in frames], np.arange(12) / 30, atol=1e-3)


def test_pace_live_plays_a_clip_in_real_time_and_drops_what_nobody_took(tmp_path: Path) -> None:
    with open_(str(small_clip(tmp_path / "c.mp4", 12)), pace=Pace.LIVE) as source:
        start_s = time.monotonic()
        first = source.read()
        assert first is not None and first.index == 0
        source._thread.join(10)  # type: ignore[attr-defined]  # nobody reads meanwhile
        assert time.monotonic() - start_s > 10 / 30
        last = source.read()
        assert last is not None and last.index == 11
        assert source.read() is None
        assert source.live


def test_the_pattern_carries_its_number_through_size_and_time() -> None:
    source = TestPattern(Size(320, 180), 25)
    frames = [source.read() for _ in range(300)]
    assert [pattern_index(f.rgb) for f in frames if f is not None] == list(range(300))
    assert frames[50] is not None and frames[50].t == pytest.approx(2.0)
    assert frames[10] is not None and frames[11] is not None
    assert (frames[10].rgb[20:] != frames[11].rgb[20:]).any()


def test_size_asked_for_is_what_comes() -> None:
    with open_("test:64x48", size=Size(32, 32), pace=Pace.ALL) as source:
        frame = source.read()
    assert frame is not None and frame.size == source.size == Size(32, 32)


def test_crop_keeps_the_middle_and_letterbox_keeps_all() -> None:
    rgb = np.zeros((40, 80, 3), np.uint8)
    rgb[:, :20], rgb[:, 20:60], rgb[:, 60:] = 50, 100, 150
    cropped = crop_to_fill(rgb, Size(20, 20))
    assert cropped.shape == (20, 20, 3) and (cropped == 100).all()
    boxed = letterbox(rgb, Size(80, 80))
    assert (boxed[:20] == 0).all() and (boxed[60:] == 0).all() and (boxed[20:60] == rgb).all()
    assert letterbox(rgb, Size(80, 40)) is rgb
    assert letterbox(rgb, Size(1, 1)).shape == crop_to_fill(rgb, Size(1, 1)).shape == (1, 1, 3)


def test_a_camera_is_asked_for_mjpg_then_size_then_rate_and_says_what_it_granted() -> None:
    capture = FakeCapture()
    with camera(capture, size=Size(1280, 720), fps=30) as source:
        frame = source.read()
    assert [prop for prop, _ in capture.asked] == [cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH,
                                                   cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS]  # fmt: skip
    assert source.name.startswith("camera 0 (C920), 640x480 at 30 fps, MJPG (asked for 1280x720")
    assert frame is not None and frame.size == Size(1280, 720)
    assert tuple(frame.rgb[0, 0]) == (0, 0, 200)  # RGB: blue comes last
    assert capture.released == 1


@pytest.mark.parametrize(
    ("capture", "says"),
    [(FakeCapture(opens=False), "another program is probably using it"), (FakeCapture(0), "opens but gives no")],
)
def test_a_camera_that_does_not_work_is_let_go_and_named(capture: FakeCapture, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        camera(capture)
    assert capture.released == 1


def test_an_unplugged_camera_is_said_to_be_unplugged() -> None:
    source = Live(lambda: camera(FakeCapture(3)), what="The camera")
    with source, pytest.raises(SourceError, match="unplugged"):
        while source.read() is not None:
            pass


def test_a_device_that_hangs_is_left_in_time() -> None:
    inner = BlockedSource()
    source = Live(lambda: inner, what="The camera", frame_within_s=0.05, from_start=True)
    with pytest.raises(SourceError, match=r"The camera gave no picture.*unplugged"):
        source.read()
    start_s = time.monotonic()
    source.close()
    assert time.monotonic() - start_s < 1
    inner.let_go.set()
    assert inner.closed.wait(10)  # the thread closes it once the device comes back


def test_a_device_that_hangs_while_it_is_opened_is_left_in_time() -> None:
    let_go = threading.Event()

    def hang() -> Source:
        let_go.wait(30)
        return BlockedSource()

    with pytest.raises(SourceError, match="did not give a picture within"):
        Live(hang, what="The camera", opens_within_s=0.05)
    let_go.set()


def test_a_blocked_read_ends_when_another_thread_closes() -> None:
    inner = BlockedSource()
    source = Live(lambda: inner, what="The camera", from_start=True)
    ended: list[Frame | None] = []
    reader = threading.Thread(target=lambda: ended.append(source.read()))
    reader.start()
    source.close()
    reader.join(10)
    assert ended == [None]
    inner.let_go.set()


def test_an_error_on_the_thread_reaches_the_reader_after_the_last_frame() -> None:
    inner = BrokenSource()
    with Live(lambda: inner, what="The camera") as source:
        assert source.read() is not None
        with pytest.raises(SourceError, match="It broke"):
            source.read()
    assert inner.closed.wait(10)


@pytest.mark.parametrize(
    ("uri", "kind", "says"),
    [
        ("nothing.mp4", SourceError, "There is no file nothing.mp4"),
        ("folder/", SourceError, "is a folder"),
        ("empty.mp4", SourceError, "is empty"),
        ("text.mp4", SourceError, "cannot be read as a clip"),
        ("text.png", SourceError, "cannot be read as a picture"),
        ("cliip.mp4", SourceError, r"Did you mean clip\.mp4"),
        ("99", SourceError, "no camera 99"),
        ("/dev/video99", SourceError, "no camera /dev/video99"),
        ("Nosuchcam", SourceError, "no camera, clip or picture 'Nosuchcam'"),
        ("x" * 400, SourceError, "no camera"),
        ("test:1x1", UsageError, "too small"),
        ("test:big", UsageError, "no test pattern"),
        ("gopher://here", UsageError, "gopher"),
        ("http://[bad", UsageError, "no address"),
    ],
)
def test_bad_input_is_one_clear_error(
    uri: str, kind: type[LiveToonError], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("words " * 100)
    Path("text.png").write_text("words " * 100)
    Path("clip.mp4").write_text("for its name")
    with pytest.raises(kind, match=says):
        open_(uri)


def test_a_stream_that_nobody_sends_fails_without_showing_the_password() -> None:
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        open_("http://user:secret@127.0.0.1:9/x.m3u8")
    assert "secret" not in str(caught.value)


def test_without_a_camera_the_demo_is_shown_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.source.open.list_cameras", list)
    monkeypatch.setattr("realtime.source.open.sys.platform", "linux")
    monkeypatch.setattr("realtime.source.open.DEMO_CLIP", small_clip(tmp_path / "demo.mp4", 4))
    said: list[str] = []
    with open_source(None, size=None, fps=None, pace=Pace.LIVE, say=said.append) as source:
        frames = [source.read() for _ in range(6)]
        assert frames[-1] is not None and frames[-1].index >= 5  # it begins anew
        times = [frame.t for frame in frames if frame is not None]
        assert times == sorted(set(times))
        assert source.frame_count is None and source.clip is None and source.live
    assert said == ["No camera was found: the demo clip is used instead."]


def _u32(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def fake_ioctl(fd: int, request: int, answer: bytearray) -> None:
    """The kernel's side of a webcam with one format, two sizes and two rates."""
    index = int.from_bytes(answer[:4], "little")
    if request == 0x80685600:
        answer[:8] = b"uvcvideo"
        answer[84:92] = _u32(0x80000000, 1)
    elif request == 0xC0405602 and index < 1:
        answer[44:48] = b"MJPG"
    elif request == 0xC02C564A and index < 2:
        answer[8:20] = _u32(1, *((1280, 720), (640, 480))[index])
    elif request == 0xC034564B and index < 2:
        answer[16:28] = _u32(1, 1, (30, 15)[index])
    else:
        raise OSError


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a Unix")
def test_a_linux_device_tells_its_modes() -> None:
    device = query_device(Path("/dev/null"), fake_ioctl)
    assert device is not None and device.captures and device.driver == "uvcvideo"
    assert device.modes == ("MJPG 1280x720 at 30, 15 fps", "MJPG 640x480 at 30, 15 fps")


def test_nodes_that_are_no_cameras_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "sys" / "video0").mkdir(parents=True)
    (tmp_path / "sys" / "video0" / "name").write_text("Integrated Camera\n")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "video0").write_text("a file that answers no question about video")
    assert linux_cameras(tmp_path / "sys", tmp_path / "dev") == []


def test_a_virtual_camera_is_never_the_first_choice_and_never_its_own_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    listed = [CameraInfo(0, None, "OBS Virtual Camera"), CameraInfo(1, None, "FaceTime")]
    monkeypatch.setattr("realtime.source.cameras._others_cameras", lambda: listed)
    assert [(camera.index, camera.name) for camera in list_cameras()] == [(1, "FaceTime")]
    assert find_camera("obs").index == 0
    with pytest.raises(SourceError, match="OBS Virtual Camera is where the drawn pictures go; name another --source"):
        open_lasting_source("obs", size=None, fps=None, pace=None, say=print, sinks=["OBS Virtual Camera"])
