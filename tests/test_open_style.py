"""A look with its styles opened, on the networks that are shipped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from engines.select import open_engine
from realtime.errors import EngineError, UsageError
from realtime.open_style import OpenStyle, TwoStyles, open_look
from realtime.settings import Look
from realtime.styles import load_style
from realtime.types import Frame, Scene, Size, read_only

FRAME = Size(320, 192)


def scene() -> Scene:
    """The astronaut; the left half of the picture is the person."""
    rgb = cv2.resize(astronaut()[..., :3], (FRAME.width, FRAME.height), interpolation=cv2.INTER_AREA)
    person = np.zeros((24, 40), np.float32)
    person[:, :20] = 1
    return Scene(Frame(read_only(rgb), 0.0, 0.0, 0), person, (), fresh=True)


def quiet(_: str) -> None: ...


def colour(rgb: np.ndarray) -> float:
    return float(np.ptp(rgb.astype(int), axis=2).mean())


def test_people_and_room_each_have_their_style() -> None:
    look = Look(style="webtoon", room_style="manga")
    stage = open_look(look, load_style("webtoon"), FRAME, "onnxruntime", quiet)
    assert isinstance(stage, TwoStyles)
    drawn = stage.with_room(stage(scene())).rgb
    assert colour(drawn[:, :140]) > 15
    assert colour(drawn[:, 180:]) < 3, "the room is without colour, as in manga"
    stage.close()


def test_the_page_of_the_room_s_style_is_in_the_room_only() -> None:
    stage = open_look(Look(room_style="sketch"), load_style("webtoon"), FRAME, "onnxruntime", quiet)
    plain = open_look(Look(), load_style("webtoon"), FRAME, "onnxruntime", quiet)
    assert isinstance(stage, TwoStyles)
    drawn, without = stage.with_room(stage(scene())).rgb, plain(scene()).rgb
    assert np.array_equal(drawn[:, :130], without[:, :130])
    assert colour(drawn[:, 190:]) < 15
    stage.close()
    plain.close()


def test_nothing_is_left_open_where_the_room_s_style_is_unknown() -> None:
    with pytest.raises(UsageError, match="no style 'medow'"):
        open_look(Look(room_style="medow"), load_style("webtoon"), FRAME, "onnxruntime", quiet)


def test_a_pack_that_says_the_wrong_kind_is_told_which_to_write() -> None:
    wrong = replace(load_style("webtoon"), name="mine", picture=True)
    with pytest.raises(EngineError, match='kind = "layers"'):
        OpenStyle(wrong, Look(), FRAME, "onnxruntime", quiet)


def test_numbers_change_between_two_frames() -> None:
    style = load_style("webtoon")
    stage = OpenStyle(style, Look(steadiness=0.0), FRAME, "onnxruntime", quiet)
    full = stage(scene()).rgb
    stage.show(Look(strength=0.0, steadiness=0.0), style)
    faint = stage(scene()).rgb
    assert np.abs(full.astype(int) - faint).mean() > 1
    assert np.percentile(full, 1) < np.percentile(faint, 1), "less ink"
    stage.close()


def test_a_style_without_faces_of_its_own_opens_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def counted(model: Path, *others: Any, **named: Any) -> Any:
        opened.append(model)
        return open_engine(model, *others, **named)

    monkeypatch.setattr("realtime.open_style.open_engine", counted)
    OpenStyle(replace(load_style("webtoon"), faces=False), Look(), FRAME, "onnxruntime", quiet).close()
    assert len(opened) == 1
