"""A microphone is heard in files and streams, in step with the pictures.

Comes in: blocks of samples on the sound system's thread, each with the time at which it was recorded. Goes out: a sound
track, on the thread of the file or stream. A picture carries the time at which it was grabbed, so the time that drawing
takes does not set the two apart: sound waits until the picture of its moment is there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from realtime.errors import SinkError
from realtime.sinks.sound import RATE_HZ, add_sound_stream
from realtime.types import Picture

_KEPT_S = 20.0  # of sound, for pictures that are late or a server that does not answer
_BLOCK_S = 0.02
_OFF_S = 0.06  # the recording times jitter; beyond this, sound was lost or the clocks have drifted apart

Samples = NDArray[np.int16]  # (n,)


class _Input(Protocol):
    """What is used of `sounddevice.InputStream`."""

    def start(self) -> None: ...

    def close(self) -> None: ...


class Microphone:
    """Hears from now on, mono at 48 kHz; raises `SinkError`.

    wanted: part of its name, or "default".
    """

    def __init__(
        self,
        wanted: str,
        open_: Callable[[str, Callable[..., None]], _Input] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._blocks: deque[tuple[float, Samples]] = deque(maxlen=round(_KEPT_S / _BLOCK_S))
        self._input = (_open_input if open_ is None else open_)(wanted, self._heard)
        self._input.start()

    def between(self, after_s: float, before_s: float) -> list[tuple[float, Samples]]:
        """The blocks recorded in this stretch of `time.monotonic()`, with the time of their first sample."""
        with self._lock:
            return [block for block in self._blocks if after_s < block[0] < before_s]

    def close(self) -> None:
        """Lets go of the device."""
        self._input.close()

    def __enter__(self) -> Microphone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _heard(self, samples: Any, count: int, times: Any, status: object) -> None:
        ago_s = max(0.0, times.currentTime - times.inputBufferAdcTime)
        with self._lock:
            self._blocks.append((self._clock() - ago_s, np.array(samples[:, 0], np.int16)))


class MicrophoneTrack:
    """The microphone as a track of `output` from the moment at which `first` was grabbed."""

    def __init__(self, microphone: Microphone, output: Any, suffix: str, first: Picture) -> None:
        self._microphone = microphone
        self._output = output
        self._begin_s = first.grabbed_s
        self._to_monotonic_s = first.grabbed_s - first.t  # from the pictures' clock
        self._after_s = first.grabbed_s - 1.0  # a block that began before may reach into the first picture
        self._next = 0  # sample to write
        self._stream = add_sound_stream(output, suffix, stereo=False)

    def until(self, end_s: float) -> None:
        """Writes what was recorded before `end_s` of the pictures' time; what is missing becomes silence."""
        for recorded_s, samples in self._microphone.between(self._after_s, end_s + self._to_monotonic_s):
            self._after_s = recorded_s
            off = round((recorded_s - self._begin_s) * RATE_HZ) - self._next
            if self._next and abs(off) <= _OFF_S * RATE_HZ:
                off = 0
            if off > 0:
                self._write(np.zeros(min(off, round(_KEPT_S * RATE_HZ)), np.int16))
            self._write(samples[max(0, -off) :])

    def finish(self, end_s: float) -> None:
        """Writes the rest."""
        self.until(end_s)
        self._output.mux(self._stream.encode(None))

    def close(self) -> None:
        """The microphone goes on: others hear it."""

    def _write(self, samples: Samples) -> None:
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._next, Fraction(1, RATE_HZ)
        self._next += len(samples)
        self._output.mux(self._stream.encode(frame))


def _open_input(wanted: str, heard: Callable[..., None]) -> _Input:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: its PortAudio is missing
        raise SinkError(
            "The microphone needs PortAudio, which is not installed (Debian: sudo apt-get install libportaudio2)."
        ) from error
    device = None if wanted == "default" else wanted
    try:
        return sounddevice.InputStream(  # type: ignore[no-any-return]
            device=device,
            channels=1,
            samplerate=RATE_HZ,
            dtype="int16",
            blocksize=round(_BLOCK_S * RATE_HZ),
            callback=heard,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        names = sorted({d["name"] for d in sounddevice.query_devices() if d["max_input_channels"] > 0})
        there_is = f"There is: {', '.join(names)}." if names else "No microphone was found on this machine."
        raise SinkError(f"The microphone '{wanted}' cannot be opened ({error}). {there_is}") from error
