"""`realtime/lucas_kanade.py`: a flow that is nearly right gets nearer to the truth, and nothing is made up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from realtime.lucas_kanade import FURTHEST, refined
from realtime.types import Flow, GrayImage

HEIGHT, WIDTH = 60, 80  # of the flow


def places() -> Flow:
    x, y = np.meshgrid(np.arange(0, 2 * WIDTH, 2, dtype=np.float32), np.arange(0, 2 * HEIGHT, 2, dtype=np.float32))
    return np.dstack([x, y])


def textured(seed: int = 0) -> GrayImage:
    noise = np.random.default_rng(seed).uniform(0, 255, (2 * HEIGHT, 2 * WIDTH)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)


def turned(picture: GrayImage, degrees: float) -> tuple[GrayImage, Flow]:
    """The picture before it turned by so much about its middle, and the true flow back to it."""
    there = cv2.getRotationMatrix2D((WIDTH, HEIGHT), degrees, 1.0)
    before = cv2.warpAffine(picture, there, picture.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return before, ((cv2.transform(places(), there) - places()) / 2).astype(np.float32)


def off(flow: Flow, truth: Flow) -> float:
    """Pixels of the flow, the median over what does not lie at the rim."""
    return float(np.median(np.linalg.norm(flow - truth, axis=2)[5:-5, 5:-5]))


@pytest.mark.parametrize("wrong", [(0.2, 0.0), (0.0, -0.2), (0.15, 0.15)])
def test_a_step_that_is_a_little_wrong_gets_nearer(wrong: tuple[float, float]) -> None:
    now = textured()
    before, truth = turned(now, 1.5)
    begun = truth + np.array(wrong, np.float32)
    assert off(refined(begun, now, before, places()), truth) < 0.6 * off(begun, truth)


def test_a_right_step_stays() -> None:
    now = textured()
    before, truth = turned(now, 1.5)
    assert off(refined(truth, now, before, places()), truth) < 0.02
    assert not refined(np.zeros_like(truth), now, now, places()).any()


def test_where_nothing_is_to_be_seen_nothing_moves() -> None:
    flow = np.full((HEIGHT, WIDTH, 2), 0.25, np.float32)
    grey = np.full((2 * HEIGHT, 2 * WIDTH), 90, np.uint8)
    assert np.array_equal(refined(flow, grey, grey + 3, places()), flow)


def test_no_step_changes_by_more_than_the_furthest() -> None:
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    change = refined(flow, textured(1), textured(2), places())
    assert np.abs(change).max() == np.float32(FURTHEST)
