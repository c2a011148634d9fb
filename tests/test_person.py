"""Calibrating leads through its steps, measures what a person does, and stores numbers only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from calibration.person import STEPS, calibrate, guide, run_calibration
from realtime.errors import SinkError, SourceError
from realtime.landmarks import EYES, LEFT_EYE, RIGHT_EYE, eye_openness
from realtime.profile import Profile
from realtime.settings import settings_from_arguments
from realtime.types import Face, Frame, Picture, Scene, read_only

LANDMARKS = np.load(Path(__file__).parent / "data" / "astronaut_landmarks.npy")
PHOTO = read_only(np.ascontiguousarray(astronaut()[..., :3]))
FPS = 10
STARTS = dict(zip((step.name for step in STEPS), np.cumsum([0, *(step.seconds for step in STEPS)]), strict=False))


class Person:
    """Frames and scenes of somebody who does as told; `blinks` and `there` say what is left out."""

    def __init__(self, *, blinks: bool = True, there: bool = True, seconds: float = 60) -> None:
        self._blinks, self._there, self._frames = blinks, there, round(seconds * FPS)
        self._index = 0

    def read(self) -> Frame | None:
        if self._index >= self._frames:
            return None
        self._index += 1
        return Frame(PHOTO, self._index / FPS, 0.0, self._index)

    def perceive(self, frame: Frame) -> Scene:
        since = frame.t - 1 / FPS
        step = [name for name, start in STARTS.items() if since >= start][-1]
        landmarks: NDArray[np.float32] = LANDMARKS.copy()
        for eye in EYES:
            width = float(np.ptp(LANDMARKS[eye.opening, 0]))
            aside = {"left": -0.14, "right": 0.14}.get(step, 0.0)
            landmarks[[eye.iris_centre, *eye.iris_ring], 0] += aside * width
            landmarks[[eye.iris_centre, *eye.iris_ring], 1] += {"up": -0.04, "down": 0.04}.get(step, 0.0) * width
            if step == "blink" and self._blinks and (since - STARTS["blink"]) % 1.0 > 0.6:
                lower = LANDMARKS[eye.lower_lid]
                landmarks[eye.upper_lid] = lower + 0.3 * (LANDMARKS[eye.upper_lid] - lower)
        faces = (Face(landmarks),) if self._there else ()
        return Scene(frame, np.ones((4, 4), np.float32), faces)


def calibrated(person: Person) -> tuple[Profile, list[str], list[Picture]]:
    said: list[str] = []
    shown: list[Picture] = []
    return calibrate(person.read, person.perceive, shown.append, said.append), said, shown


def test_the_steps_are_said_and_the_numbers_are_the_persons() -> None:
    profile, said, shown = calibrated(Person())
    assert [line.split(" (")[0] for line in said] == [step.text for step in STEPS]
    for found, shut, eye in zip(profile.openness, profile.closed, (RIGHT_EYE, LEFT_EYE), strict=True):
        own = eye_openness(LANDMARKS, eye)
        assert found == pytest.approx(own, rel=0.05)
        assert shut == pytest.approx(0.3 * own, rel=0.2)
    assert profile.gaze[1] - profile.gaze[0] == pytest.approx(0.56, abs=0.08)
    assert profile.drop[1] - profile.drop[0] == pytest.approx(0.16, abs=0.03)
    assert not profile.glasses
    assert len(shown) == pytest.approx(sum(step.seconds for step in STEPS) * FPS, abs=1)


def test_the_cards_show_the_point_and_never_the_camera() -> None:
    frame = Frame(PHOTO, 0.0, 0.0, 0)
    plain, left = (guide(step, 0.0, frame).rgb for step in (STEPS[0], STEPS[2]))
    height, width = left.shape[:2]
    x = round(0.04 * width)
    assert int(left[height // 2, x, 0]) > int(plain[height // 2, x, 0]) + 100
    black = replace(frame, rgb=read_only(np.zeros_like(PHOTO)))
    assert (guide(STEPS[0], 0.0, black).rgb == plain).all()


@pytest.mark.parametrize(
    ("person", "says"),
    [(Person(blinks=False), "blink"), (Person(there=False), "No face"), (Person(seconds=3), "not finished")],
)
def test_who_does_something_else_is_told_so(person: Person, says: str) -> None:
    with pytest.raises(SourceError) as raised:
        calibrated(person)
    assert says in str(raised.value)


def test_a_place_that_takes_no_file_is_found_before_the_camera_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ["--calibrate", "--profile", str(tmp_path / "file" / "p.toml"), "--source", "no such camera"]
    with pytest.raises(SinkError, match="cannot be written"):
        run_calibration(settings_from_arguments(words), print)


def test_calibrating_on_a_source_without_a_face_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.person.display_answers", lambda: False)
    monkeypatch.setattr("calibration.person.STEPS", tuple(replace(step, seconds=0.1) for step in STEPS))
    path = tmp_path / "p.toml"
    words = ["--calibrate", "--profile", str(path), "--source", "test:320x180@30"]
    with pytest.raises(SourceError, match="No face"):
        run_calibration(settings_from_arguments(words), print)
    assert not path.exists()
