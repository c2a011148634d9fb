"""One clip and its renderings, measured: does the drawn face do what the person does, does it swim, is it flat.

Comes in: a clip and the renderings to compare. Goes out: their figures. Main thread. All renderings go through the clip
together, a frame at a time, so nothing is kept but signals and the last pictures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import metrics
from bench.metrics import Region, Signal
from bench.render import Rendering
from realtime.landmarks import EYES, FACE_OVAL, LEFT_EYE, RIGHT_EYE, eye_openness, gaze_offset, mouth_opening
from realtime.perceive import Perceiver
from realtime.settings import Pace
from realtime.source import open_source
from realtime.types import Face, Frame, RgbImage, Scene

Figures = dict[str, float]
Points = NDArray[np.float32]

EYE_LEAST_MOTION, MOUTH_LEAST_MOTION = 0.02, 0.01  # standard deviations below which there is nothing to follow
SHOWN_FRAME = 45  # for the contact sheet, or the last one of a shorter clip
TEXTURE_EVERY = 5  # frames: texture changes slowly and costs time
FACE_GROWN = 1.15  # the face's outline, enlarged: chin and hairline belong to the face, not to the body
PERSON, ROOM = 0.9, 0.1  # mask values from which a pixel is surely one or the other
SHUT, OPEN = 0.05, 0.5  # true openness: shut, and open enough for a gaze to be seen
SIDES = ("right_eye", "left_eye")

SIGNALS: dict[str, Callable[[Points], float]] = {
    "gaze": lambda p: float(np.mean([gaze_offset(p, eye) for eye in EYES])),
    "blink": lambda p: float(np.mean([eye_openness(p, eye) for eye in EYES])),
    "mouth": mouth_opening,
    "right_eye": lambda p: eye_openness(p, RIGHT_EYE),
    "left_eye": lambda p: eye_openness(p, LEFT_EYE),
}


@dataclass(slots=True)
class _Seen:
    """What was read off one rendering, or off the clip itself, frame by frame."""

    signals: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SIGNALS})
    unsteady: list[float] = field(default_factory=list)
    body: list[float] = field(default_factory=list)
    room: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    last: RgbImage | None = None

    def face(self, face: Face | None) -> None:
        for name, read in SIGNALS.items():
            self.signals[name].append(float("nan") if face is None else read(face.landmarks))

    def of(self, name: str) -> Signal:
        return np.array(self.signals[name])


def frames_of(clip: str, limit: int | None, say: Callable[[str], None]) -> Iterator[Frame]:
    """The clip's frames, `limit` at most; raises `SourceError`."""
    with open_source(clip, size=None, fps=None, pace=Pace.ALL, say=say) as source:
        while (frame := source.read()) is not None and (limit is None or frame.index < limit):
            yield frame


def measure_clip(
    frames: Iterator[Frame],
    renderings: Sequence[Rendering],
    perceive: Perceiver,
    observers: Mapping[str, Perceiver],
    truth: Sequence[Mapping[str, float]] | None = None,
    moment: dict[str, RgbImage] | None = None,
) -> dict[str, Figures]:
    """The figures of every rendering by its name.

    perceive: looks at the frames. observers: by a rendering's name, look at what it draws. truth: what the person truly
    did, a record for every frame as in `demo.json`. moment: is given one frame, "photo", and its renderings by name.
    """
    for rendering in renderings:
        rendering.reset()
        observers[rendering.name].reset()
    source = _Seen()
    drawn = {rendering.name: _Seen() for rendering in renderings}
    for number, frame in enumerate(frames):
        scene = perceive(frame)
        face = scene.faces[0] if scene.faces else None
        source.face(face)
        gray = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
        flow = (
            None if source.last is None else metrics.backward_flow(cv2.cvtColor(source.last, cv2.COLOR_RGB2GRAY), gray)
        )
        regions = _body_and_room(scene) if number % TEXTURE_EVERY == 0 else None
        _look(source, frame.rgb, flow, regions)
        shown = moment if number <= SHOWN_FRAME else None
        if shown is not None:
            shown["photo"] = frame.rgb
        for rendering in renderings:
            seen = drawn[rendering.name]
            start = time.perf_counter()
            picture = rendering.draw(frame)
            seen.ms.append((time.perf_counter() - start) * 1000)
            if shown is not None:
                shown[rendering.name] = picture
            there = observers[rendering.name](Frame(picture, frame.t, frame.grabbed_s, frame.index))
            seen.face(_same(there.faces, face))
            _look(seen, picture, flow, regions)
    figures = {name: _figures(source, seen) for name, seen in drawn.items()}
    if truth is not None and len(truth) >= len(source.unsteady) + 1:
        for name, seen in drawn.items():
            figures[name] |= _against_truth(truth[: len(seen.unsteady) + 1], source, seen)
    return figures


def truth_beside(clip: Path) -> list[dict[str, float]] | None:
    """What truly happens in a clip, from the file of signals of the same name beside it, if there is one."""
    try:
        found: list[dict[str, float]] = json.loads(clip.with_suffix(".json").read_text(encoding="utf-8"))["frames"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def _look(seen: _Seen, picture: RgbImage, flow: metrics.Flow | None, regions: tuple[Region, Region] | None) -> None:
    if seen.last is not None and flow is not None:
        seen.unsteady.append(metrics.unsteadiness(seen.last, picture, flow))
    if regions is not None:
        body, room = metrics.texture(picture, regions)
        seen.body.append(body)
        seen.room.append(room)
    seen.last = picture


def _body_and_room(scene: Scene) -> tuple[Region, Region]:
    """The person without the face, and what is no person, at the frame's size."""
    size = scene.frame.size
    person = cv2.resize(scene.person, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    faces = np.zeros((size.height, size.width), np.uint8)
    for face in scene.faces:
        outline = face.landmarks[FACE_OVAL, :2]
        centre = outline.mean(axis=0)
        cv2.fillPoly(faces, [np.round(centre + FACE_GROWN * (outline - centre)).astype(np.int32)], 1)
    return (person > PERSON) & (faces == 0), person < ROOM


def _same(faces: Sequence[Face], wanted: Face | None) -> Face | None:
    """The drawn face at the place of the wanted one."""
    if wanted is None:
        return None
    place = wanted.landmarks[FACE_OVAL, :2].mean(axis=0)
    reach = 0.5 * float(np.ptp(wanted.landmarks[FACE_OVAL, 1]))
    away = [float(np.linalg.norm(face.landmarks[FACE_OVAL, :2].mean(axis=0) - place)) for face in faces]
    return faces[int(np.argmin(away))] if away and min(away) < reach else None


def _figures(source: _Seen, drawn: _Seen) -> Figures:
    """The figures of one rendering; NaN where the clip shows nothing to measure."""
    there, kept = np.isfinite(source.of("mouth")), np.isfinite(drawn.of("mouth"))
    body = metrics.ratio(float(np.nanmean(drawn.body)), float(np.nanmean(source.body))) if _any(source.body) else np.nan
    room = metrics.ratio(float(np.nanmean(drawn.room)), float(np.nanmean(source.room))) if _any(source.room) else np.nan
    blinks = [(eye, *_blinks(source.of(eye), drawn.of(eye))) for eye in SIDES]
    looks = np.all([source.of(eye) >= metrics.OPEN_SHARE * metrics.usual(source.of(eye)) for eye in SIDES], axis=0)
    gaze = np.where(looks, source.of("gaze"), np.nan)  # a shut eye shows none
    return {
        "frames": float(len(there)),
        "found": metrics.ratio(float((there & kept).sum()), float(there.sum())),
        "gaze": metrics.follows(gaze, drawn.of("gaze"), EYE_LEAST_MOTION),
        "blink": metrics.follows(source.of("blink"), drawn.of("blink"), EYE_LEAST_MOTION),
        "mouth": metrics.follows(source.of("mouth"), drawn.of("mouth"), MOUTH_LEAST_MOTION),
        "blinks": float(sum(seen for _, seen, _ in blinks)),
        "blinks_drawn": float(sum(kept_closed for _, _, kept_closed in blinks)),
        "warp": metrics.ratio(float(np.sum(drawn.unsteady)), float(np.sum(source.unsteady))),
        "texture_body": body,
        "texture_room": room,
        "gap": float(abs(np.log2(body / room))) if body > 0 and room > 0 else float("nan"),
        "ms": metrics.median(drawn.ms),
    }


def _any(values: list[float]) -> bool:
    return bool(np.isfinite(values).any())


def _blinks(source: Signal, drawn: Signal) -> tuple[int, int]:
    """How often the eye closes in the clip and how often the drawn one does then; each by its own usual openness."""
    found = metrics.closings(source, metrics.OPEN_SHARE * metrics.usual(source))
    return len(found), metrics.drawn_closed(found, drawn, metrics.OPEN_SHARE * metrics.usual(drawn))


def _against_truth(truth: Sequence[Mapping[str, float]], source: _Seen, drawn: _Seen) -> Figures:
    """The drawing, and for comparison what is read off the clip, against what truly happens in it.

    Where a person is about to shut an eye the gaze does not count: the shut one shows none.
    """
    true = {name: np.array([record[name] for record in truth]) for name in ("gaze", *SIDES, "mouth")}
    true["blink"] = (true["right_eye"] + true["left_eye"]) / 2
    true["gaze"] = np.where(np.all([true[eye] >= OPEN for eye in SIDES], axis=0), true["gaze"], np.nan)
    figures: Figures = {}
    for name in ("gaze", "blink", "mouth"):
        figures[f"true_{name}"] = metrics.pearson(true[name], drawn.of(name))
        figures[f"seen_{name}"] = metrics.pearson(true[name], source.of(name))
        figures[f"delay_{name}"] = metrics.delay_frames(true[name], drawn.of(name))
        figures[f"seen_delay_{name}"] = metrics.delay_frames(true[name], source.of(name))
    shut = drawn_shut = 0
    for eye in SIDES:
        found = metrics.closings(true[eye], SHUT)
        shut += len(found)
        drawn_shut += metrics.drawn_closed(found, drawn.of(eye), metrics.OPEN_SHARE * metrics.usual(drawn.of(eye)))
    return figures | {"true_blinks": float(shut), "true_blinks_drawn": float(drawn_shut)}
