"""Sources that break off and come back: what the viewer gets meanwhile, what is said, on which clock it goes on."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from realtime.errors import SourceError
from realtime.source import open_lasting_source
from realtime.source.cameras import CameraInfo, find_again
from realtime.source.lasting import CARD_S, FIRST_RETRY_S, LAST_RETRY_S, QUIET_S, STEADY_S, Lasting
from realtime.source.live import Live
from realtime.types import Frame, Missing, Size, read_only

SIZE = Size(32, 16)
FPS = 10
GRAY = read_only(np.full((16, 32, 3), 90, np.uint8))
BLACK = read_only(np.full((16, 32, 3), 6, np.uint8))

QUIET = "no frame for a moment"
GONE = SourceError("Camera 0 was unplugged.")


class FakeLive:
    """A camera that does what its script says: a frame's number, black, quiet, an error, the end."""

    def __init__(self, script: list[Any], start_t: float = 0.0) -> None:
        self.script = list(script)
        self.start_t = start_t
        self.name, self.live, self.size, self.fps = "camera 0, 32x16", True, SIZE, float(FPS)
        self.frame_count: int | None = None
        self.clip = None
        self.count = 0
        self.closed = 0

    def take(self, timeout_s: float | None) -> Frame | None:
        doing = self.script.pop(0) if self.script else GRAY
        if doing is QUIET:
            raise TimeoutError
        if isinstance(doing, Exception):
            raise doing
        if doing is None:
            return None
        index, self.count = self.count, self.count + 1
        return Frame(doing, self.start_t + index / FPS, time.monotonic(), index)

    def close(self) -> None:
        self.closed += 1


class Plug:
    """Opens one after the other; an exception stands for an attempt that fails."""

    def __init__(self, *lives: FakeLive | Exception) -> None:
        self.lives = list(lives)
        self.asked: list[Size | None] = []

    def __call__(self, size: Size | None) -> Live:
        self.asked.append(size)
        live = self.lives.pop(0) if self.lives else SourceError("Not there.")
        if isinstance(live, Exception):
            raise live
        return live  # type: ignore[return-value]


def lasting(
    *lives: FakeLive | Exception,
    said: list[str] | None = None,
    ends: bool = False,
    waits: list[float] | None = None,
    rests: Callable[[], bool] = lambda: False,
) -> Lasting:
    waited = [] if waits is None else waits
    return Lasting(
        Plug(*lives),
        what="Camera 0",
        say=([] if said is None else said).append,
        frame_within_s=QUIET_S + 4 * CARD_S,
        ends=ends,
        dark=True,
        rests=rests,
        wait=waited.append,
    )


def kinds(source: Lasting, count: int) -> list[str]:
    got = [source.read() for _ in range(count)]
    ts = [g.t for g in got if g is not None]
    assert ts == sorted(ts), "time never runs backwards"
    indexes = [g.index for g in got if isinstance(g, Frame)]
    assert indexes == sorted(set(indexes))
    return ["end" if g is None else g.why if isinstance(g, Missing) else "frame" for g in got]


@pytest.mark.parametrize("how", [GONE, OSError(19, "No such device"), MemoryError(), None])
def test_unplugged_is_a_card_and_replugged_goes_on_by_itself(how: Exception | None) -> None:
    said: list[str] = []
    first, second = FakeLive([GRAY] * 3 + [how]), FakeLive([], start_t=500.0)
    source = lasting(first, GONE, GONE, second, said=said)
    got = kinds(source, 40)
    while got[-1] != "frame":
        got += kinds(source, 1)
    assert got[:4] == ["frame"] * 3 + ["The camera is away"]
    assert got.count("frame") > 3 and first.closed == 1
    assert len(said) == 1
    kinds(source, round(STEADY_S * FPS) + 1)
    assert said[-1] == "Camera 0 is back." and len(said) == 2


def test_it_is_tried_again_with_longer_and_longer_pauses_and_said_once() -> None:
    said: list[str] = []
    waits: list[float] = []
    source = lasting(FakeLive([GRAY, GONE]), said=said, waits=waits)
    got = kinds(source, 120)
    assert set(got[1:]) == {"The camera is away"}
    assert len(said) == 1
    attempts = len(source._open.asked) - 1  # type: ignore[attr-defined]
    longest = sum(waits) / attempts
    assert FIRST_RETRY_S < longest < LAST_RETRY_S and attempts < 12
    assert max(waits) <= CARD_S, "a card comes twice a second, and the end of the run gets through"


def test_a_source_that_comes_and_goes_is_said_once() -> None:
    said: list[str] = []
    source = lasting(*(FakeLive([GRAY, GRAY, GONE]) for _ in range(200)), said=said)
    got = kinds(source, 400)
    assert got.count("frame") > 100
    assert len(said) == 1


def test_a_source_that_freezes_is_a_card_after_two_seconds_and_opened_anew_after_a_while() -> None:
    said: list[str] = []
    quiet = round(QUIET_S / CARD_S)
    first = FakeLive([GRAY, *[QUIET] * quiet, GRAY, *[QUIET] * (quiet + 20)])
    source = lasting(first, FakeLive([]), said=said)
    got = kinds(source, 30)
    assert got[:3] == ["frame", "No picture from the camera", "frame"]
    assert got[3] == "No picture from the camera" and got[-1] == "frame"
    assert first.closed == 1
    assert [line.split(".")[0] for line in said][:1] == ["Camera 0 gives no pictures any more"]


def test_black_frames_are_a_card_until_it_sees_something_again() -> None:
    said: list[str] = []
    source = lasting(FakeLive([GRAY, *[BLACK] * 30, GRAY]), said=said)
    got = kinds(source, 34)
    black = round(QUIET_S * FPS)
    assert got[: 1 + black] == ["frame"] * (1 + black), "a moment in the dark is drawn"
    assert set(got[2 + black : 31]) == {"The camera is covered"}
    assert got[31:] == ["frame"] * 3
    assert said == ["Camera 0 gives black pictures; is its cover closed?", "Camera 0 sees something again."]


def test_a_clip_on_a_server_ends_and_a_camera_does_not() -> None:
    assert kinds(lasting(FakeLive([GRAY, None]), ends=True), 2) == ["frame", "end"]
    assert kinds(lasting(FakeLive([GRAY, None])), 2) == ["frame", "The camera is away"]


def test_the_size_stays_and_another_one_is_refused() -> None:
    other = FakeLive([])
    other.size = Size(64, 48)
    source = lasting(FakeLive([GRAY, GONE]), other, FakeLive([]))
    got = kinds(source, 20)
    assert "frame" in got[2:] and other.closed == 1
    assert source._open.asked[1:] == [SIZE] * 2  # type: ignore[attr-defined]


def test_what_is_not_there_at_the_start_is_an_error() -> None:
    with pytest.raises(SourceError, match="unplugged"):
        lasting(GONE)


def test_closing_lets_go_while_it_is_being_opened() -> None:
    let_go = threading.Event()
    second = FakeLive([])

    def slow(size: Size | None) -> Live:
        if size is not None:
            let_go.wait(20)
        return (FakeLive([GRAY, GONE]) if size is None else second)  # type: ignore[return-value]  # fmt: skip

    source = Lasting(slow, what="C", say=print, frame_within_s=2, ends=False, dark=False, wait=lambda _: None)
    assert kinds(source, 3) == ["frame", "The camera is away", "The camera is away"]
    opener = source._opener
    source.close()
    let_go.set()
    assert opener is not None and opener.close(10)
    assert second.closed == 1
    assert source.read() is None


def test_two_hundred_restarts_leave_no_thread() -> None:
    before = threading.active_count()
    source = lasting(*(FakeLive([GRAY, GONE]) for _ in range(200)))
    kinds(source, 420)
    source.close()
    assert source._opener is not None and source._opener.close(10)
    assert threading.active_count() <= before


def test_a_camera_is_found_again_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[CameraInfo] = []
    monkeypatch.setattr("realtime.source.cameras.list_cameras", lambda: there)
    camera = CameraInfo(0, "/dev/video0", "C920")
    assert find_again(camera) is camera
    there += [CameraInfo(0, "/dev/video0", "Other"), CameraInfo(2, "/dev/video2", "C920")]
    assert find_again(camera).index == 2
    there[0] = CameraInfo(0, "/dev/video0", "C920")
    assert find_again(camera).index == 0
    assert find_again(CameraInfo(5, None, "")).index == 5


class MjpegServer:
    """A network camera that is switched off and on again at the same port."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.on = threading.Event()
        self.server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> None:
        on = self.on

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
                self.end_headers()
                number = 0
                while on.is_set():
                    rgb = np.full((48, 64, 3), 60 + number % 100, np.uint8)
                    jpeg = cv2.imencode(".jpg", rgb)[1].tobytes()
                    head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                    try:
                        self.wfile.write(head + jpeg + b"\r\n")
                    except OSError:
                        return
                    number += 1
                    threading.Event().wait(0.02)

            def log_message(self, *_: object) -> None:
                pass

        on.set()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        assert self.server is not None
        self.on.clear()
        self.server.shutdown()
        self.server.server_close()


def until(source: Any, wanted: Callable[[Any], bool]) -> Any:
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        got = source.read()
        if wanted(got):
            return got
    raise AssertionError("it did not come")


def test_a_network_camera_that_drops_comes_back_and_its_password_is_never_said() -> None:
    camera = MjpegServer()
    camera.start()
    said: list[str] = []
    url = f"http://user:secret@127.0.0.1:{camera.port}/x.mjpg?token=hidden"
    with open_lasting_source(url, size=None, fps=None, pace=None, say=said.append) as source:
        first = until(source, lambda got: isinstance(got, Frame))
        camera.stop()
        away = until(source, lambda got: isinstance(got, Missing))
        camera.start()
        back = until(source, lambda got: isinstance(got, Frame))
        assert first.t < away.t <= back.t and first.index < back.index
        assert first.size == away.size == back.size == Size(64, 48)
        text = " ".join([*said, source.name])
        assert "secret" not in text and "hidden" not in text and "127.0.0.1" in text
    camera.stop()
    assert len(said) == 1


def test_while_it_rests_the_camera_is_let_go_and_when_it_wakes_it_goes_on() -> None:
    said: list[str] = []
    waits: list[float] = []
    resting = [False]
    first, second = FakeLive([GRAY] * 3), FakeLive([], start_t=500.0)
    source = lasting(first, second, said=said, waits=waits, rests=lambda: resting[0])
    assert kinds(source, 3) == ["frame"] * 3
    resting[0] = True
    assert kinds(source, 5) == ["LiveToon wakes up"] * 5
    assert first.closed == 1
    assert sum(waits) == pytest.approx(5 * CARD_S), "a card is sent at a low rate"
    resting[0] = False
    got = kinds(source, 1)
    while got[-1] != "frame":
        got += kinds(source, 1)
    assert kinds(source, 20) == ["frame"] * 20
    assert said == []


def test_a_camera_that_comes_back_while_it_rests_is_let_go_at_once() -> None:
    let_go = threading.Event()
    late = FakeLive([])
    lives: list[FakeLive] = [FakeLive([GONE]), late, FakeLive([])]

    def open_(size: Size | None) -> Live:
        live = lives.pop(0)
        if live is late:
            let_go.wait(10)
        return live  # type: ignore[return-value]

    resting = [False]
    source = Lasting(
        open_, what="Camera 0", say=lambda _: None, frame_within_s=4.0, ends=False, dark=True,
        rests=lambda: resting[0], wait=lambda _: None,
    )  # fmt: skip
    assert kinds(source, 3) == ["The camera is away"] * 3
    resting[0] = True
    let_go.set()
    assert kinds(source, 3) == ["LiveToon wakes up"] * 3
    assert late.closed == 1
    resting[0] = False
    got = kinds(source, 1)
    while got[-1] != "frame":
        got += kinds(source, 1)
