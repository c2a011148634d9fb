"""Streams, against stand-ins for the process that sends; `test_streams.py` has the real servers."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.sinks import stream
from realtime.sinks.sound import sound_of
from realtime.sinks.stream import Stream
from realtime.types import Picture, Size, read_only

SIZE = Size(64, 49)  # odd: the last row is cut off
KEY = "live_secret_123"
# Each answers as the sender does, and does with what it is given what its name says.
KEEPS = """
import os, sys
print("connected", flush=True)
with open(sys.argv[1], "ab", buffering=0) as out:
    while data := os.read(0, 65536):
        out.write(data)
"""
BREAKS = """
import sys
print("connected", flush=True)
sys.stdin.buffer.read(2000)
print("Broken pipe", flush=True)
"""
NEVER_ANSWERS = "import time; time.sleep(60)"
REFUSES = 'print("[rtmp @ 0x5] rtmp://h/live/live_secret_123: denied", flush=True)'


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def picture(t: float, level: int = 120) -> Picture:
    rgb = np.full((SIZE.height, SIZE.width, 3), (level, 60, 200), np.uint8)
    return Picture(read_only(rgb), t, t, round(t * 30))


def with_sender(monkeypatch: pytest.MonkeyPatch, *programs: str, out: Path | None = None) -> None:
    """Connections are made with these programs in turn, the last again and again."""
    left = list(programs)

    class Command(list[str]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            return iter([sys.executable, "-c", left.pop(0) if len(left) > 1 else left[0], str(out)])

    monkeypatch.setattr(stream, "_sender", lambda url: (Command(), {}))


def until(what: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.01)


def connection(out: Path, clip: Path | None = None) -> stream._Connection:
    command = [sys.executable, "-c", KEEPS, str(out)]
    sound = sound_of(clip, None, lambda _: None)
    return stream._Connection("rtmp://h", command, {}, SIZE.even, 30, sound, lambda: None, time.monotonic)


def test_what_is_sent_is_h264_of_the_pictures_times_with_a_key_frame_every_two_seconds(tmp_path: Path) -> None:
    times = [n / 30 for n in range(45)] + [1.5 + n / 12 for n in range(60)]  # 30, then 12 a second
    with connection(tmp_path / "o.flv") as sender:
        for t in times:
            sender.send(picture(10 + t))
        until(lambda: sender._connected)
    with av.open(str(tmp_path / "o.flv")) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 64, 48)
        frames = list(container.decode(video))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.002)
    keys = [frame.time for frame in frames if frame.key_frame]
    assert keys == pytest.approx([0, 2, 4, 6], abs=0.1)
    assert np.abs(frames[-1].to_ndarray(format="rgb24")[24, 32].astype(int) - (120, 60, 200)).max() <= 6


def test_a_picture_that_is_shown_again_goes_on_in_time(tmp_path: Path) -> None:
    with connection(tmp_path / "o.flv") as sender:
        clock = sender._clock = Clock()
        for now_s, t in ((0.0, 5.0), (0.1, 5.1), (1.1, 5.1), (2.1, 5.1), (2.2, 7.2)):
            clock.now_s = now_s
            sender.send(picture(t))
        until(lambda: sender._connected)
    with av.open(str(tmp_path / "o.flv")) as container:
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx([0, 0.1, 1.1, 2.1, 2.2], abs=0.002)


def test_the_clips_sound_is_sent_from_the_moment_of_the_first_picture(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        video, audio = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=48_000)
        video.width, video.height, audio.layout = 64, 48, "mono"
        for _ in range(100):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
            container.mux(video.encode(frame))
        samples = np.zeros(480_000, np.int16)
        samples[48_000 * 7 :] = 8000 * np.sin(np.arange(48_000 * 3) * 0.06)  # a tone from second 7 on
        for at in range(0, len(samples), 4800):
            sound = av.AudioFrame.from_ndarray(samples[None, at : at + 4800], "s16", "mono")
            sound.sample_rate, sound.pts = 48_000, at
            container.mux(audio.encode(sound))
        container.mux([*video.encode(None), *audio.encode(None)])
    with connection(tmp_path / "o.flv", clip=clip) as sender:
        for n in range(31):
            sender.send(picture(6 + n / 10))
        until(lambda: sender._connected)
    with av.open(str(tmp_path / "o.flv")) as container:
        frames = list(container.decode(audio=0))
    with av.open(str(tmp_path / "o.flv")) as container:
        first = next(container.decode(video=0)).time
    heard = [f.time - first for f in frames if np.abs(f.to_ndarray()).max() > 0.1]
    assert heard[0] == pytest.approx(1.0, abs=0.05)
    assert frames[-1].time == pytest.approx(3.0, abs=0.1)


def test_a_connection_that_breaks_is_made_anew_and_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.sinks.threaded.FIRST_RETRY_S", 0.05)
    out, said = tmp_path / "o.flv", list[str]()
    with_sender(monkeypatch, BREAKS, REFUSES, KEEPS, out=out)
    with Stream(f"rtmp://h/live/{KEY}", SIZE, 30, None, said.append) as live:
        n = 0

        def sent() -> bool:
            nonlocal n
            n += 1
            live.send(picture(n / 30, n % 250))
            return out.exists() and out.stat().st_size > 3000

        until(sent)
    with av.open(str(out)) as container:
        first = next(container.decode(video=0))
    assert first.key_frame and first.time == 0, "it begins anew"
    assert said[0] == "rtmp://h/live/... is connected."
    assert [line for line in said if "broke off (Broken pipe)" in line] == [said[1]]
    assert KEY not in "".join(said)


def test_a_server_that_never_answers_is_hung_up_on_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = Clock(), list[str]()
    with_sender(monkeypatch, NEVER_ANSWERS)
    live = Stream(f"rtmp://h/live/{KEY}", SIZE, 30, None, said.append, clock)
    noise = np.random.default_rng(0)
    slowest_s = 0.0

    def sent() -> bool:
        nonlocal slowest_s
        rgb = noise.integers(0, 255, (SIZE.height, SIZE.width, 3), np.uint8)
        start_s = time.monotonic()
        live.send(Picture(read_only(rgb), clock.now_s, clock.now_s, 0))
        slowest_s = max(slowest_s, time.monotonic() - start_s)
        clock.now_s += 0.05
        return any("no answer within 10 s" in line for line in said)

    until(sent)
    assert slowest_s < 5, "the loop waited for the server"
    with pytest.raises(SinkError, match=r"live/\.\.\. was never connected \(no answer within 10 s\)"):
        live.close()
    live.close()


def test_a_server_that_takes_nothing_any_more_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = Clock(), list[str]()
    with_sender(monkeypatch, 'print("connected", flush=True)\n' + NEVER_ANSWERS)
    live = Stream("rtmp://h/live/k", Size(640, 480), 30, None, said.append, clock)
    rgb = read_only(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8))

    def sent() -> bool:
        live.send(Picture(rgb, clock.now_s, clock.now_s, 0))
        clock.now_s += 0.5
        return any("took nothing for 10 s" in line for line in said)

    until(sent)
    live.close()
    assert said[0] == "rtmp://h/live/... is connected."


def test_a_refused_stream_is_said_without_its_key_and_fails_at_the_end() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        said: list[str] = []
        live = Stream(f"rtmp://127.0.0.1:{taken.getsockname()[1]}/live/{KEY}", SIZE, 30, None, said.append)

        def sent() -> bool:
            live.send(picture(time.monotonic()))
            return bool(said)

        until(sent)
        with pytest.raises(SinkError, match="never connected \\(Connection refused\\)") as failed:
            live.close()
    assert "cannot be reached (Connection refused)" in said[0]
    assert KEY not in said[0] + str(failed.value)
    assert not [thread for thread in threading.enumerate() if thread.name == "sink relay"]


def test_what_the_sender_says_is_shown_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with_sender(monkeypatch, REFUSES)
    live = Stream(f"rtmp://h/live/{KEY}", SIZE, 30, None, said.append)

    def sent() -> bool:
        live.send(picture(time.monotonic()))
        return bool(said)

    until(sent)
    with pytest.raises(SinkError, match=r"\(rtmp://h/live/\.\.\."):
        live.close()
    assert KEY not in said[0]


def test_a_reason_comes_without_what_only_its_makers_understand() -> None:
    text = "11:25:26.612968/SRT:RcvQ:w1!W:SRT.cn: processAsyncConnectRequest: Incorrect passphrase"
    assert stream._FROM.sub("", text) == "processAsyncConnectRequest: Incorrect passphrase"
    assert stream._FROM.sub("", "[rtmp @ 0x55e] Server error: denied") == "Server error: denied"


def test_srt_without_ffmpeg_is_a_sentence_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = "srt://h:9000?passphrase=secret12345"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SinkError, match="needs the program ffmpeg with SRT, which is not installed") as failed:
        Stream(url, SIZE, 30, None, lambda _: None)
    assert "secret" not in str(failed.value)
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho file\necho srtp\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SinkError, match="built without SRT"):
        Stream(url, SIZE, 30, None, lambda _: None)
