"""Photos and clips become training examples: drawn once by the teacher, kept on disk, degraded anew every time.

Comes in: a folder of photos, optionally one of clips, or pairs of photo and drawing. Goes out: one `.npz` per picture
and kind (raw photo, layers, a small copy of the whole picture that exposure is measured on) and, from those, endless
batches. Drawing runs in processes of its own, batches on any thread.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engines.assets import perception_files
from realtime.crop import CROP_PX, crop_matrix
from realtime.errors import LiveToonError, SourceError, UsageError
from realtime.exposure import apply_exposure, measure_exposure
from realtime.perceive import Perceiver
from realtime.source.picture import PICTURE_SUFFIXES, read_picture
from realtime.types import Frame, GrayImage, Mask, RgbImage
from training.degrade import Degradation, normalised
from training.knobs import Knobs
from training.pairs import changed, find_pairs, fitted, taken_apart
from training.teacher import CHIN, FOREHEAD_TOP, WEBTOON, Drawing, Landmarks, draw

KINDS = ("background", "face")
CLIP_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov")
HOLD_OUT_EVERY = 15  # the 1st, 16th, ... photo by name is never trained on
CLIP_STEP = 10  # every tenth frame of a clip
FACE_MARGIN_PX = 16  # a stored face is this much larger on each side than the crop: room for shifts of 6 %
CONTEXT_PX = 48  # the teacher sees this much more around it
STEP_MOST_PX = 12  # that something moves from one frame of a camera to the next
SIDE_MIN_PX = 208  # of a drawn picture: a training crop must fit in
PHOTO_MIN_PX = 64
FACE_PX = (80, 240)  # how high a webcam frame 640 wide shows a face

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One drawn picture, all u8. photo: RGB as taken; flat, ink: its layers; whole: the entire picture, small."""

    photo: RgbImage
    flat: RgbImage
    ink: GrayImage
    whole: RgbImage


@dataclass(frozen=True, slots=True)
class Job:
    """A picture to draw: a photo, or (with `frame`) a frame of a clip. drawing: the user's own of it, if there is."""

    source: Path
    frame: int | None
    held_out: bool
    drawing: Path | None = None

    @property
    def name(self) -> str:
        """File name of the example, without suffix: two photos that differ in their suffix only are two."""
        place = self.source.name.replace(".", "-")
        return place if self.frame is None else f"{place}-{self.frame:05d}"


# --- drawing once -----------------------------------------------------------------------------------------------------


def find_jobs(photos: Path, clips: Path | None, held_out_clips: Sequence[str]) -> list[Job]:
    """Every photo, every `CLIP_STEP`th frame of every clip; a clip is held out if its name holds one of the words.

    Raises `UsageError` when a folder is missing or holds nothing of use, or a word is in no clip's name.
    """
    files = _files(photos, PICTURE_SUFFIXES, "photos")
    jobs = [Job(f, None, i % HOLD_OUT_EVERY == 0) for i, f in enumerate(files)]
    found = _files(clips, CLIP_SUFFIXES, "clips") if clips is not None else []
    for word in held_out_clips:
        if not any(word in clip.stem for clip in found):
            raise UsageError(f"No clip has '{word}' in its name; --held-out-clips expects words of names in --clips.")
    for clip in found:
        video = cv2.VideoCapture(str(clip))
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        video.release()
        held = any(word in clip.stem for word in held_out_clips)
        jobs += [Job(clip, i, held) for i in range(0, count, CLIP_STEP)]
    return jobs


def pair_jobs(folder: Path) -> list[Job]:
    """Every pair of photo and drawing; raises `UsageError` as `find_pairs` does."""
    pairs = find_pairs(folder, PICTURE_SUFFIXES)
    return [Job(photo, None, i % HOLD_OUT_EVERY == 0, drawing) for i, (photo, drawing) in enumerate(pairs)]


def _files(folder: Path, suffixes: Sequence[str], what: str) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; --{what} expects a folder of {what}.")
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in suffixes and f.is_file())
    if not files:
        raise UsageError(f"{folder} holds no {what}; expected files that end in {', '.join(suffixes)}.")
    return files


def draw_all(jobs: Sequence[Job], out: Path, workers: int, say: Say, knobs: Knobs = WEBTOON) -> None:
    """Draws what is not drawn yet, as `out/background/NAME.npz` and `out/face/NAME.npz`, with a progress bar.

    A picture without a face makes no face example (`out/face/NAME.none` remembers that); one that cannot be read is
    named and left out. An interrupt loses at most the pictures that are being drawn.
    """
    for kind in KINDS:
        (out / kind).mkdir(parents=True, exist_ok=True)
    left = [job for job in jobs if not _is_drawn(job, out)]
    if len(left) < len(jobs):
        say(f"Re-used: {len(jobs) - len(left)} drawn pictures in {out}.")
    if not left:
        return
    Perceiving(say).close()  # fetches what is missing and tells what is damaged, once
    left.sort(key=lambda job: zlib.crc32(job.name.encode()))  # mixed: the time that is left is told well
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_open_worker, initargs=(out, knobs))
    try:
        drawn = [pool.submit(_draw_job, job) for job in left]
        rarely = 0.5 if sys.stderr.isatty() else 60
        with tqdm(total=len(left), desc="Drawing", unit="picture", dynamic_ncols=True, mininterval=rarely) as bar:
            for future in as_completed(drawn):
                if (failure := future.result()) is not None:
                    say(f"Left out: {failure}")
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)


def _is_drawn(job: Job, out: Path) -> bool:
    face = out / "face" / job.name
    return (out / "background" / f"{job.name}.npz").exists() and any(
        face.with_name(face.name + suffix).exists() for suffix in (".npz", ".none")
    )


class Perceiving:
    """The product's own perception, for pictures that have nothing to do with each other. A context manager."""

    def __init__(self, say: Say) -> None:
        self._perceive = Perceiver(*perception_files(say=say))

    def __call__(self, rgb: RgbImage) -> tuple[Mask, list[Landmarks]]:
        """Person mask (h, w) 0..1 of any size, landmarks (478, 2) in pixels of `rgb`, the largest face first."""
        self._perceive.reset()
        scene = self._perceive(Frame(rgb, 0.0, 0.0, 0))
        return scene.person, [np.ascontiguousarray(face.landmarks[:, :2]) for face in scene.faces]

    def __enter__(self) -> Perceiving:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the models."""
        self._perceive.close()


_worker: tuple[Path, Perceiving, Knobs]  # of a drawing process


def _open_worker(out: Path, knobs: Knobs) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone decides; the picture at hand is finished
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _worker = out, Perceiving(print), knobs


def _leave_with_parent() -> None:
    """Ends this process once its parent was killed: it would wait for work for ever."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _draw_job(job: Job) -> str | None:
    """Draws both kinds; why it could not, or None."""
    out, perceive, knobs = _worker
    try:
        picture = _read(job)
        drawing = None
        if job.drawing is not None:
            drawing = taken_apart(fitted(read_picture(job.drawing), picture, job.source.stem))
    except LiveToonError as error:
        return str(error)
    if min(picture.shape[:2]) < PHOTO_MIN_PX:
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        return f"{job.source} is too small with {size}; expected {PHOTO_MIN_PX} pixels or more each way."
    person, faces = perceive(picture)
    seed = zlib.crc32(job.name.encode())
    if faces:
        rng = np.random.default_rng(seed)
        _store(face_example(picture, person, faces, rng, knobs, drawing), out / "face" / job.name)
    else:
        (out / "face" / f"{job.name}.none").touch()
    rng = np.random.default_rng(seed)
    _store(background_example(picture, person, faces, rng, knobs, drawing), out / "background" / job.name)
    return None


def _store(example: Example, path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        np.savez(file, photo=example.photo, flat=example.flat, ink=example.ink, whole=example.whole)
    part.replace(path.with_name(f"{path.name}.npz"))


def _read(job: Job) -> RgbImage:
    if job.frame is None:
        return read_picture(job.source)
    video = cv2.VideoCapture(str(job.source))
    video.set(cv2.CAP_PROP_POS_FRAMES, job.frame)
    bgr = video.read()[1]
    video.release()
    if bgr is None:
        raise SourceError(f"frame {job.frame} of {job.source} cannot be read.")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def background_example(
    picture: RgbImage,
    person: Mask,
    faces: Sequence[Landmarks],
    rng: np.random.Generator,
    knobs: Knobs = WEBTOON,
    drawing: Drawing | None = None,
) -> Example:
    """The whole picture at a scale at which a webcam frame 640 wide shows a person: the face `FACE_PX` high.

    drawing: the user's own layers, of the picture's size, instead of the teacher's.
    """
    h, w = picture.shape[:2]
    if faces and w < 1.2 * h:
        height = max(float(np.linalg.norm(f[CHIN] - f[FOREHEAD_TOP])) for f in faces)
        scale = float(np.exp(rng.uniform(*np.log(FACE_PX)))) / max(height, 1)
        scale = min(scale, 1.3, 720 / max(h, w))
    else:
        scale = min(640 / w, 1.3) * float(np.exp(rng.uniform(np.log(0.55), 0)))  # clips: small faces too
    scale = max(scale, SIDE_MIN_PX / min(h, w))
    size = (round(w * scale), round(h * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    photo = cv2.resize(picture, size, interpolation=how)
    ratio = np.array([size[0] / w, size[1] / h], np.float32)
    if drawing is not None:
        return _example(photo, changed(drawing, lambda layer: cv2.resize(layer, size, interpolation=how)), photo, 0)
    faces = [f[:, :2] * ratio for f in faces]
    return _example(photo, _taught(photo, person, faces, photo, knobs), photo, 0)


def face_example(
    picture: RgbImage,
    person: Mask,
    faces: Sequence[Landmarks],
    rng: np.random.Generator,
    knobs: Knobs = WEBTOON,
    drawing: Drawing | None = None,
) -> Example:
    """The largest face's crop, turned by up to 8 degrees and scaled by 0.85 to 1.15, with a margin for shifts.

    drawing: the user's own layers, of the picture's size, instead of the teacher's.
    """
    face = max(faces, key=lambda f: float(np.ptp(f[:, 1])))
    border = FACE_MARGIN_PX + CONTEXT_PX
    side = CROP_PX + 2 * border
    scale = float(np.exp(rng.uniform(-0.16, 0.14)))
    turn = cv2.getRotationMatrix2D((CROP_PX / 2, CROP_PX / 2), rng.uniform(-8, 8), scale)
    turn[:, 2] += border
    matrix = turn @ np.vstack([crop_matrix(face), [0, 0, 1]])
    shrink = min(1.0, 1.5 * float(np.hypot(*matrix[0, :2])))  # warping does not average: shrink first
    to_canvas = matrix @ np.diag([1 / shrink, 1 / shrink, 1])

    def shrunk(picture: Any) -> Any:
        return cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else picture

    def cut_out(picture: Any) -> Any:
        return cv2.warpAffine(picture, to_canvas, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    small = shrunk(picture)
    canvas = cut_out(small)
    if drawing is not None:
        return _example(canvas, changed(drawing, lambda layer: cut_out(shrunk(layer))), small, CONTEXT_PX)
    mask = cv2.resize(person, (small.shape[1], small.shape[0]))
    mask = cv2.warpAffine(mask, to_canvas, (side, side), borderMode=cv2.BORDER_REPLICATE)
    points = [f[:, :2] @ matrix[:, :2].T + matrix[:, 2] for f in faces]
    return _example(canvas, _taught(canvas, mask, points, small, knobs), small, CONTEXT_PX)  # type: ignore[arg-type]


def _taught(photo: RgbImage, person: Mask, faces: Sequence[Landmarks], whole: RgbImage, knobs: Knobs) -> Drawing:
    """Normalised by the whole picture's exposure, drawn by the teacher."""
    return draw(apply_exposure(photo, measure_exposure(whole)), person, faces, knobs)


def _example(photo: RgbImage, drawing: Drawing, whole: RgbImage, cut: int) -> Example:
    """The photo and its layers with `cut` pixels taken off each side."""
    scale = min(1.0, 256 / max(whole.shape[:2]))
    small = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)  # keeps extremes
    inside = np.s_[cut : photo.shape[0] - cut, cut : photo.shape[1] - cut]
    layers = [(layer[inside] * 255 + 0.5).astype(np.uint8) for layer in (drawing.flat, drawing.ink)]
    return Example(photo[inside], layers[0], layers[1], small)


# --- degrading every time -------------------------------------------------------------------------------------------


def load(folder: Path, jobs: Sequence[Job]) -> list[Example]:
    """The examples of these pictures, wholly in memory; pictures that made none are passed over."""
    examples = []
    for job in jobs:
        path = folder / f"{job.name}.npz"
        if path.exists():
            with np.load(path) as file:
                examples.append(Example(file["photo"], file["flat"], file["ink"], file["whole"]))
    return examples


def batches(
    examples: Sequence[Example], side_px: int, size: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.intp]]]:
    """Endless (input (n, side, side, 3), layers (n, side, side, 4), steps (n / 2, 2)), u8: random crops, half of them
    mirrored.

    Each two that follow one another show one place as two frames of a camera do: with noise of their own, the second
    taken a step, down and right in pixels of the crop, further on. `size` is even.
    """
    area = np.array([e.ink.size for e in examples], np.float64)
    share = np.cumsum(area**0.5) / np.sum(area**0.5)  # large pictures have more to show
    while True:
        x = np.empty((size, side_px, side_px, 3), np.uint8)
        y = np.empty((size, side_px, side_px, 4), np.uint8)
        steps = np.empty((size // 2, 2), np.intp)
        for place in range(size // 2):
            example = examples[min(int(np.searchsorted(share, rng.random())), len(examples) - 1)]
            rooms = np.array(example.ink.shape) - side_px
            first = rng.integers(rooms + 1)
            second = np.clip(first + rng.integers(-STEP_MOST_PX, STEP_MOST_PX + 1, 2), 0, rooms)
            camera, mirrored = Degradation.random(rng), rng.random() < 0.5
            to = np.s_[:, ::-1] if mirrored else np.s_[:, :]
            for i, (top, left) in enumerate((first, second), 2 * place):
                cut = np.s_[top : top + side_px, left : left + side_px]
                x[i] = normalised(example.photo[cut], example.whole, camera, rng)[to]
                y[i, ..., :3], y[i, ..., 3] = example.flat[cut][to], example.ink[cut][to]
            steps[place] = (second - first) * (1, -1 if mirrored else 1)
        yield x, y, steps
