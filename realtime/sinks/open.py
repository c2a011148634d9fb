"""From the user's words for sinks to open ones, and one picture to all of them.

Comes in: `--sink` words; then pictures, on the main thread. Goes out: every picture to every sink.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from realtime.errors import SinkError
from realtime.settings import CLIP_SUFFIXES, PICTURE_SUFFIXES, STREAMED_TO
from realtime.sinks.contract import Sink
from realtime.sinks.null import Null
from realtime.sinks.picture import PictureFile, PictureSequence, is_sequence
from realtime.sinks.threaded import Threaded
from realtime.types import Picture, Size

if TYPE_CHECKING:
    from realtime.sinks.microphone import Microphone
    from realtime.sinks.virtualcam import LastingVirtualCamera

Say = Callable[[str], None]

_FILE_LEAVE_S = 20.0  # for the end of a file on a slow disk


class Sinks:
    """Sends every picture to every sink, and closes them all.

    live: a sink that fails is left behind with a line said, as long as another one works; else its failure ends the
    run. frame_count: for the progress bar, which only a terminal shows.
    """

    def __init__(self, sinks: Sequence[Sink], *, live: bool, frame_count: int | None, say: Say) -> None:
        self._sinks = list(sinks)
        self._added: list[Sink] = []
        self._finishing: list[threading.Thread] = []
        self._live = live
        self._say = say
        self._progress: tqdm[Any] | None = None
        if not live and frame_count is not None and frame_count > 1 and sys.stderr.isatty():
            self._progress = tqdm(total=frame_count, unit="frame", dynamic_ncols=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sinks that still work."""
        return tuple(sink.name for sink in self._sinks)

    def add(self, sink: Sink) -> None:
        """One more, from the next picture on. The run never ends because of it. On the thread that sends."""
        self._sinks.append(sink)
        self._added.append(sink)

    def remove(self, sink: Sink, closed: Callable[[SinkError | None], None]) -> None:
        """It gets no picture any more and is finished beside the loop, after which `closed` is told on that thread.

        Nothing happens when it is no longer there. On the thread that sends.
        """
        if sink not in self._sinks:
            return
        self._sinks.remove(sink)
        self._added.remove(sink)

        def finish() -> None:
            try:
                sink.close()
            except SinkError as error:
                closed(error)
            else:
                closed(None)

        thread = threading.Thread(target=finish, name=f"sink {sink.name} closes", daemon=True)
        thread.start()
        self._finishing = [other for other in self._finishing if other.is_alive()] + [thread]

    def __contains__(self, sink: object) -> bool:
        return sink in self._sinks

    def send(self, picture: Picture) -> None:
        """Sends it; raises `SinkError` when the last sink fails, or any sink of a run that is not live."""
        for sink in tuple(self._sinks):
            try:
                sink.send(picture)
            except SinkError as error:
                self._leave(sink, error)
            except Exception as error:
                if not self._live and sink not in self._added:
                    raise
                self._leave(sink, SinkError(f"The sink {sink.name} failed ({type(error).__name__}: {error})."))
        if self._progress is not None:
            self._progress.update()

    def close(self) -> None:
        """Closes every sink, even when one fails; then raises the first `SinkError`."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None
        sinks, self._sinks = self._sinks, []
        first: SinkError | None = None
        for sink in sinks:
            try:
                sink.close()
            except SinkError as error:
                first = first or error
        for thread in self._finishing:
            thread.join(_FILE_LEAVE_S)
        if first is not None:
            raise first

    def __enter__(self) -> Sinks:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.close()
        except SinkError as error:
            if kind is None:
                raise
            self._say(str(error))  # what ended the run is the error to report

    def _leave(self, sink: Sink, error: SinkError) -> None:
        self._sinks.remove(sink)
        with suppress(SinkError):  # its first error says it
            sink.close()
        if sink not in self._added and (not self._live or not self._sinks):
            raise error
        self._say(f"{error} Going on without {sink.name}.")


def open_recording(
    path: Path, size: Size, fps: float, clip: Path | None, microphone: Microphone | None, say: Say
) -> Sink:
    """A clip file written beside the loop; raises `SinkError`. clip, microphone: as in `open_sinks`."""
    from realtime.sinks.clip import ClipFile

    return Threaded(ClipFile(path, size, fps, clip, say, microphone), say=say, leave_s=_FILE_LEAVE_S)


def open_virtual_cameras(
    uris: Sequence[str], size: Size | None, fps: float | None, say: Say
) -> dict[str, LastingVirtualCamera | SinkError]:
    """The virtual cameras among the sinks, by their words: before source and models, so that programs find them.

    size, fps: as asked for; they stay the same for the whole run. Raises `SinkError` for one that the user named; the
    one that is tried without being named has its error here.
    """
    from realtime.sinks.virtualcam import FPS, SIZE, open_virtual_camera

    cameras: dict[str, LastingVirtualCamera | SinkError] = {}
    try:
        for uri in uris or ("virtualcam",):
            if is_virtual_camera(uri) and uri not in cameras:
                cameras[uri] = open_virtual_camera(uri.partition(":")[2] or None, size or SIZE, fps or FPS, say)
    except SinkError as error:
        for camera in cameras.values():
            assert not isinstance(camera, SinkError)
            camera.close()
        if uris:
            raise
        cameras["virtualcam"] = error
    return cameras


def is_virtual_camera(uri: str) -> bool:
    """Whether this word for a sink means a virtual camera."""
    return uri == "virtualcam" or uri.startswith("virtualcam:")


def open_sinks(
    uris: Sequence[str],
    *,
    virtual_cameras: Mapping[str, Sink | SinkError],
    size: Size,
    fps: float,
    clip: Path | None,
    microphone: Microphone | None,
    live: bool,
    frame_count: int | None,
    say: Say,
    open_preview: Callable[[], Sink],
) -> Sinks:
    """The sinks that `uris` name; without any, the virtual camera and the preview, those that exist here.

    virtual_cameras: from `open_virtual_cameras`, of the same `uris`.
    size, fps: of the pictures. clip: the source's file: its sound is carried over, and no sink may overwrite it.
    microphone: is heard instead in files and streams. open_preview: makes the preview. Files are checked now and made
    with the first picture. Raises `SinkError`; sinks that were open are closed then.
    """

    def beside(file: Sink, reopen: Callable[[], Sink] | None = None) -> Sink:
        """Files of a live run are written beside the loop; a conversion waits for its disk and loses nothing.

        What fails is opened anew only where nothing that was written is lost.
        """
        return Threaded(file, reopen=reopen, say=say, leave_s=_FILE_LEAVE_S) if live else file

    def opened(uri: str) -> Sink:
        path = Path(uri)
        if uri == "null":
            return Null()
        if uri == "preview":
            return open_preview()
        if is_virtual_camera(uri):
            camera = virtual_cameras[uri]
            if isinstance(camera, SinkError):
                raise camera
            return camera
        if uri.startswith(STREAMED_TO):
            from realtime.sinks.sound import sound_of
            from realtime.sinks.stream import Stream

            return Stream(uri, size, fps, sound_of(clip, microphone, say), say)
        if path.suffix.lower() in CLIP_SUFFIXES:
            from realtime.sinks.clip import ClipFile

            return beside(ClipFile(path, size, fps, clip, say, microphone))
        if path.suffix.lower() in PICTURE_SUFFIXES:
            if is_sequence(path):
                return beside(PictureSequence(path), lambda: PictureSequence(path))
            return beside(PictureFile(path, clip))
        wanted = ", ".join(CLIP_SUFFIXES + PICTURE_SUFFIXES)
        raise SinkError(f"'{uri}' is no sink; expected virtualcam, preview, null, or a file ending in {wanted}.")

    sinks: list[Sink] = []
    try:
        if uris:
            places = [Path(uri).absolute() for uri in uris]
            for number, uri in enumerate(uris):
                if places[number] in places[:number]:
                    raise SinkError(f"--sink {uri} is named twice; name it once.")
                sinks.append(opened(uri))
        else:
            for uri in ("virtualcam", "preview"):
                try:
                    sinks.append(opened(uri))
                except SinkError as error:
                    say(f"Without {uri}: {error}")
            if not sinks:
                raise SinkError(
                    "There is neither a virtual camera nor a screen here for the pictures. Name a file: --sink out.mp4."
                )
    except BaseException:
        for sink in sinks:
            sink.close()
        raise
    return Sinks(sinks, live=live, frame_count=frame_count, say=say)
