import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.one_euro import OneEuro


def column(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_first_values_come_back_as_they_are() -> None:
    first = column(3.0, -2.0)
    np.testing.assert_array_equal(OneEuro(1.0, 0.5)(first, 0.0), first)


def test_plain_low_pass_by_hand() -> None:
    # 1 - exp(-2 pi 1 Hz 0.1 s) = 0.466511; after two steps 1 - exp(-0.4 pi) = 0.715390
    smooth = OneEuro(1.0, 0.0)
    smooth(column(0), 0.0)
    assert smooth(column(1), 0.1)[0] == pytest.approx(0.466512, abs=1e-5)
    assert smooth(column(1), 0.1)[0] == pytest.approx(0.715390, abs=1e-5)


def test_speed_raises_the_cut_off_by_hand() -> None:
    # dt 0.05 s, weight of the speed 1 - exp(-0.1 pi) = 0.269597. First step: speed 20 * w, cut-off 1 + speed / 2, ...
    smooth = OneEuro(1.0, 0.5, 1.0)
    smooth(column(0), 0.0)
    got = [float(smooth(column(x), 0.05)[0]) for x in (1, 3, 3)]
    by_hand = [0.686866, 2.832724, 2.977435]
    assert got == pytest.approx(by_hand, abs=2e-5)


def test_two_half_steps_are_one_step() -> None:
    whole, halves = OneEuro(0.7, 0.0), OneEuro(0.7, 0.0)
    for smooth in (whole, halves):
        smooth(column(0), 0.0)
    halves(column(1), 0.02)
    assert halves(column(1), 0.02)[0] == pytest.approx(float(whole(column(1), 0.04)[0]), abs=1e-6)


def test_same_curve_at_any_rate() -> None:
    def curve(fps: int) -> NDArray[np.float32]:
        """A move of 1 within 0.3 s, as it comes out every 1/15 s."""
        smooth, out = OneEuro(1.0, 2.0, 2.0), []
        for i in range(fps + 1):
            there = float(np.clip((i / fps - 0.2) / 0.3, 0, 1))
            value = smooth(column(0.5 - 0.5 * np.cos(np.pi * there)), 0.0 if i == 0 else 1 / fps)
            if i % (fps // 15) == 0:
                out.append(value[0])
        return np.array(out)

    slow, middle, fast = curve(15), curve(30), curve(60)
    assert np.abs(middle - fast).max() < 0.05
    assert np.abs(slow - fast).max() < 0.12
    assert np.ptp(fast) > 0.95


@pytest.mark.parametrize("dt_s", [0.0, -1.0])
def test_no_time_passed(dt_s: float) -> None:
    smooth = OneEuro(1.0, 0.5)
    smooth(column(0), 0.0)
    last = smooth(column(1), 0.1)
    np.testing.assert_array_equal(smooth(column(9), dt_s), last)
    assert np.isfinite(smooth(column(1), 0.1)).all()


def test_reset_is_a_new_object() -> None:
    used, new = OneEuro(1.0, 0.5), OneEuro(1.0, 0.5)
    for x in (5, 8, -3):
        used(column(x), 0.1)
    used.reset()
    for x, dt_s in ((1, 0.1), (2, 0.1), (0, 0.05)):
        np.testing.assert_array_equal(used(column(x), dt_s), new(column(x), dt_s))


def test_a_point_is_let_through_as_a_whole() -> None:
    smooth = OneEuro(0.5, 10.0)
    points = np.zeros((2, 2), np.float32)
    smooth(points, 0.0)
    moved = np.array([[1.0, 0.001], [0.0, 0.001]], np.float32)
    out = smooth(moved, 0.05)
    share = out / np.where(moved == 0, 1, moved)
    assert share[0, 1] == pytest.approx(share[0, 0], rel=1e-5), "one speed for both coordinates of a point"
    assert share[1, 1] < 0.5 * share[0, 1], "each point by its own speed"


def test_speed_of_noise_counts_as_none() -> None:
    plain, resting = OneEuro(1.0, 0.0), OneEuro(1.0, 50.0, rest_speed=2.0)
    for smooth in (plain, resting):
        smooth(column(0), 0.0)
    assert resting(column(0.05), 0.05)[0] == pytest.approx(float(plain(column(0.05), 0.05)[0]))
    assert resting(column(1.0), 0.05)[0] > 0.95


def test_unit_scales_speed() -> None:
    near, far = OneEuro(1.0, 2.0), OneEuro(1.0, 2.0)
    for x in (0, 1, 3):
        small = far(column(x), 0.05, unit=1.0)
        large = near(column(100 * x), 0.05, unit=100.0)
        np.testing.assert_allclose(large, 100 * small, rtol=1e-5)


def test_result_is_not_overwritten_by_the_next() -> None:
    smooth = OneEuro(1.0, 0.5)
    source = column(1)
    first = smooth(source, 0.0)
    source[0] = 7
    smooth(column(2), 0.1)
    assert first[0] == 1


def test_a_step_that_is_known_is_not_filtered() -> None:
    still, carried = (OneEuro(0.7, 2.0) for _ in range(2))
    carried.carry(column(9))
    for number, value in enumerate((0.0, 0.1, -0.1, 0.2)):
        if number:
            carried.carry(column(5))
        expected = still(column(value), 0.03)[0] + 5 * number
        assert carried(column(value + 5 * number), 0.03)[0] == pytest.approx(expected, abs=1e-5)
