"""Pictures become a live stream: H.264 and AAC to an RTMP, RTSP or SRT server, opened again when the server goes.

Comes in: pictures on the loop's thread. Goes out: packets to a process that talks to the server. Encoding is on the
thread of `Threaded`; connecting and sending are in `relay.py`, or in the program ffmpeg for SRT, which PyAV lacks.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
from av.video.frame import PictureType

from realtime.card import card
from realtime.errors import SinkError
from realtime.secrets import without_secrets
from realtime.sinks import relay
from realtime.sinks.clip import H264_ENCODERS, encoder_exists, tag_colours, yuv_frame
from realtime.sinks.sound import OpenSound, Sound
from realtime.sinks.threaded import Threaded
from realtime.types import Picture, Size

_FORMATS = {"rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp"}  # what PyAV sends; srt is ffmpeg's
_KEY_FRAMES_S = 2.0
_BITS_PER_PIXEL = 0.1
_MOST_BITS_S = 6_000_000  # what streaming services take
_TICKS_HZ = 90_000
_REPEAT_S = 1.0  # without a picture: servers drop a stream that stands still
_CONNECTS_S, _STALLS_S = 10.0, 10.0
_LEAVE_S = 4.0  # for the end of a stream on a slow line
_FROM = re.compile(r"^(\[\w+ @ \w+\] |\d[^ ]*/SRT\S* )")  # which part of ffmpeg or libsrt says it
_PROGRESS = re.compile(r"\w+=")  # what ffmpeg says while all is well
_LIVE = {"preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0", "forced-idr": "1", "crf": "20"}


class Stream:
    """A stream to `url` for as long as the run goes on; the loop never waits for it.

    size: of the pictures; an odd last row or column is cut off. sound: opens what is heard with them, None for silence.
    Raises `SinkError` when nothing here could send it, and from `close` when it never reached the server.
    """

    def __init__(
        self,
        url: str,
        size: Size,
        fps: float,
        sound: OpenSound | None,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = without_secrets(url)
        self._say = say
        self._clock = clock
        self._said_connected = False
        self._connection: _Connection | None = None
        self._why = ""  # the last attempt failed
        command, environment = _sender(url)

        def opened() -> _Connection:
            if self._connection is not None:
                self._why = self._connection.why or self._why
            self._connection = _Connection(
                self.name, command, environment, size.even, fps, sound, self._connected, clock
            )
            return self._connection

        self._thread = Threaded(
            opened(),
            repeat_s=_REPEAT_S,
            stale=lambda last: card("LiveToon does not answer", size, last),
            reopen=opened,
            say=say,
            leave_s=_LEAVE_S,
            clock=clock,
        )

    def send(self, picture: Picture) -> None:
        """Leaves it for the stream's thread. A server that does not answer, or takes nothing, is hung up on."""
        if self._connection is not None:
            self._connection.hang_up_when_overdue()
        self._thread.send(picture)

    def close(self) -> None:
        """Ends the stream; raises `SinkError` when it never reached the server."""
        self._thread.close()
        if self._connection is not None:
            self._connection.hang_up()
        if not self._said_connected:
            self._said_connected = True  # said once
            why = (self._connection.why if self._connection is not None else "") or self._why
            raise SinkError(
                f"The stream {self.name} was never connected{f' ({why})' if why else ''}. "
                "Check the address and the key, and that the server runs and may be reached."
            )

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connected(self) -> None:
        if not self._said_connected:
            self._said_connected = True
            self._say(f"{self.name} is connected.")


class _Connection:
    """One connection, from the first picture to the end or the first failure."""

    def __init__(
        self,
        name: str,
        command: list[str],
        environment: dict[str, str],
        size: Size,
        fps: float,
        sound: OpenSound | None,
        connected: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.why = ""  # it ended, in the words of the sender
        self._command = command
        self._environment = environment
        self._size = size
        self._fps = Fraction(fps).limit_denominator(1001)
        self._open_sound = sound
        self._sound: Sound | None = None
        self._on_connected = connected
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._pipe: _Pipe | None = None
        self._container: Any = None
        self._stream: Any = None
        self._closed = False
        self._started_s = 0.0
        self._connected = False
        self._busy_since_s: float | None = None
        self._first_t = 0.0
        self._last_t, self._last_sent_s = 0.0, 0.0
        self._last_pts, self._key_pts = -1, 0

    def send(self, picture: Picture) -> None:
        """Encodes it and passes it on; raises `SinkError` when the connection failed."""
        try:
            if self._process is None:
                self._start(picture)
            self._encode(picture)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.hang_up()
            what = "broke off" if self._connected else "cannot be reached"
            raise SinkError(f"The stream {self.name} {what} ({self._reason(error)}).") from error

    def close(self) -> None:
        """Sends what is left, for as long as that goes, and hangs up."""
        process = self._process
        if process is None or self._closed:
            return
        self._closed = True
        if self._connected and process.poll() is None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._finish()
        if self._sound is not None:
            self._sound.close()
        if self._pipe is not None:
            self._pipe.end()
        self._container = self._stream = self._sound = None
        try:
            process.wait(_LEAVE_S / 2 if self._connected else 0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        gc.collect()  # PyAV's container and streams hold each other, 0.2 MB for every attempt that failed
        if self._reader is not None:
            self._reader.join()  # the process has ended, so its output has too

    def hang_up_when_overdue(self) -> None:
        """Ends a process that has not connected or has taken nothing for too long; `send` fails then. Any thread."""
        process, since_s, now_s = self._process, self._busy_since_s, self._clock()
        if process is None or process.poll() is not None:
            return
        if not self._connected and now_s - self._started_s > _CONNECTS_S:
            self.why = self.why or f"no answer within {_CONNECTS_S:.0f} s"
            process.kill()
        elif since_s is not None and now_s - since_s > _STALLS_S:
            self.why = self.why or f"the server took nothing for {_STALLS_S:.0f} s"
            process.kill()

    def hang_up(self) -> None:
        """Ends the process at once. Any thread."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, picture: Picture) -> None:
        self._started_s = self._clock()
        self._process = process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            stderr=subprocess.STDOUT,
            env=os.environ | self._environment,
            start_new_session=True,  # Ctrl-C is for this program, which then ends the stream in order
        )
        self._reader = threading.Thread(target=self._listen, args=(process,), name="sink relay", daemon=True)
        self._reader.start()
        self._pipe = _Pipe(process.stdin)
        self._container = av.open(
            self._pipe, "w", format="flv",
            container_options={"flvflags": "no_duration_filesize", "flush_packets": "1",
                               "max_interleave_delta": "1000000"},  # pictures do not wait for sound that stays away
        )  # fmt: skip
        encoder = next((name for name in H264_ENCODERS if name != "mpeg4" and encoder_exists(name)), None)
        if encoder is None:
            raise SinkError("This build of PyAV has no encoder for H.264, so it cannot stream; install another build.")
        rate = min(_MOST_BITS_S, round(self._size.width * self._size.height * self._fps * _BITS_PER_PIXEL))
        options = _LIVE | {"maxrate": str(rate), "bufsize": str(rate)} if encoder == "libx264" else {}
        stream = self._container.add_stream(encoder, rate=self._fps, options=options)
        stream.width, stream.height, stream.pix_fmt = self._size.width, self._size.height, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS_HZ)
        context.gop_size = max(1, round(10 * _KEY_FRAMES_S * self._fps))  # key frames are asked for by time
        tag_colours(context, self._size)
        if not options:
            context.bit_rate = rate
        self._stream = stream
        self._first_t = picture.t
        if self._open_sound is not None:
            self._sound = self._open_sound(self._container, ".flv", picture)

    def _encode(self, picture: Picture) -> None:
        now_s = self._clock()
        repeated = self._last_pts >= 0 and picture.t <= self._last_t
        t = self._last_t + now_s - self._last_sent_s if repeated else picture.t
        self._last_t, self._last_sent_s = t, now_s
        pts = max(round((t - self._first_t) * _TICKS_HZ), self._last_pts + 1)
        key = self._last_pts < 0 or pts - self._key_pts >= _KEY_FRAMES_S * _TICKS_HZ
        self._last_pts = pts
        frame = yuv_frame(picture, self._size)
        frame.pts, frame.time_base = pts, Fraction(1, _TICKS_HZ)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        if key:
            self._key_pts = pts
        self._busy_since_s = now_s
        try:
            self._container.mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.until(t)
        finally:
            self._busy_since_s = None

    def _finish(self) -> None:
        self._busy_since_s = self._clock()
        self._container.mux(self._stream.encode(None))
        if self._sound is not None:
            self._sound.finish(self._last_t)
        self._container.close()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """What the sender says: that it is connected, or why it ended. ffmpeg tells its progress only once it is."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace").strip()
                if text == relay.CONNECTED or text.startswith("progress="):
                    if not self._connected:
                        self._connected = True
                        self._on_connected()
                elif text and not _PROGRESS.match(text):
                    self.why = self.why or without_secrets(_FROM.sub("", text))

    def _reason(self, error: Exception) -> str:
        if self._reader is not None:
            self._reader.join(1.0)
        return self.why or getattr(error, "strerror", None) or str(error)


class _Pipe:
    """The sender's standard input as FFmpeg's libraries see it; after the end everything is swallowed."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._ended = False

    def write(self, data: bytes) -> int:
        """All of `data`; raises `OSError` when the sender is gone."""
        view = memoryview(data)
        while not self._ended and view:
            view = view[self._pipe.write(view) :]
        return len(data)

    def end(self) -> None:
        """Nothing more comes; not called `close`, which PyAV would call before the end is written."""
        self._ended = True
        with suppress(OSError):
            self._pipe.close()


def _sender(url: str) -> tuple[list[str], dict[str, str]]:
    """The process that sends to `url`, and what its environment needs; raises `SinkError`."""
    scheme = urlsplit(url).scheme
    if scheme in _FORMATS:
        return [sys.executable, "-P", str(Path(relay.__file__))], {relay.ADDRESS: url, relay.FORMAT: _FORMATS[scheme]}
    program = shutil.which("ffmpeg")
    if program is None or not _has_srt(program):
        lacks = "is not installed" if program is None else "was built without SRT here"
        raise SinkError(
            f"Streaming to {without_secrets(url)} needs the program ffmpeg with SRT, which {lacks} "
            "(Debian: sudo apt-get install ffmpeg). Or stream to an rtmp:// address."
        )
    reading = ["-fpsprobesize", "0", "-analyzeduration", "500000", "-f", "flv", "-i", "pipe:0"]
    words = [program, "-hide_banner", "-loglevel", "error", "-nostats", "-progress", "pipe:1", *reading]
    return [*words, "-c", "copy", "-f", "mpegts", url], {}


def _has_srt(program: str) -> bool:
    try:
        told = subprocess.run(
            [program, "-hide_banner", "-protocols"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return "srt" in told.stdout.split()
