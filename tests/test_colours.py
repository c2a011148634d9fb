"""The grade of colours: hues change by themselves, grey stays grey, tints stay off black and white."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from realtime.colours import colour_table, graded, tint_tables
from realtime.layers import Finish, Layers, draw_layers
from realtime.types import Size

LEAF, SKY, SKIN, GREY = (70, 130, 50), (70, 105, 150), (190, 130, 95), (128, 128, 128)


def patch(rgb: tuple[int, int, int]) -> np.ndarray:
    return np.full((32, 32, 3), rgb, np.uint8)


def drawn(rgb: tuple[int, int, int], finish: Finish) -> np.ndarray:
    picture = draw_layers(Layers(patch(rgb), np.zeros((32, 32), np.uint8)), Size(64, 64), finish)[0]
    return picture[32, 32].astype(int)


def chroma(rgb: np.ndarray) -> float:
    lab = cv2.cvtColor((rgb / 255).astype(np.float32)[None, None], cv2.COLOR_RGB2LAB)[0, 0]
    return float(np.hypot(lab[1], lab[2]))


def test_a_plain_finish_changes_no_colour_and_costs_no_table() -> None:
    assert colour_table(Finish()) is None
    planes = cv2.split(cv2.cvtColor(patch(LEAF).astype(np.uint16) << 8, cv2.COLOR_RGB2YCrCb))
    assert graded(planes, Finish()) is planes


@pytest.mark.parametrize(("name", "own", "others"), [("green", LEAF, (SKY, SKIN)), ("blue", SKY, (LEAF, SKIN))])
def test_a_range_of_hues_changes_by_itself(
    name: str, own: tuple[int, int, int], others: tuple[tuple[int, int, int], ...]
) -> None:
    more = Finish(**{f"{name}_chroma": 1.5, f"{name}_light": 0.1})  # type: ignore[arg-type]
    assert chroma(drawn(own, more)) > 1.1 * chroma(drawn(own, Finish()))
    assert drawn(own, more).mean() > drawn(own, Finish()).mean()
    for colour in (*others, GREY):
        assert np.abs(drawn(colour, more) - drawn(colour, Finish())).max() <= 12


def test_a_hue_turns_towards_its_neighbour() -> None:
    assert drawn(LEAF, Finish(green_turn=25))[2] > drawn(LEAF, Finish())[2] + 10


def test_tints_colour_shades_and_lights_but_neither_black_nor_white() -> None:
    finish = Finish(shade_tint=1.0, shade_hue=240, light_tint=1.0, light_hue=40)
    red, blue = tint_tables(finish) / 256 - 128
    assert blue[60] > 8 and blue[200] < -4
    assert red[200] > 2
    assert (red[0], blue[0], red[255], blue[255]) == (0, 0, 0, 0)
    shade = drawn((60, 60, 60), finish)
    assert shade[2] > shade[0] + 10


def test_the_light_of_the_room_makes_no_new_table() -> None:
    bright, dim = Finish(green_chroma=1.5), Finish(green_chroma=1.5, white=0.9)
    assert colour_table(bright) is colour_table(dim)
    assert tint_tables(bright) is tint_tables(dim)
