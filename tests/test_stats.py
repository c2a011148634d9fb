import json
from pathlib import Path

import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.stats import MOST_TIMES, WARM_UP, Stats, audio_advice, stats_line, write_stats
from realtime.types import Size


class ManualClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run_at(fps: float, frames: int, work_s: float) -> Stats:
    clock = ManualClock()
    stats = Stats(clock)

    def work(_: int) -> int:
        clock.now += work_s
        return 0

    perceive = stats.timed("perceive", work)
    for index in range(frames):
        grabbed = clock.now
        stats.took(index)
        perceive(index)
        stats.saw(index % 2)
        stats.delivered(grabbed)
        clock.now += 1 / fps - work_s
    return stats


def summary(stats: Stats) -> dict[str, object]:
    return stats.summary(
        style="webtoon", engine="e", precision="fp32", size=Size(64, 48), source="clip.mp4", held_frames=3
    )


def test_the_meters_read_what_a_manual_clock_says() -> None:
    stats = run_at(fps=31.25, frames=100, work_s=0.008)
    assert stats.recent_fps() == pytest.approx(31.25)
    assert stats.recent_latency_ms() == pytest.approx(8)
    result = summary(stats)
    assert result["fps"] == pytest.approx(31.25, abs=0.5)
    assert result["latency_ms"] == {"p50": 8, "p95": 8, "p99": 8, "max": 8}
    assert result["stage_ms"]["perceive"] == {"p50": 8, "p95": 8, "max": 8}  # type: ignore[index]
    assert result["faces_frames"] == 50
    assert (result["frames_in"], result["frames_out"], result["dropped"], result["held_frames"]) == (100, 100, 0, 3)
    assert result["size"] == [64, 48]


def test_the_source_is_measured_with_the_frames_that_were_dropped() -> None:
    clock = ManualClock()
    stats = Stats(clock)
    assert stats.recent_source_fps() == 0
    for n in range(100):
        stats.took(3 * n)
        clock.now += 0.1
    assert stats.recent_source_fps() == pytest.approx(30)


def test_the_offset_for_sound_is_the_delay_of_the_pictures_and_said_when_it_is_noticed() -> None:
    assert Stats().audio_offset_ms() is None
    assert summary(run_at(fps=10, frames=100, work_s=0.083))["audio_offset_ms"] == 85
    assert "85 ms after the sound" in audio_advice(85)
    assert audio_advice(40) == audio_advice(None) == ""


def test_warm_up_does_not_count() -> None:
    clock = ManualClock()
    stats = Stats(clock)
    for index in range(WARM_UP + 10):
        grabbed = clock.now
        clock.now += 1.0 if index < WARM_UP else 0.01
        stats.took(index)
        stats.delivered(grabbed)
    assert summary(stats)["latency_ms"]["max"] == pytest.approx(10)  # type: ignore[index]


def test_a_failing_stage_is_timed_and_still_fails() -> None:
    clock = ManualClock()
    stats = Stats(clock)

    def fail(_: int) -> int:
        clock.now += 0.005
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        stats.timed("ink", fail)(0)
    assert summary(stats)["stage_ms"]["ink"]["p50"] == pytest.approx(5)  # type: ignore[index]


def test_a_run_without_a_frame_has_a_summary(tmp_path: Path) -> None:
    result = summary(Stats())
    assert result["latency_ms"] == {}
    assert stats_line(result).startswith("0 pictures of 0 frames")
    write_stats(tmp_path / "s.json", result)
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == result


def test_a_stats_file_that_cannot_be_written_is_an_error_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="--stats"):
        write_stats(tmp_path, summary(Stats()))


def test_a_long_run_keeps_a_fair_sample_and_the_largest() -> None:
    stats = run_at(fps=10, frames=2 * MOST_TIMES, work_s=0.002)
    times = stats._stage_ms["perceive"]
    assert len(times.kept) == MOST_TIMES
    for ms in [6.0] * 2 * MOST_TIMES + [900.0]:
        times.append(ms)
    told = times.percentiles(("p50", "max"))
    assert told["max"] == 900
    assert 0.45 < np.mean(np.array(times.kept) == 6.0) < 0.55


def test_work_is_counted_a_picture_and_without_the_warm_up() -> None:
    cpu = ManualClock()
    stats = Stats(ManualClock(), cpu)
    stats.took(0)
    for index in range(WARM_UP + 10):
        cpu.now += 0.5 if index < WARM_UP else 0.02
        stats.delivered(100.0)
    assert summary(stats)["cpu_ms"] == pytest.approx(20)


def test_the_first_picture_is_timed_from_the_start_of_the_process() -> None:
    stats = Stats()
    assert summary(stats)["first_picture_s"] is None
    stats.delivered(0.0)
    assert float(summary(stats)["first_picture_s"]) > 0.05  # type: ignore[arg-type]


def test_the_status_line_tells_the_cameras_rate_from_that_of_the_pictures() -> None:
    clock = ManualClock()
    stats = Stats(clock)
    assert "camera 0  out 0 fps" in stats.recent()
    work = stats.timed("stylize", lambda _: setattr(clock, "now", clock.now + 0.04))
    for index in range(0, 60, 3):
        grabbed = clock.now
        stats.took(index)
        work(index)
        stats.delivered(grabbed)
        clock.now += 0.06
    assert stats.recent() == "camera 30  out 10 fps  38 dropped   delay 40 ms   stylize 40 ms"
