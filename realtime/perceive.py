"""What is in a frame: a person mask and faces.

Comes in: `Frame`. Goes out: `Scene` with landmarks in pixels of the frame. Runs on the caller's thread, but that while
faces are followed others are looked for on a thread beside, by the detector first; MediaPipe keeps its own threads
inside. The only place that imports mediapipe.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.beside import Beside
from realtime.errors import ModelFileError
from realtime.follow import Network, Place, follow, place_of, pose_of
from realtime.halved import halved
from realtime.landmarks import FACE_OVAL
from realtime.types import Face, Frame, Mask, RgbImage, Scene, Size, read_only

LANDMARKS = 478
WIDE_MASK, SQUARE_MASK = Size(256, 144), Size(256, 256)  # input sizes of the two person models
WIDE_ASPECT = 4 / 3.5  # width over height from which the wide model is the better fit
HALVED_FROM = 1.75  # times the wanted size; below, the means of four pixels miss little
VIEW_MAX_PX = 1280  # longest side given to the landmarker: a face is cut to 256 px, more detail is lost anyway
VIEW_MIN_PX = 96  # a smaller part of a frame holds no face worth drawing
FACES_PER_VIEW = 6.0  # side of a close view over the face's height; the detector needs a face above 1/7 of its input
STEP_MAX_MS = 1000
LOOK_EVERY_S = 0.4  # while faces are followed: how often others are looked for
SAME = 0.25  # of its height: a box so near to a followed face is that one's (99 % are within 0.15 of their face)
EVERYWHERE: Mask = read_only(np.ones((2, 2), np.float32))  # the mask where nobody asks for one


@dataclass(frozen=True, slots=True)
class _View:
    """The part of the frame in which faces are looked for, in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Known:
    """A face that is followed, and where it is looked for next."""

    face: Face
    around: Place


class Detector(Protocol):
    """What is needed of `FaceDetector`."""

    def run(self, rgb: RgbImage) -> NDArray[np.float32]:
        """(n, 3): x and y of the middle and the height of each box that may hold a face, in pixels of the picture."""


class Perceiver:
    """Finds people and faces. A context manager; `close()` may be called twice.

    The face detector shrinks its input to 128 px and misses faces that are less than about 1/7 of its longer side:
    165 px in a 1280x720 frame. A face that is found once is followed down to about 35 px. So where the whole frame
    shows no face, smaller and smaller square parts of it are tried: all of them on the first frame, then one a frame.
    Once a face is found in a part, faces are looked for around it only, until it is lost.
    """

    def __init__(
        self,
        face_model: Path,
        wide_person_model: Path,
        square_person_model: Path,
        max_faces: int = 4,
        network: Network | None = None,
        detector: Detector | None = None,
    ) -> None:
        """Opens the three MediaPipe models.

        `face_model`: face_landmarker.task. `wide_person_model`: selfie_segmentation_landscape.tflite, for wide frames.
        `square_person_model`: selfie_segmentation.tflite, for all others. With `max_faces` of 1 MediaPipe smooths
        landmarks by itself, above it does not. network: follows faces that were found, at half the work; without it
        MediaPipe does. detector: where nobody is known, and for others while faces are followed, MediaPipe looks only
        where it sees one.
        Raises `ModelFileError`.
        """
        self._network = network
        self._detector = detector
        self._known: tuple[_Known, ...] = ()
        self._looked_s = 0.0
        self._tasks: list[Any] = []
        self._beside = Beside("draw: other faces")
        self._others: tuple[Future[tuple[Face, ...]], Size] | None = None  # who is looked for, in frames of a size
        self._landmarker = self._open(face_model, lambda: _landmarker(face_model, max_faces))
        self._wide = self._open(wide_person_model, lambda: _segmenter(wide_person_model))
        self._square = self._open(square_person_model, lambda: _segmenter(square_person_model))
        self._max_faces = max_faces
        self.mask_wanted = True  # a tenth of all work on a frame is saved where the room stays as it is drawn
        self._clock_ms = 0  # MediaPipe wants times that rise, whatever the source's clock does
        self._last_t: float | None = None
        self._size: Size | None = None
        self._view: _View | None = None  # None: the whole frame
        self._untried: list[_View] = []
        self._whole_search = True  # try every view on this frame: a single picture has no later ones

    def _open(self, path: Path, create: Callable[[], Any]) -> Any:
        if not path.is_file():
            self.close()
            raise ModelFileError(f"The model file {path} is missing; python -m engines.assets fetches it.")
        try:
            with _quiet_stderr():
                task = create()
        except (RuntimeError, ValueError, OSError) as error:
            self.close()
            raise ModelFileError(
                f"The model file {path} cannot be loaded: it is damaged or of another kind. "
                "Delete it; python -m engines.assets fetches it again."
            ) from error
        self._tasks.append(task)
        return task

    def __call__(self, frame: Frame) -> Scene:
        """The frame with its person mask (144x256 or 256x256; unwanted: `EVERYWHERE`) and its faces, largest first."""
        dt_s = 0.0 if self._last_t is None else frame.t - self._last_t
        self._advance(frame)
        person = self._person(frame) if self.mask_wanted else EVERYWHERE
        self._take_others()
        followed = self._followed(frame.rgb, dt_s)
        faces = tuple(known.face for known in followed)
        if len(faces) < max(1, len(self._known)):
            faces = self._found(frame, faces)
        elif self._is_time_to_look(frame.t):
            self._look_for_others(frame, faces)
        if self._network is not None:
            self._known = _known_of(faces, followed)
        return Scene(frame, person, faces)

    def _is_time_to_look(self, t: float) -> bool:
        return len(self._known) < self._max_faces and not 0 <= t - self._looked_s < LOOK_EVERY_S

    def _followed(self, rgb: RgbImage, dt_s: float) -> list[_Known]:
        """Those of the faces of the frame before, `dt_s` ago, that are still there."""
        if self._network is None:
            return []
        found = []
        for known in self._known:
            seen = follow(self._network, rgb, known.around, dt_s)
            if seen is not None:
                now, around = seen
                found.append(_Known(_followed_face(now), around))
        return list(_known_of(_distinct([known.face for known in found]), found))

    def _look_for_others(self, frame: Frame, known: tuple[Face, ...]) -> None:
        """Beside all other work: who is found is known from the next frame on."""
        self._looked_s = frame.t
        look = partial(self._others_in, frame.rgb, self._view, known, self._tick())
        self._others = self._beside.submit(look), frame.size

    def _others_in(self, rgb: RgbImage, view: _View | None, known: tuple[Face, ...], clock_ms: int) -> tuple[Face, ...]:
        """The faces in the view where the detector, a fifth of the work, sees one there that is not known."""
        if self._detector is not None:
            seen = view or _whole(rgb)
            boxes = self._detector.run(_part(rgb, seen)) + np.array([seen.x, seen.y, 0], np.float32)
            if not _shows_another(boxes, known):
                return ()
        return self._faces_in(rgb, view, clock_ms)

    def _take_others(self) -> None:
        """Who was found beside, in the frame before, is known."""
        if self._others is None:
            return
        (looked, size), self._others = self._others, None
        faces = looked.result()
        if size != self._size:
            return
        distinct = sorted(_distinct([*(known.face for known in self._known), *faces]), key=_height, reverse=True)
        if distinct and self._view is not None and _leaves(distinct[0], self._view, size):
            self._view = _view_around(distinct[0], size)
        self._known = _known_of(distinct[: self._max_faces], self._known)

    def _found(self, frame: Frame, followed: tuple[Face, ...]) -> tuple[Face, ...]:
        """What MediaPipe sees; a face that is followed stays as it is followed."""
        self._looked_s = frame.t
        faces = self._faces_in(frame.rgb, self._view, self._tick())
        if not faces:
            faces = self._search(frame) if not followed else ()
        elif self._view is not None and _leaves(faces[0], self._view, frame.size):
            self._view = _view_around(faces[0], frame.size)
        if self._network is None:
            return faces
        new = [_followed_face(face.landmarks) for face in faces]
        return tuple(sorted(_distinct([*followed, *new]), key=_height, reverse=True)[: self._max_faces])

    def reset(self) -> None:
        """Forgets the faces that were followed, the view and the clock's last value."""
        self._last_t = None
        self._size = None
        self._view = None
        self._untried = []
        self._known = ()
        self._rest()
        self._detect(
            np.zeros((64, 64, 3), np.uint8), self._tick()
        )  # nothing to follow there: the landmarker drops its faces

    def close(self) -> None:
        """Frees the models."""
        self._rest()
        self._beside.close()
        while self._tasks:
            self._tasks.pop().close()

    def _rest(self) -> None:
        """Waits until nobody looks for others, and forgets whom they found."""
        if self._others is not None:
            self._others[0].exception()
            self._others = None

    def _tick(self) -> int:
        self._clock_ms += 1  # more than one look at a frame is possible
        return self._clock_ms

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _advance(self, frame: Frame) -> None:
        """Moves the own clock on by the frame's step in time; a change of size starts the search anew."""
        step_ms = 1 if self._last_t is None else round((frame.t - self._last_t) * 1000)
        self._clock_ms += min(max(step_ms, 1), STEP_MAX_MS)
        self._last_t = frame.t
        if frame.size != self._size:
            self._size = frame.size
            self._known = ()
            self._view = None
            self._untried = _views(frame.size)
            self._whole_search = True

    def _person(self, frame: Frame) -> Mask:
        wide = frame.size.width >= WIDE_ASPECT * frame.size.height
        size = WIDE_MASK if wide else SQUARE_MASK
        task = self._wide if wide else self._square
        small = _shrunk(frame, size)
        mask = task.segment_for_video(_image(small), self._clock_ms).confidence_masks[0].numpy_view()
        return read_only(np.array(mask, np.float32).reshape(size.height, size.width))

    def _search(self, frame: Frame) -> tuple[Face, ...]:
        """Looks for faces too small for the view that found none."""
        if self._view is not None:  # the face left the close view: the whole frame comes first
            self._view = None
            faces = self._faces_in(frame.rgb, None, self._tick())
            if faces:
                return faces
        if not self._untried:
            self._untried = _views(frame.size)
        tries = len(self._untried) if self._whole_search else 1
        self._whole_search = False
        for view in [self._untried.pop(0) for _ in range(min(tries, len(self._untried)))]:
            faces = self._faces_in(frame.rgb, view, self._tick())
            if faces:
                self._view = _view_around(faces[0], frame.size)
                self._untried = []
                # the landmarker follows faces by their place in its input: show it the view it gets from now on
                return self._faces_in(frame.rgb, self._view, self._tick()) or faces
        return ()

    def _faces_in(self, rgb: RgbImage, view: _View | None, clock_ms: int) -> tuple[Face, ...]:
        view = view or _whole(rgb)
        part = _part(rgb, view)
        if not self._known and self._detector is not None and len(self._detector.run(part)) == 0:
            return ()
        scale = VIEW_MAX_PX / max(view.width, view.height)
        if scale < 1:
            size = (max(1, round(view.width * scale)), max(1, round(view.height * scale)))
            part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        found = self._detect(np.ascontiguousarray(part), clock_ms)
        faces = [self._face(found, number, view) for number in range(len(found.face_landmarks))]
        return tuple(sorted(_distinct(faces), key=_height, reverse=True)[: self._max_faces])

    def _detect(self, rgb: RgbImage, clock_ms: int) -> Any:
        return self._landmarker.detect_for_video(_image(rgb), clock_ms)

    @staticmethod
    def _face(found: Any, number: int, view: _View) -> Face:
        points = np.array([(p.x, p.y, p.z) for p in found.face_landmarks[number]], np.float32)
        points *= (view.width, view.height, view.width)
        points += (view.x, view.y, 0)
        shapes = {shape.category_name: float(shape.score) for shape in found.face_blendshapes[number]}
        pose = np.array(found.facial_transformation_matrixes[number], np.float32)
        return Face(read_only(points), shapes, read_only(pose))


@cache
def _tasks() -> tuple[Any, Any]:
    """MediaPipe's `BaseOptions` and its vision tasks, without what only its other tasks and its own drawing need.

    Matplotlib and the sound library would take longer to import than all the rest, 40 MiB, and look for sound devices.
    """
    drawing = {name: ModuleType(name) for name in ("matplotlib", "matplotlib.pyplot")}
    drawing["matplotlib"].pyplot = drawing["matplotlib.pyplot"]  # type: ignore[attr-defined]
    absent = {name: module for name, module in drawing.items() if name not in sys.modules}
    sys.modules.setdefault("mediapipe.tasks.python.audio", ModuleType("audio"))
    sys.modules.update(absent)
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    finally:
        for name in absent:
            sys.modules.pop(name, None)
    return BaseOptions, vision


def _landmarker(path: Path, max_faces: int) -> Any:
    options, vision = _tasks()
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=options(model_asset_buffer=path.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=max_faces,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
    )


def _segmenter(path: Path) -> Any:
    options, vision = _tasks()
    return vision.ImageSegmenter.create_from_options(
        vision.ImageSegmenterOptions(
            base_options=options(model_asset_buffer=path.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
            output_confidence_masks=True,
            output_category_mask=False,
        )
    )


def _shrunk(frame: Frame, size: Size) -> RgbImage:
    """The frame in this size, halved and halved again: any other averaging by areas takes ten times as long."""
    small = frame.rgb
    while small.shape[1] >= HALVED_FROM * size.width and small.shape[0] >= HALVED_FROM * size.height:
        small = frame.half if small is frame.rgb else halved(small)
    return np.asarray(cv2.resize(small, (size.width, size.height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _image(rgb: RgbImage) -> Any:
    from mediapipe import Image, ImageFormat

    return Image(image_format=ImageFormat.SRGB, data=rgb)


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keeps what native code writes to the error stream off the terminal.

    MediaPipe and TensorFlow Lite print there while a model is opened, before their log level can be set; no
    environment variable stops them.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is no error stream
        yield
        return
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _followed_face(landmarks: NDArray[np.float32]) -> Face:
    return Face(read_only(landmarks), None, read_only(pose_of(landmarks)))


def _known_of(faces: Sequence[Face], known: Sequence[_Known]) -> tuple[_Known, ...]:
    """Each face as it is known, or as a new one."""
    by_face = {id(each.face): each for each in known}
    return tuple(by_face.get(id(face)) or _Known(face, place_of(face.landmarks)) for face in faces)


def _height(face: Face) -> float:
    return float(np.ptp(face.landmarks[FACE_OVAL, 1]))


def _centre(face: Face) -> NDArray[np.float32]:
    return np.asarray(face.landmarks[FACE_OVAL, :2].mean(axis=0), np.float32)


def _distinct(faces: list[Face]) -> list[Face]:
    """One of each: a face that was followed and found anew can come back twice."""
    if len(faces) < 2:
        return faces
    kept: list[Face] = []
    for face in faces:
        near = 0.4 * _height(face)
        if all(float(np.linalg.norm(_centre(face) - _centre(other))) > near for other in kept):
            kept.append(face)
    return kept


def _shows_another(boxes: NDArray[np.float32], known: Sequence[Face]) -> bool:
    """Whether one of these boxes, (n, 3) of x, y and height in pixels of the frame, is at none of the known faces."""
    middles = np.array([_centre(face) for face in known])
    away = np.linalg.norm(boxes[:, None, :2] - middles, axis=2).min(axis=1)
    return bool((away > SAME * boxes[:, 2]).any())


def _whole(rgb: RgbImage) -> _View:
    return _View(0, 0, rgb.shape[1], rgb.shape[0])


def _part(rgb: RgbImage, view: _View) -> RgbImage:
    return rgb[view.y : view.y + view.height, view.x : view.x + view.width]


def _views(size: Size) -> list[_View]:
    """Overlapping squares of the frame, large ones first, the middle before the sides, the top before the bottom."""
    views = []
    for share in (1.0, 0.5):
        side = round(share * min(size.width, size.height))
        if side < VIEW_MIN_PX:
            break
        xs, ys = _starts(size.width, side), _starts(size.height, side)
        middle = (size.width - side) / 2
        tiles = [_View(x, y, side, side) for y in ys for x in sorted(xs, key=lambda x: abs(x - middle))]
        views += [tile for tile in tiles if (tile.width, tile.height) != (size.width, size.height)]
    return views


def _starts(length: int, side: int) -> list[int]:
    """Where squares of `side` begin that cover `length` and overlap by a third or more."""
    count = 1 if length == side else int(np.ceil((length - side) / (side * 2 / 3))) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]


def _view_around(face: Face, size: Size) -> _View | None:
    """A square around the face in which the detector finds it easily; None when that is most of the frame."""
    side = round(max(FACES_PER_VIEW * _height(face), VIEW_MIN_PX))
    if side >= min(size.width, size.height):
        side = min(size.width, size.height)
        if max(size.width, size.height) <= FACES_PER_VIEW * _height(face):
            return None
    x, y = (round(float(c)) - side // 2 for c in _centre(face))
    return _View(min(max(x, 0), size.width - side), min(max(y, 0), size.height - side), side, side)


def _leaves(face: Face, view: _View, size: Size) -> bool:
    """Whether the face came near a side of the view that is not the frame's, or no longer fits the view's size."""
    height = _height(face)
    if height > 2 / FACES_PER_VIEW * view.height:
        return True
    x, y = (float(c) for c in _centre(face))
    left, top = view.x > 0 and x - view.x < height, view.y > 0 and y - view.y < height
    right = view.x + view.width < size.width and view.x + view.width - x < height
    bottom = view.y + view.height < size.height and view.y + view.height - y < height
    return left or top or right or bottom
