from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from realtime import gallery
from realtime.errors import UsageError
from realtime.gallery import CELL_WIDTH, run_gallery, sheet
from realtime.settings import Settings
from realtime.styles import load_style
from realtime.types import RgbImage


def drawn(count: int) -> list[tuple[str, RgbImage]]:
    return [(f"style {i}", np.full((90, 160, 3), (130 + 7 * i, 10, 200), np.uint8)) for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5, 13])
def test_every_drawing_is_on_the_sheet_with_a_label_below(count: int) -> None:
    made = sheet(drawn(count))
    high = round(CELL_WIDTH * 90 / 160)
    for i in range(count):
        rows, columns = np.nonzero((made == (130 + 7 * i, 10, 200)).all(axis=2))
        box = made[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.shape == (high, CELL_WIDTH, 3), i
        below = made[rows.max() + 1 : rows.max() + 35, columns.min() : columns.max()]
        assert (below < 120).sum() > 50, "its name is there"
    assert 0.4 < made.shape[1] / made.shape[0] < 2.5


def test_nothing_drawn_is_an_error() -> None:
    with pytest.raises(UsageError, match="--doctor"):
        sheet([])


def test_a_picture_is_drawn_in_every_style_that_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    said: list[str] = []
    cv2.imwrite(str(photo), astronaut()[..., 2::-1])
    monkeypatch.setattr(gallery, "list_styles", lambda say: [load_style("webtoon"), load_style("manga")])
    monkeypatch.setattr(gallery, "paintings_here", lambda: False)
    monkeypatch.setattr(gallery, "DRAWN_WIDTH", 512)
    assert run_gallery(Settings(gallery=photo, sinks=(str(out),)), said.append) == 0
    made = np.asarray(cv2.imread(str(out)))
    webtoon, manga = made[10:400, 10:400].astype(int), made[454:844, 10:400].astype(int)
    assert np.abs(manga[..., 0] - manga[..., 2]).max() < 12, "a manga page has no colour"
    assert np.abs(webtoon[..., 0] - webtoon[..., 2]).mean() > 15
    photo_small = cv2.resize(astronaut()[..., 2::-1], (CELL_WIDTH, CELL_WIDTH))[:390, :390].astype(int)
    assert np.abs(webtoon - photo_small).mean() > 4, "it is drawn"
    assert said[-1].startswith("2 styles")


@pytest.mark.parametrize(
    ("picture", "sinks", "says"),
    [
        ("photo.png", ("out.mp4",), "one picture"),
        ("photo.png", ("a.png", "b.png"), "one picture"),
        ("clip.mp4", (), "is no picture"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, picture: str, sinks: tuple[str, ...], says: str) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UsageError, match=says):
        run_gallery(Settings(gallery=tmp_path / picture, sinks=sinks), lambda _: None)
