"""Pictures become a clip file: H.264, VP9 or GIF, with the times of the pictures and the sound of the source clip.

Comes in: pictures. Goes out: a file that can be played up to its last whole second at any moment, whatever happens.
On the loop's thread; the encoder has threads of its own. Imported only when a clip file is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from realtime.errors import SinkError
from realtime.sinks.output import check_output
from realtime.sinks.sound import OpenSound, Sound, sound_of
from realtime.types import Picture, Size

if TYPE_CHECKING:
    from realtime.sinks.microphone import Microphone

H264_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")
_OPTIONS = {
    # Without B-frames: fragments that begin between reordered frames of variable rate get wrong durations.
    "libx264": {"crf": "18", "preset": "veryfast", "bf": "0"},
    "libvpx-vp9": {
        "crf": "24",
        "b": "0",
        "deadline": "realtime",
        "cpu-used": "6",
        "row-mt": "1",
    },
}
_BITS_PER_PIXEL = 0.15  # for encoders that know no constant quality
_KEY_FRAMES_S = 2.0
_TICKS_HZ = 120_000  # whole ticks a frame at 23.976, 24, 25, 29.97, 30, 50, 59.94 and 60 a second
_FEWER_TICKS_HZ = {"gif": 100, "mpeg4": 60_000}  # what these can count
_HD_HEIGHT = 720  # from here on BT.709, below BT.601: what players assume
_BT709, _SMPTE170M = 1, 6  # AVCOL_SPC_*, AVCOL_PRI_BT709, AVCOL_TRC_BT709
_BUFFER_BYTES = 1 << 17


def _to_yuv(red: float, blue: float) -> NDArray[np.float64]:
    """(3, 4): full RGB to limited Y, Cb and Cr, by the shares of red and blue in luma (ITU-R BT.601, BT.709)."""
    luma = np.array([red, 1 - red - blue, blue])
    rows = [219 * luma, 112 * (np.array([0, 0, 1]) - luma) / (1 - blue), 112 * (np.array([1, 0, 0]) - luma) / (1 - red)]
    return np.column_stack([np.array(rows) / 255, [16, 128, 128]])


_TO_YUV = {_BT709: _to_yuv(0.2126, 0.0722), _SMPTE170M: _to_yuv(0.299, 0.114)}
# A second of pictures at most is not on the disk yet. An MP4 has fragments while it is written and is an ordinary one
# once it is finished; its moov is delayed so that edit lists can put the first picture at 0.
_CONTAINERS = {
    ".mp4": ("mp4", {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}),
    ".mkv": ("matroska", {"cluster_time_limit": "1000"}),
    ".webm": ("webm", {"cluster_time_limit": "1000"}),
    ".gif": ("gif", {}),
}


class ClipFile:
    """Writes `path` from the first picture on; until then a file of that name is left alone.

    size, fps: of the pictures; H.264 takes even sizes only, so an odd last row or column is cut off. clip: whose sound
    is carried over. microphone: is heard instead. Raises `SinkError` when the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        fps: float,
        clip: Path | None,
        say: Callable[[str], None],
        microphone: Microphone | None = None,
    ) -> None:
        check_output(path, clip)
        self.name = str(path)
        self._path = path
        self._suffix = path.suffix.lower()
        self._fps = Fraction(fps).limit_denominator(1001)
        self._open_sound: OpenSound | None = None
        if self._suffix != ".gif":
            self._open_sound = sound_of(clip, microphone, say)
        self._encoder = _encoder(self._suffix, say)
        self._size = size
        if self._suffix in (".mp4", ".mkv") and size != size.even:
            self._size = size.even
            say(f"{path.name}: this kind of file takes even sizes only, so {size} is cut to {self._size}.")
        self._ticks = _FEWER_TICKS_HZ.get(self._encoder, _TICKS_HZ)
        self._file: _File | None = None
        self._container: Any = None
        self._sound: Sound | None = None
        self._first_t = self._last_t = 0.0
        self._last_pts = -1
        self._closed = False

    def send(self, picture: Picture) -> None:
        """Encodes it; raises `SinkError`."""
        if picture.rgb.shape[0] < self._size.height or picture.rgb.shape[1] < self._size.width:
            raise SinkError(f"{self._path}: a picture of {picture.size} came where {self._size} was expected.")
        if self._file is None:
            self._start(picture)
        self._last_t = picture.t
        pts = max(round((picture.t - self._first_t) * self._ticks), self._last_pts + 1)
        self._last_pts = pts
        self._write(lambda: self._encode(picture, pts))

    def close(self) -> None:
        """Finishes the file, so that it can be played; raises `SinkError` when that fails."""
        if self._closed:
            return
        self._closed = True
        if self._file is None:
            return
        try:
            if self._file.error is None:
                self._write(self._finish)
        finally:
            self._let_go(self._file)

    def __enter__(self) -> ClipFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, first: Picture) -> None:
        self._first, self._first_t = first, first.t
        try:
            self._file = _File(self._path.open("wb", buffering=0))
        except OSError as error:
            raise SinkError(f"{self._path} cannot be written ({error.strerror}); name another --sink.") from error
        self._write(self._add_tracks)

    def _add_tracks(self) -> None:
        kind, options = _CONTAINERS[self._suffix]
        self._container = av.open(self._file, "w", format=kind, options=options, buffer_size=_BUFFER_BYTES)
        gif = self._suffix == ".gif"
        stream = self._container.add_stream(
            self._encoder, rate=self._fps, options=dict(_OPTIONS.get(self._encoder, {}))
        )
        stream.width, stream.height = self._size.width, self._size.height
        stream.pix_fmt = "pal8" if gif else "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, self._ticks)
        if not gif:
            context.gop_size = max(1, round(_KEY_FRAMES_S * self._fps))
            tag_colours(context, self._size)
        if not gif and self._encoder not in _OPTIONS:
            context.bit_rate = round(self._size.width * self._size.height * self._fps * _BITS_PER_PIXEL)
        self._stream = stream
        self._palette = _gif_graph(self._size) if gif else None
        if self._open_sound is not None:
            self._sound = self._open_sound(self._container, self._suffix, self._first)

    def _encode(self, picture: Picture, pts: int) -> None:
        if self._palette is None:
            frame = yuv_frame(picture, self._size)
        else:
            self._palette.push(_rgb_frame(picture, self._size))
            frame = self._palette.pull()
        frame.pts, frame.time_base = pts, Fraction(1, self._ticks)
        frame.duration = max(1, round(self._ticks / self._fps))
        frame.pict_type = 0  # the encoder decides which are key frames
        self._container.mux(self._stream.encode(frame))
        if self._sound is not None:
            self._sound.until(picture.t)

    def _finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        if self._sound is not None:
            self._sound.finish(self._last_t + float(1 / self._fps))
        self._container.close()

    def _write(self, step: Callable[[], None]) -> None:
        """Does `step`; an error of the disk or the encoder becomes the one `SinkError` of this file."""
        assert self._file is not None
        try:
            step()
        except (av.FFmpegError, OSError, ValueError) as error:
            if self._file.error is None:
                self._file.error = error
        if self._file.error is not None:
            why = getattr(self._file.error, "strerror", None) or str(self._file.error)
            seconds = self._last_t - self._first_t
            raise SinkError(
                f"{self._path} cannot be written any further ({why}) after {seconds:.0f} s of pictures. "
                "What was written so far is kept and can be played; free some space or name another --sink."
            ) from self._file.error

    def _let_go(self, file: _File) -> None:
        if self._sound is not None:
            self._sound.close()
        if (
            file.error is not None and self._container is not None
        ):  # the container's end goes nowhere: it would spoil what is on the disk
            with suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
        file.close_disk()
        if file.error is not None and self._suffix == ".mp4":
            with suppress(OSError):
                _cut_to_whole_boxes(self._path)


def yuv_frame(picture: Picture, size: Size) -> Any:
    """What video encoders take: the upper left `size` of the picture as YUV 4:2:0 of limited range.

    By OpenCV, in less than half the time of FFmpeg's swscale. Chroma is the mean of two by two pixels.
    """
    frame = av.VideoFrame(size.width, size.height, "yuv420p")
    frame.colorspace, frame.color_range = _space(size), ColorRange.MPEG
    yuv = cv2.transform(picture.rgb[: size.height, : size.width], _TO_YUV[_space(size)])
    half = cv2.resize(yuv, ((size.width + 1) // 2, (size.height + 1) // 2), interpolation=cv2.INTER_AREA)
    for index, (plane, of) in enumerate(zip(frame.planes, (yuv, half, half), strict=True)):
        rows = np.frombuffer(plane, np.uint8, plane.height * plane.line_size).reshape(plane.height, plane.line_size)
        rows[:, : plane.width] = cv2.extractChannel(of, index)
    return frame


def tag_colours(context: Any, size: Size) -> None:
    """Tells an encoder, and so every player, which colours `yuv_frame` makes."""
    context.color_range = ColorRange.MPEG
    context.colorspace = _space(size)
    context.color_primaries = context.color_trc = _BT709


def _space(size: Size) -> int:
    return _BT709 if size.height >= _HD_HEIGHT else _SMPTE170M


def _rgb_frame(picture: Picture, size: Size) -> Any:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.rgb[: size.height, : size.width]), "rgb24")


def _cut_to_whole_boxes(path: Path) -> None:
    """Removes the fragment at the end of an MP4 that the disk took a part of only: its pictures would be damaged."""
    with path.open("r+b") as file:
        end = whole = file.seek(0, os.SEEK_END)
        at = 0
        while at < end:
            file.seek(at)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if size < 8 or at + size > end:
                whole = at
                break
            whole = at if kind == b"moof" else at + size  # a moof is of use with its mdat only
            at += size
        file.truncate(whole)


class _File:
    """The file as FFmpeg's libraries see it. After its first failure it swallows everything, so that no later write,
    above all no half of an index, lands behind what can still be played."""

    def __init__(self, disk: BinaryIO) -> None:
        self._disk = disk
        self.error: Exception | None = None

    def write(self, data: bytes) -> int:
        """All of `data`, or the failure is kept."""
        view = memoryview(data)
        while self.error is None and view:
            try:
                view = view[self._disk.write(view) :]
            except OSError as error:
                self.error = error
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file does."""
        return self._disk.seek(offset, whence)

    def tell(self) -> int:
        """As a file does."""
        return self._disk.tell()

    def close_disk(self) -> None:
        """Closes the file; not called `close`, which PyAV would call before the end is written."""
        self._disk.close()


def _encoder(suffix: str, say: Callable[[str], None]) -> str:
    """The encoder for this kind of file; raises `SinkError` when this build of PyAV has none."""
    if suffix == ".gif":
        return "gif"
    wanted = ("libvpx-vp9",) if suffix == ".webm" else H264_ENCODERS
    for name in wanted:
        if encoder_exists(name):
            if name != wanted[0]:
                say(f"This build of PyAV lacks {wanted[0]}; {name} is used, at a fixed bit rate.")
            return name
    other = ".mp4" if suffix == ".webm" else ".webm"
    raise SinkError(f"This build of PyAV has no encoder for {suffix} files; name a {other} file.")


def encoder_exists(encoder: str) -> bool:
    """Whether this build of PyAV has it."""
    try:
        av.codec.Codec(encoder, "w")
    except ValueError:
        return False
    return True


def _gif_graph(size: Size) -> Any:
    """A filter graph from RGB to 256 colours chosen for each picture."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=size.width, height=size.height, format="rgb24", time_base=Fraction(1, 100))
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single")
    use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
