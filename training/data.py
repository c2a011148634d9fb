"""Photos and clips become training examples: drawn once by the teacher, kept on disk, degraded anew every time.

Comes in: a folder of photos, optionally one of clips, MediaPipe's model files. Goes out: one `.npz` per picture (raw
photo, layers, a small copy of the whole picture that exposure is measured on) and, from those, endless batches.

    python -m training.data face --photos DIR --clips DIR --out DIR --landmarker FILE --segmenter FILE
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.crop import CROP_PX, crop_matrix
from realtime.exposure import apply_exposure, measure_exposure
from realtime.types import GrayImage, Mask, RgbImage
from training.teacher import CHIN, FOREHEAD_TOP, Landmarks, draw

KINDS = ("background", "face")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
CLIP_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov")
HOLD_OUT_EVERY = 45  # the 1st, 46th, ... photo by name is never trained on
CLIP_STEP = 10  # every tenth frame of a clip
FACE_MARGIN_PX = 16  # a stored face is this much larger on each side than the crop: room for shifts of 6 %
CONTEXT_PX = 48  # the teacher sees this much more around it


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One drawn picture, all u8. photo: RGB as taken; flat, ink: its layers; whole: the entire picture, small."""

    photo: RgbImage
    flat: RgbImage
    ink: GrayImage
    whole: RgbImage


@dataclass(frozen=True, slots=True)
class Job:
    """A picture to draw: a photo, or (with `frame`) a frame of a clip."""

    source: Path
    frame: int | None
    held_out: bool

    @property
    def name(self) -> str:
        """File name of the example, without suffix."""
        role = "held" if self.held_out else "train"
        return f"{role}-{self.source.stem}" + ("" if self.frame is None else f"-{self.frame:05d}")


# --- drawing once -----------------------------------------------------------------------------------------------------


def find_jobs(photos: Path, clips: Path | None, held_out_clips: Sequence[str]) -> list[Job]:
    """Every photo, every `CLIP_STEP`th frame of every clip; a clip is held out if its name holds one of the words."""
    files = sorted(f for f in photos.iterdir() if f.suffix.lower() in PHOTO_SUFFIXES)
    jobs = [Job(f, None, i % HOLD_OUT_EVERY == 0) for i, f in enumerate(files)]
    for clip in sorted(clips.iterdir()) if clips is not None else ():
        if clip.suffix.lower() not in CLIP_SUFFIXES:
            continue
        video = cv2.VideoCapture(str(clip))
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        video.release()
        held = any(word in clip.stem for word in held_out_clips)
        jobs += [Job(clip, i, held) for i in range(0, count, CLIP_STEP)]
    return jobs


def draw_all(kind: str, jobs: Sequence[Job], out: Path, landmarker: Path, segmenter: Path, workers: int = 2) -> int:
    """Draws what is not drawn yet; returns how many examples `out` holds. Pictures without a face make no face."""
    out.mkdir(parents=True, exist_ok=True)
    left = [job for job in jobs if not (out / f"{job.name}.npz").exists()]
    left.sort(key=lambda job: zlib.crc32(job.name.encode()))  # mixed: a part of the examples is a fair sample
    if left:
        shares = [left[i::workers] for i in range(workers)]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for done in [pool.submit(_draw_share, kind, s, out, landmarker, segmenter) for s in shares]:
                done.result()
    return len(list(out.glob("*.npz")))


def _draw_share(kind: str, jobs: Sequence[Job], out: Path, landmarker: Path, segmenter: Path) -> None:
    cv2.setNumThreads(1)
    with Finder(landmarker, segmenter) as find:
        for job in jobs:
            picture = _read(job)
            person, faces = find(picture)
            rng = np.random.default_rng(zlib.crc32(job.name.encode()))
            if kind == "background":
                example = background_example(picture, person, faces, rng)
            elif faces:
                example = face_example(picture, person, faces, rng)
            else:
                continue
            part = out / f"{job.name}.part.npy"
            with part.open("wb") as file:
                np.savez(file, photo=example.photo, flat=example.flat, ink=example.ink, whole=example.whole)
            part.replace(out / f"{job.name}.npz")


def _read(job: Job) -> RgbImage:
    if job.frame is None:
        bgr = cv2.imread(str(job.source))
    else:
        video = cv2.VideoCapture(str(job.source))
        video.set(cv2.CAP_PROP_POS_FRAMES, job.frame)
        bgr = video.read()[1]
        video.release()
    if bgr is None:
        raise ValueError(f"{job.source} cannot be read as a picture; take it out of the folder.")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


class Finder:
    """Person mask (h, w) 0..1 and landmarks of up to two faces of a still picture. A context manager."""

    def __init__(self, landmarker: Path, segmenter: Path) -> None:
        from mediapipe.tasks.python import BaseOptions, vision

        self._open = ExitStack()
        faces = vision.FaceLandmarkerOptions(BaseOptions(model_asset_path=str(landmarker)), num_faces=2)
        person = vision.ImageSegmenterOptions(
            BaseOptions(model_asset_path=str(segmenter)), output_confidence_masks=True, output_category_mask=False
        )
        self._faces = self._open.enter_context(vision.FaceLandmarker.create_from_options(faces))
        self._person = self._open.enter_context(vision.ImageSegmenter.create_from_options(person))

    def __call__(self, rgb: RgbImage) -> tuple[Mask, list[Landmarks]]:
        """Mask at the segmenter's choice of size, landmarks (478, 2) in pixels of `rgb`."""
        import mediapipe as mp

        h, w = rgb.shape[:2]
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        mask = np.squeeze(self._person.segment(image).confidence_masks[-1].numpy_view()).astype(np.float32)
        found = self._faces.detect(image).face_landmarks
        return mask, [np.array([(p.x * w, p.y * h) for p in face], np.float32) for face in found]

    def __enter__(self) -> Finder:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def background_example(
    picture: RgbImage, person: Mask, faces: Sequence[Landmarks], rng: np.random.Generator
) -> Example:
    """The whole picture at a scale at which a webcam frame 640 wide shows a person: the face 105 to 240 px high."""
    h, w = picture.shape[:2]
    if faces and w < 1.2 * h:
        height = max(float(np.linalg.norm(f[CHIN] - f[FOREHEAD_TOP])) for f in faces)
        scale = float(np.exp(rng.uniform(np.log(105), np.log(240)))) / max(height, 1)
        scale = min(max(scale, 232 / min(h, w)), 1.3, 720 / max(h, w))
    else:
        scale = min(640 / w, 1.3)
    scale = max(scale, 232 / min(h, w))  # a training crop must fit in
    size = (round(w * scale), round(h * scale))
    photo = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    ratio = np.array([size[0] / w, size[1] / h], np.float32)
    return _example(photo, person, [f[:, :2] * ratio for f in faces], photo, 0)


def face_example(picture: RgbImage, person: Mask, faces: Sequence[Landmarks], rng: np.random.Generator) -> Example:
    """The largest face's crop, turned by up to 8 degrees and scaled by 0.85 to 1.15, with a margin for shifts."""
    face = max(faces, key=lambda f: float(np.ptp(f[:, 1])))
    border = FACE_MARGIN_PX + CONTEXT_PX
    side = CROP_PX + 2 * border
    scale = float(np.exp(rng.uniform(-0.16, 0.14)))
    turn = cv2.getRotationMatrix2D((CROP_PX / 2, CROP_PX / 2), rng.uniform(-8, 8), scale)
    turn[:, 2] += border
    matrix = turn @ np.vstack([crop_matrix(face), [0, 0, 1]])
    shrink = min(1.0, 1.5 * float(np.hypot(*matrix[0, :2])))  # warping does not average: shrink first
    small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else picture
    to_canvas = matrix @ np.diag([1 / shrink, 1 / shrink, 1])
    canvas = cv2.warpAffine(small, to_canvas, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.resize(person, (small.shape[1], small.shape[0]))
    mask = cv2.warpAffine(mask, to_canvas, (side, side), borderMode=cv2.BORDER_REPLICATE)
    points = [f[:, :2] @ matrix[:, :2].T + matrix[:, 2] for f in faces]
    return _example(canvas, mask, points, small, CONTEXT_PX)  # type: ignore[arg-type]


def _example(photo: RgbImage, person: Mask, faces: Sequence[Landmarks], whole: RgbImage, cut: int) -> Example:
    """Normalised by the whole picture's exposure, drawn, then `cut` pixels taken off each side."""
    drawing = draw(apply_exposure(photo, measure_exposure(whole)), person, faces)
    scale = min(1.0, 256 / max(whole.shape[:2]))
    small = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)  # keeps extremes
    inside = np.s_[cut : photo.shape[0] - cut, cut : photo.shape[1] - cut]
    layers = [(layer[inside] * 255 + 0.5).astype(np.uint8) for layer in (drawing.flat, drawing.ink)]
    return Example(photo[inside], layers[0], layers[1], small)


# --- degrading every time -------------------------------------------------------------------------------------------


def load(folder: Path, held_out: bool) -> list[Example]:
    """The examples of a folder, wholly in memory."""
    names = sorted(folder.glob("held-*.npz" if held_out else "train-*.npz"))
    examples = []
    for name in names:
        with np.load(name) as file:
            examples.append(Example(file["photo"], file["flat"], file["ink"], file["whole"]))
    return examples


@dataclass(frozen=True, slots=True)
class Degradation:
    """What a cheap webcam does. exposure: factor on the light; cast: factor per channel; gamma; noise: standard
    deviation of 0..1 values, `noise_grain` 1 white or 2 coarse, `noise_gray` without colour; jpeg: quality or None;
    blur: Gaussian sigma in pixels."""

    exposure: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    noise: float = 0.0
    noise_grain: int = 1
    noise_gray: bool = False
    jpeg: int | None = None
    blur: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator) -> Degradation:
        """As webcams are: often dim, mostly noisy, often compressed, sometimes soft."""
        dim = rng.random() < 0.6
        exposure = float(np.exp(rng.uniform(np.log(0.25), np.log(1.3)))) if dim else float(rng.uniform(0.8, 1.25))
        noise = float(0.06 * rng.random() ** 2) if rng.random() < 0.85 else 0.0
        red, green, blue = np.exp(rng.normal(0, 0.012, 3))
        return cls(
            exposure,
            (float(red), float(green), float(blue)),
            float(np.exp(rng.normal(0, 0.02))),
            min(noise, 0.035) if exposure < 0.5 else noise,
            1 if rng.random() < 0.5 else 2,
            bool(rng.random() < 0.4),
            int(rng.integers(45, 96)) if rng.random() < 0.6 else None,
            float(rng.uniform(0.3, 1.0)) if rng.random() < 0.3 else 0.0,
        )


def degrade(photo: RgbImage, how: Degradation, rng: np.random.Generator) -> RgbImage:
    """The photo as such a camera would have given it."""
    x = photo.astype(np.float32) / 255
    if how.blur:
        x = cv2.GaussianBlur(x, (0, 0), how.blur)
    x = x**how.gamma * (how.exposure * np.array(how.cast, np.float32))
    if how.noise:
        x = x + how.noise * _noise(x.shape[0], x.shape[1], how, rng)
    u8 = np.clip(x * 255 + 0.5, 0, 255).astype(np.uint8)
    if how.jpeg is not None:
        coded = cv2.imencode(".jpg", u8[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, how.jpeg])[1]
        u8 = cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # type: ignore[arg-type]
    return np.ascontiguousarray(u8)


def _noise(h: int, w: int, how: Degradation, rng: np.random.Generator) -> NDArray[np.float32]:
    """Unit noise; coarse noise stands for what demosaicing and chroma subsampling leave."""
    grain = how.noise_grain
    noise = rng.standard_normal((-(-h // grain), -(-w // grain), 3), dtype=np.float32)
    if grain > 1:
        noise = 1.3 * cv2.resize(noise, (w, h))
    return 0.4 * noise + 0.7 * noise[..., :1] if how.noise_gray else noise  # type: ignore[no-any-return]


def normalised(photo: RgbImage, whole: RgbImage, how: Degradation, rng: np.random.Generator) -> RgbImage:
    """What a generator sees: the degraded photo, stretched by the exposure of the equally degraded whole picture."""
    seen = degrade(photo, how, rng)
    plain = Degradation(how.exposure, how.cast, how.gamma, how.noise)
    return apply_exposure(seen, measure_exposure(degrade(whole, plain, rng)))


def batches(
    examples: Sequence[Example], side_px: int, size: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Endless (input (n, 3, side, side), layers (n, 4, side, side)) pairs, f32 0..1: random crops, half mirrored."""
    area = np.array([e.ink.size for e in examples], np.float64)
    share = np.cumsum(area**0.5) / np.sum(area**0.5)  # large pictures have more to show
    while True:
        x = np.empty((size, 3, side_px, side_px), np.float32)
        y = np.empty((size, 4, side_px, side_px), np.float32)
        for i in range(size):
            example = examples[min(int(np.searchsorted(share, rng.random())), len(examples) - 1)]
            top = int(rng.integers(example.ink.shape[0] - side_px + 1))
            left = int(rng.integers(example.ink.shape[1] - side_px + 1))
            cut = np.s_[top : top + side_px, left : left + side_px]
            seen = normalised(example.photo[cut], example.whole, Degradation.random(rng), rng)
            layers = np.dstack([example.flat[cut], example.ink[cut]])
            if rng.random() < 0.5:
                seen, layers = seen[:, ::-1], layers[:, ::-1]
            x[i], y[i] = seen.transpose(2, 0, 1), layers.transpose(2, 0, 1)
        x /= 255
        y /= 255
        yield x, y


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that drawing needs, for this module's command and for `training.train`."""
    add: Any = parser.add_argument
    add("kind", choices=KINDS)
    add("--photos", type=Path, required=True, help="folder of photos, best with people in them")
    add("--clips", type=Path, help="folder of clips: every tenth frame is used")
    add("--held-out-clips", nargs="*", default=[], metavar="WORD",
        help="clips with a word in their name are not trained on")  # fmt: skip
    add("--out", type=Path, required=True, help="folder for drawn examples, checkpoints and the log")
    add("--landmarker", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    add("--segmenter", type=Path, required=True, help="MediaPipe's selfie_segmentation.tflite")
    add("--workers", type=int, default=2, help="processes that draw")


def prepare(given: argparse.Namespace) -> Path:
    """Draws what is missing and returns the folder of examples."""
    folder: Path = given.out / f"examples-{given.kind}"
    jobs = find_jobs(given.photos, given.clips, given.held_out_clips)
    count = draw_all(given.kind, jobs, folder, given.landmarker, given.segmenter, given.workers)
    print(f"{count} examples in {folder}", flush=True)
    return folder


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description="Draw photos with the teacher, for training.")
    add_arguments(_parser)
    prepare(_parser.parse_args())
