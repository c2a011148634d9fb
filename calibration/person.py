"""Measuring a person for a profile: neutral face, five points to look at, blinking.

    python run.py --calibrate [--profile NAME|FILE] [--source URI]

Comes in: frames of a camera. Goes out: a profile of a few numbers (`realtime.profile`), and words that guide, in the
preview where there is a screen and in the terminal. No picture is shown or kept: the preview shows cards. Main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from engines.assets import perception_files
from realtime.card import INK, card
from realtime.errors import SourceError
from realtime.ink import Ink
from realtime.ink.glasses import are_worn
from realtime.landmarks import EYES, eye_openness, gaze_drop, gaze_offset
from realtime.loop import Stop
from realtime.perceive import Perceiver
from realtime.profile import Profile, check_writable, profile_name, write_profile
from realtime.settings import Pace, Settings, explained_options
from realtime.sinks.preview import Preview
from realtime.sinks.window import display_answers
from realtime.source import open_source
from realtime.steady import Steady
from realtime.types import Frame, Picture, Scene, Styled, read_only

Say = Callable[[str], None]

SETTLE_S = 0.6  # what a person does first after reading a new line does not count
LEAST_FRAMES = 8  # with a face, in every step
LEAST_CLOSING = 0.75  # shut over open: whoever did not blink has not been measured
DOT_SHARE = 0.018  # radius of the point to look at over the picture's width


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. at: where the point to look at is, in shares of the picture; None for no point."""

    name: str
    text: str
    seconds: float
    at: tuple[float, float] | None = None


STEPS = (
    Step("neutral", "Look at the camera, face at rest", 5.0),
    Step("centre", "Look at the point: middle", 1.8, (0.5, 0.5)),
    Step("left", "Look at the point: left", 1.8, (0.04, 0.5)),
    Step("right", "Look at the point: right", 1.8, (0.96, 0.5)),
    Step("up", "Look at the point: top", 1.8, (0.5, 0.06)),
    Step("down", "Look at the point: bottom", 1.8, (0.5, 0.94)),
    Step("blink", "Blink slowly, several times", 5.0),
)


@dataclass(slots=True)
class Calibration:
    """Gathers numbers from scenes, step by step, by the scenes' own time."""

    _began_s: float | None = None
    _openness: dict[str, list[list[float]]] = field(default_factory=lambda: {step.name: [] for step in STEPS})
    _gaze: dict[str, list[float]] = field(default_factory=lambda: {step.name: [] for step in STEPS})
    _drop: dict[str, list[float]] = field(default_factory=lambda: {step.name: [] for step in STEPS})
    _iris: tuple[float, float, float] = (0.42, 0.37, 0.33)
    _glasses: bool = False
    _ink: Ink = field(default_factory=Ink)

    def step_at(self, t: float) -> tuple[Step, float] | None:
        """What is to be done at this time and for how long already, in seconds; None after the last step."""
        if self._began_s is None:
            self._began_s = t
        since = t - self._began_s
        for step in STEPS:
            if since < step.seconds:
                return step, since
            since -= step.seconds
        return None

    def take(self, scene: Scene) -> None:
        """Measures the largest face of the scene, if there is one."""
        now = self.step_at(scene.frame.t)
        if now is None or not scene.faces:
            return
        step, since = now
        face = scene.faces[0]
        if step.name == "neutral":  # iris and glasses are measured by those who draw them
            rgb = scene.frame.rgb
            self._ink(Styled(replace(scene, faces=(face,)), rgb, np.zeros(rgb.shape[:2], np.uint8)))
            memory = self._ink.memory_of(face.track)
            if memory is not None and "iris" in memory:
                red, green, blue = (float(v) for v in memory["iris"])
                self._iris, self._glasses = (red, green, blue), are_worn(memory) > 0.5
        if since >= SETTLE_S:
            self._openness[step.name].append([eye_openness(face.landmarks, eye) for eye in EYES])
            self._gaze[step.name].append(float(np.mean([gaze_offset(face.landmarks, eye) for eye in EYES])))
            self._drop[step.name].append(float(np.mean([gaze_drop(face.landmarks, eye) for eye in EYES])))

    def profile(self) -> Profile:
        """The numbers; raises `SourceError` where the face or the blinks were not seen."""
        for step in STEPS:
            if len(self._gaze[step.name]) < LEAST_FRAMES:
                raise SourceError(
                    f"No face was seen long enough at '{step.text}': sit in the light, a metre from the camera, and "
                    "start python run.py --calibrate again."
                )
        openness = np.median(self._openness["neutral"], axis=0)
        shut = np.percentile(self._openness["blink"], 5, axis=0)
        if (shut > LEAST_CLOSING * openness).any():
            raise SourceError("No blink was seen: start python run.py --calibrate again and close the eyes in full.")
        places = [float(np.median(self._gaze[name])) for name in ("left", "right")]
        heights = [float(np.median(self._drop[name])) for name in ("up", "down")]
        return Profile(
            (float(openness[0]), float(openness[1])),
            (float(shut[0]), float(shut[1])),
            (min(places), max(places)),
            self._iris,
            self._glasses,
            (min(heights), max(heights)),
        )


def guide(step: Step, since_s: float, frame: Frame) -> Picture:
    """The card that says what to do, with the point to look at and the seconds left."""
    picture = card(f"{step.text}  {max(0.0, step.seconds - since_s):.0f}", frame.size, frame)
    if step.at is None:
        return picture
    rgb = picture.rgb.copy()
    height, width = rgb.shape[:2]
    place = (round(step.at[0] * width), round(step.at[1] * height))
    cv2.circle(rgb, place, max(3, round(DOT_SHARE * width)), INK, -1, cv2.LINE_AA)
    return replace(picture, rgb=read_only(rgb))


def calibrate(
    read: Callable[[], Frame | None],
    perceive: Callable[[Frame], Scene],
    show: Callable[[Picture], None],
    say: Say,
) -> Profile:
    """Leads through all steps and gives the profile; raises `SourceError` when frames end or nothing was seen."""
    steady, calibration = Steady(), Calibration()
    said = None
    while (frame := read()) is not None:
        now = calibration.step_at(frame.t)
        if now is None:
            return calibration.profile()
        step, since = now
        if step is not said:
            say(f"{step.text} ({step.seconds:g} s)")
            said = step
        calibration.take(steady(perceive(frame)))
        show(guide(step, since, frame))
    raise SourceError("The calibration was not finished: start python run.py --calibrate again.")


def _unseen(picture: Picture) -> None:
    """Without a screen the terminal alone guides."""


def run_calibration(settings: Settings, say: Say) -> int:
    """Opens the camera, calibrates and writes the profile. Gives the exit code; raises `LiveToonError`."""
    path = settings.profile
    assert path is not None
    check_writable(path)
    stop = Stop()
    with ExitStack() as opened:
        perceive = opened.enter_context(Perceiver(*perception_files()))
        source = opened.enter_context(
            open_source(settings.source, size=settings.size, fps=settings.fps, pace=Pace.LIVE, say=say)
        )
        say(f"Source: {source.name}")
        show: Callable[[Picture], None] = _unseen
        if display_answers():

            def on_key(key: str) -> None:
                if key in ("q", "\x1b"):
                    stop.ask()

            preview = Preview(source.size, status=lambda: ("q stops",), on_key=on_key, mirrored=False, say=say)
            show = opened.enter_context(preview).send
        opened.enter_context(stop.on_signals())

        def read() -> Frame | None:
            while (frame := stop.next_frame(source)) is not None and not isinstance(frame, Frame):
                pass  # the camera is away for a moment
            return frame

        profile = calibrate(read, perceive, show, say)
    write_profile(path, person=profile, explained=explained_options())
    worn = "glasses" if profile.glasses else "no glasses"
    say(f"Profile {path}: eyes {profile.openness[0]:.2f} and {profile.openness[1]:.2f} open, {worn}.")
    say(f"Use it with python run.py --profile {profile_name(path)}")
    return 0
