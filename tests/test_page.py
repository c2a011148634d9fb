"""The page: screen tone sticks to what it shades, paper to the page, and nothing is done where nothing is asked."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.landmarks import EYES, FACE_OVAL
from realtime.page import Page, Print, with_page_strength
from realtime.types import Face, Frame, Scene, Styled

HEIGHT, WIDTH = 180, 240
DOTS = Page(dots=1.0, pitch=0.05)


def styled(
    grey: int = 110,
    *,
    flow: tuple[float, float] | None = None,
    person_flow: tuple[float, float] | None = None,
    face_at: tuple[float, float] | None = None,
    fresh: bool = False,
) -> Styled:
    """A grey picture; a person, who may move by himself, fills its right half."""
    rgb = np.full((HEIGHT, WIDTH, 3), grey, np.uint8)
    person = np.zeros((36, 48), np.float32)
    person[:, 24:] = 1
    field = None
    if flow is not None:
        field = np.full((36, 48, 2), -np.array(flow), np.float32)  # a flow leads back to where a place was
        if person_flow is not None:
            field[:, 24:] = -np.array(person_flow)
    faces: tuple[Face, ...] = ()
    if face_at is not None:
        landmarks = np.full((478, 3), (*face_at, 0), np.float32)
        angles = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
        landmarks[FACE_OVAL, :2] += np.stack([18 * np.cos(angles), 24 * np.sin(angles)], 1)
        faces = (Face(landmarks, track=1),)
    scene = Scene(Frame(rgb, 0.0, 0.0, 0), person, faces, fresh, field)
    return Styled(scene, rgb, np.zeros((HEIGHT, WIDTH), np.uint8))


def luma(page: Print, of: Styled) -> np.ndarray:
    return cv2.cvtColor(page(of).rgb, cv2.COLOR_RGB2GRAY).astype(int)


def test_an_empty_page_hands_the_drawing_on() -> None:
    drawing = styled()
    assert Print(Page())(drawing) is drawing


@pytest.mark.parametrize("page", [DOTS, Page(hatch=1.0, pitch=0.03)])
def test_the_darker_the_tone_the_more_is_covered(page: Page) -> None:
    means = [luma(Print(page), styled(grey)).mean() / grey for grey in (200, 150, 110, 70)]
    assert means[0] == 1
    assert means[0] > means[1] > means[2] > means[3]


def test_a_still_picture_stays_as_it_is_and_a_reset_begins_anew() -> None:
    page = Print(DOTS)
    first = luma(page, styled())
    assert np.array_equal(luma(page, styled(flow=(0, 0))), first)
    moved = luma(page, styled(flow=(3, 1)))
    assert not np.array_equal(moved, first)
    assert np.array_equal(luma(page, styled(fresh=True)), first)


def test_dots_go_with_the_room_and_with_the_person_each() -> None:
    page = Print(DOTS)
    first = luma(page, styled())
    for _ in range(3):
        last = luma(page, styled(flow=(0, 0), person_flow=(2, 1)))
    assert np.array_equal(last[:, :115], first[:, :115]), "the room stands still"
    assert np.abs(last[20:-20, 140:-20] - first[17:-23, 134:-26]).mean() < 12, "the person's went 6 and 3 pixels"
    assert np.abs(last - first)[20:-20, 140:-20].mean() > 30


def test_dots_go_with_a_head_that_moves_alone() -> None:
    page = Print(DOTS)
    first = luma(page, styled(face_at=(180, 90)))
    moving = styled(flow=(0, 0), face_at=(182, 90))
    field = moving.scene.flow
    assert field is not None
    field[11:25, 31:42] = (-2, 0)
    last = luma(page, moving)
    assert np.abs(last[80:100, 172:192] - first[80:100, 170:190]).mean() < 12
    assert np.array_equal(last[:, :115], first[:, :115]), "the room stands still"
    assert np.array_equal(last[150:, 130:], first[150:, 130:]), "so does the body"


def test_paper_stays_where_it_is() -> None:
    page = Print(Page(paper=1.0, grain=0.5, paper_blue=0.8))
    first = page(styled(160)).rgb
    assert np.array_equal(page(styled(160, flow=(5, 2))).rgb, first)
    assert first[..., 2].mean() < first[..., 0].mean() - 10
    assert first[..., 0].std() > 1


def test_light_glows_over_its_edge_and_darkness_does_not() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    picture[60:120, 90:150] = 250
    drawing = styled()
    lit = Print(Page(glow=0.8))(Styled(drawing.scene, picture, drawing.lines)).rgb.astype(int)
    assert lit[56, 120, 0] > 45
    assert lit[4, 4, 0] == 40


@given(st.floats(0, 1))
def test_every_strength_is_between_nothing_and_all(strength: float) -> None:
    page = with_page_strength(Page(dots=0.8, fade=0.5, paper_red=0.9), strength)
    assert 0 <= page.dots <= 0.8 and 0 <= page.fade <= 0.5 and 0.9 <= page.paper_red <= 1


def test_eyes_stay_clear() -> None:
    drawing = styled(face_at=(180, 90))
    landmarks = drawing.scene.faces[0].landmarks
    for eye, x in zip(EYES, (168, 192), strict=True):
        landmarks[eye.opening, :2] = (x, 85)
        landmarks[eye.outer_corner, 0], landmarks[eye.inner_corner, 0] = x - 6, x + 6
    printed = luma(Print(DOTS), drawing)
    assert (printed[84:87, 164:172] == 110).all() and (printed[84:87, 188:196] == 110).all(), "shut or open"
    assert (printed[70:76] != 110).any()
