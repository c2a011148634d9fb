"""From the user's word for a source to an open one.

Comes in: `--source`, size, rate, pace. Goes out: a `Source`. On the caller's thread.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from realtime.errors import SourceError, UsageError
from realtime.secrets import without_secrets
from realtime.settings import CLIP_SUFFIXES, Pace, Play
from realtime.source.camera import FIRST_FRAME_S, NEXT_FRAME_S, Camera
from realtime.source.cameras import CameraInfo, find_again, find_camera, list_cameras
from realtime.source.contract import LastingSource, Source
from realtime.source.lasting import Lasting
from realtime.source.live import Live
from realtime.source.pattern import TestPattern, parse_pattern
from realtime.source.picture import PICTURE_SUFFIXES, PictureFile
from realtime.source.screen import Screen, parse_screen
from realtime.types import Size

DEMO_CLIP = Path(__file__).parent.parent / "demo" / "demo.mp4"
_STREAMS = ("rtsp", "rtsps", "http", "https", "rtmp", "srt", "udp", "tcp")
_PLAYED = (*CLIP_SUFFIXES, ".mov", ".m4v", ".m3u8", ".mpd")
_CAMERA_OPENS_S = FIRST_FRAME_S + 5
_STREAM_OPENS_S, _STREAM_FRAME_S = 15.0, 10.0

Say = Callable[[str], None]
S = TypeVar("S")
_ALL = Play()


def open_source(
    uri: str | None, *, size: Size | None, fps: float | None, pace: Pace | None, say: Say, play: Play = _ALL
) -> Source:
    """The source that `uri` means, open and known to give frames.

    uri: None for the first camera, else the demo clip. size: of the frames; None for a clip's own, 1280x720 for a
    camera. fps: asked of a camera or screen. pace: None is live for cameras, streams, screens and the test pattern, all
    for files. play: of a clip.
    Blocks until the first frame is there. Raises `SourceError`, and `UsageError` for a word that means nothing.
    """

    def camera(found: CameraInfo) -> Source:
        return _live_camera(found, size, fps)

    def stream(address: _Address) -> Source:
        return _live_stream(address, size, say)

    return _open(uri, size, fps, pace, say, play, camera, stream)


def open_lasting_source(
    uri: str | None,
    *,
    size: Size | None,
    fps: float | None,
    pace: Pace | None,
    say: Say,
    play: Play = _ALL,
    sinks: Collection[str] = (),
    rests: Callable[[], bool] = lambda: False,
) -> LastingSource:
    """As `open_source`; a camera or stream that breaks off is opened anew until it is back.

    sinks: devices that the pictures go to, which cannot be the source. rests: see `Lasting`.
    """

    def camera(found: CameraInfo) -> LastingSource:
        if found.path in sinks or found.name in sinks:
            raise SourceError(f"{found.path or found.name} is where the drawn pictures go; name another --source.")

        def again(known_size: Size | None) -> Live:
            return _live_camera(find_again(found) if known_size is not None else found, known_size or size, fps)

        return Lasting(again, what=_capital(found), say=say, frame_within_s=NEXT_FRAME_S, ends=False, dark=True,
                       rate=True, rests=rests)  # fmt: skip

    def stream(address: _Address) -> LastingSource:
        def again(known_size: Size | None) -> Live:
            return _live_stream(address, known_size or size, say)

        what, ends = address.what, address.played
        return Lasting(again, what=what, say=say, frame_within_s=_STREAM_FRAME_S + 1, ends=ends, dark=False,
                       rests=rests)  # fmt: skip

    return _open(uri, size, fps, pace, say, play, camera, stream)


@dataclass(frozen=True, slots=True)
class _Address:
    """A stream. what: without its password, for messages. played: a clip or playlist on a server, by its times."""

    url: str
    scheme: str
    what: str
    played: bool


def _open(
    uri: str | None,
    size: Size | None,
    fps: float | None,
    pace: Pace | None,
    say: Say,
    play: Play,
    camera: Callable[[CameraInfo], S],
    stream: Callable[[_Address], S],
) -> S | Source:
    def open_camera(found: CameraInfo) -> S:
        _refuse_play(play, str(found))
        if pace is Pace.ALL:
            say("A camera does not wait: --pace all has no effect on it.")
        return camera(found)

    if uri is None:
        cameras = list_cameras()
        if cameras:
            return open_camera(cameras[0])
        if sys.platform != "linux":  # there the list is the system's word at second hand; a camera may be there
            try:
                return open_camera(CameraInfo(0, None, ""))
            except SourceError:
                pass
        say("No camera was found: the demo clip is used instead.")
        return _open_demo(size, pace, say, play)
    if uri == "demo":
        return _open_demo(size, pace, say, play)
    if uri == "screen" or uri.startswith("screen:"):
        _refuse_play(play, uri)
        part = parse_screen(uri)
        return Live(lambda: Screen(part, size, fps), what="The screen", from_start=True)
    if uri == "test" or uri.startswith("test:"):
        _refuse_play(play, uri)
        own, rate = parse_pattern(uri)
        pattern = TestPattern(own if size is None else size, rate)
        return pattern if pace is Pace.ALL else Live(lambda: pattern, what="The test pattern", paced=True)
    if "://" in uri:
        _refuse_play(play, "a stream")
        return stream(_address(uri))
    if not (uri.isdecimal() or uri.startswith("/dev/")) and _looks_like_file(uri):
        return _open_file(Path(uri), size, pace, say, play)
    return open_camera(find_camera(uri))


def _live_camera(camera: CameraInfo, size: Size | None, fps: float | None) -> Live:
    return Live(
        lambda: Camera(camera, size, fps),
        what=_capital(camera),
        opens_within_s=_CAMERA_OPENS_S,
        frame_within_s=NEXT_FRAME_S,
        from_start=True,
    )


def _capital(camera: CameraInfo) -> str:
    what = str(camera)
    return what[:1].upper() + what[1:]


def _refuse_play(play: Play, what: str) -> None:
    if play != _ALL:
        raise UsageError(f"--start and --loop go with a clip, and {what} is none.")


def _open_demo(size: Size | None, pace: Pace | None, say: Say, play: Play) -> Source:
    if not DEMO_CLIP.is_file():
        raise SourceError(f"The demo clip {DEMO_CLIP} is missing; run make demo, or name another --source.")
    return _open_clip(DEMO_CLIP, size, pace, say, replace(play, loop=True) if pace is Pace.LIVE else play)


def _open_clip(path: Path, size: Size | None, pace: Pace | None, say: Say, play: Play) -> Source:
    from realtime.source.clip import Clip

    def clip() -> Source:
        return Clip(str(path), size, what=path.name, say=say, repeat=play.loop, start_s=play.start_s)

    return Live(clip, what=path.name, paced=True) if pace is Pace.LIVE else clip()


def _open_file(path: Path, size: Size | None, pace: Pace | None, say: Say, play: Play) -> Source:
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder; name one clip or picture in it.")
        if not path.exists():
            raise SourceError(f"There is no file {path}.{_near(path)}")
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{path} is empty; expected a clip or a picture.")
        with path.open("rb"):
            pass
    except ValueError:  # a null byte
        raise SourceError(f"{str(path)!r} is no name of a file.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}).") from error
    if path.suffix.lower() in PICTURE_SUFFIXES:
        _refuse_play(play, path.name)
        if pace is Pace.LIVE:
            return Live(lambda: PictureFile(path, size, repeat=True), what=path.name, paced=True)
        return PictureFile(path, size)
    return _open_clip(path, size, pace, say, play)


def _address(url: str) -> _Address:
    """Raises `UsageError`."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"'{without_secrets(url)}' is no address ({error}).") from error
    if parts.scheme not in _STREAMS:
        raise UsageError(f"'{parts.scheme}://' is no address of a stream; expected one of {', '.join(_STREAMS)}.")
    played = Path(parts.path).suffix.lower() in _PLAYED
    return _Address(url, parts.scheme, f"The stream {without_secrets(url)}", played)


def _live_stream(address: _Address, size: Size | None, say: Say) -> Live:
    """A stream gives its newest frame as it comes; a clip or playlist on a server is played by its times."""
    from realtime.source.clip import Clip

    options = {"rtsp_flags": "prefer_tcp"} if address.scheme.startswith("rtsp") else {}

    def stream() -> Clip:
        return Clip(address.url, size, what=address.what, say=say, stream=True, options=options,
                    timeout_s=(_STREAM_OPENS_S, _STREAM_FRAME_S))  # fmt: skip

    return Live(
        stream,
        what=address.what,
        opens_within_s=_STREAM_OPENS_S + 1,
        frame_within_s=_STREAM_FRAME_S + 1,
        paced=address.played,
        from_start=not address.played,
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
    except (OSError, ValueError):
        return f" The folder {path.parent} does not exist either."
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f" Did you mean {path.parent / near[0]}?" if near else ""
