import cv2
import numpy as np

from realtime.person_mask import along_edges, full_size
from realtime.types import Mask, RgbImage, Size

SIZE = Size(320, 180)


def figure() -> tuple[RgbImage, Mask]:
    """A dark figure before a bright wall, with a spike of hair; and its true outline."""
    true = np.zeros((180, 320), np.uint8)
    cv2.circle(true, (160, 110), 60, 1, -1)
    cv2.line(true, (160, 60), (190, 30), 1, 5)
    rgb = np.where(true[..., None] > 0, np.uint8(60), np.uint8(190)).repeat(3, 2)
    return np.ascontiguousarray(rgb), true.astype(np.float32)


def seen(true: Mask, off_px: float = 4.0) -> Mask:
    """The outline as a small network sees it: coarse, soft and a little beside."""
    off = cv2.warpAffine(true, np.array([[1, 0, off_px], [0, 1, 0]], np.float32), (320, 180))
    return cv2.GaussianBlur(cv2.resize(off, (64, 36), interpolation=cv2.INTER_AREA), (0, 0), 1.0)


def test_the_edge_goes_where_the_pictures_is() -> None:
    rgb, true = figure()
    wrong = [float(np.abs(mask - true).mean()) for mask in (full_size(seen(true), SIZE), along_edges(seen(true), rgb))]
    assert wrong[1] < 0.7 * wrong[0]


def test_noise_makes_no_holes() -> None:
    rgb, true = figure()
    noisy = np.clip(rgb + np.random.default_rng(0).normal(0, 5, rgb.shape), 0, 255).astype(np.uint8)
    mask = along_edges(seen(true, 0.0), noisy)
    inside, outside = cv2.erode(true, np.ones((15, 15))) > 0, cv2.dilate(true, np.ones((25, 25))) == 0
    assert mask[inside].min() > 0.98
    assert mask[outside].max() < 0.02


def test_nothing_is_seen_in_a_mask_of_nothing_nor_missing_in_one_of_all() -> None:
    rgb, _ = figure()
    for value in (0.0, 1.0):
        np.testing.assert_allclose(along_edges(np.full((2, 2), value, np.float32), rgb), value, atol=1e-3)
