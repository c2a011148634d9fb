import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.layer_memory import LayerMemory
from realtime.layers import FINE, Layers
from realtime.types import Flow, RgbImage

Drawn = NDArray[np.uint8]

SEEN = np.random.default_rng(1).integers(60, 200, (8, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)


def layers(flat: int, ink: int = 0) -> Drawn:
    return with_ink(np.full((64, 64, 3), flat, np.uint8), ink)


def with_ink(flat: RgbImage, ink: int = 0) -> Drawn:
    return np.dstack([flat, np.full(flat.shape[:2], ink, np.uint8)])


def levels(shown: Layers) -> NDArray[np.float32]:
    return np.asarray(shown.flat / (FINE if shown.flat.dtype == np.uint16 else 1), np.float32)


def boiling(number: int) -> Drawn:
    noise = np.random.default_rng(number).integers(-4, 5, (64, 64, 3))
    return with_ink((100 + noise).astype(np.uint8))


def seen(number: int) -> RgbImage:
    return np.clip(SEEN + np.random.default_rng(number).normal(0, 3, SEEN.shape), 0, 255).astype(np.uint8)


def test_what_is_drawn_from_the_same_things_is_averaged_and_then_held() -> None:
    memory = LayerMemory()
    shown = [levels(memory(boiling(n), 1 / 30, seen(n))).astype(int) for n in range(60)]
    assert np.abs(shown[20] - 100).mean() < 1
    assert np.abs(shown[59] - shown[40]).max() <= 1


def test_what_changes_is_new_at_once() -> None:
    memory = LayerMemory()
    for _ in range(40):
        memory(layers(100), 1 / 30, SEEN)
    changed = SEEN.copy()
    changed[:, :32] = 255 - changed[:, :32]
    out = levels(memory(layers(160), 1 / 30, changed))
    assert out[:, :24].min() >= 158


def test_layers_that_change_much_are_new_whatever_is_seen() -> None:
    memory = LayerMemory()
    for _ in range(40):
        memory(layers(100), 1 / 30, SEEN)
    assert levels(memory(layers(200, 255), 1 / 30, SEEN)).min() >= 198


def test_where_it_is_live_nothing_is_kept() -> None:
    memory, live = LayerMemory(), np.zeros((32, 32), np.float32)
    live[:16] = 1
    for _ in range(10):
        memory(layers(100), 1 / 30, SEEN, live=live)
    out = levels(memory(layers(104), 1 / 30, SEEN, live=live))
    assert out[:28].min() > 103.9
    assert out[36:].max() <= 101


def test_layers_move_along() -> None:
    memory = LayerMemory()
    picture = np.tile(np.linspace(0, 200, 64).astype(np.uint8)[None, :, None], (64, 1, 3))
    for _ in range(40):
        memory(with_ink(picture), 1 / 30, picture)
    step = np.roll(picture, 2, axis=1)
    flow = np.tile(np.array([-2.0, 0.0], np.float32), (64, 64, 1))
    boil = np.clip(step.astype(int) + 5, 0, 255).astype(np.uint8)
    out = levels(memory(with_ink(boil), 1 / 30, step, flow)).astype(int)
    assert np.abs(out - step)[:, 26:-26].max() <= 2


def test_what_stands_beside_a_change_is_drawn_anew_too() -> None:
    memory = LayerMemory()
    for _ in range(40):
        memory(layers(100), 1 / 30, SEEN)
    changed = SEEN.copy()
    changed[:, :8] = 255 - changed[:, :8]
    beside = levels(
        memory(layers(104), 1 / 30, changed)
    )  # a generator draws a wall otherwise beside a thing than alone
    assert beside[:, 8:22].min() > 103.9
    assert beside[:, 58:].max() < 101


def test_what_moves_beside_a_change_keeps_its_lines() -> None:
    def kept(ink: int, flow: Flow | None) -> np.float32:
        """How much of a drawing a level of 4 darker is left, away from what changed, on the half that moves."""
        memory = LayerMemory()
        for _ in range(40):
            memory(layers(100, ink), 1 / 30, SEEN)
        changed = SEEN.copy()
        changed[:, :8] = 255 - changed[:, :8]
        return levels(memory(layers(104, ink), 1 / 30, changed, flow))[:, 24:].max()

    right = np.zeros((64, 64, 2), np.float32)
    right[:, 16:, 1] = 1e-3
    assert kept(ink=200, flow=right) < 101
    assert kept(ink=0, flow=right) > 103.9  # a wall, moved by mistake
    assert kept(ink=200, flow=None) > 103.9


def test_a_frame_that_none_were_drawn_for_shows_what_is_remembered_moved_along() -> None:
    memory = LayerMemory()
    ramp = np.tile(np.linspace(0, 200, 64).astype(np.uint8)[None, :, None], (64, 1, 3))
    for _ in range(3):
        memory(with_ink(ramp), 1 / 30, ramp)
    np.testing.assert_allclose(levels(memory.carried(None, 1 / 30)), ramp, atol=0.01)
    moved = levels(memory.carried(np.tile(np.array([-2.0, 0.0], np.float32), (64, 64, 1)), 1 / 30))
    np.testing.assert_allclose(moved[:, 4:], ramp[:, 2:-2], atol=0.1)


def test_half_steps_equal_whole_steps() -> None:
    whole, half = LayerMemory(), LayerMemory()
    for memory in (whole, half):
        memory(layers(100), 0, SEEN)
        memory(layers(100), 0.1, SEEN)
    for _ in range(3):
        a = levels(whole(layers(106), 0.1, SEEN))
        half(layers(106), 0.05, SEEN)
        b = levels(half(layers(106), 0.05, SEEN))
        assert np.abs(a.astype(int) - b).max() <= 1


def test_no_time_no_change_and_reset_is_a_new_object() -> None:
    used, new = LayerMemory(), LayerMemory()
    for n in range(5):
        last = levels(used(boiling(n), 1 / 30, SEEN))
    np.testing.assert_array_equal(levels(used(boiling(9), 0.0, SEEN)), last)
    used.reset()
    for n in range(5):
        np.testing.assert_array_equal(levels(used(boiling(n), 1 / 30, SEEN)), levels(new(boiling(n), 1 / 30, SEEN)))


@pytest.mark.parametrize("steadiness", [0.0, 1.0])
def test_steadiness_of_none_keeps_nothing(steadiness: float) -> None:
    memory = LayerMemory(steadiness)
    for _ in range(10):
        memory(layers(100), 1 / 30, SEEN)
    assert (levels(memory(layers(103), 1 / 30, SEEN)).min() == 103) == (steadiness == 0)


def test_a_network_whose_pictures_vary_by_themselves_is_averaged_more() -> None:
    random = np.random.default_rng(1)
    seen = np.full((64, 64, 3), 120, np.uint8)
    left = []
    for restless in (1.0, 5.0):
        memory = LayerMemory()
        memory.restless = restless
        shown = []
        for _ in range(12):
            noise = random.integers(60, 200, (8, 8, 3), np.uint8)  # large patches: no blur takes them away
            flat = np.ascontiguousarray(np.kron(noise, np.ones((8, 8, 1), np.uint8)))
            shown.append(levels(memory(with_ink(flat), 1 / 30, seen)).astype(float))
        left.append(np.abs(np.diff(shown[4:], axis=0)).mean())
    assert left[1] < 0.6 * left[0]


def test_a_lenient_memory_keeps_what_changes_a_little_more() -> None:
    left = []
    for lenient in (1.0, 1.6):
        memory = LayerMemory(lenient=lenient)
        for _ in range(40):
            memory(layers(100), 1 / 30, SEEN)
        left.append(levels(memory(layers(104), 1 / 30, SEEN + np.uint8(15))).mean())
    assert left[0] > 103.5 > 101.5 > left[1]
