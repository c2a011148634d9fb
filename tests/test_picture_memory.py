import numpy as np

from realtime.picture_memory import TAU_S, PictureMemory
from realtime.types import Flow

STILL: Flow = np.full((16, 16, 2), 1e-4, np.float32)  # hardly any motion


def checks(offset: int) -> np.ndarray:
    x = (np.arange(64) + offset) // 2 % 2 * 40 + 100
    return np.ascontiguousarray(np.broadcast_to(x[None, :, None], (64, 64, 3)).astype(np.uint8))


def test_the_first_drawing_and_one_without_known_motion_pass() -> None:
    memory = PictureMemory()
    assert memory(checks(0), None, 0.0) is not None
    np.testing.assert_array_equal(memory(checks(1), None, 1 / 30), checks(1))
    np.testing.assert_array_equal(memory(checks(2)[:32], STILL, 1 / 30), checks(2)[:32])


def test_an_edge_that_boils_is_averaged_by_the_formula() -> None:
    memory = PictureMemory()
    memory(checks(0), STILL, 0.0)
    out = memory(checks(1), STILL, 0.05).astype(float)
    share = 1 - np.exp(-0.05 / TAU_S)
    np.testing.assert_allclose(out, checks(0) + share * (checks(1).astype(float) - checks(0)), atol=0.51)


def test_half_steps_equal_whole_steps() -> None:
    whole, half = PictureMemory(), PictureMemory()
    for memory in (whole, half):
        memory(checks(0), STILL, 0.0)
    a = whole(checks(1), STILL, 0.06).astype(int)
    half(checks(1), STILL, 0.03)
    assert np.abs(half(checks(1), STILL, 0.03) - a).max() <= 1


def test_nothing_that_is_gone_stays_behind() -> None:
    memory = PictureMemory()
    drawn = np.full((64, 64, 3), 150, np.uint8)
    barred = drawn.copy()
    barred[:, 20:30] = 20
    memory(barred, STILL, 0.0)
    np.testing.assert_array_equal(memory(drawn, STILL, 1 / 30), drawn)


def test_the_past_moves_along() -> None:
    memory = PictureMemory()
    ramp = np.tile(np.arange(0, 192, 3).astype(np.uint8)[None, :, None], (64, 1, 3))
    memory(ramp, STILL, 0.0)
    flow = np.tile(np.array([-1.0, 0.0], np.float32), (16, 16, 1))
    out = memory(np.roll(ramp, 1, axis=1), flow, 1 / 30)
    np.testing.assert_allclose(out[:, 4:-4].astype(int), np.roll(ramp, 1, axis=1)[:, 4:-4], atol=1)


def test_reset_and_no_steadiness() -> None:
    memory = PictureMemory()
    memory(checks(0), STILL, 0.0)
    memory.reset()
    np.testing.assert_array_equal(memory(checks(1), STILL, 1 / 30), checks(1))
    none = PictureMemory(0.0)
    none(checks(0), STILL, 0.0)
    np.testing.assert_array_equal(none(checks(1), STILL, 1 / 30), checks(1))
