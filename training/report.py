"""How well a student draws what it was never trained on, as figures and as a sheet to look at.

Comes in: a student and held-out examples. Goes out: figures, a table, a PNG photo | teacher | student. Drawings are
composed as the product does (`realtime/layers.py`), from single pictures, without any smoothing in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from realtime.exposure import apply_exposure, measure_exposure
from realtime.layers import Finish, Layers, draw_layers
from realtime.types import Mask, RgbImage, Size
from training.data import Example
from training.degrade import Degradation, normalised
from training.knobs import Knobs
from training.student import MULTIPLE_PX, Generator, Student
from training.teacher import Landmarks, draw

Perceive = Callable[[RgbImage], tuple[Mask, list[Landmarks]]]
Figures = dict[str, dict[str, float]]  # by kind of input, or "flicker"; by figure

INPUTS = {
    "clean": Degradation(),
    "mild": Degradation(noise=0.02, jpeg=80),
    "dim": Degradation(exposure=0.3, noise=0.027, jpeg=60),
}
FLICKER_NOISE = 4 / 255  # standard deviation of a webcam's noise in a lit room
PSNR_MOST = 90.0  # dB, of two pictures that are the same
TILE_PX = 288


def run_student(student: Student, rgb: RgbImage) -> Layers:
    """The layers of a picture, cut to multiples of 16."""
    h, w = (side // MULTIPLE_PX * MULTIPLE_PX for side in rgb.shape[:2])
    x = torch.from_numpy(rgb[:h, :w].transpose(2, 0, 1)[None].astype(np.float32) / 255)
    with torch.no_grad():
        layers = Generator(student)(x.to(next(student.parameters()).device))[0]
    u8 = (layers.permute(1, 2, 0).cpu().numpy() * 255 + 0.5).astype(np.uint8)
    return Layers(np.ascontiguousarray(u8[..., :3]), np.ascontiguousarray(u8[..., 3]))


def compose(layers: Layers) -> RgbImage:
    """The drawing at the layers' own size, with the default finish."""
    return draw_layers(layers, Size(layers.ink.shape[1], layers.ink.shape[0]), Finish())[0]


def measure(student: Student, examples: Sequence[Example]) -> Figures:
    """Means over examples, by kind of input: PSNR in dB and SSIM of flat colour, of ink and of the composed drawing."""
    result = {}
    for name, how in INPUTS.items():
        rng = np.random.default_rng(5)
        scores: dict[str, list[float]] = {}
        for example in examples:
            drawn = run_student(student, normalised(example.photo, example.whole, how, rng))
            target = _target(example, drawn.ink.shape)
            pairs = {
                "flat": (target.flat, drawn.flat),
                "ink": (target.ink, drawn.ink),
                "drawing": (compose(target), compose(drawn)),
            }
            for what, (true, given) in pairs.items():
                scores.setdefault(f"{what}_psnr", []).append(_psnr(true, given))
                scores.setdefault(f"{what}_ssim", []).append(
                    float(structural_similarity(true, given, channel_axis=2 if true.ndim == 3 else None))
                )
        result[name] = {what: round(float(np.mean(values)), 4) for what, values in scores.items()}
    return result


def _psnr(true: NDArray[np.uint8], given: NDArray[np.uint8]) -> float:
    return PSNR_MOST if np.array_equal(true, given) else min(PSNR_MOST, float(peak_signal_noise_ratio(true, given)))


def _target(example: Example, shape: tuple[int, ...]) -> Layers:
    h, w = shape[:2]
    return Layers(np.ascontiguousarray(example.flat[:h, :w]), np.ascontiguousarray(example.ink[:h, :w]))


def measure_flicker(
    student: Student, examples: Sequence[Example], perceive: Perceive, knobs: Knobs
) -> dict[str, float]:
    """Mean |difference|, 0..255, of two composed drawings of one still picture with fresh noise, by who drew."""
    student_scores, teacher_scores = [], []
    for i, example in enumerate(examples):
        rng = np.random.default_rng(i)
        person, faces = perceive(example.photo)
        exposure = measure_exposure(example.whole)
        noisy = [_noisy(example.photo, rng) for _ in range(2)]
        seen = [apply_exposure(picture, exposure) for picture in noisy]
        student_scores.append(_difference([compose(run_student(student, picture)) for picture in seen]))
        layers = [draw(picture, person, faces, knobs) for picture in seen]
        u8 = [[(layer * 255 + 0.5).astype(np.uint8) for layer in (d.flat, d.ink)] for d in layers]
        teacher_scores.append(_difference([compose(Layers(flat, ink)) for flat, ink in u8]))
    return {
        "student": round(float(np.mean(student_scores)), 3),
        "teacher": round(float(np.mean(teacher_scores)), 3),
        "pictures": len(examples),
    }


def _noisy(photo: RgbImage, rng: np.random.Generator) -> RgbImage:
    noise = 255 * FLICKER_NOISE * rng.standard_normal(photo.shape, np.float32)
    return np.clip(photo + noise + 0.5, 0, 255).astype(np.uint8)


def _difference(pair: Sequence[RgbImage]) -> float:
    return float(np.mean(cv2.absdiff(pair[0], pair[1])))


def table(figures: Figures) -> str:
    """The figures of one kind as a markdown table."""
    lines = [
        "| input | flat colour | ink | composed drawing |",
        "| --- | --- | --- | --- |",
    ]
    for name in INPUTS:
        f = figures[name]
        cells = [f"{f[f'{what}_psnr']:.2f} dB, {f[f'{what}_ssim']:.3f}" for what in ("flat", "ink", "drawing")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if flicker := figures.get("flicker"):
        lines += [
            "",
            f"Flicker, mean difference of two drawings under fresh noise of 4/255: {flicker['student']:.2f} of 255 "
            f"(the teacher: {flicker['teacher']:.2f}).",
        ]
    return "\n".join(lines)


def write_sheet(student: Student, examples: Sequence[Example], path: Path) -> None:
    """Photo | teacher | student of each example, two a row; the photos are as in `INPUTS`, taking turns."""
    rng = np.random.default_rng(6)
    rows = []
    for i, example in enumerate(examples):
        seen = normalised(example.photo, example.whole, list(INPUTS.values())[i % len(INPUTS)], rng)
        drawn = run_student(student, seen)
        pictures = [seen, compose(_target(example, drawn.ink.shape)), compose(drawn)]
        rows.append(np.hstack([_tile(picture) for picture in pictures]))
    if len(rows) % 2:
        rows.append(np.full_like(rows[0], 255))
    sheet = np.vstack([np.hstack(rows[i : i + 2]) for i in range(0, len(rows), 2)])
    part = path.with_suffix(".part.png")
    cv2.imwrite(str(part), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    part.replace(path)


def _tile(rgb: RgbImage) -> RgbImage:
    """The picture in the middle of a white square."""
    scale = min(1.0, TILE_PX / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    top, left = ((TILE_PX - side) // 2 for side in small.shape[:2])
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile
