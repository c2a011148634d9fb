"""Real processes of run.py: killed, stopped, starved of disk and memory, robbed of their clip; see `make faults`."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals, tmpfs and limits of Linux"),
]
DEMO = ROOT / "realtime" / "demo" / "demo.mp4"


def start(*words: str, log: Path, **options: object) -> subprocess.Popen[bytes]:
    """run.py at work: its log goes to a file."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *words], cwd=log.parent, stderr=log.open("wb"), **options  # type: ignore[call-overload, no-any-return]
    )  # fmt: skip


def until_written(path: Path, at_least: int = 20_000, process: subprocess.Popen[bytes] | None = None) -> None:
    end_s = time.monotonic() + 120
    while not path.exists() or path.stat().st_size < at_least:
        assert time.monotonic() < end_s, "nothing is written"
        assert process is None or process.poll() is None, "it ended before"
        time.sleep(0.1)


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        shutil.which("mount") is not None
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=False)


def test_killed_the_file_plays_up_to_its_last_second(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    process = start("--source", "test:320x180@30", "--sink", str(out), log=tmp_path / "log")
    until_written(out, process=process)
    process.kill()
    process.wait(10)
    assert frames_in(out) >= 15


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_it_finishes_its_files_and_exits_with_0(tmp_path: Path, number: signal.Signals) -> None:
    out, stats = tmp_path / "out.mp4", tmp_path / "s.json"
    words = ("--source", "test:320x180@30", "--sink", str(out), "--stats", str(stats))
    process = start(*words, log=tmp_path / "log")
    until_written(out, process=process)
    process.send_signal(number)
    assert process.wait(20) == 0
    told = json.loads(stats.read_text())
    assert 15 <= frames_in(out) <= told["frames_out"]


def test_stopped_and_continued_it_goes_on_without_a_card(tmp_path: Path) -> None:
    out, log = tmp_path / "out.mp4", tmp_path / "log"
    process = start("--source", "test:320x180@30", "--sink", str(out), "--stats", str(tmp_path / "s.json"), log=log)
    until_written(out, process=process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    before = out.stat().st_size
    process.send_signal(signal.SIGCONT)
    until_written(out, before + 20_000, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert json.loads((tmp_path / "s.json").read_text())["held_frames"] == 0, log.read_text()


def test_a_full_disk_ends_a_conversion_with_4_and_what_is_there_plays(tmp_path: Path, small_disk: Path) -> None:
    out, log = small_disk / "out.mp4", tmp_path / "log"
    assert start("--source", "demo", "--sink", str(out), log=log).wait(300) == 4
    assert "No space left" in log.read_text() and "Traceback" not in log.read_text()
    assert frames_in(out) >= 15


def test_a_full_disk_ends_one_sink_of_a_live_run_and_the_other_goes_on(tmp_path: Path, small_disk: Path) -> None:
    full, other, log = small_disk / "full.mp4", tmp_path / "other.mp4", tmp_path / "log"
    words = ("--source", "demo", "--pace", "live", "--sink", str(full), "--sink", str(other), "--seconds", "40")
    assert start(*words, log=log).wait(120) == 0
    told = log.read_text()
    assert len(re.findall("Going on without", told)) == 1 and "No space left" in told
    assert 5 <= frames_in(full) < frames_in(other)


def test_too_little_memory_is_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    log = tmp_path / "log"
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    process = start("--source", "demo", "--sink", "null", log=log, preexec_fn=limit, env=environment)
    assert process.wait(120) != 0, "it cannot work"
    assert not list(tmp_path.glob("*.mp4"))


def test_a_clip_that_is_deleted_while_it_is_read_is_converted_to_its_end(tmp_path: Path) -> None:
    clip, out, log = tmp_path / "clip.mp4", tmp_path / "out.mp4", tmp_path / "log"
    shutil.copy(DEMO, clip)
    process = start("--source", str(clip), "--sink", str(out), "--seconds", "4", log=log)
    until_written(out, 1, process)
    clip.unlink()
    assert process.wait(200) == 0
    assert frames_in(out) == pytest.approx(4 * 30, abs=2) or "ends early" in log.read_text()


def test_a_clip_that_is_cut_while_it_is_read_ends_early_and_says_so(tmp_path: Path) -> None:
    clip, out, log = tmp_path / "clip.mp4", tmp_path / "out.mp4", tmp_path / "log"
    shutil.copy(DEMO, clip)
    process = start("--source", str(clip), "--sink", str(out), log=log)
    until_written(out, 1, process)
    os.truncate(clip, clip.stat().st_size // 3)
    assert process.wait(300) in (0, 3)
    assert "Traceback" not in log.read_text()
    assert frames_in(out) >= 1
