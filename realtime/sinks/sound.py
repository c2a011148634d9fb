"""What is heard with the pictures of a file or stream: the clip's own sound, or a microphone.

Comes in: a clip or an open microphone. Goes out: what adds that sound to a container. Any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import av

from realtime.types import Picture

if TYPE_CHECKING:
    from realtime.sinks.microphone import Microphone

RATE_HZ = 48_000
_CODECS = {".webm": ("libopus", 128_000)}
_AAC = ("aac", 160_000)


class Sound(Protocol):
    """A sound track that is written along with the pictures."""

    def until(self, end_s: float) -> None:
        """Writes the sound before `end_s` of the pictures' time."""

    def finish(self, end_s: float) -> None:
        """Writes the rest before `end_s`."""

    def close(self) -> None:
        """Lets go of what is read."""


# Adds the sound to a container of this suffix from its first picture on; None where there is none after all.
OpenSound = Callable[[Any, str, Picture], Sound | None]


def sound_of(clip: Path | None, microphone: Microphone | None, say: Callable[[str], None]) -> OpenSound | None:
    """The microphone's sound, else the clip's. A track that cannot be read is left out and said."""
    if microphone is not None:
        from realtime.sinks.microphone import MicrophoneTrack

        heard = microphone
        return lambda output, suffix, first: MicrophoneTrack(heard, output, suffix, first)
    if clip is None:
        return None

    def open_clip(output: Any, suffix: str, first: Picture) -> Sound | None:
        from realtime.sinks.audio import Audio, has_sound

        try:
            return Audio(clip, output, suffix, first.t, say) if has_sound(clip) else None
        except av.FFmpegError as error:
            say(f"The sound of {clip.name} cannot be carried over ({error.strerror}).")
            return None

    return open_clip


def add_sound_stream(output: Any, suffix: str, *, stereo: bool) -> Any:
    """A new track of `output` in what players of this kind of file understand, at 48 kHz."""
    codec, bit_rate = _CODECS.get(suffix, _AAC)
    stream = output.add_stream(codec, rate=RATE_HZ)
    stream.bit_rate = bit_rate
    stream.layout = "stereo" if stereo else "mono"
    return stream
