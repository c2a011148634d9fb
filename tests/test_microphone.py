"""Sound from a microphone stays with the pictures of its moment, whatever the drawing takes and the device loses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.sinks.clip import ClipFile
from realtime.sinks.microphone import Microphone
from realtime.sinks.sound import RATE_HZ
from realtime.types import Picture, Size, read_only

SIZE = Size(64, 48)
BLOCK = 960


class Room:
    """A device whose samples are a beep of 0.1 s at every whole second of the clock, and silence else."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.heard: Callable[..., None] = lambda *_: None
        self.closed = False
        self.microphone = Microphone("default", self._open, lambda: self.now_s)
        self._recorded_s = self.now_s

    def _open(self, wanted: str, heard: Callable[..., None]) -> Room:
        self.heard = heard
        return self

    def start(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def until(self, now_s: float, late_s: float = 0.015, deaf: bool = False) -> None:
        """The clock goes on; blocks are handed over `late_s` after their end."""
        while self._recorded_s + BLOCK / RATE_HZ + late_s <= now_s:
            times = self._recorded_s + np.arange(BLOCK) / RATE_HZ
            tone = np.where(times % 1 < 0.1, 9000 * np.sin(2 * np.pi * 1000 * times), 0)
            self.now_s = self._recorded_s + BLOCK / RATE_HZ + late_s
            if not deaf:
                at = SimpleNamespace(currentTime=5 + self.now_s, inputBufferAdcTime=5 + self._recorded_s)
                self.heard(tone.astype(np.int16)[:, None], BLOCK, at, None)
            self._recorded_s += BLOCK / RATE_HZ
        self.now_s = now_s


def beeps(path: Path) -> list[float]:
    """When each beep begins, in seconds of the file."""
    with av.open(str(path)) as container:
        start_s = float((container.streams.audio[0].start_time or 0) * container.streams.audio[0].time_base)
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    loud = np.flatnonzero(np.abs(samples) > 0.1) / frames[0].sample_rate + min(start_s, frames[0].time)
    return [float(t) for n, t in enumerate(loud) if n == 0 or t - loud[n - 1] > 0.3]


def record(room: Room, path: Path, *, delay_s: float, seconds: float, deaf: tuple[float, float] = (0, 0)) -> None:
    """Pictures grabbed 30 times a second from 100.5 on, each written `delay_s` later."""
    with ClipFile(path, SIZE, 30, None, lambda _: None, room.microphone) as file:
        for n in range(round(seconds * 30)):
            grabbed_s = 100.5 + n / 30
            room.until(grabbed_s + delay_s, deaf=deaf[0] <= grabbed_s < deaf[1])
            rgb = read_only(np.zeros((48, 64, 3), np.uint8))
            file.send(Picture(rgb, grabbed_s - 90, grabbed_s, n))  # the source has a clock of its own


@pytest.mark.parametrize("delay_s", [0.05, 0.4])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_sound_is_heard_at_the_picture_of_its_moment(tmp_path: Path, delay_s: float, suffix: str) -> None:
    room, path = Room(), tmp_path / f"o{suffix}"
    record(room, path, delay_s=delay_s, seconds=3)
    assert beeps(path) == pytest.approx([0.5, 1.5, 2.5], abs=0.025)  # a packet of the codec


def test_sound_that_was_lost_is_silence_and_what_follows_is_in_its_place(tmp_path: Path) -> None:
    room, path = Room(), tmp_path / "o.mp4"
    record(room, path, delay_s=0.1, seconds=4, deaf=(101.4, 102.6))
    assert beeps(path) == pytest.approx([0.5, 2.5, 3.5], abs=0.025)


def test_the_device_is_let_go(tmp_path: Path) -> None:
    room = Room()
    with room.microphone:
        pass
    assert room.closed


def test_a_microphone_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(SinkError, match=r"microphone 'no such' cannot be opened|needs PortAudio") as failed:
        Microphone("no such")
    assert "Traceback" not in str(failed.value)
