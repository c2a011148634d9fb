from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from bench import speed
from bench.chart import Line, chart
from bench.earlier import ROOT
from bench.speed import DEMO, Run, compared, figures, lines_of, run_once, scaling_chart, swung, write_crowd
from realtime.errors import EngineError
from realtime.stats import STAGES


def run(fps: float, cpu_s: float, frames: int = 100) -> Run:
    stage = {"p50": 1.0, "p95": 2.0, "max": 3.0}
    stats: dict[str, Any] = {
        "fps": fps,
        "cpu_ms": 40.0,
        "latency_ms": {"p50": 30.0, "p95": 40.0, "p99": 45.0, "max": 50.0},
        "stage_ms": dict.fromkeys(STAGES, stage),
        "first_picture_s": 2.0,
        "peak_rss_mib": 400,
        "dropped": 0,
        "frames_out": frames,
        "engine": "openvino",
        "precision": "bf16",
        "size": [1280, 720],
        "host": {"cores": 2},
    }
    return Run(stats, cpu_s)


def test_the_median_of_the_runs_counts_and_is_told() -> None:
    found = figures([run(20, 4), run(50, 4), run(30, 4)])
    assert found["fps"] == 30
    assert found["cpu_share"] == pytest.approx(0.6)
    told = "\n".join(lines_of("all", found))
    assert "30 pictures a second, 40.0 ms of work a picture (60% of 2 cores)" in told and "given up: nothing" in told


def test_what_the_governor_gave_up_is_told() -> None:
    slow = run(20, 4)
    slow.stats["given_up"] = {"room and faces are drawn half as often": 50}
    assert "given up: room and faces are drawn half as often in 50" in "\n".join(lines_of("live", figures([slow])))


def test_figures_that_an_earlier_version_does_not_tell_are_left_open() -> None:
    old = run(20, 4)
    for name in ("cpu_ms", "first_picture_s"):
        del old.stats[name]
    for of in old.stats["stage_ms"]:
        old.stats["stage_ms"][of] = {"p50": 1.0, "p95": 2.0}
    found = figures([old])
    assert (found["cpu_ms"], found["cpu_share"], found["stage_ms"]["ink"]["max"]) == (None, None, None)
    assert lines_of("old", found)


def test_two_versions_run_in_turns_and_start_up_is_taken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def fake(tree: Path, clip: str, frames: int, extra: Any = (), cores: int | None = None) -> Run:
        name = "now" if tree == ROOT else "old"
        ran.append(name)
        each = 0.04 if name == "now" else 0.08
        return run(40 if name == "now" else 20, 3.0 + each * frames, frames)

    monkeypatch.setattr(speed, "throughput", fake)
    monkeypatch.setattr(speed, "unpack", lambda ref, folder: folder)
    found = compared("v0", "clip.mp4", 112, 2, ())
    assert found["ratio"] == {"work_ms": 0.5, "fps": 2.0}
    assert found["v0"]["work_ms"] == pytest.approx([80, 80])
    assert ran[:4] != ran[4:], "each goes first once"


def test_a_run_that_fails_says_what_it_said() -> None:
    with pytest.raises(EngineError, match="no such clip"):
        run_once(ROOT, ["--source", "no such clip.mp4"])


def test_a_crowd_has_as_many_tiles_with_the_clip(tmp_path: Path) -> None:
    write_crowd(str(DEMO), tmp_path / "c.mp4", 1, 3)
    fine, bgr = cv2.VideoCapture(str(tmp_path / "c.mp4")).read()
    assert fine and bgr.shape == (720, 1280, 3)
    detail = [cv2.Laplacian(tile, cv2.CV_32F).std() for tile in (bgr[:360, :640], bgr[:360, 640:], bgr[360:, 640:])]
    assert detail[0] > 3 * max(detail[1:])


def test_a_short_clip_goes_there_and_back_and_a_long_one_stays(tmp_path: Path) -> None:
    assert swung(str(DEMO), 40, tmp_path) == str(DEMO)
    three = tmp_path / "three.mp4"
    write_crowd(str(DEMO), three, 4, 3)
    with av.open(swung(str(three), 8, tmp_path)) as clip:
        assert clip.streams.video[0].average_rate == 30
        shown = [frame.to_ndarray(format="gray").astype(int) for frame in clip.decode(video=0)]
    there = [shown[n] for n in (0, 1, 2, 1, 0, 1, 2, 1)]
    apart = [float(np.abs(a - b).mean()) for a, b in zip(shown, there, strict=True)]
    assert max(apart) < 0.7 * min(float(np.abs(shown[0] - shown[n]).mean()) for n in (1, 2))


def test_scaling_takes_fewer_frames_of_large_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[int, list[str]]] = []

    def fake(tree: Path, clip: str, frames: int, extra: Any = (), cores: int | None = None) -> Run:
        ran.append((frames, list(extra)))
        return run(40, 3.0, frames)

    monkeypatch.setattr(speed, "throughput", fake)
    monkeypatch.setattr(speed, "write_crowd", lambda *given: None)
    rows = speed.scaling("clip.mp4", 60, ())
    assert [row["of"] for row in rows["faces"]] == [0, 1, 2, 3, 4]
    assert ran[0] == (60, ["--size", "640x360"]) and ran[4] == (40, ["--size", "3840x2160"])
    assert scaling_chart(rows).count("<circle") == len(ran)


def test_the_chart_holds_every_point_and_escapes_names() -> None:
    text = chart("Work", "ms", [Line("a<b", [(1, 10), (2, 40)])])
    assert text.count("<circle") == 2 and "a&lt;b" in text and ">40<" in text
    row = {"size": [1280, 720], "of": 1, "cpu_ms": 40.0, "fps": 30.0}
    assert scaling_chart({"sizes": [row], "faces": [row], "cores": []}).count("<circle") == 2
