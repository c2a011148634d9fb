"""The user's own pairs: found by name, laid on top of each other, taken apart, learnt."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import UsageError
from training.pairs import find_pairs, fitted, taken_apart

SUFFIXES = (".png", ".jpg")


def drawing() -> np.ndarray:
    """An orange area and a blue one, with a black line between them."""
    picture = np.full((220, 260, 3), (230, 150, 60), np.uint8)
    picture[:, 130:] = (60, 110, 220)
    picture[:, 128:132] = 15
    return picture


def folder(root: Path, photos: str, drawings: str) -> Path:
    for part, names in (("photo", photos), ("drawing", drawings)):
        (root / part).mkdir(parents=True)
        for name in names.split():
            (root / part / name).touch()
    return root


def test_names_tell_which_belong_together(tmp_path: Path) -> None:
    found = find_pairs(folder(tmp_path, "b.jpg a.png notes.txt", "a.jpg b.png"), SUFFIXES)
    assert [(p.name, d.name) for p, d in found] == [("a.png", "a.jpg"), ("b.jpg", "b.png")]


@pytest.mark.parametrize(
    ("photos", "drawings", "says"),
    [
        ("a.png b.png", "a.png", "a photo 'b' without a drawing"),
        ("a.png", "a.png c.png", "a drawing 'c' without a photo"),
        ("a.png a.jpg", "a.png", "two pictures of one name"),
        ("", "", "holds no pictures"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, photos: str, drawings: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_pairs(folder(tmp_path / "p", photos, drawings), SUFFIXES)
    assert says in str(raised.value)
    with pytest.raises(UsageError, match="no folder 'photo'"):
        find_pairs(tmp_path / "none", SUFFIXES)


def test_a_drawing_comes_to_the_photos_size_and_another_shape_is_refused() -> None:
    photo = np.zeros((110, 130, 3), np.uint8)
    assert fitted(drawing(), photo, "a").shape == photo.shape
    with pytest.raises(UsageError, match="different shapes"):
        fitted(drawing(), photo[:, :90], "a")


def test_lines_and_areas_are_taken_apart() -> None:
    layers = taken_apart(drawing())
    assert layers.ink[110, 129:131].min() > 0.9
    assert layers.ink[:, :110].max() < 0.05
    assert (layers.flat[110, 129:131] * 255).max(axis=1).min() > 100, "colour goes on beneath the line"
    assert np.abs(layers.flat[110, 40] * 255 - (230, 150, 60)).max() < 2


def test_an_example_shows_the_users_drawing_where_the_photo_shows_the_same() -> None:
    from training.data import background_example, face_example
    from training.teacher import CHIN, FOREHEAD_TOP

    photo = drawing() // 2 + 60
    points = np.full((478, 2), (130, 110), np.float32)
    points[FOREHEAD_TOP], points[CHIN] = (130, 60), (130, 160)
    rng = np.random.default_rng(1)
    for make in (background_example, face_example):
        example = make(photo, np.ones((9, 9), np.float32), [points], rng, drawing=taken_apart(drawing()))
        assert example.photo.shape[:2] == example.ink.shape == example.flat.shape[:2]
        blue = example.photo[..., 2] > example.photo[..., 0] + 20
        areas = cv2.erode(blue.astype(np.uint8), np.ones((15, 15))) > 0
        assert np.abs(example.flat[areas].mean(axis=0) - (60, 110, 220)).max() < 6
        assert example.ink.max() > 200 > 40 > example.ink[areas].max()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pairs", "{}", "--photos", "{}"], "either --photos"),
        ([], "either --photos"),
        (["--pairs", "{}", "--teacher", "{}"], "brings its own drawings"),
        (["--pairs", "{}/none"], "no folder 'photo'"),
    ],
)
def test_wrong_words_are_one_sentence(
    words: list[str], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from training.__main__ import main

    assert main(["--style", "x", "--out", str(tmp_path / "out"), *(word.format(tmp_path) for word in words)]) == 2
    assert says in capfd.readouterr().err
