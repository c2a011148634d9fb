"""The sound of a clip, carried over into the file that is made of it.

Comes in: the clip's path and how far the pictures have come. Goes out: sound packets of the same stretch of time, in
step with the pictures. On the thread of the clip file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av

from realtime.sinks.sound import add_sound_stream

# What players understand in each kind of file; anything else is encoded anew.
_COPIED = {
    ".mp4": {"aac", "mp3", "ac3", "eac3", "alac"},
    ".mkv": {
        "aac",
        "mp3",
        "ac3",
        "eac3",
        "alac",
        "flac",
        "opus",
        "vorbis",
        "dts",
        "pcm_s16le",
    },
    ".webm": {"opus", "vorbis"},
    ".flv": {"aac"},
}
_NEAR_S = 5.0  # what is decoded or passed over before the first sample that is wanted
_PRIMING_S = 0.05  # sound codecs need a packet or so from before the first sample that is heard


class Audio:
    """The first sound track of `clip` as a stream of `output`, copied where that is possible.

    start_s: the clip's time that becomes 0. say: is told when the sound breaks off.
    Raises `av.FFmpegError` when the track cannot be read or encoded.
    """

    def __init__(
        self,
        clip: Path,
        output: Any,
        suffix: str,
        start_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._clip = clip
        self._output = output
        self._start_s = start_s
        self._from_s = start_s - (_PRIMING_S if suffix == ".mp4" else 0.0)
        self._say = say
        self._input: Any = av.open(str(clip), metadata_errors="replace")
        try:
            track = self._input.streams.audio[0]
            self._copied = track.codec_context.name in _COPIED[suffix]
            if self._copied:
                self._stream = output.add_stream_from_template(track)
            else:
                self._stream = add_sound_stream(output, suffix, stereo=track.codec_context.channels > 1)
            if start_s > _NEAR_S:
                self._input.seek(round((start_s - _NEAR_S) * 1_000_000))
            self._packets: Iterator[Any] = self._input.demux(track)
            self._held: Any = None
        except BaseException:
            self._input.close()
            raise

    def until(self, end_s: float) -> None:
        """Writes the sound before `end_s` of the clip's time."""
        try:
            while True:
                packet = self._held if self._held is not None else next(self._packets, None)
                self._held = None
                if packet is None:
                    return
                if packet.pts is None:
                    continue  # the empty packet at the end
                begin_s = float(packet.pts * packet.time_base)
                if begin_s >= end_s:
                    self._held = packet
                    return
                if begin_s >= self._from_s:
                    self._write(packet)
        except av.FFmpegError as error:
            self._packets = iter(())
            self._say(f"The sound of {self._clip.name} breaks off: it is damaged ({error.strerror}).")

    def finish(self, end_s: float) -> None:
        """Writes the rest before `end_s`."""
        self.until(end_s)
        if not self._copied:
            self._output.mux(self._stream.encode(None))

    def close(self) -> None:
        """Closes the clip."""
        self._input.close()

    def _write(self, packet: Any) -> None:
        shift = round(self._start_s / packet.time_base)
        if self._copied:
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self._stream
            self._output.mux(packet)
            return
        for frame in packet.decode():
            if frame.pts is not None:
                frame.pts -= round(self._start_s / frame.time_base)
            self._output.mux(self._stream.encode(frame))


def has_sound(clip: Path) -> bool:
    """Whether the file has a sound track; raises `av.FFmpegError` when it cannot be read."""
    with av.open(str(clip), metadata_errors="replace") as container:
        return bool(container.streams.audio)
