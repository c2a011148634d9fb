"""Folders: what is converted, what a stop leaves behind, and what one bad file does to the others."""

from __future__ import annotations

import errno
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import run
from realtime.errors import SinkError, SourceError, UsageError
from realtime.folder import convert_folder
from realtime.settings import settings_from_arguments


class Work:
    """Converts by writing a byte; fails, stops or leaves half a file at the names it is told."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.source, self.sink = folder / "in", folder / "out"
        self.source.mkdir()
        for name in names:
            (self.source / name).write_bytes(b"x")
        self.said: list[str] = []
        self.done: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.stops = ""

    def __call__(self) -> int:
        return convert_folder(self.source, self.sink, self._convert, self.said.append)

    def _convert(self, file: Path, out: Path) -> bool:
        out.write_bytes(b"half")
        if file.name in self.fails:
            raise self.fails[file.name]
        if file.name == self.stops:
            return False
        out.write_bytes(b"whole")
        self.done.append(file.name)
        return True

    @property
    def there(self) -> list[str]:
        return sorted(path.name for path in self.sink.iterdir())


def test_every_clip_and_picture_is_converted_once(tmp_path: Path) -> None:
    work = Work(tmp_path, "b.mov", "a.MP4", "c.jpeg", "d.webp", "notes.txt", ".hidden.mp4")
    (work.source / "folder.mp4").mkdir()
    assert work() == 0
    assert work.there == ["a.MP4", "b.mov.mp4", "c.jpeg", "d.webp.png"]
    assert "4 of 4 files are drawn" in work.said[-1]
    assert work() == 0
    assert len(work.done) == 4, "what is there is done"
    assert "0 of 4 files are drawn now" in work.said[-1] and "4 already there" in work.said[-1]


def test_after_a_stop_it_goes_on_where_it_was_and_no_half_file_is_left(tmp_path: Path) -> None:
    work = Work(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    work.stops = "b.mp4"
    assert work() == 0
    assert work.there == ["a.mp4"]
    assert "goes on" in work.said[-1]
    work.stops = ""
    work.fails["c.mp4"] = KeyboardInterrupt()
    assert work() == 0
    assert work.there == ["a.mp4", "b.mp4"]
    work.fails = {}
    assert work() == 0
    assert work.done == ["a.mp4", "b.mp4", "c.mp4"], "each once"


def test_a_half_file_of_a_killed_run_is_not_taken_for_done(tmp_path: Path) -> None:
    work = Work(tmp_path, "a.mp4")
    work.fails["a.mp4"] = MemoryError()

    def killed(file: Path, out: Path) -> bool:
        out.write_bytes(b"half")
        out.rename(tmp_path / "kept")
        raise KeyboardInterrupt

    convert_folder(work.source, work.sink, killed, work.said.append)
    (tmp_path / "kept").rename(work.sink / ".a.part.mp4")
    work.fails = {}
    assert work() == 0
    assert work.there == ["a.mp4"]
    assert (work.sink / "a.mp4").read_bytes() == b"whole"


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    work = Work(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    work.fails = {"a.mp4": ValueError("odd"), "b.mp4": SourceError("b.mp4 is damaged.")}
    assert work() == 1
    assert work.there == ["c.mp4"]
    assert "2 failed: a.mp4, b.mp4" in work.said[-1]
    work.fails.pop("a.mp4")
    assert work() == 3
    assert work.there == ["a.mp4", "c.mp4"]


def test_a_full_disk_stops_it(tmp_path: Path) -> None:
    work = Work(tmp_path, "a.mp4", "b.mp4")
    full = SinkError("The disk is full.")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    work.fails["a.mp4"] = full
    with pytest.raises(SinkError, match=r"takes no more files \(No space left"):
        work()
    assert work.there == []
    assert work.done == []


def test_nothing_to_convert_and_no_place_for_it_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no clip or picture"):
        Work(tmp_path)()
    (tmp_path / "in" / "a.mp4").touch()
    with pytest.raises(SinkError, match="cannot be made"):
        convert_folder(tmp_path / "in", tmp_path / "no" / "such", lambda *_: True, lambda _: None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "go to a folder"),
        ("--sink out.mp4", "go to a folder"),
        ("--sink one --sink two", "go to a folder"),
        ("--sink IN", "the source itself"),
        ("--sink out --stats s.json", "one clip"),
    ],
)
def test_wrong_words_are_found_before_anything_is_opened(tmp_path: Path, words: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        settings_from_arguments(["--source", str(tmp_path), *words.replace("IN", str(tmp_path)).split()])


def test_run_py_converts_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, sink = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    cv2.imwrite(str(source / "a.png"), np.full((120, 160, 3), 90, np.uint8))
    (source / "broken.mp4").write_bytes(b"not a clip")
    with av.open(str(source / "clip.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height = 160, 120
        for _ in range(5):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8))))
        container.mux(video.encode(None))
    assert run.main(["--source", str(source), "--sink", str(sink), "--style", "none"]) == 3
    assert sorted(path.name for path in sink.iterdir()) == ["a.png", "clip.mp4"]
    with av.open(str(sink / "clip.mp4")) as container:
        assert len(list(container.decode(video=0))) == 5
    told = capsys.readouterr().err
    assert "broken.mp4 is left out. broken.mp4 cannot be read" in told
    assert told.splitlines()[-1] == f"2 of 3 files are drawn now in {sink}, 1 failed: broken.mp4."
