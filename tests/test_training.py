"""The teacher, the examples, the student: small pictures, real checks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.exposure import apply_exposure, measure_exposure
from training.data import Degradation, Example, Job, batches, degrade, find_jobs, normalised
from training.teacher import draw


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def _room(rng: np.random.Generator, texture: float = 8.0) -> np.ndarray:
    """A dark, textured square before a pale, textured wall."""
    picture = np.full((160, 176, 3), (205, 190, 175), np.float32)
    picture[40:130, 50:120] = (60, 70, 110)
    picture += texture * rng.standard_normal(picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_teacher_flattens_texture_yet_keeps_edges_and_inks_them(rng: np.random.Generator) -> None:
    photo = _room(rng)
    drawn = draw(photo, np.zeros(photo.shape[:2], np.float32))
    assert drawn.flat.shape == photo.shape
    assert drawn.flat.dtype == drawn.ink.dtype == np.float32
    assert drawn.flat.min() >= 0
    assert drawn.flat.max() <= 1
    assert drawn.ink.min() >= 0
    assert drawn.ink.max() <= 1
    assert drawn.flat[5:30, 5:170].std(axis=(0, 1)).max() < 0.25 * photo[5:30, 5:170].std(axis=(0, 1)).max() / 255
    inside, outside = drawn.flat[60:110, 60:110].mean(), drawn.flat[5:30].mean()
    assert outside - inside > 0.35
    assert drawn.ink[60:110, 44:56].max(axis=1).mean() > 0.5
    assert drawn.ink[5:25].max() < 0.1


def test_figure_gets_a_line_where_the_room_gets_none(rng: np.random.Generator) -> None:
    photo = np.full((160, 176, 3), 150, np.uint8)
    photo[40:130, 50:120] = 128
    person = np.zeros(photo.shape[:2], np.float32)
    without = draw(photo, person).ink[60:110, 44:56].max(axis=1).mean()
    person[40:130, 50:120] = 1
    assert draw(photo, person).ink[60:110, 44:56].max(axis=1).mean() > without + 0.2


def _face(height: float = 100.0) -> np.ndarray:
    """478 points that make an oval with eyes, brows, mouth in about the right places."""
    import training.teacher as teacher

    points = np.full((478, 2), (88.0, 90.0), np.float32)
    angles = np.linspace(-np.pi / 2, 1.5 * np.pi, len(teacher.OVAL), endpoint=False)
    points[list(teacher.OVAL)] = np.stack([88 + 38 * np.cos(angles), 85 + height / 2 * np.sin(angles)], 1)
    for side, eye, brow in zip((-1, 1), teacher.EYES, teacher.BROWS, strict=True):
        for indices, y in ((eye, 75), (brow, 62)):
            t = np.linspace(0, 2 * np.pi, len(indices), endpoint=False)
            points[list(indices)] = np.stack([88 + side * 17 + 8 * np.cos(t), y + 3 * np.sin(t)], 1)
    t = np.linspace(0, 2 * np.pi, len(teacher.LIPS), endpoint=False)
    points[list(teacher.LIPS)] = np.stack([88 + 12 * np.cos(t), 112 + 4 * np.sin(t)], 1)
    points[list(teacher.CHEEKS)] = [(72 + 3 * i, 92 + i % 3) for i in range(len(teacher.CHEEKS))]
    return points


@pytest.mark.parametrize("skin", [(62, 40, 30), (120, 82, 62), (226, 182, 158)])
def test_skin_keeps_its_tone(skin: tuple[int, int, int], rng: np.random.Generator) -> None:
    photo = np.full((170, 176, 3), (205, 205, 200), np.uint8)
    cv2.ellipse(photo, (88, 85), (42, 54), 0, 0, 360, skin, -1)
    photo = np.clip(photo + 3 * rng.standard_normal(photo.shape), 0, 255).astype(np.uint8)
    person = np.zeros(photo.shape[:2], np.float32)
    cv2.ellipse(person, (88, 85), (42, 54), 0, 0, 360, 1.0, -1)
    drawn = draw(photo, person, [_face()])
    cheek = cv2.cvtColor(drawn.flat[90:96, 80:96], cv2.COLOR_RGB2LAB).mean((0, 1))
    before = cv2.cvtColor(np.array([[skin]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    assert abs(cheek[0] - before[0]) < 9
    assert abs(np.arctan2(cheek[2], cheek[1]) - np.arctan2(before[2], before[1])) < 0.25
    assert drawn.ink[88:100, 78:98].max() < 0.15


def _example(rng: np.random.Generator) -> Example:
    photo = _room(rng, 2.0)
    drawn = draw(apply_exposure(photo, measure_exposure(photo)), np.zeros(photo.shape[:2], np.float32))
    return Example(photo, (drawn.flat * 255).astype(np.uint8), (drawn.ink * 255).astype(np.uint8), photo)


def test_a_dim_noisy_picture_is_normalised_to_the_clean_one(rng: np.random.Generator) -> None:
    example = _example(rng)
    clean = normalised(example.photo, example.whole, Degradation(), rng).astype(np.float32)
    dim = normalised(example.photo, example.whole, Degradation(exposure=0.4, noise=0.01, jpeg=70), rng)
    raw = degrade(example.photo, Degradation(exposure=0.4, noise=0.01, jpeg=70), rng)
    assert abs(dim.mean() - clean.mean()) < 8 < abs(raw.mean() - clean.mean())


def test_batches_pair_what_is_seen_with_its_layers(rng: np.random.Generator) -> None:
    x, y = next(batches([_example(rng)], 96, 6, rng))
    assert x.shape == (6, 3, 96, 96)
    assert y.shape == (6, 4, 96, 96)
    assert x.min() >= 0
    assert max(x.max(), y.max()) <= 1
    for seen, layers in zip(x, y, strict=True):
        assert np.corrcoef(seen.mean(0).ravel(), layers[:3].mean(0).ravel())[0, 1] > 0.6


def test_held_out_photos_are_told_by_their_place_in_the_folder(tmp_path: Path) -> None:
    for i in range(47):
        (tmp_path / f"{i:03d}.jpg").touch()
    (tmp_path / "notes.txt").touch()
    held = [job for job in find_jobs(tmp_path, None, ()) if job.held_out]
    assert held == [Job(tmp_path / "000.jpg", None, True), Job(tmp_path / "045.jpg", None, True)]
    assert held[0].name == "held-000"


def test_student_learns_resumes_and_exports_what_it_computes(tmp_path: Path, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from training.export import export, student_from_checkpoint
    from training.train import Trainer, measure

    torch.manual_seed(1)
    trainer = Trainer(1.0, "cpu")
    pairs = batches([_example(rng)], 64, 6, rng)
    losses = [trainer.step(*next(pairs)) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    trainer.spent_s = 30.0
    trainer.save(tmp_path / "face.pt")
    again = Trainer(1.0, "cpu")
    again.load(tmp_path / "face.pt")
    assert (again.steps, again.spent_s) == (40, 30.0)

    student = student_from_checkpoint(tmp_path / "face.pt")
    assert set(measure(student, [_example(rng)])) == {"clean", "mild", "dim"}
    path = tmp_path / "background.onnx"
    assert export("background", student, path) < 1e-4
    assert path.stat().st_size < 4_000_000
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    first, second = (session.run(["layers"], {"rgb": rng.random((1, 3, 64, 96), np.float32)})[0] for _ in range(2))
    assert first.shape == (1, 4, 64, 96)
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.abs(first - second).max() > 0.05  # another picture, another drawing
