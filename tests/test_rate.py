"""What is said about a camera's real rate: once, at the right moment, with the likely reason."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.source.rate import Rate
from realtime.types import Frame, read_only


class Camera:
    def __init__(self, granted_fps: float = 30) -> None:
        self.said: list[str] = []
        self.rate = Rate("Camera 0 (C920)", granted_fps, self.said.append)
        self.t, self.index = 100.0, 0

    def gives(self, fps: float, seconds: float, level: int = 120, taken: int = 1) -> None:
        """taken: of how many frames the loop sees one."""
        rgb = read_only(np.full((32, 32, 3), level, np.uint8))
        for _ in range(round(fps * seconds)):
            if self.index % taken == 0:
                self.rate.seen(Frame(rgb, self.t, self.t, self.index))
            self.t += 1 / fps
            self.index += 1


@pytest.mark.parametrize("taken", [1, 5])
def test_the_measured_rate_is_said_once_however_slow_the_loop_is(taken: int) -> None:
    camera = Camera()
    camera.gives(29.6, 20, taken=taken)
    assert camera.said == ["Camera 0 (C920) gives 29.6 frames a second."]


def test_low_light_is_noticed_and_said_once_and_its_end_too() -> None:
    camera = Camera()
    camera.gives(30, 6)
    for _ in range(3):
        camera.gives(15, 10, level=30)
        camera.gives(30, 10)
    assert len(camera.said) == 3
    assert "gives 15 frames a second of the 30 it granted; it is dark" in camera.said[1]
    assert camera.said[2] == "Camera 0 (C920) gives 30 frames a second again."


def test_a_slow_camera_in_the_light_is_not_told_that_it_is_dark() -> None:
    camera = Camera(60)
    camera.gives(24, 10, level=150)
    (line,) = camera.said
    assert "24 frames a second of the 60" in line and "dark" not in line


def test_a_pause_is_no_low_rate() -> None:
    camera = Camera()
    camera.gives(30, 3)
    camera.t += 60
    camera.gives(30, 6)
    camera.t += 60
    camera.gives(30, 6)
    assert camera.said == ["Camera 0 (C920) gives 30.0 frames a second."]
