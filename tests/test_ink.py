"""The drawn face follows the person's lids, gaze and mouth, stays where the face is, and never fails."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import astronaut

from realtime.ink import Ink
from realtime.ink.canvas import Canvas, Overlay, Stroke, curve, ribbons
from realtime.ink.eye_colour import Cues, bare_luma
from realtime.ink.eye_shape import shape_eyes
from realtime.ink.face import SKIN as SKIN_POINTS
from realtime.ink.face import sketch_face
from realtime.ink.memory import FaceMemory
from realtime.ink.touch_up import TouchUp
from realtime.landmarks import (
    EYES,
    FACE_OVAL,
    LEFT_EYE,
    LIPS_INNER_BOTTOM,
    LIPS_OUTER_BOTTOM,
    LIPS_OUTER_TOP,
    RIGHT_EYE,
    RIGHT_TEMPLE,
    EyePoints,
)
from realtime.profile import Profile
from realtime.steady import Steady
from realtime.types import Face, Frame, Scene, Styled, read_only

LANDMARKS = np.load(Path(__file__).parent / "data" / "astronaut_landmarks.npy")  # MediaPipe's, of skimage's portrait
PHOTO = np.ascontiguousarray(astronaut()[..., :3])
SKIN = np.array((222, 178, 152), np.uint8)
PAPER = np.empty_like(PHOTO)  # a drawing in which only what Ink draws is to be seen
PAPER[:] = SKIN

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


def styled(
    landmarks: F32 | None = LANDMARKS,
    t: float = 0.0,
    photo: U8 = PHOTO,
    drawing: U8 = PAPER,
    lines: U8 | None = None,
    pose: F32 | None = None,
) -> Styled:
    faces = () if landmarks is None else (Face(landmarks, None, pose),)
    ink = np.zeros(drawing.shape[:2], np.uint8) if lines is None else lines
    frame = Frame(read_only(photo.copy()), t, 0.0, 0)
    scene = Scene(frame, np.ones((4, 4), np.float32), faces)
    return Styled(scene, read_only(drawing.copy()), read_only(ink))


def luma(rgb: U8) -> F32:
    return (rgb.astype(np.float32) @ np.array((0.299, 0.587, 0.114), np.float32)).astype(np.float32)


def with_opening(eye: EyePoints, share: float) -> F32:
    """The portrait's landmarks with one eye's lids at `share` of their distance."""
    moved = LANDMARKS.copy()
    moved[eye.upper_lid] = LANDMARKS[eye.lower_lid] + share * (LANDMARKS[eye.upper_lid] - LANDMARKS[eye.lower_lid])
    return moved


def eye_box(eye: EyePoints, margin: float = 0.1) -> tuple[slice, slice]:
    points = LANDMARKS[eye.opening, :2]
    margin *= np.ptp(points[:, 0])
    (x0, y0), (x1, y1) = points.min(0) - margin, points.max(0) + margin
    return slice(int(y0), int(y1) + 1), slice(int(x0), int(x1) + 1)


def moved_eyes(shift: float) -> tuple[F32, U8]:
    """Landmarks and photo of the portrait with both irises moved to the side by `shift` eye widths."""
    landmarks, photo = LANDMARKS.copy(), PHOTO.copy()
    for eye in EYES:
        width = float(np.ptp(LANDMARKS[eye.opening, 0]))
        irises = [eye.iris_centre, *eye.iris_ring]
        landmarks[irises, 0] += shift * width
        opening = np.zeros(photo.shape[:2], np.uint8)
        cv2.fillPoly(opening, [np.rint(landmarks[eye.opening, :2]).astype(np.int32)], 255)
        ball = photo.copy()
        ball[:] = (190, 175, 165)
        x, y = landmarks[eye.iris_centre, :2]
        cv2.circle(ball, (round(float(x)), round(float(y))), round(0.2 * width), (60, 40, 30), -1)
        photo[opening > 0] = ball[opening > 0]
    return landmarks, photo


def iris_place(picture: U8, eye: EyePoints) -> float:
    """Centre of darkness along x, between the lids, where no lid line lies."""
    upper, lower = LANDMARKS[eye.upper_lid[2:-2], :2], LANDMARKS[eye.lower_lid[2:-2], :2]
    points = np.concatenate([upper * (1 - k) + lower * k for k in np.linspace(0.45, 0.8, 8)])
    points = np.concatenate([points + np.array((dx, 0)) for dx in np.linspace(-1, 1, 5)]).astype(int)
    dark = np.maximum(luma(picture)[points[:, 1], points[:, 0]].max() - luma(picture)[points[:, 1], points[:, 0]], 0)
    return float((points[:, 0] * dark**2).sum() / (dark**2).sum())


def test_open_eyes_show_white_and_iris() -> None:
    picture = Ink()(styled()).rgb
    for eye in EYES:
        part = luma(picture[eye_box(eye)])
        assert part.max() > luma(SKIN[None])[0] + 6  # white and highlight
        assert part.min() < 70  # iris, pupil, lid line


@pytest.mark.parametrize("eye", EYES)
def test_a_closed_eye_is_a_line_without_white(eye: EyePoints) -> None:
    other = LEFT_EYE if eye is RIGHT_EYE else RIGHT_EYE
    picture = Ink()(styled(with_opening(eye, 0.04))).rgb
    closed = luma(picture[eye_box(eye)])
    assert closed.max() <= luma(SKIN[None])[0] + 3
    assert closed.min() < 110  # the lid line
    assert luma(picture[eye_box(other)]).max() > luma(SKIN[None])[0] + 6  # a wink closes one eye


def test_closing_is_gradual() -> None:
    """No step of 5 % of the opening changes the picture of the eye suddenly."""
    frames = [Ink()(styled(with_opening(RIGHT_EYE, s))).rgb[eye_box(RIGHT_EYE)] for s in np.linspace(0, 1, 21)]
    steps = [float(np.abs(luma(a) - luma(b)).mean()) for a, b in itertools.pairwise(frames)]
    assert max(steps) < 18
    assert sum(steps) > 15


def moved_lids(share: float) -> F32:
    """The portrait's landmarks with both eyes' lids at `share` of their distance."""
    moved = LANDMARKS.copy()
    for eye in EYES:
        moved[eye.upper_lid] = LANDMARKS[eye.lower_lid] + share * (LANDMARKS[eye.upper_lid] - LANDMARKS[eye.lower_lid])
    return moved


def test_lowered_lashes_leave_no_dark_below_the_drawn_lid() -> None:
    """A generator paints lashes that hang over the lower lid as dark colour, beyond its ink; a strand of hair stays."""
    shut = with_opening(LEFT_EYE, 0.2)
    upper, lower = shut[LEFT_EYE.upper_lid, :2], shut[LEFT_EYE.lower_lid, :2]
    width = float(np.ptp(upper[:, 0]))
    lashes, strand = PAPER.copy(), PAPER.copy()
    hanging = np.concatenate([upper, lower[::-1] + np.array((0, 0.2 * width), np.float32)])
    cv2.fillPoly(lashes, [np.rint(hanging).astype(np.int32)], (40, 15, 12))
    x = round(float(lower[4, 0]))
    cv2.line(
        strand, (x, round(float(lower[4, 1] - 2 * width))), (x, round(float(lower[4, 1] + 2 * width))), (40, 15, 12), 5
    )
    below = (
        slice(round(float(lower[4, 1] + 0.1 * width)), round(float(lower[4, 1] + 0.2 * width))),
        slice(x - 2, x + 3),
    )
    for drawing, dark in ((lashes, False), (strand, True)):
        assert (luma(drawing[below]) < 60).any()
        ink = Ink()
        ink(styled(drawing=drawing))
        drawn = luma(ink(styled(shut, t=0.1, drawing=drawing)).rgb[below])
        assert bool((drawn < 60).any()) == dark


def test_a_wink_that_landmarks_show_half_shut_is_drawn_shut() -> None:
    """MediaPipe keeps up to two fifths of an eye's openness in a wink."""
    ink = Ink()
    ink(styled(t=0.0))
    closed = luma(ink(styled(with_opening(LEFT_EYE, 0.4), t=0.1)).rgb[eye_box(LEFT_EYE)])
    assert closed.max() <= luma(SKIN[None])[0] + 3


def test_a_blink_that_is_half_over_is_no_shut_eye() -> None:
    """A wink keeps two fifths of the openness in the landmarks, a blink of both eyes a third at most.

    Eyes that are half shut keep three quarters (demo clip): three fifths are well below.
    """
    ink, wink = Ink(), Ink()
    for each in (ink, wink):
        each(styled(t=0.0))
    half = luma(ink(styled(moved_lids(0.6), t=0.1)).rgb[eye_box(LEFT_EYE)])
    winked = luma(wink(styled(with_opening(LEFT_EYE, 0.41), t=0.1)).rgb[eye_box(LEFT_EYE)])
    assert half.min() < 80
    assert (half < 120).sum() > 1.4 * (winked < 120).sum()


def test_eyes_that_are_always_narrow_are_no_closed_ones() -> None:
    ink, narrow = Ink(), moved_lids(0.53)
    ink(styled(t=0.0))
    pictures = [ink(styled(narrow, t=0.1 + 0.4 * k)).rgb for k in range(50)]
    shut, wide = Ink()(styled(moved_lids(0.1))).rgb, Ink()(styled()).rgb
    for eye in EYES:
        away = [float(np.abs(luma(p[eye_box(eye)]) - luma(shut[eye_box(eye)])).mean()) for p in (*pictures, wide)]
        assert away[-2] > 0.4 * away[-1]


def test_a_lost_face_fades_and_a_cut_does_not() -> None:
    ink = Ink()
    whole = ink(styled(t=0.0)).rgb
    fading = ink(styled(None, t=1 / 30)).rgb
    change = [float(np.abs(picture.astype(int) - PAPER).sum()) for picture in (whole, fading)]
    assert 0.3 * change[0] < change[1] < 0.9 * change[0]
    assert (ink(styled(None, t=0.4)).rgb == PAPER).all()
    ink(styled(t=0.5))
    lost = styled(None, t=0.53)
    cut = replace(lost, scene=replace(lost.scene, fresh=True))
    assert ink(cut) is cut


def test_a_face_too_small_is_left_to_the_generator() -> None:
    def sized(width_px: float) -> bool:
        points = LANDMARKS.copy()
        points[:, :2] = (points[:, :2] - points[:, :2].mean(0)) * (width_px / np.ptp(points[:, 0])) + 200
        return bool((Ink()(styled(points.astype(np.float32))).rgb != PAPER).any())

    assert not sized(30)
    assert sized(60)


def test_expression_exaggerates() -> None:
    landmarks, photo = moved_eyes(0.14)
    true, strong = (Ink(expression=e)(styled(landmarks, photo=photo)).rgb for e in (1.0, 1.5))
    assert sum(iris_place(strong, eye) - iris_place(true, eye) for eye in EYES) > 0.5
    speaking = LANDMARKS.copy()
    speaking[LIPS_INNER_BOTTOM[1:-1], 1] += 12
    mouth = np.concatenate([LANDMARKS[LIPS_INNER_BOTTOM, :2], speaking[LIPS_INNER_BOTTOM, :2][::-1]])
    photo = PHOTO.copy()
    cv2.fillPoly(photo, [np.rint(mouth).astype(np.int32)], (40, 12, 14))
    below = int(LANDMARKS[LIPS_OUTER_TOP, 1].min())
    pictures = [luma(Ink(expression=e)(styled(speaking, photo=photo)).rgb)[below:] for e in (1.0, 1.25, 1.5)]
    dark = [int((picture < 110).sum()) for picture in pictures]
    assert dark[0] < dark[1] < dark[2]


def test_lashes_and_make_up_have_strengths() -> None:
    inked = [float((255 - luma(Ink(TouchUp(lashes=share))(styled()).rgb)).sum()) for share in (0.0, 1.0, 2.0)]
    assert inked[0] < inked[1] < inked[2]
    drawing = PAPER.copy()
    outline = np.concatenate([LANDMARKS[LIPS_OUTER_TOP, :2], LANDMARKS[LIPS_OUTER_BOTTOM[::-1], :2]])
    cv2.fillPoly(drawing, [np.rint(outline).astype(np.int32)], (190, 110, 112))
    lips = LANDMARKS[LIPS_OUTER_BOTTOM[5], :2] * 0.5 + LANDMARKS[LIPS_INNER_BOTTOM[5], :2] * 0.5
    x, y = np.rint(lips).astype(int)
    red = []
    for strength in (0.0, 1.0, 1.5):
        lip = Ink(TouchUp(make_up=strength))(styled(drawing=drawing)).rgb[y - 1 : y + 2, x - 2 : x + 3].astype(int)
        red.append(float((lip[..., 0] - lip[..., 1]).mean()))
    assert red[0] < red[1] < red[2]


def test_opacity_lets_the_drawing_before_show_through() -> None:
    before = styled()
    none, half, full = (Ink(TouchUp(opacity=share))(before).rgb.astype(int) for share in (0.0, 0.5, 1.0))
    assert np.array_equal(none, before.rgb)
    assert np.abs(half - (before.rgb.astype(int) + full) / 2).max() <= 1
    assert np.abs(full - before.rgb).max() > 50


def test_a_profile_is_used_at_once() -> None:
    blue = Profile((0.26, 0.26), (0.06, 0.06), (-0.3, 0.3), (0.3, 0.6, 1.2), False)
    shades = []
    for profile in (None, blue):
        part = Ink(profile=profile)(styled()).rgb[eye_box(RIGHT_EYE)].astype(int)
        shades.append(int((part[..., 2] - part[..., 0]).max()))
    assert shades[1] > shades[0] + 15


def test_a_profile_of_small_ups_and_downs_makes_them_larger() -> None:
    measured = Profile((0.26, 0.26), (0.06, 0.06), (-0.3, 0.3), (0.3, 0.3, 0.3), False, (-0.06, 0.04))
    heights = []
    for profile in (replace(measured, drop=(0.0, 0.0)), measured):
        each = []
        for shift in (-0.06, 0.06):
            landmarks = LANDMARKS.copy()
            for eye in EYES:
                irises = [eye.iris_centre, *eye.iris_ring]
                landmarks[irises, 1] += shift * float(np.ptp(LANDMARKS[eye.opening, 0]))
            memory = FaceMemory(0.0, 1.0, profile)
            memory.appear(Face(landmarks), 0.0, 0.1)
            sketch = sketch_face(memory, PHOTO, PAPER, TouchUp(), 1.0)
            assert sketch is not None
            each.append(float(np.mean([eye.iris[1] for eye in shape_eyes(sketch, memory)])))
        heights.append(each[1] - each[0])
    assert heights[1] > 1.2 * heights[0]


def test_the_drawn_iris_follows_the_gaze() -> None:
    places = {}
    for shift in (-0.16, 0.0, 0.16):
        landmarks, photo = moved_eyes(shift)
        picture = Ink()(styled(landmarks, photo=photo)).rgb
        places[shift] = [iris_place(picture, eye) for eye in EYES]
    for side, eye in enumerate(EYES):
        width = float(np.ptp(LANDMARKS[eye.opening, 0]))
        assert places[-0.16][side] < places[0.0][side] - 0.05 * width
        assert places[0.16][side] > places[0.0][side] + 0.05 * width


def test_where_landmarks_lag_the_photo_has_its_say_in_the_gaze() -> None:
    """Landmarks that put the irises nearer to the middle than they are in the photo."""
    landmarks = moved_eyes(0.09)[0]
    truth, photo = moved_eyes(0.14)
    middle = [iris_place(Ink()(styled(landmarks, photo=moved_eyes(0.09)[1])).rgb, eye) for eye in EYES]
    corrected = [iris_place(Ink()(styled(landmarks, photo=photo)).rgb, eye) for eye in EYES]
    for side, eye in enumerate(EYES):
        step = float(truth[eye.iris_centre, 0] - landmarks[eye.iris_centre, 0])
        assert corrected[side] - middle[side] > 0.3 * step


def test_light_irises_keep_their_colour() -> None:
    """They are no dark disc on a bright ground, and ruddy skin beside them makes them brown by the numbers."""
    photo = PHOTO.copy()
    for eye in EYES:
        x, y = LANDMARKS[eye.iris_centre, :2]
        opening = np.zeros(photo.shape[:2], np.uint8)
        cv2.fillPoly(opening, [np.rint(LANDMARKS[eye.opening, :2]).astype(np.int32)], 255)
        iris = np.zeros_like(opening)
        cv2.circle(iris, (round(float(x)), round(float(y))), round(0.22 * np.ptp(LANDMARKS[eye.opening, 0])), 255, -1)
        photo[opening > 0] = (196, 170, 160)
        photo[(opening > 0) & (iris > 0)] = (120, 140, 165)
    for eye in EYES:
        blue, brown = (Ink()(styled(photo=p)).rgb[eye_box(eye)].astype(int) for p in (photo, PHOTO))
        assert (blue[..., 2] - blue[..., 0]).max() > 15
        assert (brown[..., 2] - brown[..., 0]).max() < 8


def with_irises(skin: tuple[int, int, int], iris: tuple[int, int, int], white: tuple[int, int, int]) -> U8:
    """The portrait with irises, whites and skin of those colours; the skin's light and shade are kept."""
    shade = luma(PHOTO)[..., None] / luma(SKIN[None])[0]
    photo = np.clip(shade * np.array(skin) * 0.95, 0, 255).astype(np.uint8)
    for eye in EYES:
        x, y = (round(float(v)) for v in LANDMARKS[eye.iris_centre, :2])
        opening, disc = np.zeros(photo.shape[:2], np.uint8), np.zeros(photo.shape[:2], np.uint8)
        cv2.fillPoly(opening, [np.rint(LANDMARKS[eye.opening, :2]).astype(np.int32)], 255)
        cv2.circle(disc, (x, y), round(0.22 * np.ptp(LANDMARKS[eye.opening, 0])), 255, -1)
        photo[opening > 0] = white
        photo[(opening > 0) & (disc > 0)] = iris
    return photo


def drawn_iris(skin: tuple[int, int, int], iris: tuple[int, int, int], white: tuple[int, int, int]) -> F32:
    """RGB in which such irises are drawn."""
    ink = Ink()
    ink(styled(photo=with_irises(skin, iris, white), drawing=np.full_like(PHOTO, skin)))
    memory = ink.memory_of(0)
    assert memory is not None
    return np.asarray(memory["iris colour 0"])


def test_black_irises_in_deep_skin_are_no_grey_or_blue_ones() -> None:
    """They are nearly as bright as such skin, and less red than it."""
    red, green, blue = drawn_iris((137, 88, 68), (42, 41, 39), (108, 98, 90))
    assert blue < 0.8 * red
    assert green < red
    red, _, blue = drawn_iris((137, 88, 68), (40, 66, 74), (108, 98, 90))  # but truly blue ones are
    assert blue > red


def test_grey_irises_in_ruddy_skin_and_warm_light_are_no_brown_ones() -> None:
    red, green, blue = drawn_iris((228, 180, 160), (118, 104, 95), (140, 120, 108))
    assert blue > 0.8 * red
    assert green > 90
    red, _, blue = drawn_iris((228, 180, 160), (118, 78, 44), (140, 120, 108))  # amber is not grey
    assert blue < 0.6 * red


def test_dark_blue_irises_are_blue_and_black_ones_brown() -> None:
    red, _, blue = drawn_iris((190, 150, 125), (24, 34, 42), (100, 98, 92))
    assert blue > red
    red, _, blue = drawn_iris((190, 150, 125), (12, 12, 14), (100, 98, 92))
    assert blue < red


def test_irises_of_a_black_and_white_picture_have_no_colour() -> None:
    assert np.ptp(drawn_iris((150, 149, 150), (84, 84, 84), (190, 190, 190))) < 4
    assert np.ptp(drawn_iris((150, 149, 150), (150, 60, 60), (190, 190, 190))) > 40  # but for those painted in


def test_eyes_as_pale_as_their_white_are_seen() -> None:
    photo = with_irises((205, 190, 180), (95, 130, 145), (108, 108, 102))
    memory = FaceMemory(0.0, 1.0)
    memory.appear(Face(LANDMARKS), 0.0, 0.1)
    sketch = sketch_face(memory, photo, PAPER, TouchUp(), 1.0)
    assert sketch is not None
    assert min(Cues.of(sketch, eye, bare_luma(sketch)).likeness for eye in shape_eyes(sketch, memory)) > 0.5


def test_bright_whites_in_a_dark_face_are_no_glare() -> None:
    ink = Ink()
    ink(styled(photo=with_irises((105, 64, 48), (26, 20, 18), (196, 186, 178)), drawing=np.full_like(PHOTO, 90)))
    memory = ink.memory_of(0)
    assert memory is not None
    assert min(memory.get("visible 0", 0.5), memory.get("visible 1", 0.5)) > 0.9


def test_eyes_that_shine_through_dark_glasses_are_not_drawn() -> None:
    photo, lens = PHOTO.copy(), np.zeros(PHOTO.shape[:2], np.uint8)
    span = float(np.linalg.norm(LANDMARKS[LEFT_EYE.iris_centre, :2] - LANDMARKS[RIGHT_EYE.iris_centre, :2]))
    for eye in EYES:
        place = tuple(round(float(v)) for v in LANDMARKS[eye.opening, :2].mean(0) + np.array((0, 0.2 * span)))
        cv2.ellipse(lens, place, (round(0.46 * span), round(0.5 * span)), 0, 0, 360, 255, -1)
    photo[lens > 0] = 0.17 * photo[lens > 0]
    ink = Ink()
    ink(styled(photo=photo))
    memory = ink.memory_of(0)
    assert memory is not None
    assert max(memory.get("visible 0", 0.5), memory.get("visible 1", 0.5)) < 0.1


def test_dark_glasses_stay_dark() -> None:
    photo, drawing = PHOTO.copy(), PAPER.copy()
    lens = np.zeros(photo.shape[:2], np.uint8)
    for eye in EYES:
        points = LANDMARKS[eye.opening, :2]
        centre, width = points.mean(0), np.ptp(points[:, 0])
        place = tuple(round(float(v)) for v in centre + np.array((0, 0.15 * width)))
        cv2.ellipse(lens, place, (round(0.95 * width), round(0.7 * width)), 0, 0, 360, 255, -1)
    photo[lens > 0] = drawing[lens > 0] = (22, 20, 24)
    picture = Ink()(styled(photo=photo, drawing=drawing)).rgb
    for eye in EYES:
        box = eye_box(eye)
        assert np.abs(picture[box].astype(int) - drawing[box]).max() <= 6


@pytest.mark.parametrize("eye", EYES)
def test_no_eye_is_drawn_on_a_hand_before_it(eye: EyePoints) -> None:
    photo = PHOTO.copy()
    x, y = np.rint(LANDMARKS[eye.opening, :2].mean(0)).astype(int)
    photo[y - 16 : y + 17, x - 22 : x + 23] = SKIN
    picture = Ink()(styled(photo=photo)).rgb
    covered, other = (luma(picture[eye_box(e)]) for e in (eye, LEFT_EYE if eye is RIGHT_EYE else RIGHT_EYE))
    assert np.ptp(covered) < 12
    assert np.ptp(other) > 100


def test_the_rim_of_glasses_stays_on_top() -> None:
    drawing, lines = PAPER.copy(), np.zeros(PAPER.shape[:2], np.uint8)
    lid = LANDMARKS[RIGHT_EYE.lower_lid, :2]
    rim = np.rint(lid + np.array((0, 0.22 * np.ptp(lid[:, 0])))).astype(np.int32)
    cv2.polylines(lines, [rim], False, 255, 1)
    drawing[lines > 0] = (20, 20, 20)
    photo = PHOTO.copy()
    photo[lines > 0] = (30, 28, 30)
    picture = Ink()(styled(photo=photo, drawing=drawing, lines=lines)).rgb
    assert picture[lines > 0].max() <= 40


@pytest.mark.parametrize("whole", [True, False])
def test_glasses_of_the_generators_stay_whole(whole: bool) -> None:
    """Silver ones are nowhere dark in the photo, and lower parts are scraps by themselves; a single rim is one."""
    photo, drawing, lines = PHOTO.copy(), PAPER.copy(), np.zeros(PAPER.shape[:2], np.uint8)
    lower = np.zeros_like(lines)
    places = []
    for eye in EYES if whole else EYES[:1]:
        points = LANDMARKS[eye.opening, :2]
        width = float(np.ptp(points[:, 0]))
        places.append(tuple(round(float(v)) for v in points.mean(0)))
        axes = (round(0.7 * width), round(0.6 * width))
        cv2.ellipse(lines, places[-1], axes, 0, 0, 360, 255, 2)
        cv2.ellipse(lower, places[-1], axes, 0, 40, 140, 255, 1)
    if whole:
        cv2.line(lines, (places[0][0] + axes[0], places[0][1]), (places[1][0] - axes[0], places[1][1]), 255, 2)
        photo[lines > 0] = (215, 215, 218)
    drawing[lines > 0] = (30, 28, 30)
    drawn = luma(Ink()(styled(photo=photo, drawing=drawing, lines=lines)).rgb)[lower > 0]
    assert (np.percentile(drawn, 90) < 80) == whole
    assert (np.median(drawn) > 150) != whole


@pytest.mark.parametrize("within", [False, True])
def test_lines_where_the_photo_has_none_go_from_a_face_but_not_from_the_hair_beside_it(within: bool) -> None:
    outline = LANDMARKS[[RIGHT_TEMPLE, 127, 162], :2]
    middle = LANDMARKS[FACE_OVAL, :2].mean(0)
    place = np.rint(middle + (0.8 if within else 0.98) * (outline - middle)).astype(np.int32)
    photo, drawing, lines = PHOTO.copy(), PAPER.copy(), np.zeros(PAPER.shape[:2], np.uint8)
    cv2.polylines(lines, [place], False, 255, 2)
    photo[cv2.dilate(lines, np.ones((9, 9), np.uint8)) > 0] = SKIN
    drawing[lines > 0] = (20, 20, 20)
    drawn = luma(Ink()(styled(photo=photo, drawing=drawing, lines=lines)).rgb)[lines > 0]
    assert (np.median(drawn) > 120) == within


def glasses_seat() -> tuple[list[tuple[int, ...]], float]:
    """Where the middles of both lenses lie, and the distance between the eyes, px."""
    corners = [[LANDMARKS[c, :2] for c in (e.outer_corner, e.inner_corner)] for e in EYES]
    centres = [np.mean(pair, 0) for pair in corners]
    span = float(np.linalg.norm(centres[1] - centres[0]))
    return [tuple(round(float(v)) for v in c + np.array((0, 0.06 * span))) for c in centres], span


@pytest.mark.parametrize(("size", "bend", "worn"), [(1.0, 0, True), (1.0, 4, True), (0.68, 0, False)])
def test_rims_are_told_from_bags(size: float, bend: int, worn: bool) -> None:
    """Both are lines below the eyes and one across the nose, which is an arc on many glasses."""
    photo, line = PHOTO.copy(), np.zeros(PHOTO.shape[:2], np.uint8)
    places, span = glasses_seat()
    axes = (round(0.43 * size * span), round(0.34 * size * span))
    for place in places:
        cv2.ellipse(line, place, axes, 0, 5, 175, 255, 1)
    (left, y), (right, _) = places
    y -= round(0.1 * span)
    arch = np.array([(left + axes[0], y), ((left + right) // 2, y - bend), (right - axes[0], y)], np.int32)
    cv2.polylines(line, [arch], False, 255, 1)
    photo[line > 0] = (30, 28, 30)
    ink = Ink()
    ink(styled(photo=photo))
    memory = ink.memory_of(0)
    assert memory is not None
    assert (memory.get("glasses worn", 0.5) > 0.6) == worn
    assert (memory.get("glasses worn", 0.5) < 0.3) != worn


def test_thin_rims_in_the_photo_are_drawn_and_none_are_invented() -> None:
    photo, rim = PHOTO.copy(), np.zeros(PHOTO.shape[:2], np.uint8)
    places, span = glasses_seat()
    axes = (round(0.38 * span), round(0.32 * span))
    for place in places:
        cv2.ellipse(rim, place, axes, 0, 0, 360, 255, 1)
    cv2.line(rim, (places[0][0] + axes[0], places[0][1]), (places[1][0] - axes[0], places[1][1]), 255, 1)
    photo[rim > 0] = (30, 28, 30)
    below = np.zeros_like(rim)  # where no eye, lid or brow is drawn
    for place in places:
        cv2.ellipse(below, place, axes, 0, 30, 150, 255, 1)
    with_rims, without = (luma(Ink()(styled(photo=p)).rgb)[below > 0] for p in (photo, PHOTO))
    assert np.median(with_rims) < np.median(without) - 40
    assert np.median(without) > luma(SKIN[None])[0] - 5


def test_a_mole_is_drawn_and_stays_where_it_is_on_the_face() -> None:
    def spot(t: float, dx: int, ink: Ink) -> tuple[float, float]:
        """Luma of the drawing where the mole is, and as far away on the same cheek."""
        shift = np.array([[1.6, 0, dx - 180], [0, 1.6, -20]], np.float32)
        photo = cv2.GaussianBlur(PHOTO, (0, 0), 2)
        place = LANDMARKS[50, :2] + (4, 6)
        cv2.circle(photo, tuple(int(v) for v in place), 1, (90, 50, 40), -1, cv2.LINE_AA)
        photo = np.asarray(cv2.warpAffine(photo, shift, (512, 512), borderMode=cv2.BORDER_REPLICATE), np.uint8)
        points = LANDMARKS.copy()
        points[:, :2] = LANDMARKS[:, :2] @ shift[:, :2].T + shift[:, 2]
        gray = luma(ink(styled(points, t=t, photo=photo)).rgb)
        x, y = np.rint(place @ shift[:, :2].T + shift[:, 2]).astype(int)
        return float(gray[y - 2 : y + 3, x - 2 : x + 3].min()), float(gray[y + 9 : y + 13, x - 2 : x + 3].min())

    ink = Ink()
    for t, dx in ((0.0, 0), (0.033, 6)):
        mole, cheek = spot(t, dx, ink)
        assert mole < cheek - 30


@pytest.mark.parametrize(("darker", "place", "marks"), [(0.35, 50, 1), (0.2, 50, 0), (0.35, 200, 0)])
def test_faint_spots_and_the_shade_of_the_lip_are_no_moles(darker: float, place: int, marks: int) -> None:
    """On the cheek, and on the chin below the lower lip."""
    photo = cv2.GaussianBlur(cv2.resize(PHOTO, None, fx=1.6, fy=1.6), (0, 0), 3).astype(np.float32)
    points = LANDMARKS * 1.6
    x, y = (round(float(v)) for v in points[place, :2] + (6, 9))
    if place == 200:
        x, y = (round(float(v)) for v in points[LIPS_OUTER_BOTTOM[5], :2] + (0, 12))
    shade = np.zeros(photo.shape[:2], np.float32)
    cv2.circle(shade, (x, y), 3, darker, -1, cv2.LINE_AA)
    photo *= 1 - cv2.GaussianBlur(shade, (0, 0), 1)[..., None]
    drawing = np.full(photo.shape, SKIN, np.uint8)
    ink = Ink()
    ink(styled(points.astype(np.float32), photo=photo.astype(np.uint8), drawing=drawing))
    memory = ink.memory_of(0)
    assert memory is not None
    assert len(memory.marks) == marks


def test_nothing_outside_of_the_face_changes() -> None:
    picture = Ink()(styled(drawing=PHOTO)).rgb
    (x0, y0), (x1, y1) = LANDMARKS[:, :2].min(0).astype(int), LANDMARKS[:, :2].max(0).astype(int) + 1
    outside = np.ones(PHOTO.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    assert (picture[outside] == PHOTO[outside]).all()
    assert (picture != PHOTO).any()


def test_an_open_mouth_is_dark_and_has_the_teeth_of_the_photo() -> None:
    landmarks = LANDMARKS.copy()
    landmarks[LIPS_INNER_BOTTOM[1:-1], 1] += 14
    lower = landmarks[LIPS_INNER_BOTTOM, :2]
    outline = np.rint(np.concatenate([LANDMARKS[LIPS_INNER_BOTTOM, :2], lower[::-1]])).astype(np.int32)
    toothless, toothed = PHOTO.copy(), PHOTO.copy()
    cv2.fillPoly(toothless, [outline], (40, 12, 14))
    cv2.fillPoly(toothed, [outline], (235, 230, 220))
    x, y = np.rint((LANDMARKS[LIPS_INNER_BOTTOM[5], :2] + landmarks[LIPS_INNER_BOTTOM[5], :2]) / 2).astype(int)
    dark, bright = (
        luma(Ink()(styled(landmarks, photo=p)).rgb)[y - 1 : y + 2, x - 1 : x + 2].mean() for p in (toothless, toothed)
    )
    assert dark < 90
    assert bright > 140


def test_teeth_are_white_in_a_dark_face_too() -> None:
    landmarks = LANDMARKS.copy()
    landmarks[LIPS_INNER_BOTTOM[1:-1], 1] += 14
    lower = landmarks[LIPS_INNER_BOTTOM, :2]
    outline = np.rint(np.concatenate([LANDMARKS[LIPS_INNER_BOTTOM, :2], lower[::-1]])).astype(np.int32)
    photo = (PHOTO * np.array((0.45, 0.36, 0.3))).astype(np.uint8)
    cv2.fillPoly(photo, [outline], (205, 200, 190))
    x, y = np.rint((LANDMARKS[LIPS_INNER_BOTTOM[5], :2] + landmarks[LIPS_INNER_BOTTOM[5], :2]) / 2).astype(int)
    drawn = Ink()(styled(landmarks, photo=photo, drawing=np.full_like(PHOTO, (112, 70, 52)))).rgb
    assert luma(drawn)[y - 1 : y + 2, x - 1 : x + 2].mean() > 145


def test_the_drawing_is_compared_with_the_photo_place_by_place() -> None:
    """A lens covers half of the places where skin is measured, one fewer in the photo: the drawing is no other hue."""
    photo, drawing = PHOTO.copy(), PHOTO.copy()
    photo[:], drawing[:] = SKIN, SKIN
    for picture, covered in ((photo, 6), (drawing, 7)):
        for x, y in np.rint(LANDMARKS[SKIN_POINTS[:covered], :2]).astype(int):
            picture[y - 2 : y + 3, x - 2 : x + 3] = (70, 90, 110)
    memory = FaceMemory(0.0, 1.0)
    memory.appear(Face(LANDMARKS), 0.0, 0.1)
    sketch = sketch_face(memory, photo, drawing, TouchUp(), 1.0)
    assert sketch is not None
    assert np.abs(sketch.gain - 1).max() < 0.02


def test_the_given_arrays_stay_as_they_are() -> None:
    given_rgb = PHOTO.copy()
    value = styled(drawing=given_rgb)
    before, lines, landmarks = value.rgb.copy(), value.lines.copy(), LANDMARKS.copy()
    result = Ink()(value)
    assert (value.rgb == before).all()
    assert (value.lines == lines).all()
    assert (landmarks == LANDMARKS).all()
    assert result.lines is value.lines
    assert result.scene is value.scene
    assert result.rgb is not value.rgb
    assert not result.rgb.flags.writeable


def test_a_writable_drawing_is_painted_on_all_of_it_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    value = styled()
    painted = Styled(value.scene, value.rgb.copy(), value.lines)
    result = Ink()(painted)
    assert result.rgb is painted.rgb
    assert (result.rgb == Ink()(value).rgb).all()
    assert not result.rgb.flags.writeable

    painted = Styled(value.scene, value.rgb.copy(), value.lines)
    monkeypatch.setattr("realtime.ink.stage.draw_glasses", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Ink()(painted)
    assert (painted.rgb == value.rgb).all()


def test_without_a_face_the_drawing_passes_through() -> None:
    value = styled(None)
    assert Ink()(value) is value


@pytest.mark.parametrize("fps", [15, 60])
def test_a_face_that_appears_fades_in_alike_at_any_frame_rate(fps: int) -> None:
    def after(rate: int, seconds: float) -> U8:
        ink = Ink()
        ink(styled(None, t=0.0))
        picture = PAPER
        for k in range(1, round((seconds + 0.2) * rate) + 1):
            t = k / rate
            picture = ink(styled(LANDMARKS if t >= 0.2 - 1e-9 else None, t=t)).rgb
        return picture

    half_way, reference, whole = after(fps, 0.2), after(30, 0.2), after(30, 2.0)
    assert np.abs(half_way.astype(int) - reference).max() <= 3
    assert np.abs(half_way.astype(int) - whole).max() > 20


def test_a_value_is_stale_as_long_as_it_was_not_measured_for_a_while() -> None:
    memory = FaceMemory(0.0, 1.0)
    assert memory.stale("level", 0.1)
    memory.ease("level", 1.0, 1.0)
    memory.t = 0.05
    assert not memory.stale("level", 0.1)
    memory.t = 0.1
    assert memory.stale("level", 0.1)


def test_smoothing_in_two_half_steps_is_one_step() -> None:
    once, twice = FaceMemory(0.0, 0.0), FaceMemory(0.0, 0.0)
    for memory in (once, twice):
        memory.ease("value", 0.0, 0.3)
    face = Face(LANDMARKS)
    once.appear(face, 0.2, 0.1)
    once.ease("value", 1.0, 0.3, 0.5)
    for t in (0.1, 0.2):
        twice.appear(face, t, 0.1)
        twice.ease("value", 1.0, 0.3, 0.5)
    assert once.presence == pytest.approx(twice.presence)
    assert once["value"] == pytest.approx(twice["value"], abs=1e-6)


def test_reset_is_a_new_object() -> None:
    ink = Ink()
    ink(styled(photo=np.ascontiguousarray(PHOTO[..., ::-1]), t=5.0))
    ink.reset()
    assert (ink(styled()).rgb == Ink()(styled()).rgb).all()


def test_the_far_eye_of_a_turned_face_is_smaller_and_its_strokes_too() -> None:
    turned = LANDMARKS.copy()
    middle = float(LANDMARKS[RIGHT_EYE.inner_corner, 0] + LANDMARKS[LEFT_EYE.inner_corner, 0]) / 2
    away = turned[:, 0] > middle  # the person's left
    turned[away, 0] = middle + 0.6 * (turned[away, 0] - middle)
    photo = PHOTO.copy()
    width = round(middle)
    shrunk = cv2.resize(PHOTO[:, width:], None, fx=0.6, fy=1.0, interpolation=cv2.INTER_AREA)
    photo[:, width : width + shrunk.shape[1]] = shrunk
    picture = luma(Ink()(styled(turned, photo=photo)).rgb)
    inked = []
    for eye in EYES:
        (x0, y0), (x1, y1) = (
            turned[eye.opening, :2].min(0).astype(int) - 4,
            turned[eye.opening, :2].max(0).astype(int) + 4,
        )
        inked.append(int((picture[y0:y1, x0:x1] < 90).sum()))
    assert 0 < inked[1] < 0.75 * inked[0]


def test_faces_that_cross_keep_apart() -> None:
    """Each keeps its track, and with it the colour of its irises, when one passes before the other."""
    steady, ink = Steady(), Ink()
    span = float(np.ptp(LANDMARKS[:, 0]))
    wide = np.full((400, 900, 3), SKIN, np.uint8)
    size = 0.5
    tracks, shades = [], []
    for k in range(61):
        faces, photo = [], wide.copy()
        for x, y, dark in ((150 + 10 * k, 150, (150, 110, 60)), (750 - 10 * k, 205, (70, 110, 170))):
            points = (LANDMARKS - LANDMARKS.mean(0)) * size + np.array((x, y, 0))
            for eye in EYES:
                cv2.fillPoly(photo, [np.rint(points[eye.opening, :2]).astype(np.int32)], (225, 215, 210))
                cx, cy = points[eye.iris_centre, :2]
                cv2.circle(photo, (round(float(cx)), round(float(cy))), 4, dark, -1)
            faces.append(Face(points.astype(np.float32)))
        order = faces if k % 2 else faces[::-1]  # a detector promises no order
        scene = steady(Scene(Frame(read_only(photo), k / 30, 0.0, k), np.ones((4, 4), np.float32), tuple(order)))
        ink(Styled(scene, read_only(photo), read_only(np.zeros(photo.shape[:2], np.uint8))))
        named = scene.faces if k % 2 else scene.faces[::-1]
        tracks.append(tuple(face.track for face in named))
        if abs(600 - 20 * k) > span:  # neither hides the other's eyes
            shades.append([ink.memory_of(track)["iris"] for track in tracks[-1]])  # type: ignore[index]
    assert len(set(tracks)) == 1
    for first, second in (shades[0], shades[-1]):
        assert second[2] / second[0] > 1.3 * first[2] / first[0]


def test_a_face_turned_far_away_is_left_to_the_generator() -> None:
    def turned(degrees: float) -> U8:
        a = np.radians(degrees)
        pose = np.eye(4, dtype=np.float32)
        pose[0, 0], pose[0, 2], pose[2, 0], pose[2, 2] = np.cos(a), np.sin(a), -np.sin(a), np.cos(a)
        return Ink()(styled(pose=pose)).rgb

    assert (turned(75) == PAPER).all()
    assert (turned(-75) == PAPER).all()
    assert (turned(20) != PAPER).any()


def test_a_still_face_gives_a_still_picture() -> None:
    ink = Ink()
    pictures = [ink(styled(t=k / 30)).rgb for k in range(4)]
    assert np.abs(pictures[-1].astype(int) - pictures[1]).max() <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(16, 90), st.integers(16, 90), st.floats(0, 6), st.floats(0, 360), st.floats(-2, 3), st.floats(-2, 3))
def test_no_face_is_a_failure(width: int, height: int, size: float, angle: float, x: float, y: float) -> None:
    """Faces of any size, roll and place, partly or wholly out of tiny frames."""
    a = np.radians(angle)
    points = LANDMARKS - LANDMARKS.mean(0)
    points = points / np.ptp(points[:, 1]) * (size * height)
    rolled = np.stack(
        [points[:, 0] * np.cos(a) - points[:, 1] * np.sin(a), points[:, 0] * np.sin(a) + points[:, 1] * np.cos(a)], 1
    )
    landmarks = np.concatenate([rolled + np.array((x * width, y * height)), points[:, 2:]], 1).astype(np.float32)
    rgb = np.full((height, width, 3), 120, np.uint8)
    assert Ink()(styled(landmarks, photo=rgb, drawing=rgb)).rgb.shape == rgb.shape


def test_broken_landmarks_are_no_failure() -> None:
    flat, lost = np.zeros_like(LANDMARKS), np.full_like(LANDMARKS, np.nan)
    for landmarks in (flat, lost, LANDMARKS[:, :2].copy(), LANDMARKS * 1e4):
        assert Ink()(styled(landmarks)).rgb.shape == PAPER.shape


def test_a_thin_stroke_gets_pale_instead_of_vanishing() -> None:
    paper = np.full((20, 40, 3), 200, np.uint8)
    path = curve(np.array([(4, 10.5), (20, 10.5), (36, 10.5)], np.float32))
    sums = []
    for width in (0.4, 0.8):
        canvas = Canvas(paper.copy())
        canvas.stroke(Stroke(path, np.full(len(path), width, np.float32), np.zeros(3, np.float32), 1.0))
        sums.append(int(200 * 20 * 40 * 3 - canvas.rgb.astype(int).sum()))
    assert 0 < sums[0] < sums[1]


def test_shapes_put_on_at_once_look_like_shapes_painted_one_by_one() -> None:
    paper = np.random.default_rng(3).integers(60, 250, (60, 90, 3), np.uint8)
    path = curve(np.array([(12, 40), (45, 20.3), (78, 40)], np.float32))
    blob = np.array([(20.5, 8), (70, 10), (45, 30.2)], np.float32)
    dark = np.array((30, 10, 12), np.float32)
    below = np.array((0, 12), np.float32)
    strokes = [Stroke(p[::2], np.linspace(1, 5, 13, dtype=np.float32), dark, 1.0) for p in (path, path + below)]
    strokes.insert(1, Stroke(path + 3, np.full(len(path), 0.01, np.float32), dark, 1.0))  # not to be seen
    one_by_one, overlay = Canvas(paper.copy()), Overlay((2, 3, 88, 57))
    for target in (one_by_one, overlay):
        target.fill(blob, np.array((200, 120, 90), np.float32), 0.6)
    for stroke, shape in zip(strokes, ribbons(strokes), strict=True):
        one_by_one.stroke(stroke)
        overlay.fill(*shape)
    at_once = paper.copy()
    overlay.put_on(at_once)
    assert np.abs(at_once.astype(int) - one_by_one.rgb).max() <= 4
    assert np.abs(at_once.astype(int) - paper).max() > 100
    left = paper.copy()
    overlay.put_on(left, over_it=lambda covered: np.full_like(covered, 255))
    assert np.abs(left.astype(int) - paper).max() <= 1


@pytest.mark.parametrize(("photo_bridge", "stays"), [(SKIN, False), (np.array((40, 36, 34), np.uint8), True)])
def test_ink_between_the_eyes_stays_only_where_the_photo_is_dark(photo_bridge: U8, stays: bool) -> None:
    middle = (LANDMARKS[RIGHT_EYE.inner_corner, :2] + LANDMARKS[LEFT_EYE.inner_corner, :2]) / 2
    x, y = (round(float(v)) for v in middle)
    bridge = np.s_[y - 2 : y + 3, x - 5 : x + 6]
    photo, drawing, lines = PHOTO.copy(), PAPER.copy(), np.zeros(PAPER.shape[:2], np.uint8)
    photo[bridge], drawing[bridge], lines[bridge] = photo_bridge, 30, 255
    drawn = luma(Ink()(styled(photo=photo, drawing=drawing, lines=lines)).rgb)[y, x]
    assert (drawn < 60) == stays
    assert (drawn > 150) != stays
