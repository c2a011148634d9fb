"""run.py streaming to real servers: nginx with its RTMP module, ffmpeg as SRT listener and as RTSP receiver.

What arrived is read back and measured. `make test-streams` installs what these need; without it they fail.
"""

from __future__ import annotations

import http.server
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
WIDTH, HEIGHT, FPS = 640, 360, 30
BARS = ((255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0))
KEY = "live_secret_123"
pytestmark = pytest.mark.streams


@dataclass
class Received:
    """What a server got. colour_error: of the worst channel of the worst bar, 0..255. offset_ms: beep after flash."""

    size: tuple[int, int]
    fps: float
    seconds: float
    key_frames_s: list[float]
    colour_error: float
    offset_ms: list[float]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s of colour bars; at every whole second the lower half flashes and a tone is heard, for 0.1 s."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    bars = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for n, colour in enumerate(BARS):
        bars[: HEIGHT // 2, n * WIDTH // 8 : (n + 1) * WIDTH // 8] = colour
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "12", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        audio = container.add_stream("aac", rate=48_000)
        audio.layout = "mono"
        for n in range(12 * FPS):
            rgb = bars.copy()
            rgb[HEIGHT // 2 :] = 230 if n % FPS < 3 else 20
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb)))
            times = (n * 1600 + np.arange(1600)) / 48_000
            tone = np.where(times % 1 < 0.1, 12_000 * np.sin(2 * np.pi * 1000 * times), 0).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(tone[None], "s16", "mono")
            sound.sample_rate, sound.pts = 48_000, n * 1600
            container.mux(audio.encode(sound))
        container.mux([*video.encode(None), *audio.encode(None)])
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(*words: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "run.py"), "--style", "none", *words]
    return subprocess.Popen(command, cwd=log.parent, stderr=log.open("wb"))


def until(what: Callable[[], bool], within_s: float = 30, process: subprocess.Popen[bytes] | None = None) -> None:
    end_s = time.monotonic() + within_s
    while not what():
        assert process is None or process.poll() is None, "it ended before"
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.1)


class Nginx:
    """A server on a port of its own that keeps what is published, a file each; with `gate`, it asks that first."""

    def __init__(self, folder: Path, gate: int | None = None) -> None:
        assert RTMP_MODULE.exists() and shutil.which("nginx"), "nginx or its RTMP module is missing: make test-streams"
        self.port = free_port()
        self.kept = folder / "kept"
        self.kept.mkdir()
        ask = "" if gate is None else f"on_publish http://127.0.0.1:{gate}/;"
        self._settings = folder / "nginx.conf"
        self._settings.write_text(
            f"load_module {RTMP_MODULE}; daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;"
            f"events {{}} rtmp {{ server {{ listen 127.0.0.1:{self.port}; application live {{ live on; {ask}"
            f"record all; record_path {self.kept}; record_unique on; }} }} }}"
        )
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(["nginx", "-c", str(self._settings)], stderr=subprocess.DEVNULL)

        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(answers, process=self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return f"rtmp://127.0.0.1:{self.port}/live/{KEY}"

    @property
    def files(self) -> list[Path]:
        return sorted(self.kept.iterdir(), key=lambda path: path.stat().st_mtime)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    server = Nginx(tmp_path)
    yield server
    server.kill()


def bars_off(frame: av.VideoFrame) -> float:
    """How far the worst channel of the worst bar is off, 0..255."""
    rgb = frame.to_ndarray(format="rgb24").astype(float)
    middles = [rgb[20 : HEIGHT // 2 - 20, n * WIDTH // 8 + 20 : (n + 1) * WIDTH // 8 - 20] for n in range(len(BARS))]
    return max(float(np.abs(m.mean((0, 1)) - c).max()) for m, c in zip(middles, BARS, strict=True))


def received(path: Path) -> Received:
    """Measures a file that a server kept."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        times, keys, flashes, beeps, error = [], [], [], [], 0.0
        lit = loud = True
        for packet in container.demux(video, audio):
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    level = np.abs(frame.to_ndarray()[0])
                    if (now := bool(level.max() > 0.1)) and not loud:
                        beeps.append(frame.time + float(np.argmax(level > 0.1)) / frame.sample_rate)
                    loud = now
                    continue
                times.append(frame.time)
                if frame.key_frame:
                    keys.append(frame.time)
                error = max(error, bars_off(frame))
                if (now := bool(frame.to_ndarray(format="gray")[HEIGHT // 2 + 20 :].mean() > 128)) and not lit:
                    flashes.append(frame.time)
                lit = now
        size = (video.width, video.height)
    pairs = [min(((b - f) * 1000 for b in beeps), key=abs) for f in flashes if beeps]
    seconds = times[-1] - times[0]
    return Received(size, (len(times) - 1) / seconds, seconds, keys, error, pairs)


def told(figures: Received, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    gaps = np.diff(figures.key_frames_s)
    with capsys.disabled():
        print(
            f"\n{what}: {figures.size[0]}x{figures.size[1]}, {figures.fps:.2f} a second over {figures.seconds:.1f} s, "
            f"key frames every {gaps.min():.2f} to {gaps.max():.2f} s, "
            f"colours off by {figures.colour_error:.0f} of 255, "
            f"sound after picture by {min(figures.offset_ms):.0f} to {max(figures.offset_ms):.0f} ms"
        )


def check(figures: Received, at_least_s: float) -> None:
    assert figures.size == (WIDTH, HEIGHT)
    assert figures.fps == pytest.approx(FPS, rel=0.1)
    assert figures.seconds >= at_least_s
    assert np.abs(np.diff(figures.key_frames_s) - 2).max() < 0.15
    assert figures.colour_error <= 6
    assert len(figures.offset_ms) >= at_least_s - 2
    assert max(map(abs, figures.offset_ms)) <= 40, "ATSC: 15 to 45 ms; a packet of sound and half a picture are 40"


@contextmanager
def ffmpeg_listens(address: str, *before: str, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    assert shutil.which("ffmpeg"), "ffmpeg is missing: make test-streams"
    words = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *before, "-i", address, "-c", "copy", str(out)]
    process = subprocess.Popen(words)
    time.sleep(1)  # a listener cannot be asked whether it listens: it takes one guest
    try:
        yield process
        process.wait(15)
    finally:
        process.kill()
        process.wait()


def test_rtmp(tmp_path: Path, clip: Path, nginx: Nginx, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    assert start("--source", str(clip), "--sink", nginx.url, "--seconds", "8", log=log).wait(60) == 0, log.read_text()
    figures = received(nginx.files[-1])
    told(figures, "rtmp", capsys)
    check(figures, 7)
    assert KEY not in log.read_text()


def test_srt(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, out, port = tmp_path / "log", tmp_path / "out.mkv", free_port()
    secret = "passphrase=secret-passphrase"
    with ffmpeg_listens(f"srt://127.0.0.1:{port}?mode=listener&{secret}", out=out):
        run = start("--source", str(clip), "--sink", f"srt://127.0.0.1:{port}?{secret}", "--seconds", "8", log=log)
        assert run.wait(60) == 0, log.read_text()
    figures = received(out)
    told(figures, "srt, encrypted", capsys)
    check(figures, 7)
    assert "secret" not in log.read_text()


def test_rtsp(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, out, port = tmp_path / "log", tmp_path / "out.mkv", free_port()
    with ffmpeg_listens(f"rtsp://127.0.0.1:{port}/live", "-rtsp_flags", "listen", out=out):
        url = f"rtsp://someone:password@127.0.0.1:{port}/live"
        run = start("--source", str(clip), "--sink", url, "--seconds", "8", log=log)
        assert run.wait(60) == 0, log.read_text()
    figures = received(out)
    told(figures, "rtsp", capsys)
    check(figures, 7)
    assert "password" not in log.read_text()


def test_its_server_is_killed_and_comes_back(
    tmp_path: Path, clip: Path, nginx: Nginx, capsys: pytest.CaptureFixture[str]
) -> None:
    log, beside = tmp_path / "log", tmp_path / "beside.mp4"
    run = start("--source", str(clip), "--sink", nginx.url, "--sink", str(beside), log=log)
    until(lambda: bool(nginx.files) and nginx.files[0].stat().st_size > 20_000, process=run)
    nginx.kill()
    until(lambda: "broke off" in log.read_text(), process=run)
    lost = time.monotonic()
    time.sleep(1)
    nginx.start()
    until(lambda: len(nginx.files) == 2 and nginx.files[1].stat().st_size > 20_000, process=run)
    back_s = time.monotonic() - lost
    assert run.wait(60) == 0, log.read_text()
    again = received(nginx.files[1])
    with capsys.disabled():
        print(f"\nserver killed: stream back {back_s:.1f} s after it was lost, and {again.seconds:.1f} s more came")
    assert again.key_frames_s[0] < 0.1
    assert again.colour_error <= 6
    assert max(map(abs, again.offset_ms)) <= 40
    text = log.read_text()
    assert len(re.findall("broke off|cannot be reached", text)) == 1, text
    assert KEY not in text
    assert received(beside).seconds == pytest.approx(12, abs=0.5), "the file beside it has all"


def test_a_server_that_stands_still_is_left_and_found_again(tmp_path: Path, nginx: Nginx) -> None:
    log = tmp_path / "log"
    run = start("--source", "test:1280x720@30", "--sink", nginx.url, "--seconds", "60", log=log)
    until(lambda: bool(nginx.files) and nginx.files[0].stat().st_size > 100_000, process=run)
    nginx.process.send_signal(signal.SIGSTOP)
    until(lambda: "took nothing for 10 s" in log.read_text(), 45, process=run)
    nginx.process.send_signal(signal.SIGCONT)
    until(lambda: len(nginx.files) == 2 and nginx.files[1].stat().st_size > 100_000, process=run)
    run.send_signal(signal.SIGINT)
    assert run.wait(20) == 0, log.read_text()


@contextmanager
def published(clip: Path, url: str) -> Iterator[None]:
    words = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(clip)]
    process = subprocess.Popen([*words, "-c", "copy", "-f", "flv", url])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_network_camera_is_shown_undamaged_and_found_again(tmp_path: Path, clip: Path, nginx: Nginx) -> None:
    log, out = tmp_path / "log", tmp_path / "out.mp4"
    with published(clip, nginx.url):
        until(lambda: bool(nginx.files) and nginx.files[0].stat().st_size > 50_000)
        run = start("--source", nginx.url, "--sink", str(out), log=log)
        until(lambda: out.exists() and out.stat().st_size > 20_000, process=run)
    until(lambda: "tried again" in log.read_text(), process=run)
    with published(clip, nginx.url):
        until(lambda: "... is back." in log.read_text(), process=run)
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 0, log.read_text()
    assert KEY not in log.read_text()
    with av.open(str(out)) as container:
        shown = [bars_off(frame) for frame in container.decode(video=0)]
    assert shown[0] <= 8, "it begins with a whole picture"
    assert shown[-1] <= 8
    assert max(shown) > 50, "and a card between"


class Refuses(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_wrong_key_ends_with_4_and_is_not_shown(tmp_path: Path) -> None:
    gate = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    server, log = Nginx(tmp_path, gate.server_address[1]), tmp_path / "run.log"
    try:
        run = start("--source", "test:320x180@30", "--sink", server.url, "--seconds", "4", log=log)
        assert run.wait(60) == 4
    finally:
        server.kill()
        gate.shutdown()
    text = log.read_text()
    assert "never connected" in text and KEY not in text, text
    assert not server.files
