"""Reshaped faces: eyes grow, what is around stays, picture and landmarks bend alike, edges do no harm."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from realtime.landmarks import EYES, LEFT_EYE, RIGHT_EYE
from realtime.reshape import Reshape, Shape, with_shape_strength
from realtime.types import Face, Frame, Scene

SIZE = 240


def scene(shift: float = 0.0, eye_width: float = 30.0) -> Scene:
    """A face 160 high whose eyes are discs; `shift` moves it to the right."""
    points = np.full((478, 3), (120 + shift, 130, 0), np.float32)
    points[10, :2], points[152, :2] = (120 + shift, 40), (120 + shift, 200)
    picture = np.full((SIZE, SIZE, 3), 200, np.uint8)
    for eye, x in ((RIGHT_EYE, 85 + shift), (LEFT_EYE, 155 + shift)):
        angles = np.linspace(np.pi, 3 * np.pi, 16, endpoint=False)
        side = 1 if eye is RIGHT_EYE else -1
        opening = np.stack([x + side * eye_width / 2 * np.cos(angles), 100 + 6 * np.sin(angles)], 1)
        points[eye.opening, :2] = opening
        points[eye.iris_centre, :2] = (x, 100)
        cv2.circle(picture, (round(x), 100), 7, (20, 20, 20), -1)
    picture[:30] = (10, 200, 10)
    return Scene(Frame(picture, 0.0, 0.0, 0), np.ones((2, 2), np.float32), (Face(points),))


def dark(rgb: np.ndarray) -> int:
    return int((rgb[..., 0] < 110).sum() - 30 * SIZE)


def test_eyes_grow_and_their_landmarks_with_them() -> None:
    before = scene()
    after = Reshape(Shape(eyes=1.0))(before)
    assert dark(after.frame.rgb) > 1.5 * dark(before.frame.rgb)
    for eye in EYES:
        width = [float(np.ptp(s.faces[0].landmarks[eye.opening, 0])) for s in (before, after)]
        assert 1.15 * width[0] < width[1] < 1.7 * width[0]
        stays = before.faces[0].landmarks[eye.iris_centre]
        assert after.faces[0].landmarks[eye.iris_centre] == pytest.approx(stays, abs=1)
    assert np.array_equal(after.frame.rgb[:60], before.frame.rgb[:60]), "the forehead stays"
    assert np.array_equal(after.faces[0].landmarks[152], before.faces[0].landmarks[152]), "the chin stays"


def test_picture_and_landmarks_bend_alike() -> None:
    before = scene()
    mark = np.array([85 + 10, 100], np.float32)  # a point beside the iris
    points = before.faces[0].landmarks.copy()
    points[200, :2] = mark
    picture = before.frame.rgb.copy()
    picture[...] = 200
    cv2.circle(picture, (95, 100), 2, (0, 0, 0), -1)
    bent = Reshape(Shape(eyes=1.0))(Scene(Frame(picture, 0.0, 0.0, 0), before.person, (Face(points),)))
    y, x = np.nonzero(bent.frame.rgb[..., 0] < 100)
    assert bent.faces[0].landmarks[200, :2] == pytest.approx((x.mean(), y.mean()), abs=1.0)


@pytest.mark.parametrize("shift", [-100.0, -85.0, 85.0, 130.0])
def test_a_face_at_the_edge_stays_a_picture(shift: float) -> None:
    before = scene(shift)
    after = Reshape(Shape(eyes=1.0, nose=1.0))(before)
    assert after.frame.rgb.shape == before.frame.rgb.shape
    assert np.isfinite(after.faces[0].landmarks).all()


def test_an_eye_turned_away_and_a_style_without_shape_stay() -> None:
    narrow = scene(eye_width=8)
    assert np.array_equal(Reshape(Shape(eyes=1.0))(narrow).frame.rgb, narrow.frame.rgb)
    before = scene()
    assert Reshape(Shape())(before) is before
    assert with_shape_strength(Shape(1, 1), 0) == Shape()
