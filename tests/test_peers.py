import numpy as np
import pytest

from bench import peers
from bench.peers import Peer, in_turns, read_frames, table
from bench.speed import DEMO
from realtime.types import Frame, read_only

FRAMES = [Frame(read_only(np.zeros((4, 4, 3), np.uint8)), n / 30, 0.0, n) for n in range(5)]


def test_everybody_draws_every_frame_in_turns() -> None:
    drawn: list[tuple[str, int]] = []
    a = Peer("a", lambda frame: drawn.append(("a", frame.index)))
    b = Peer("b", lambda frame: drawn.append(("b", frame.index)))
    in_turns([a, b], FRAMES)
    assert drawn == [(name, n) for n in range(5) for name in "ab"]


def test_one_that_takes_seconds_is_not_run_for_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SLOW_S", -1.0)
    slow = Peer("slow", lambda frame: None)
    in_turns([slow], FRAMES)
    assert len(slow.wall_ms) == peers.SLOW_RUNS


def test_ratios_are_of_medians_and_over_the_first() -> None:
    ours = Peer("ours", print, [10, 20, 30], [5, 10, 15])
    other = Peer("other", print, [200], [400])
    rows = table([ours, other])
    assert [row["work_ratio"] for row in rows] == [1.0, 10.0]
    assert [row["wall_ratio"] for row in rows] == [1.0, 40.0]


def test_a_clip_is_read_up_to_what_is_asked_for() -> None:
    frames = read_frames(str(DEMO), 3)
    assert [f.index for f in frames] == [0, 1, 2] and frames[0].rgb.shape == (720, 1280, 3)
