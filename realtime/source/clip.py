"""A clip file or a stream becomes frames, decoded by FFmpeg's libraries through PyAV.

Comes in: a path or address. Goes out: every frame in order, upright, RGB, with the file's own times. On the thread that
reads it. Imported only when a clip or stream is opened: PyAV costs start-up time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from realtime.cores import threads_a_frame
from realtime.errors import SourceError
from realtime.source.fit import letterbox
from realtime.source.sizes import LARGEST_PX, checked_size
from realtime.types import Frame, RgbImage, Size, read_only

_ATTACHED_PICTURE = 1024  # AV_DISPOSITION_ATTACHED_PIC: the cover of a piece of music is no clip
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_HEIGHT = 720  # untagged video from here on is BT.709, below BT.601: what players assume
_SQUARE_ENOUGH = 0.02  # pixels this little off square are the rounding of an encoder
_EARLY_S = 0.001  # times are rounded
_MISSING_S, _MISSING_SHARE = 0.5, 0.02  # a header may count a frame or two that an edit list hides; more is damage


class Clip:
    """The first video track of a file or stream.

    address: a path or URL. what: it in the user's words. repeat: starts anew at the end, its clock going on.
    start_s: what comes before is left out.
    options: FFmpeg's. timeout_s: for opening and for each read of a stream.
    say: is told when a damaged file ends early; what could be read was given.
    Raises `SourceError`.
    """

    def __init__(
        self,
        address: str,
        size: Size | None,
        *,
        what: str,
        say: Callable[[str], None],
        repeat: bool = False,
        start_s: float = 0.0,
        stream: bool = False,
        options: dict[str, str] | None = None,
        timeout_s: tuple[float, float] | None = None,
    ) -> None:
        self._address = address
        self._what = what
        self._say = say
        self._repeat = repeat
        self._start_s = start_s
        self._stream = stream
        self._options = options or {}
        self._timeout_s = timeout_s
        self._to_rgb = VideoReformatter()
        self._container: Any = None
        self._next = 0
        self._shift_s = 0.0  # of this round of a repeated clip
        self._last_t: float | None = None
        self._damaged = 0
        self._from_s: float | None = None
        try:
            self._pictures = self._open()
            first = next(self._pictures, None)
            if first is None and start_s:
                raise SourceError(f"{what} has no picture at {start_s:g} s or later; name an earlier --start.")
            if first is None:
                raise SourceError(f"{what} has no picture that can be read: it is empty or damaged.")
        except BaseException:
            self.close()
            raise
        track = self._track
        rate: Fraction | None = track.average_rate or track.guessed_rate
        self.fps = float(rate) if rate else 30.0
        own = Size(first.shape[1], first.shape[0])
        self.size = checked_size(own, size, what)
        self.live = False
        self.frame_count: int | None = None if repeat or stream else _frame_count(track, self.fps, start_s)
        self.clip: Path | None = None if repeat or stream else Path(address)
        boxed = "" if own == self.size else f", letterboxed to {self.size}"
        self.name = f"{what}, {own} at {self.fps:.4g} fps{boxed}"
        self._first: RgbImage | None = first

    def read(self) -> Frame | None:
        """The next frame; `t` is its time in the file."""
        if self._container is None:
            return None
        if self._first is not None:
            rgb, self._first = self._first, None
        else:
            following = next(self._pictures, None)
            if following is None and self._repeat:
                following = self._again()
            if following is None:
                return None
            rgb = following
        t = self._time()
        index, self._next = self._next, self._next + 1
        self._last_t = t
        return Frame(read_only(letterbox(rgb, self.size)), t, time.monotonic(), index)

    def close(self) -> None:
        """Closes the file or connection."""
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> Iterator[RgbImage]:
        try:
            self._container = av.open(
                self._address, options=self._options, timeout=self._timeout_s, metadata_errors="replace"
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(self._why_not_opened(error)) from error
        tracks = self._container.streams.video
        wanted = [track for track in tracks if not int(track.disposition) & _ATTACHED_PICTURE]
        if not wanted:
            sound = "sound but no picture" if self._container.streams.audio else "no video track"
            raise SourceError(f"{self._what} has {sound}; expected a clip or a picture.")
        self._track: Any = wanted[0]
        if self._track.codec_context is None:
            raise SourceError(f"{self._what} has pictures of a kind that cannot be decoded; convert it to MP4 first.")
        self._track.codec_context.options = {"max_pixels": str(LARGEST_PX * LARGEST_PX)}
        self._track.thread_type = "SLICE" if self._stream else "AUTO"  # frame threads cost a stream latency
        if self._start_s:
            begin_s = float((self._track.start_time or 0) * self._track.time_base)
            try:
                self._container.seek(round((begin_s + self._start_s) * 1_000_000))
            except av.FFmpegError as error:
                raise SourceError(
                    f"{self._what} cannot be started at {self._start_s:g} s ({_reason(error)}); leave --start out."
                ) from error
            self._from_s = begin_s + self._start_s - _EARLY_S
        return self._decode(self._track)

    def _decode(self, track: Any) -> Iterator[RgbImage]:
        """Every picture that can be decoded, in order; damaged ones are left out and counted."""
        given = 0
        aspect = float(track.sample_aspect_ratio or 1)
        if abs(aspect - 1) < _SQUARE_ENOUGH:
            aspect = 1.0
        packets = self._container.demux(track)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.FFmpegError, OSError) as error:
                if self._stream:
                    raise SourceError(f"{self._what} broke off ({_reason(error)}).") from error
                self._damaged += 1
                break
            try:
                frames = packet.decode()
            except (av.FFmpegError, OSError):
                self._damaged += 1
                continue
            for frame in frames:
                self._pts_s = None if frame.pts is None else float(frame.pts * frame.time_base)
                if self._from_s is not None and self._pts_s is not None and self._pts_s < self._from_s:
                    continue  # between the key frame that was found and the start
                given += 1
                yield self._upright_rgb(frame, aspect)
        self._report(track, given)

    def _report(self, track: Any, given: int) -> None:
        """Says so when a file gave less than it promised."""
        if self._stream or not given:
            return
        promised, duration_s = 0 if self._start_s else int(track.frames), _duration_s(track)
        early = promised - given > max(2, _MISSING_SHARE * promised)
        if not promised and duration_s is not None and self._pts_s is not None:
            start_s = 0.0 if track.duration is None else float((track.start_time or 0) * track.time_base)
            early = duration_s - (self._pts_s - start_s) > max(_MISSING_S, _MISSING_SHARE * duration_s)
        if early:
            of = f" of its {promised}" if promised else ""
            self._say(
                f"{self._what} ends early: {given}{of} pictures could be read, the rest is missing or damaged. "
                "What was read is kept."
            )
        elif self._damaged:
            self._say(f"{self._what} is damaged in {self._damaged} places; {given} pictures could be read.")

    def _again(self) -> RgbImage | None:
        """The first picture of the next round."""
        self._shift_s = (self._last_t or 0.0) + 1 / self.fps
        self._container.close()
        self._pictures = self._open()
        rgb = next(self._pictures, None)
        if self._pts_s is not None:
            self._shift_s -= self._pts_s
        return rgb

    def _time(self) -> float:
        """The picture's time in the file; one that is missing or runs backwards is put a frame after the last."""
        last = self._last_t
        if self._pts_s is not None and (last is None or self._pts_s + self._shift_s > last):
            return self._pts_s + self._shift_s
        return 0.0 if last is None else last + 1 / self.fps

    def _upright_rgb(self, frame: Any, aspect: float) -> RgbImage:
        """(h, w, 3) u8 with square pixels, turned as the file says."""
        width, height = round(frame.width * aspect), frame.height
        matrix = None
        if frame.colorspace == _UNSPECIFIED:
            matrix = Colorspace.ITU709 if height >= _HD_HEIGHT else Colorspace.ITU601
        rgb: RgbImage = self._to_rgb.reformat(
            frame,
            width=width,
            format="rgb24",
            src_colorspace=matrix,
            dst_color_range=ColorRange.JPEG,
            threads=threads_a_frame(),
        ).to_ndarray()  # type: ignore[assignment]
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb

    def _why_not_opened(self, error: Exception) -> str:
        if self._stream:
            return (
                f"{self._what} cannot be opened ({_reason(error)}). "
                "Check the address, and that the other side is sending."
            )
        if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
            return (
                f"{self._what} cannot be read as a clip or picture: it is neither, or it was cut short before it was "
                "finished. Expected for example an MP4, MKV, WebM, GIF, PNG or JPEG."
            )
        return f"{self._what} cannot be opened ({_reason(error)})."


def _frame_count(track: Any, fps: float, start_s: float) -> int | None:
    if track.frames:
        return max(1, int(track.frames) - round(start_s * fps))
    duration_s = _duration_s(track)
    return None if duration_s is None else max(1, round((duration_s - start_s) * fps))


def _duration_s(track: Any) -> float | None:
    """As the track says; Matroska and WebM keep in a tag when it ends, as 00:01:02.345."""
    if track.duration:
        return float(track.duration * track.time_base)
    match = re.match(r"(\d+):(\d+):(\d+(?:\.\d+)?)", track.metadata.get("DURATION", ""))
    return None if match is None else int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)[:1].lower() + str(text)[1:]
