"""The crash report: what is in it, what is not, and that the exit code and the message are those of any failure."""

from pathlib import Path

import numpy as np
import pytest

import run
from realtime import crash
from realtime.crash import MOST_REPORTS, report, stage, write_report


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(crash, "report_folder", lambda: tmp_path / "log")
    return tmp_path / "log"


def failed(message: str = "broken") -> Exception:
    try:
        from realtime.layers import Finish, Layers, draw_layers

        draw_layers(Layers(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8)), None, Finish())  # type: ignore[arg-type]
    except Exception as error:
        try:
            raise ValueError(message) from error
        except ValueError as outer:
            return outer
    raise AssertionError


def test_it_tells_versions_command_line_stage_and_traceback() -> None:
    error = failed()
    text = report(error, ["--source", "0"])
    for told in (
        "LiveToon 0.1.0",
        "Python 3.",
        "numpy 2",
        "Command line: --source 0",
        "ValueError: broken",
        "layers.py",
    ):
        assert told in text
    assert stage(error.__cause__ or error).startswith("realtime/layers.py, line ")


def test_it_holds_no_picture_no_password_and_no_home() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 40, 3))
    text = report(
        failed(f"{Path.home()}/me.mp4 {picture!r}"), ["--source", "rtsp://me:secret@cam/x", f"{Path.home()}/a"]
    )
    assert "secret" not in text and str(Path.home()) + "/" not in text
    assert "~/me.mp4" in text and "rtsp://cam/x" in text
    assert str(picture[0, 0, 0]) + "," not in text.split("me.mp4")[1].splitlines()[0]
    assert max(map(len, text.splitlines())) <= 400


def test_only_the_user_reads_it_and_old_ones_go(folder: Path) -> None:
    paths = [write_report(failed(), []) for _ in range(MOST_REPORTS + 3)]
    assert sorted(folder.iterdir()) == paths[3:]
    assert paths[-1] is not None and paths[-1].stat().st_mode & 0o077 == 0


def test_where_nothing_can_be_written_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(crash, "report_folder", lambda: tmp_path / "file" / "log")
    assert write_report(failed(), []) is None


def test_an_unhandled_error_writes_it_says_where_and_keeps_the_exit_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError("of rtsp://me:secret@cam/x")

    monkeypatch.setattr("realtime.session.run", fail)
    assert run.main(["--verbose"]) == 1
    told = capsys.readouterr().err
    (path,) = folder.iterdir()
    assert str(path) in told and "ZeroDivisionError" in told and "Traceback" in told
    assert "secret" not in told + path.read_text(encoding="utf-8")
