import cv2
import numpy as np
import pytest

from realtime.layer_memory import LayerMemory
from realtime.layers import FINE
from realtime.redraw import FACE_EVERY_S, ROOM_EVERY_S, Due, Redraw
from realtime.types import Flow, RgbImage

NOISE = np.random.default_rng(1).integers(40, 220, (90, 160, 3), np.uint8)
ROOM = np.asarray(cv2.normalize(cv2.GaussianBlur(NOISE, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX), np.uint8)
STILL = np.zeros((90, 160, 2), np.float32)


def drawn(redraw: Redraw, frames: int, fps: float, every_s: float = FACE_EVERY_S) -> list[bool]:
    return [due(redraw, ROOM, STILL, 1 / fps if n else 0.0, every_s) for n in range(frames)]


def due(redraw: Redraw, seen: RgbImage, flow: Flow | None, dt_s: float, every_s: float = FACE_EVERY_S) -> bool:
    return redraw(seen, flow, dt_s, every_s) is not Due.NO


@pytest.mark.parametrize(
    ("fps", "room", "face"), [(10, 1.0, 1.0), (15, 0.5, 1.0), (25, 0.5, 0.5), (30, 1 / 3, 0.5), (60, 0.2, 1 / 3)]
)
def test_the_rate_of_drawings_follows_the_time_not_the_frames(fps: float, room: float, face: float) -> None:
    assert np.mean(drawn(Redraw(0.01), 60, fps, ROOM_EVERY_S)) == pytest.approx(room, abs=0.03)
    assert np.mean(drawn(Redraw(0.01), 60, fps, FACE_EVERY_S)) == pytest.approx(face, abs=0.03)


def test_a_room_and_a_face_are_not_drawn_on_the_same_frames() -> None:
    room, face = drawn(Redraw(0.01), 20, 30), drawn(Redraw(0.01, late=True), 20, 30)
    assert room[0] and face[0]
    assert not any(a and b for a, b in zip(room[1:], face[1:], strict=True))


def test_the_first_frame_no_flow_another_size_and_no_time_at_all_are_drawn() -> None:
    redraw = Redraw(0.01)
    assert redraw(ROOM, None, 0.0, FACE_EVERY_S) is Due.NOW
    assert redraw(ROOM, None, 0.01, FACE_EVERY_S) is Due.NOW
    assert redraw(ROOM, STILL, 0.01, FACE_EVERY_S) is Due.NO
    assert redraw(ROOM[:, :80], STILL[:, :80], 0.01, FACE_EVERY_S) is Due.NOW
    assert all(drawn(Redraw(0.01), 5, 30, every_s=0.0))


def test_what_moves_along_the_flow_is_not_new_and_what_appears_is_drawn_at_once() -> None:
    shifted, flow = np.roll(ROOM, 4, axis=1), np.zeros((90, 160, 2), np.float32)
    flow[..., 0] = -4
    assert after_one(shifted, flow) is Due.NO, "moved"
    assert after_one(shifted, STILL) is Due.NOW, "changed, and nothing explains it"
    hand = ROOM.copy()
    hand[30:60, 60:90] = (250, 210, 190)
    assert after_one(hand, STILL) is Due.NOW


def after_one(then: RgbImage, flow: Flow) -> Due:
    redraw = Redraw(0.03)
    redraw(ROOM, None, 0.0, FACE_EVERY_S)
    return redraw(then, flow, 0.2, every_s=1.0)


def test_a_drawing_that_only_became_old_may_come_late_but_where_each_frame_is_drawn() -> None:
    def last(fps: float) -> set[Due]:
        redraw = Redraw(0.01)
        return {redraw(ROOM, STILL, 1 / fps if n else 0.0, FACE_EVERY_S) for n in range(12)} - {Due.NO}

    assert last(30) == {Due.NOW, Due.SOON}, "the first is drawn at once"
    assert last(15) == {Due.NOW}


@pytest.mark.parametrize("fps", [30, 60])
def test_while_much_moves_fast_every_frame_is_drawn(fps: int) -> None:
    def share(speed: float, wide: int) -> float:
        redraw, flow = Redraw(1.0), STILL.copy()
        flow[:, :wide, 0] = speed * 160 / fps
        return float(np.mean([due(redraw, ROOM, flow, 1 / fps if n else 0.0) for n in range(24)]))

    assert share(0.4, 160) == 1
    assert share(0.2, 160) < 0.6, "slow"
    assert share(0.4, 6) < 0.6, "little"


def test_layers_that_are_carried_move_with_the_flow_and_do_not_grow_older() -> None:
    memory = LayerMemory()
    flat = np.zeros((64, 64, 3), np.uint8)
    flat[:, 20:24] = 255
    seen = np.full((64, 64, 3), 90, np.uint8)
    memory(np.dstack([flat, flat[..., 0]]), 0.0, seen)
    flow = np.zeros((64, 64, 2), np.float32)
    flow[..., 0] = -3
    carried = memory.carried(flow, 1 / 30)
    assert carried.flat[32, 23:27].min() == 255 * FINE
    assert carried.flat[32, :22].max() == 0
    assert carried.ink[32, 24] == 255 * FINE
    assert np.array_equal(memory.carried(None, 1 / 30).flat, carried.flat)
