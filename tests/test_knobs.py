"""The teacher's knobs: read from TOML, wrong ones told in one sentence, and each does what it says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import UsageError
from training.knobs import FlatKnobs, GradeKnobs, InkKnobs, Knobs, read_knobs
from training.teacher import draw

SHIPPED = Path(__file__).parents[1] / "training" / "toon3d.toml"


def test_what_a_file_leaves_out_is_as_in_webtoon(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text("[ink]\nroom = 0\n[grade]\nlift = 0.7\n", encoding="utf-8")
    assert read_knobs(file) == Knobs(grade=GradeKnobs(lift=0.7), ink=InkKnobs(room=0.0))
    file.write_text("", encoding="utf-8")
    assert read_knobs(file) == Knobs()


def test_the_shipped_file_is_read() -> None:
    assert read_knobs(SHIPPED).ink.wrinkles == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[ink]\nrom = 1", "unknown knob 'rom' in [ink]; did you mean 'room'?"),
        ("[inc]\nroom = 1", "unknown table or key 'inc'; did you mean 'ink'?"),
        ("zzz = 1", "there are flat, grade, ink"),
        ("[ink]\nroom = -1", "no number from 0 to 4"),
        ("[flat]\nskin_blur = 1", "no number from 0 to 0.1"),
        ("[ink]\nroom = true", "no number"),
        ("[ink]\nroom = nan", "no number"),
        ("[ink", "is no TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "t.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_knobs(file)
    assert says in str(raised.value)
    with pytest.raises(UsageError, match="cannot be read"):
        read_knobs(tmp_path / "none.toml")


def test_knobs_change_the_drawing_as_they_say() -> None:
    photo = np.full((160, 176, 3), (190, 170, 150), np.uint8)
    cv2.rectangle(photo, (50, 40), (120, 130), (70, 90, 120), -1)
    nobody = np.zeros(photo.shape[:2], np.float32)
    plain = draw(photo, nobody)
    again = draw(photo, nobody, knobs=Knobs())
    assert np.array_equal(plain.flat, again.flat) and np.array_equal(plain.ink, again.ink)
    bare = draw(photo, nobody, knobs=Knobs(ink=InkKnobs(room=0.0)))
    assert bare.ink.max() < 0.05 < plain.ink.max()
    bright = draw(photo, nobody, knobs=Knobs(grade=GradeKnobs(lift=1.0)))
    assert bright.flat.mean() > plain.flat.mean() + 0.02
    grey = draw(photo, nobody, knobs=Knobs(grade=GradeKnobs(lively=0.0, warmth=0.0)))
    assert np.ptp(grey.flat, axis=2).mean() < np.ptp(plain.flat, axis=2).mean()
    soft = draw(photo, nobody, knobs=Knobs(flat=FlatKnobs(room_blur=5.0)))
    edges = [float(np.abs(np.diff(d.flat[80, :, 0])).max()) for d in (plain, soft)]
    assert edges[1] < 0.7 * edges[0]
