"""The whole program in a real window on a virtual screen, with real key presses and screenshots: `make test-preview`.

Needs Xvfb, openbox and xdotool; where one is missing it fails. The screenshots stay where PREVIEW_SHOTS says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest
from PIL import ImageGrab

from realtime.raw import RAW_R, likeness
from realtime.source.open import DEMO_CLIP
from realtime.styles import list_styles
from realtime.types import RgbImage

pytestmark = pytest.mark.display

ROOT = Path(__file__).parent.parent
SCREEN = (1000, 600)
SIZE = (640, 360)
UNDECORATED = """<openbox_config xmlns="http://openbox.org/3.4/rc">
<applications><application class="*"><decor>no</decor></application></applications></openbox_config>"""
PATIENCE_S = 40.0
TRIES = 10


class Screen:
    """A virtual screen, the program on it, and hands and eyes for both."""

    def __init__(self, folder: Path) -> None:
        for program in ("Xvfb", "openbox", "xdotool"):
            if shutil.which(program) is None:
                pytest.fail(f"{program} is missing: sudo apt-get install -y xvfb openbox xdotool")
        reading, writing = os.pipe()
        self._x = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24", "-nolisten", "tcp"],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as number:
            self.display = f":{number.readline().strip()}"
        self.env = {**os.environ, "DISPLAY": self.display, "QT_LOGGING_RULES": "*=false"}
        config = folder / "openbox.xml"
        config.write_text(UNDECORATED)
        manager = ["openbox", "--config-file", str(config)]
        self._manager = subprocess.Popen(manager, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.folder = folder
        self.log = folder / "log.txt"
        styles = [style.name for style in list_styles(print)]
        words = ["--source", "demo", "--size", "x".join(map(str, SIZE)), "--sink", "preview", "--sink", "out.mp4"]
        words += ["--style", styles[styles.index("manga") - 1]]
        with self.log.open("w") as log:
            self.program = subprocess.Popen(
                [sys.executable, str(ROOT / "run.py"), *words], cwd=folder, env=self.env, stderr=log
            )

    def close(self) -> None:
        for process in (self.program, self._manager, self._x):
            process.kill()
            process.wait()

    def xdotool(self, *words: str) -> str:
        return subprocess.run(["xdotool", *words], env=self.env, capture_output=True, text=True, check=False).stdout

    def window(self) -> str:
        return self.xdotool("search", "--name", "^LiveToon$").strip().rpartition("\n")[2]

    def press(self, key: str, done: Callable[[], bool], wait_s: float = 10.0) -> None:
        """A key of the screen's keyboard, and again after a while: Qt loses keys where a window hardly gets to run."""
        for _ in range(TRIES):
            self.xdotool("key", key)
            end_s = time.monotonic() + wait_s
            while time.monotonic() < end_s:
                if done():
                    return
                time.sleep(0.1)
        self.shot("never")
        raise AssertionError(f"{key} does not do it. {self.log.read_text()}")

    def see(self, key: str, what: Callable[[RgbImage], bool], name: str = "", wait_s: float = 10.0) -> None:
        """A key, and what the window shows then."""

        def seen() -> bool:
            try:
                return what(self.shot())
            except (KeyError, OSError):
                return False  # the window is about to change its place

        self.press(key, seen, wait_s)
        self.shot(name)

    def shot(self, name: str = "") -> RgbImage:
        """What the window shows, at its place on the screen."""
        place = dict(
            line.split("=") for line in self.xdotool("getwindowgeometry", "--shell", self.window()).splitlines()
        )
        left, top = int(place["X"]), int(place["Y"])
        box = (left, top, left + int(place["WIDTH"]), top + int(place["HEIGHT"]))
        rgb = np.asarray(ImageGrab.grab(box, xdisplay=self.display).convert("RGB"))
        if name and (folder := os.environ.get("PREVIEW_SHOTS")):
            Path(folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(Path(folder) / f"{name}.png"), rgb[..., ::-1])
        return rgb

    def until(self, what: Callable[[RgbImage], bool], name: str) -> RgbImage:
        """The first screenshot of which it is so; fails when there is none in time."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            assert self.program.poll() is None, self.log.read_text()
            if self.window():
                try:
                    shot = self.shot()
                except (KeyError, OSError):
                    continue  # the window has just gone
                if what(shot):
                    return self.shot(name)
            time.sleep(0.1)
        self.shot(f"{name}-never")
        raise AssertionError(f"{name}: never seen. {self.log.read_text()}")

    def child(self) -> psutil.Process:
        """The window's process."""
        return next(p for p in psutil.Process(self.program.pid).children() if "spawn_main" in " ".join(p.cmdline()))


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    screen = Screen(tmp_path)
    yield screen
    screen.close()


def demo_frame() -> RgbImage:
    """As a mirror shows it, and so the preview."""
    with av.open(str(DEMO_CLIP)) as clip:
        rgb = next(clip.decode(video=0)).to_ndarray(format="rgb24")
    return cv2.flip(cv2.resize(rgb, SIZE, interpolation=cv2.INTER_AREA), 1)


def test_the_window_from_its_first_card_to_its_last_key(screen: Screen) -> None:
    raw = demo_frame()
    wide = SIZE[0]

    def is_photo(rgb: RgbImage, start: int, end: int) -> bool:
        """Whether these columns show the room as the clip does; it does not move."""
        part = np.s_[60:300, start:end]
        return rgb.shape == raw.shape and float(np.abs(rgb[part].astype(int) - raw[part]).mean()) < 6

    def drawn(rgb: RgbImage) -> bool:
        return rgb.shape == raw.shape and rgb.std() > 25 and not is_photo(rgb, 20, 150)

    def has_status(rgb: RgbImage) -> bool:
        return float(rgb[-14:, wide // 2 :].max(axis=2).mean()) < 0.6 * float(
            rgb[-80:-60, wide // 2 :].max(axis=2).mean()
        )

    starts = screen.until(lambda rgb: rgb.std() < 25 and bool(rgb.max() > 200), "starts")
    assert starts.shape == raw.shape
    screen.until(lambda rgb: drawn(rgb) and has_status(rgb), "preview")

    screen.see("v", lambda rgb: is_photo(rgb, 20, 150), "split-middle")
    screen.see("comma", lambda rgb: is_photo(rgb, 20, 100) and not is_photo(rgb, 180, 230), "split-fifth", 0.5)
    screen.see("v", lambda rgb: drawn(rgb) and has_status(rgb))
    screen.see("h", lambda rgb: rgb[100:260, 240:400].mean() < 90, "help")
    screen.see("h", lambda rgb: rgb[100:260, 240:400].mean() > 90)
    screen.see("c", lambda rgb: drawn(rgb) and not has_status(rgb), "clean")
    screen.see("c", has_status)
    screen.see("f", lambda rgb: rgb.shape == (SCREEN[1], SCREEN[0], 3) and rgb.std() > 25, "full-screen")
    screen.see("Escape", drawn, "window-again")

    def colour(rgb: RgbImage) -> float:
        return float(np.ptp(rgb[:300].astype(int), axis=2).mean())

    before = colour(screen.shot())
    screen.see("n", lambda rgb: drawn(rgb) and colour(rgb) < before / 3, "manga", 40)
    screen.see("p", lambda rgb: drawn(rgb) and colour(rgb) > before / 2)
    screen.press("s", lambda: any(screen.folder.glob("livetoon-*.png")))
    screen.press("r", lambda: "Recording to" in screen.log.read_text())
    screen.see("v", lambda rgb: is_photo(rgb, 20, 100), "split-again")
    screen.see("space", lambda rgb: rgb[:300].std() < 25, "paused")
    screen.see("space", lambda rgb: is_photo(rgb, 20, 100), "on-again")

    screen.child().kill()
    screen.until(lambda rgb: drawn(rgb), "opened-again")
    screen.press("r", lambda: "Recorded" in screen.log.read_text())
    screen.press("q", lambda: screen.program.poll() is not None)
    assert screen.program.returncode == 0
    log = screen.log.read_text()
    for word in ("Paused", "Goes on", "Snapshot", "Recording to", "Recorded", "opened again"):
        assert word in log
    assert "Traceback" not in log

    clips = list(screen.folder.glob("*.mp4"))
    assert len(clips) >= 2 and any(screen.folder.glob("livetoon-*.png"))
    seen = 0
    for path in clips:
        with av.open(str(path)) as clip:
            for frame in clip.decode(video=0):
                seen += 1
                rgb = cv2.flip(frame.to_ndarray(format="rgb24"), 1)
                assert not is_photo(rgb, 20, 150), f"the photo is in {path.name}"
                assert likeness(rgb, raw) < RAW_R
    assert seen > 20
