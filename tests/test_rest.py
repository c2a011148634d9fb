"""A whole run with a virtual camera that nobody watches: in what order things open, what is let go, what wakes it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from realtime import idle
from realtime.card import PAPER
from realtime.errors import SinkError
from realtime.session import run
from realtime.source.cameras import CameraInfo
from realtime.source.live import Live
from realtime.source.pattern import TestPattern
from realtime.types import RgbImage, Size

if sys.platform != "linux":
    pytest.skip("elsewhere nobody tells whether a virtual camera is watched", allow_module_level=True)


class World:
    """A virtual camera and a webcam, and what happens to them in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.last: RgbImage | None = None
        self.pictures = 0
        self.watched: bool | None = False
        self.webcam: Live | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = self

        class Camera:
            device = "/dev/null"

            def __init__(self, *_: object, device: str | None) -> None:
                world.events.append("virtual camera opened")

            def send(self, rgb: RgbImage) -> None:
                world.last = rgb.copy()
                world.pictures += 1

            def close(self) -> None:
                world.events.append("virtual camera closed")

        package = ModuleType("pyvirtualcam")
        package.Camera = Camera  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pyvirtualcam", package)
        monkeypatch.setattr("realtime.sinks.loopback.choose_device", lambda _: Path("/dev/null"))
        monkeypatch.setattr("realtime.sinks.loopback.is_watched", lambda _: world.watched)
        monkeypatch.setattr("realtime.sinks.loopback.give_back", lambda _: None)
        monkeypatch.setattr("realtime.source.open.list_cameras", lambda: [CameraInfo(0, None, "Webcam")])
        monkeypatch.setattr("realtime.source.open.find_again", lambda camera: camera)
        monkeypatch.setattr("realtime.source.open._live_camera", self.open_webcam)
        monkeypatch.setattr(idle, "AFTER_S", 0.3)

    def open_webcam(self, _: CameraInfo, size: Size | None, fps: float | None) -> Live:
        assert size is not None
        self.events.append("webcam opened")
        self.webcam = Live(lambda: TestPattern(size, 30.0), what="Webcam", paced=True, from_start=True)
        return self.webcam

    @property
    def webcam_on(self) -> bool:
        return self.webcam is not None and not self.webcam._closed.is_set()

    @property
    def shows_card(self) -> bool:
        return self.last is not None and bool((self.last[0] == PAPER).all())


def run_with(act: Callable[[World], None], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[World, list[str]]:
    """Runs until `act`, on a thread beside it, is through."""
    world = World()
    said: list[str] = []
    failed: list[BaseException] = []
    world.install(monkeypatch)
    stop = threading.Event()
    monkeypatch.setattr("realtime.loop.Stop.reached", property(lambda _: stop.is_set()))

    def acting() -> None:
        try:
            act(world)
        except BaseException as error:
            failed.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=acting)
    thread.start()
    code = run(["--size", "64x48", "--style", "none", "--sink", "virtualcam", *words], said.append)
    thread.join()
    if failed:
        raise failed[0]
    assert code == 0
    return world, said


def wait_until(reached: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_the_webcam_is_on_only_while_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(world: World) -> None:
        wait_until(lambda: world.webcam_on)
        wait_until(lambda: not world.webcam_on and world.shows_card)
        world.watched = True
        wait_until(lambda: world.webcam_on and not world.shows_card)
        world.watched = False
        wait_until(lambda: not world.webcam_on and world.shows_card)

    world, said = run_with(act, monkeypatch)
    assert world.events == [
        "virtual camera opened",  # before anything that may take long
        "webcam opened",
        "webcam opened",
        "virtual camera closed",
    ]
    assert [line.split(":")[0] for line in said if "watches" in line] == [
        "Nobody watches the virtual camera",
        "Somebody watches",
        "Nobody watches the virtual camera",
    ]


@pytest.mark.parametrize("watched", [False, None])
def test_it_stays_on_where_a_file_is_written_or_nobody_knows(
    watched: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(world: World) -> None:
        world.watched = watched
        wait_until(lambda: world.last is not None and not world.shows_card)
        enough = world.pictures + 20  # two thirds of a second
        wait_until(lambda: world.pictures >= enough)
        assert world.webcam_on and not world.shows_card

    words = ("--sink", str(tmp_path / "out.mkv")) if watched is not None else ()
    world, said = run_with(act, monkeypatch, *words)
    assert world.events.count("webcam opened") == 1
    assert any("cannot be known" in line for line in said) == (watched is None)


def test_a_virtual_camera_that_is_not_there_is_told_before_the_webcam_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.install(monkeypatch)

    def refuse(_: object) -> Path:
        raise SinkError("There is none.")

    monkeypatch.setattr("realtime.sinks.loopback.choose_device", refuse)
    with pytest.raises(SinkError, match="There is none"):
        run(["--style", "none", "--sink", "virtualcam"], print)
    assert world.events == []
