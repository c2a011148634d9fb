"""The teacher, the examples, the student: small pictures, real checks."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import UsageError
from realtime.exposure import apply_exposure, measure_exposure
from realtime.styles import load_style
from training.data import Example, Job, batches, find_jobs
from training.degrade import Degradation, degrade, normalised
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


@pytest.mark.parametrize("grain", [1, 2])
def test_noise_has_the_strength_asked_for_and_is_new_each_time(grain: int, rng: np.random.Generator) -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    first, second = (degrade(grey, Degradation(noise=0.04, noise_grain=grain), rng).astype(float) for _ in range(2))
    assert 0.7 * 0.04 < first.std() / 255 < 1.15 * 0.04
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_too_much_light_burns_out_and_a_lamp_at_one_side_colours_it(rng: np.random.Generator) -> None:
    grey = np.full((40, 60, 3), 180, np.uint8)
    assert degrade(grey, Degradation(exposure=1.7), rng).min() == 255
    lit = degrade(grey, Degradation(slope=0.04), rng).astype(int)
    assert lit[0, -1, 0] > 185 > 175 > lit[0, -1, 2]
    assert lit[0, 0, 0] < 175 < 185 < lit[0, 0, 2]


def test_batches_pair_what_is_seen_with_its_layers(rng: np.random.Generator) -> None:
    x, y, steps = next(batches([_example(rng)], 96, 6, rng))
    assert x.shape == (6, 96, 96, 3)
    assert y.shape == (6, 96, 96, 4)
    assert steps.shape == (3, 2)
    assert x.dtype == y.dtype == np.uint8
    for seen, layers in zip(x, y, strict=True):
        assert np.corrcoef(seen.mean(2).ravel(), layers[..., :3].mean(2).ravel())[0, 1] > 0.6


def test_batches_show_each_place_twice_a_step_apart(rng: np.random.Generator) -> None:
    pairs = batches([_example(rng)], 96, 8, rng)
    moved = set()
    for _ in range(4):
        x, y, steps = next(pairs)
        for place, (down, right) in enumerate(steps):
            first, second = (
                _overlap(one, down, right, sign) for one, sign in zip(y[2 * place :][:2], (1, -1), strict=True)
            )
            assert np.array_equal(first, second)
            seen = [_overlap(one, down, right, sign) for one, sign in zip(x[2 * place :][:2], (1, -1), strict=True)]
            assert np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1] > 0.6
            moved.add((int(down), int(right)))
    assert len(moved) > 8


def _overlap(picture: np.ndarray, down: int, right: int, sign: int) -> np.ndarray:
    """What two crops share of the first (sign 1), or of the second, a step further on."""
    height, width = picture.shape[:2]
    top, left = max(0, sign * down), max(0, sign * right)
    return picture[top : height - max(0, -sign * down), left : width - max(0, -sign * right)]


def test_a_drawing_that_moves_along_is_steady_and_one_that_does_not_is_not(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    from training.train import unsteadiness

    whole = torch.from_numpy(rng.normal(size=(4, 80, 80)).astype(np.float32))
    steps = np.array([[5, -3]])
    first, second = whole[:, 10:74, 10:74], whole[:, 15:79, 7:71]
    along, apart = torch.stack([first, second]), torch.stack([first, first])
    assert unsteadiness(along[:, :3], along[:, 3:], steps) < 1e-6
    assert unsteadiness(apart[:, :3], apart[:, 3:], steps) > 0.3


def test_held_out_photos_are_told_by_their_place_in_the_folder(tmp_path: Path) -> None:
    for i in range(17):
        (tmp_path / f"{i:03d}.jpg").touch()
    (tmp_path / "notes.txt").touch()
    held = [job for job in find_jobs(tmp_path, None, ()) if job.held_out]
    assert held == [Job(tmp_path / "000.jpg", None, True), Job(tmp_path / "015.jpg", None, True)]


def test_student_learns_and_carries_on(tmp_path: Path, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    from training.train import Trainer, student_from_checkpoint

    torch.manual_seed(1)
    torch.set_num_threads(1)  # on busy cores several wait for each other
    trainer = Trainer(1.0, "cpu")
    pairs = batches([_example(rng)], 64, 6, rng)
    losses = [trainer.step(*next(pairs)) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    trainer.spent_s = 30.0
    trainer.save(tmp_path / "face.pt")
    again = Trainer(1.0, "cpu")
    again.load(tmp_path / "face.pt")
    assert (again.steps, again.crops, again.spent_s) == (40, 240, 30.0)
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(UsageError, match="not a checkpoint"):
        student_from_checkpoint(tmp_path / "bad.pt")


def test_one_convolution_in_training_gives_what_two_give_when_shipped(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    from training.student import Student

    student = Student()
    x = torch.from_numpy(rng.random((1, 3, 32, 48), np.float32))
    with torch.no_grad():
        for trained, shipped in zip(student.train()(x), student.eval()(x), strict=True):
            assert torch.allclose(trained, shipped, atol=1e-6)


def test_the_file_holds_the_weights_and_is_the_same_each_time(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from training.onnx_file import export, student_from_onnx
    from training.student import Student

    torch.manual_seed(2)
    student = Student()
    for values in student.parameters():  # as after training: no two alike, of which a file keeps only one
        values.data += 0.01 * torch.randn(values.shape)
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    assert export("background", student, first) < 1e-4
    read = student_from_onnx(first)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), read.parameters(), strict=True))
    export("background", read, second)
    assert first.read_bytes() == second.read_bytes()
    export("face", student, second)
    assert first.read_bytes() != second.read_bytes()


def test_a_network_of_another_shape_is_not_started_from(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from training.onnx_file import export, student_from_onnx
    from training.student import Student

    export("face", Student(base=8), tmp_path / "small.onnx")
    with pytest.raises(UsageError, match="another shape"):
        student_from_onnx(tmp_path / "small.onnx")


def _people(folder: Path) -> None:
    """One person in three lights, a room without anyone, and a file that is no picture."""
    data = pytest.importorskip("skimage.data")
    person = cv2.cvtColor(data.astronaut()[:300, 80:380], cv2.COLOR_RGB2BGR)
    for i, picture in enumerate((person, person[:, ::-1], cv2.convertScaleAbs(person, alpha=0.6))):
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    cv2.imwrite(str(folder / "3.png"), np.full((220, 260, 3), (90, 120, 160), np.uint8))
    (folder / "4.jpg").write_bytes(b"no picture")


def test_one_command_makes_a_style_that_the_product_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], rng: np.random.Generator
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from engines.select import open_engine
    from realtime.types import Size
    from training.__main__ import main

    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    _people(photos)
    words = ["--style", "mine", "--photos", str(photos), "--out", str(out), "--minutes", "0.01", "--device", "cpu"]
    words += ["--threads", "2", "--start-from", "webtoon", "--licence", 'CC0 "1.0"']
    knobs = tmp_path / "knobs.toml"
    knobs.write_text("[ink]\nroom = 0.5\n", encoding="utf-8")
    words += ["--teacher", str(knobs)]
    assert main(words) == 0
    said = capfd.readouterr().err
    assert "4.jpg cannot be read as a picture" in said

    style = load_style(str(out / "pack"))
    assert style.licence == 'CC0 "1.0"'
    for model, size in ((style.background, Size(96, 64)), (style.face, Size(256, 256))):
        with open_engine(model, size, "auto", say=print) as engine:
            photo = rng.integers(0, 256, (size.height, size.width, 3), np.uint8)
            assert engine.run(photo).shape == (size.height, size.width, 4)
    report = json.loads((out / "report.json").read_text())
    assert report["background"]["pictures"] == 3
    assert report["face"]["pictures"] == 2
    assert 10 < report["face"]["figures"]["clean"]["drawing_psnr"] < 60
    assert 0 < report["face"]["figures"]["flicker"]["teacher"] < 20
    assert report["face"]["crops"] > 0
    assert cv2.imread(str(out / "face.png")) is not None
    assert "CC0" in (out / "pack" / "face.md").read_text()
    assert "teacher.toml" in (out / "pack" / "face.md").read_text()
    assert (out / "pack" / "teacher.toml").read_bytes() == knobs.read_bytes()

    made = (out / "pack" / "face.onnx").read_bytes()
    assert main(words) == 0
    assert "Re-used: 4 drawn pictures" in capfd.readouterr().err
    assert (out / "pack" / "face.onnx").read_bytes() == made

    knobs.write_text("[ink]\nroom = 0.6\n", encoding="utf-8")
    assert main(words) == 2
    assert "begun with other teacher's knobs" in capfd.readouterr().err

    knobs.write_text("[ink]\nroom = 0.5\n", encoding="utf-8")
    (photos / "5.png").write_bytes((photos / "0.png").read_bytes())
    assert main(words) == 2
    assert "begun with other pictures" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "names", "said"),
    [
        (["--style", "x", "--photos", "{}/none"], [], "is not a folder"),
        (["--style", "x", "--photos", "{}"], [], "holds no photos"),
        (["--style", "a/b", "--photos", "{}"], ["a.png"], "is no name"),
        (["--style", "x", "--photos", "{}", "--minutes", "0"], ["a.png"], "is no time"),
        (["--style", "x", "--photos", "{}", "--out", "{}"], ["a.png"], "holds something else"),
        (["--style", "x", "--photos", "{}", "--held-out-clips", "d9"], ["a.png"], "No clip has 'd9'"),
        (["--style", "x", "--photos", "{}", "--start-from", "webtoom"], ["a.png"], "did you mean webtoon"),
        (["--photos", "{}"], [], "--style"),
    ],
)
def test_wrong_usage_is_one_sentence(
    words: list[str], names: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from training.__main__ import main

    for name in names:
        (tmp_path / name).touch()
    assert main([word.format(tmp_path) for word in words]) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "Traceback" not in error
