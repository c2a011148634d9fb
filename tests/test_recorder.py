"""Recording beside the live sinks: starts and ends by key, plays, and never ends or holds up the show."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Self

import av
import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.sinks import Sinks, open_recording
from realtime.sinks.clip import ClipFile
from realtime.sinks.null import Null
from realtime.sinks.recorder import Recorder
from realtime.source.open import DEMO_CLIP
from realtime.types import Picture, Size, read_only

SIZE = Size(64, 48)


def picture(t: float) -> Picture:
    return Picture(read_only(np.full((48, 64, 3), 90, np.uint8)), t, time.monotonic(), round(t * 30))


class Fails:
    """A file that takes no picture, or cannot be finished."""

    name = "fails.mp4"

    def __init__(self, at: str) -> None:
        self._at = at

    def send(self, picture: Picture) -> None:
        if self._at == "send":
            raise SinkError("The disk is full.")

    def close(self) -> None:
        if self._at == "close":
            raise SinkError("The end cannot be written.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Show:
    def __init__(self, folder: Path, live: bool = True, clip: Path | None = None) -> None:
        self.said: list[str] = []
        self.null = Null()
        self.sinks = Sinks([self.null], live=live, frame_count=None, say=self.said.append)
        self.clock_s = 0.0
        self.recorder = Recorder(
            self.sinks,
            lambda path: ClipFile(path, SIZE, 30, clip, self.said.append),
            self.said.append,
            folder,
            lambda: self.clock_s,
        )

    def send(self, *times: float) -> None:
        for t in times:
            self.sinks.send(picture(t))


def test_what_is_shown_between_two_presses_is_in_a_file_with_its_times_and_sound(tmp_path: Path) -> None:
    show = Show(tmp_path, clip=DEMO_CLIP)
    show.send(0.0)
    show.recorder.toggle()
    show.clock_s = 67
    assert show.recorder.status == "REC 1:07"
    show.send(1.0, 1.1, 1.5)
    show.recorder.toggle()
    assert show.recorder.status == ""
    show.send(2.0)
    show.sinks.close()
    (path,) = tmp_path.glob("livetoon-*.mp4")
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
        with_sound = bool(container.streams.audio)
    assert times == pytest.approx([0.0, 0.1, 0.5], abs=0.002)
    with av.open(str(DEMO_CLIP)) as demo:
        assert with_sound == bool(demo.streams.audio)
    assert show.null.count == 5, "the others got all"
    assert show.said == [f"Recording to {path}", f"Recorded: {path}"]


def test_it_is_written_beside_the_loop(tmp_path: Path) -> None:
    show = Show(tmp_path)
    opened = open_recording(tmp_path / "out.mp4", SIZE, 30, None, None, show.said.append)
    show.recorder = Recorder(show.sinks, lambda _: opened, show.said.append, tmp_path)
    show.recorder.toggle()
    show.send(0.0)
    show.recorder.toggle()
    show.sinks.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(list(container.decode(video=0))) == 1


@pytest.mark.parametrize("live", [True, False])
def test_a_recording_whose_disk_is_full_ends_nothing(tmp_path: Path, live: bool) -> None:
    show = Show(tmp_path, live=live)
    show.recorder = Recorder(show.sinks, lambda _: Fails("send"), show.said.append, tmp_path)
    show.recorder.toggle()
    show.send(0.0, 0.1)
    assert not show.recorder.recording
    assert show.null.count == 2
    assert len([line for line in show.said if "Going on without" in line]) == 1
    show.recorder.toggle()
    assert show.recorder.recording, "the next press begins anew"


def test_a_file_that_cannot_be_finished_or_opened_is_said(tmp_path: Path) -> None:
    show = Show(tmp_path)
    show.recorder = Recorder(show.sinks, lambda _: Fails("close"), show.said.append, tmp_path)
    show.recorder.toggle()
    show.recorder.toggle()
    show.sinks.close()
    assert show.said[-1] == "The end cannot be written."
    lost = Show(tmp_path / "no such folder")
    lost.recorder.toggle()
    assert "No recording" in lost.said[0] and "does not exist" in lost.said[0]
    assert not lost.recorder.recording


def test_finishing_a_slow_file_does_not_hold_up_the_show(tmp_path: Path) -> None:
    let_go = threading.Event()

    class Slow(Fails):
        def close(self) -> None:
            let_go.wait(30)

    show = Show(tmp_path)
    show.recorder = Recorder(show.sinks, lambda _: Slow("never"), show.said.append, tmp_path)
    show.recorder.toggle()
    show.recorder.toggle()
    show.send(0.0)
    assert show.null.count == 1
    assert not any("Recorded" in line for line in show.said)
    let_go.set()
    show.sinks.close()
    assert any("Recorded" in line for line in show.said)
