from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.landmarks import EYES, FACE_OVAL, LEFT_EYE, eye_openness
from realtime.steady import ANCHORS, SPREAD_TO_HEIGHT, Steady
from realtime.types import Face, Frame, Scene

Points = NDArray[np.float32]
HEIGHT_PX = 200.0
ROOM = np.random.default_rng(5).integers(0, 256, (9, 16, 3)).repeat(10, 0).repeat(10, 1).astype(np.uint8)
PERSON = np.zeros((9, 16), np.float32)


def face_shape() -> Points:
    """A face of height 1 about the origin: points in a disc, lids as two arcs."""
    rng = np.random.default_rng(3)
    points = rng.normal(0, 0.2, (478, 3)).astype(np.float32)
    turn = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[FACE_OVAL, :2] = np.stack([0.4 * np.cos(turn), 0.5 * np.sin(turn)], 1)
    for side, eye in zip((-1, 1), EYES, strict=True):
        x = np.linspace(-0.06, 0.06, 9) * -side + 0.15 * side
        bow = 0.025 * np.sin(np.linspace(0, np.pi, 9))
        points[eye.upper_lid, :2] = np.stack([x, -0.1 - bow], 1)
        points[eye.lower_lid, :2] = np.stack([x, -0.1 + bow], 1)
    anchors = points[ANCHORS, :2]
    spread = float(np.sqrt(((anchors - anchors.mean(axis=0)) ** 2).sum(axis=1).mean()))
    return points / (SPREAD_TO_HEIGHT * spread)


SHAPE = face_shape()


def face_at(x: float, y: float = 400.0, height: float = HEIGHT_PX, shape: Points = SHAPE, **more: object) -> Face:
    return Face((shape * height + np.array([x, y, 0])).astype(np.float32), **more)  # type: ignore[arg-type]


def scene(t: float, *faces: Face, person: Points = PERSON, room: NDArray[np.uint8] = ROOM) -> Scene:
    return Scene(Frame(room, t, 0.0, 0), person, faces)


def closing(share: float) -> Points:
    """The shape with its left lid `share` of the way down."""
    shape = SHAPE.copy()
    upper, lower = LEFT_EYE.upper_lid, LEFT_EYE.lower_lid
    shape[upper] += share * (shape[lower] - shape[upper])
    return shape


def jitter(number: int, sigma: float = 0.0012) -> Points:
    return (SHAPE + np.random.default_rng(number).normal(0, sigma, SHAPE.shape)).astype(np.float32)


def test_first_scene_passes_unchanged() -> None:
    first = scene(0.0, face_at(300, blendshapes={"eyeBlinkLeft": 0.4}))
    out = Steady()(first)
    np.testing.assert_allclose(out.faces[0].landmarks, first.faces[0].landmarks, atol=1e-3)
    assert out.faces[0].blendshapes == pytest.approx({"eyeBlinkLeft": 0.4})
    np.testing.assert_array_equal(out.person, first.person)
    assert out.frame is first.frame


def test_nobody_is_a_value() -> None:
    steady = Steady()
    assert steady(scene(0.0)).faces == ()
    assert len(steady(scene(0.1, face_at(300))).faces) == 1


def test_arrays_are_not_shared_or_writable() -> None:
    given = scene(0.0, face_at(300))
    before = given.faces[0].landmarks.copy()
    steady = Steady()
    first = steady(given).faces[0].landmarks
    kept = first.copy()
    steady(scene(0.1, face_at(340)))
    np.testing.assert_array_equal(given.faces[0].landmarks, before)
    np.testing.assert_array_equal(first, kept)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_a_still_face_is_dead_still() -> None:
    steady = Steady()
    shown = np.array([steady(scene(i / 30, face_at(300, shape=jitter(i)))).faces[0].landmarks for i in range(60)])
    raw = np.array([face_at(300, shape=jitter(i)).landmarks for i in range(60)])
    moves = np.abs(np.diff(shown[20:, :, :2], axis=0)).max(axis=-1)
    assert (moves < 1e-3).mean() > 0.8
    assert moves.mean() < 0.05 * np.abs(np.diff(raw[20:, :, :2], axis=0)).max(axis=-1).mean()


def test_a_blink_is_followed_at_once() -> None:
    steady, seen, true = Steady(), [], []
    for i in range(30):
        shape = closing(float(np.interp(i, [10, 12, 14, 18], [0, 1, 1, 0])))  # closes within 67 ms
        out = steady(scene(i / 30, face_at(300, shape=shape)))
        seen.append(eye_openness(out.faces[0].landmarks, LEFT_EYE))
        true.append(eye_openness(face_at(300, shape=shape).landmarks, LEFT_EYE))
    assert seen[12] < 0.12 * true[0], "closed in the same picture"
    assert seen[20] > 0.9 * true[0]
    assert np.corrcoef(seen, true)[0, 1] > 0.97


def test_a_moving_head_keeps_its_shape() -> None:
    steady = Steady()
    for i in range(30):
        centre_x = 300 + 120 * np.sin(i / 4)
        out = steady(scene(i / 30, face_at(centre_x))).faces[0].landmarks
        shape = out - out.mean(axis=0)
        np.testing.assert_allclose(shape, (SHAPE - SHAPE.mean(axis=0)) * HEIGHT_PX, atol=0.15)
    assert np.abs(out[:, :2] - face_at(centre_x).landmarks[:, :2]).max() < 0.03 * HEIGHT_PX, "and is where it is"


def test_a_head_may_turn_upside_down() -> None:
    steady = Steady()
    for i in range(90):
        angle = i * 0.1
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        face = face_at(300, shape=(SHAPE @ turn.T).astype(np.float32))
        out = steady(scene(i / 30, face))
        assert np.abs(out.faces[0].landmarks - face.landmarks).max() < 0.06 * HEIGHT_PX


def nod(fps: int) -> NDArray[np.float32]:
    """Where the chin comes out while the face moves by half its height within 0.4 s, every 1/15 s."""
    steady, out = Steady(), []
    for i in range(fps + 1):
        there = float(np.clip((i / fps - 0.2) / 0.4, 0, 1))
        y = 400 + 100 * (0.5 - 0.5 * np.cos(np.pi * there))
        result = steady(scene(i / fps, face_at(300, y)))
        if i % (fps // 15) == 0:
            out.append(result.faces[0].landmarks[152, 1])
    return np.array(out)


def test_same_motion_at_any_rate() -> None:
    slow, middle, fast = nod(15), nod(30), nod(60)
    assert np.ptp(fast) > 95
    assert np.abs(middle - fast).max() < 3
    assert np.abs(slow - fast).max() < 8


def test_a_far_face_behaves_like_a_near_one() -> None:
    near, far = Steady(), Steady()
    for i in range(30):
        shape = jitter(i, 0.004) + np.array([0.3 * np.sin(i / 5), 0, 0], np.float32)
        large = near(scene(i / 30, face_at(0, 0, 200, shape))).faces[0].landmarks
        small = far(scene(i / 30, face_at(0, 0, 50, shape))).faces[0].landmarks
        np.testing.assert_allclose(large, 4 * small, atol=0.02)


def test_faces_keep_their_own_state_in_any_order() -> None:
    steady, alone = Steady(), Steady()
    for i in range(20):
        left, right = face_at(200 + i, shape=jitter(i)), face_at(700 - i, shape=jitter(100 + i))
        both = steady(scene(i / 30, *((left, right) if i % 2 else (right, left))))
        expected = alone(scene(i / 30, left)).faces[0].landmarks
        np.testing.assert_allclose(both.faces[0 if i % 2 else 1].landmarks, expected, atol=1e-3)


def test_the_nearest_pair_is_made_first() -> None:
    steady = Steady()
    steady(scene(0.0, face_at(300)))
    newcomer, known = face_at(400), face_at(305)
    out = steady(scene(1 / 30, newcomer, known))
    np.testing.assert_allclose(out.faces[0].landmarks, newcomer.landmarks, atol=1e-3)
    assert np.abs(out.faces[1].landmarks - known.landmarks).max() > 0.1, "smoothed with its own past"


@pytest.mark.parametrize(("away_s", "forgotten"), [(0.3, False), (0.6, True)])
def test_a_lost_face_is_forgotten_after_half_a_second(away_s: float, forgotten: bool) -> None:
    steady = Steady()
    for i in range(5):
        steady(scene(i / 30, face_at(300)))
    for i in range(1, round(away_s * 30)):
        steady(scene(4 / 30 + i / 30, face_at(900)))  # somebody else stays
    back = face_at(303)
    out = steady(scene(4 / 30 + away_s, back, face_at(900))).faces[0].landmarks
    assert (np.abs(out - back.landmarks).max() < 1e-3) == forgotten


def anew(change: Callable[[Scene], Scene]) -> bool:
    """Whether `Steady` starts anew with the changed scene: the face and mask come out as they went in."""
    steady = Steady()
    for i in range(10):
        steady(scene(i / 30, face_at(300), person=PERSON))
    given = change(scene(10 / 30, face_at(306), person=PERSON + 0.05))
    out = steady(given)
    fresh_face = bool(np.abs(out.faces[0].landmarks - given.faces[0].landmarks).max() < 1e-3)
    fresh_mask = bool(np.array_equal(out.person, given.person))
    assert fresh_face == fresh_mask
    return fresh_face


def in_room(given: Scene, room: NDArray[np.uint8]) -> Scene:
    return replace(given, frame=replace(given.frame, rgb=room))


def at_time(given: Scene, t: float) -> Scene:
    return replace(given, frame=replace(given.frame, t=t))


def test_what_starts_anew() -> None:
    assert not anew(lambda s: s)
    assert anew(lambda s: at_time(s, 0.3 + 0.51)), "a gap"
    assert not anew(lambda s: at_time(s, 0.3 + 0.40))
    assert anew(lambda s: at_time(s, 0.1)), "a step back"
    assert anew(lambda s: in_room(s, ROOM[:80])), "another size"
    assert anew(lambda s: in_room(s, np.random.default_rng(6).permutation(ROOM))), "a scene cut"
    assert not anew(lambda s: in_room(s, np.clip(ROOM.astype(int) + 15, 0, 255).astype(np.uint8))), "a lamp"
    assert not anew(lambda s: in_room(s, np.roll(ROOM, 40, axis=0) // 20 + ROOM // 20 * 19)), "a shadow"


def test_reset_is_a_new_object() -> None:
    used, new = Steady(), Steady()
    for i in range(10):
        used(scene(i / 30, face_at(500 + 3 * i), person=PERSON + 0.5))
    used.reset()
    for i in range(5):
        given = scene(i / 30, face_at(300 + 5 * i), person=PERSON + 0.01 * i)
        a, b = used(given), new(given)
        np.testing.assert_array_equal(a.faces[0].landmarks, b.faces[0].landmarks)
        np.testing.assert_array_equal(a.person, b.person)


def test_mask_noise_is_smoothed_by_the_formula() -> None:
    steady = Steady()
    steady(scene(0.0, person=PERSON))
    out = steady(scene(0.05, person=PERSON + 0.05))
    assert out.person[0, 0] == pytest.approx(0.05 * (1 - np.exp(-0.05 / 0.15)), rel=1e-4)


def test_mask_follows_a_moving_person_at_once() -> None:
    steady = Steady()
    steady(scene(0.0, person=PERSON))
    assert steady(scene(1 / 60, person=PERSON + 1)).person.min() > 0.95


def test_mask_is_the_same_at_any_rate() -> None:
    def fade(fps: int) -> float:
        steady = Steady()
        steady(scene(0.0, person=PERSON))
        for i in range(1, fps // 5 + 1):
            out = steady(scene(i / fps, person=PERSON + 0.05))
        return float(out.person[0, 0])

    assert fade(15) == pytest.approx(fade(60), rel=1e-3)


def test_mask_of_another_shape_starts_anew() -> None:
    steady = Steady()
    steady(scene(0.0, person=PERSON))
    square = np.full((8, 8), 0.5, np.float32)
    np.testing.assert_array_equal(steady(scene(0.1, person=square)).person, square)


def test_same_time_twice_changes_nothing() -> None:
    steady = Steady()
    steady(scene(0.0, face_at(300)))
    first = steady(scene(0.1, face_at(300)))
    again = steady(scene(0.1, face_at(330), person=PERSON + 0.04))
    np.testing.assert_array_equal(again.faces[0].landmarks, first.faces[0].landmarks)
    np.testing.assert_array_equal(again.person, first.person)


def test_scores_keep_their_names_and_are_let_through() -> None:
    steady = Steady()
    for i in range(12):
        value = float(i >= 6)
        out = steady(scene(i / 30, face_at(300, blendshapes={"jawOpen": value, "eyeBlinkLeft": 0.1})))
        assert out.faces[0].blendshapes is not None
        assert list(out.faces[0].blendshapes) == ["jawOpen", "eyeBlinkLeft"]
        assert out.faces[0].blendshapes["jawOpen"] == pytest.approx(value, abs=0.1)


def test_scores_may_be_missing() -> None:
    steady = Steady()
    for i in range(3):
        assert steady(scene(i / 30, face_at(300))).faces[0].blendshapes is None


def test_tiny_frames() -> None:
    steady = Steady()
    for i in range(3):
        for size in ((1, 1, 3), (16, 16, 3)):
            steady(scene(i / 30, room=np.zeros(size, np.uint8)))


def test_a_face_keeps_its_track_in_any_order_and_a_new_one_gets_a_new_track() -> None:
    steady = Steady()
    left, right = face_at(300), face_at(900)
    first = steady(scene(0.0, left, right))
    swapped = steady(scene(1 / 30, right, left))
    tracks = [face.track for face in first.faces]
    assert len(set(tracks)) == 2
    assert [face.track for face in swapped.faces] == tracks[::-1]
    joined = steady(scene(2 / 30, right, face_at(1500), left))
    assert joined.faces[1].track not in tracks


def test_only_a_scene_without_a_past_is_fresh() -> None:
    steady = Steady()
    other = np.full_like(ROOM, 255) - ROOM
    scenes = [scene(0.0), scene(1 / 30), scene(2 / 30, room=other), scene(3 / 30, room=other), scene(2.0, room=other)]
    assert [steady(value).fresh for value in scenes] == [True, False, True, False, True]


def test_steadiness_is_how_much_of_the_smoothing_is_seen() -> None:
    none, half, full = Steady(0.0), Steady(0.5), Steady()
    for i in range(20):
        given = scene(i / 30, face_at(300, shape=jitter(i), blendshapes={"jawOpen": i / 40}), person=PERSON + i / 1000)
        raw, mixed, steady = (filter_(given) for filter_ in (none, half, full))
    np.testing.assert_allclose(raw.faces[0].landmarks, given.faces[0].landmarks, atol=1e-3)
    np.testing.assert_array_equal(raw.person, given.person)
    assert raw.faces[0].blendshapes == pytest.approx({"jawOpen": 19 / 40})
    assert raw.faces[0].track == steady.faces[0].track
    middle = (raw.faces[0].landmarks + steady.faces[0].landmarks) / 2
    np.testing.assert_allclose(mixed.faces[0].landmarks, middle, atol=1e-3)


def test_another_light_on_the_same_scene_is_no_cut_and_a_close_up_is_one() -> None:
    close = ROOM[20:65, 40:120].repeat(2, 0).repeat(2, 1)
    assert not anew(lambda s: in_room(s, ROOM // 2))
    assert not anew(lambda s: in_room(s, np.roll(ROOM, 3, axis=1))), "a quick pan"
    assert anew(lambda s: in_room(s, close))
    assert anew(lambda s: in_room(s, ROOM[:, ::-1] // 3)), "another scene, and darker"


def test_a_face_that_moves_with_the_picture_is_as_calm_as_a_still_one_and_not_late() -> None:
    wall = cv2.resize(np.random.default_rng(7).integers(0, 256, (70, 90, 3)).astype(np.uint8), (900, 700))
    steady, off = Steady(), []
    for i in range(40):
        x = 4 * max(0, i - 20)
        out = steady(scene(i / 30, face_at(300 + x, shape=jitter(i, 0.004)), room=wall[100:, 100 - x : 800 - x]))
        off.append((out.faces[0].landmarks - face_at(300 + x).landmarks)[ANCHORS, :2])
    trembling = np.abs(np.diff(off[22:], axis=0)).mean()
    raw = np.array([(jitter(i, 0.004) - SHAPE)[ANCHORS, :2] for i in range(40)]) * HEIGHT_PX
    assert trembling < 0.2 * np.abs(np.diff(raw[22:], axis=0)).mean()
    assert np.abs(np.mean(off[22:], axis=(0, 1))).max() < 0.5, "where it is, in pixels"
