"""From the user's word for a source to an open one.

Comes in: `--source`, size, rate, pace. Goes out: a `Source`. On the caller's thread.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from realtime.errors import SourceError, UsageError
from realtime.settings import CLIP_SUFFIXES, Pace
from realtime.source.camera import FIRST_FRAME_S, NEXT_FRAME_S, Camera
from realtime.source.cameras import CameraInfo, find_camera, list_cameras
from realtime.source.contract import Source
from realtime.source.live import Live
from realtime.source.pattern import TestPattern, parse_pattern
from realtime.source.picture import PICTURE_SUFFIXES, PictureFile
from realtime.types import Size

DEMO_CLIP = Path(__file__).parent.parent / "demo" / "demo.mp4"
_STREAMS = ("rtsp", "rtsps", "http", "https", "rtmp", "srt", "udp", "tcp")
_PLAYED = (*CLIP_SUFFIXES, ".mov", ".m4v", ".m3u8", ".mpd")
_CAMERA_OPENS_S = FIRST_FRAME_S + 5
_STREAM_OPENS_S, _STREAM_FRAME_S = 15.0, 10.0

Say = Callable[[str], None]


def open_source(uri: str | None, *, size: Size | None, fps: float | None, pace: Pace | None, say: Say) -> Source:
    """The source that `uri` means, open and known to give frames.

    uri: None for the first camera, else the demo clip. size: of the frames; None for a clip's own, 1280x720 for a
    camera. fps: asked of a camera. pace: None is live for cameras, streams and the test pattern, all for files.
    Blocks until the first frame is there. Raises `SourceError`, and `UsageError` for a word that means nothing.
    """
    if uri is None:
        return _first_camera(size, fps, pace, say)
    if uri == "demo":
        return _open_demo(size, pace, say)
    if uri == "test" or uri.startswith("test:"):
        own, rate = parse_pattern(uri)
        pattern = TestPattern(own if size is None else size, rate)
        return pattern if pace is Pace.ALL else Live(lambda: pattern, what="The test pattern", paced=True)
    if "://" in uri:
        return _open_stream(uri, size, say)
    if uri.isdigit() or uri.startswith("/dev/"):
        return _open_camera(find_camera(uri), size, fps, pace, say)
    if _looks_like_file(uri):
        return _open_file(Path(uri), size, pace, say)
    return _open_camera(find_camera(uri), size, fps, pace, say)


def _first_camera(size: Size | None, fps: float | None, pace: Pace | None, say: Say) -> Source:
    cameras = list_cameras()
    if cameras:
        return _open_camera(cameras[0], size, fps, pace, say)
    if (
        sys.platform != "linux"
    ):  # there the list is the system's word at second hand; a camera may be there all the same
        try:
            return _open_camera(CameraInfo(0, None, ""), size, fps, pace, say)
        except SourceError:
            pass
    say("No camera was found: the demo clip is used instead.")
    return _open_demo(size, pace, say)


def _open_camera(camera: CameraInfo, size: Size | None, fps: float | None, pace: Pace | None, say: Say) -> Source:
    if pace is Pace.ALL:
        say("A camera does not wait: --pace all has no effect on it.")
    what = str(camera)
    return Live(
        lambda: Camera(camera, size, fps),
        what=what[:1].upper() + what[1:],
        opens_within_s=_CAMERA_OPENS_S,
        frame_within_s=NEXT_FRAME_S,
        from_start=True,
    )


def _open_demo(size: Size | None, pace: Pace | None, say: Say) -> Source:
    if not DEMO_CLIP.is_file():
        raise SourceError(f"The demo clip {DEMO_CLIP} is missing; run make demo, or name another --source.")
    if pace is Pace.LIVE:
        return _open_clip(DEMO_CLIP, size, pace, say, repeat=True)
    return _open_clip(DEMO_CLIP, size, pace, say)


def _open_clip(path: Path, size: Size | None, pace: Pace | None, say: Say, *, repeat: bool = False) -> Source:
    from realtime.source.clip import Clip

    def clip() -> Source:
        return Clip(str(path), size, what=path.name, say=say, repeat=repeat)

    return Live(clip, what=path.name, paced=True) if pace is Pace.LIVE else clip()


def _open_file(path: Path, size: Size | None, pace: Pace | None, say: Say) -> Source:
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder; name one clip or picture in it.")
        if not path.exists():
            raise SourceError(f"There is no file {path}.{_near(path)}")
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{path} is empty; expected a clip or a picture.")
        with path.open("rb"):
            pass
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}).") from error
    if path.suffix.lower() in PICTURE_SUFFIXES:
        if pace is Pace.LIVE:
            return Live(lambda: PictureFile(path, size, repeat=True), what=path.name, paced=True)
        return PictureFile(path, size)
    return _open_clip(path, size, pace, say)


def _open_stream(url: str, size: Size | None, say: Say) -> Source:
    """A stream gives its newest frame as it comes; a clip or playlist on a server is played by its times."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"'{url}' is no address ({error}).") from error
    if parts.scheme not in _STREAMS:
        raise UsageError(f"'{parts.scheme}://' is no address of a stream; expected one of {', '.join(_STREAMS)}.")
    from realtime.source.clip import Clip

    where = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # a password stays out of messages
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer"} if parts.scheme.startswith("rtsp") else {}
    what = f"The stream {where}"

    def stream() -> Clip:
        return Clip(url, size, what=what, say=say, stream=True, options=options,
                    timeout_s=(_STREAM_OPENS_S, _STREAM_FRAME_S))  # fmt: skip

    played = Path(parts.path).suffix.lower() in _PLAYED
    return Live(
        stream,
        what=what,
        opens_within_s=_STREAM_OPENS_S + 1,
        frame_within_s=_STREAM_FRAME_S + 1,
        paced=played,
        from_start=not played,
    )


def _looks_like_file(uri: str) -> bool:
    """Whether there is such a file, or the word is written like one: all else is a camera's name."""
    try:
        if Path(uri).exists():
            return True
    except (OSError, ValueError):  # too long a name for any file
        return False
    return Path(uri).suffix.lower() in (*CLIP_SUFFIXES, *PICTURE_SUFFIXES, ".mov", ".avi", ".m4v") or "/" in uri


def _near(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f" The folder {path.parent} does not exist either."
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f" Did you mean {path.parent / near[0]}?" if near else ""
