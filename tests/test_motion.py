import cv2
import numpy as np
import pytest
from skimage import data

from realtime.motion import Motion, flow_in_crop, moved
from realtime.types import RgbImage

PHOTO: RgbImage = cv2.resize(data.astronaut(), (640, 360), interpolation=cv2.INTER_AREA)


def shifted(x: float, y: float) -> RgbImage:
    return cv2.warpAffine(
        PHOTO, np.array([[1, 0, x], [0, 1, y]], np.float32), (640, 360), borderMode=cv2.BORDER_REFLECT
    )


def noisy(number: int) -> RgbImage:
    noise = np.random.default_rng(number).normal(0, 4, PHOTO.shape)
    return np.clip(PHOTO + noise + 0.5, 0, 255).astype(np.uint8)


def test_a_first_frame_has_no_motion_nor_has_one_of_another_size() -> None:
    motion = Motion()
    assert motion(PHOTO) is None
    assert motion(PHOTO[:300]) is None
    motion.reset()
    assert motion(PHOTO[:300]) is None
    assert motion(PHOTO[:8, :8]) is None
    assert motion(PHOTO[:8, :8]) is None, "too small to look for motion in"


@pytest.mark.parametrize("step", [(3.0, 0.0), (-5.0, 2.0), (0.0, 1.0)])
def test_the_step_back_is_found(step: tuple[float, float]) -> None:
    motion = Motion()
    motion(PHOTO)
    flow = motion(shifted(*step))
    assert flow is not None
    textured = flow[40:-40, 100:200].reshape(-1, 2)
    np.testing.assert_allclose(np.median(textured, axis=0), -np.array(step), atol=0.3)
    back = moved(PHOTO, flow)[40:-40, 40:-40].astype(int)
    still = np.abs(shifted(*step)[40:-40, 40:-40] - PHOTO[40:-40, 40:-40].astype(int)).mean()
    assert np.abs(back - shifted(*step)[40:-40, 40:-40]).mean() < 0.4 * still


def test_noise_is_no_motion() -> None:
    motion = Motion()
    motion(noisy(0))
    for number in range(1, 4):
        flow = motion(noisy(number))
        assert flow is not None
        assert (np.abs(flow).max(axis=2) > 0).mean() < 0.05


def test_a_crop_that_moves_with_its_content_sees_no_motion() -> None:
    flow = np.tile(np.array([-4.0, 2.0], np.float32), (90, 160, 1))
    before = np.array([[0.5, 0, -50], [0, 0.5, -20]], np.float32)
    now = before + np.array([[0, 0, -2], [0, 0, 1]], np.float32)  # the content moved by (4, -2)
    np.testing.assert_allclose(flow_in_crop(flow, (360, 640), now, before, 256, 128), 0, atol=1e-3)
    np.testing.assert_allclose(flow_in_crop(flow, (360, 640), before, before, 256, 128)[..., 0], -2, atol=1e-3)


def test_in_a_crop_that_stays_what_does_not_move_has_a_step_of_exactly_none() -> None:
    crop = np.array([[0.71, 0.02, -31.7], [-0.02, 0.71, 12.9]], np.float32)
    flow = np.zeros((90, 160, 2), np.float32)
    assert not flow_in_crop(flow, (360, 640), crop, crop, 256, 128).any()
    flow[:] = (-2, 1)
    held, moving = (flow_in_crop(flow, (360, 640), crop, before, 256, 128) for before in (crop, crop.copy()))
    np.testing.assert_allclose(held, moving, atol=1e-3)
