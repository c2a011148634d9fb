"""The whole command line, in process, with the real networks on short clips."""

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import run
from realtime.errors import EngineError
from realtime.filter import Filter


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames of 320x240 at 24 fps with a tone: a striped square that moves."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=24)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio = out.add_stream("aac", rate=48000)
        for i in range(12):
            rgb = np.full((240, 320, 3), 90, np.uint8)
            rgb[60:180:2, 40 + 10 * i : 120 + 10 * i] = (250, 200, 40)
            out.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        out.mux(video.encode(None))
        tone = (np.sin(np.arange(24000) / 20) * 9000).astype(np.int16)
        for start in range(0, 24000, 1000):
            sound = av.AudioFrame.from_ndarray(tone[None, start : start + 1000], format="s16", layout="mono")
            sound.sample_rate, sound.pts = 48000, start
            out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    return path


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_clip_becomes_a_drawn_clip_of_the_same_length(clip: Path, tmp_path: Path) -> None:
    out, stats = tmp_path / "out.mp4", tmp_path / "s.json"
    assert run.main(["--source", str(clip), "--sink", str(out), "--stats", str(stats)]) == 0
    told = json.loads(stats.read_text(encoding="utf-8"))
    assert (told["frames_in"], told["frames_out"], told["dropped"], told["held_frames"]) == (12, 12, 0, 0)
    assert told["size"] == [320, 240]
    assert told["engine"] in ("openvino", "onnxruntime")
    assert set(told["stage_ms"]) == {"perceive", "steady", "room", "stylize", "ink", "compose", "deliver"}
    assert all(told["stage_ms"][stage]["p50"] >= 0 for stage in told["stage_ms"])
    with av.open(str(out)) as container:
        assert container.streams.video[0].average_rate == 24
        assert len(container.streams.audio) == 1, "the sound is carried over"
    drawn, raw = frames_of(out), frames_of(clip)
    assert len(drawn) == 12
    difference = np.abs(drawn[6].astype(int) - raw[6]).mean()
    assert difference > 8, "the picture is drawn, not the camera's"


def test_a_picture_becomes_a_drawn_picture(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    wall = np.full((400, 640, 3), 150) + np.random.default_rng(0).normal(0, 12, (400, 640, 3))
    wall[:, 320:] -= 90
    cv2.imwrite(str(photo), wall.clip(0, 255).astype(np.uint8))
    assert run.main(["--source", str(photo), "--sink", str(tmp_path / "out.png")]) == 0
    drawn = cv2.imread(str(tmp_path / "out.png"))
    assert drawn is not None
    assert drawn.shape == (400, 640, 3)
    assert drawn[50:350, 50:270].std() < 5, "noise is drawn flat"
    assert drawn[:, 100].mean() - drawn[:, 540].mean() > 60, "the edge is kept"


def test_one_picture_needs_a_second_of_a_clip(tmp_path: Path) -> None:
    out, stats = tmp_path / "out.png", tmp_path / "s.json"
    assert run.main(["--source", "demo", "--style", "none", "--sink", str(out), "--stats", str(stats)]) == 0
    assert json.loads(stats.read_text())["frames_in"] == 30
    assert cv2.imread(str(out)) is not None


def test_live_test_pattern_is_paced_and_counted(tmp_path: Path) -> None:
    stats = tmp_path / "s.json"
    words = ["--source", "test:320x180@30", "--sink", "null", "--pace", "live", "--seconds", "1", "--stats", str(stats)]
    assert run.main(words) == 0
    told = json.loads(stats.read_text(encoding="utf-8"))
    assert told["frames_in"] == told["frames_out"] + told["dropped"]
    assert 0 < told["frames_in"] <= 31, "a second of 30 frames; fewer where others use the machine"
    assert told["seconds"] < 4


def test_pass_through_only_by_its_name(clip: Path, tmp_path: Path) -> None:
    words = ["--source", str(clip), "--sink", str(tmp_path / "%02d.png"), "--style", "none"]
    assert run.main(words) == 0
    passed = cv2.cvtColor(cv2.imread(str(tmp_path / "00.png")), cv2.COLOR_BGR2RGB)
    assert np.abs(passed.astype(int) - frames_of(clip)[0]).mean() < 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--style webton --sink null", 2, "did you mean webtoon"),
        ("--strength 2", 2, "between 0 and 1"),
        ("--background transparent --sink null", 2, "carries alpha"),
        ("--style none --strength 0.5 --sink null", 2, "another style"),
        ("--source nowhere.mp4 --sink null", 3, "nowhere.mp4"),
        ("--source {clip} --sink nowhere/out.mp4", 4, "nowhere"),
        ("--source {clip} --sink null --engine tensorrt", 5, "tensorrt"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_its_exit_code(
    clip: Path, capsys: pytest.CaptureFixture[str], words: str, code: int, says: str
) -> None:
    assert run.main(words.format(clip=clip).split()) == code
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told


def test_an_unexpected_failure_is_a_sentence_too(
    clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Filter, frame: object) -> None:
        raise EngineError("The engine died; start again.")

    monkeypatch.setattr(Filter, "__call__", fail)
    assert run.main(["--source", str(clip), "--sink", "null"]) == 5
    assert "The engine died" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["cameras", "styles", "engines"])
def test_lists_are_one_json_array(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--list", what, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert isinstance(rows, list)
    if what == "styles":
        assert {"webtoon", "manga", "none"} <= {row["name"] for row in rows}
    if what == "engines":
        assert any(row["name"] == "onnxruntime" for row in rows)
