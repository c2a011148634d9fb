from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.card import card
from realtime.compose import Compose, PassThrough
from realtime.errors import UsageError
from realtime.settings import Background
from realtime.types import Face, Frame, Picture, Scene, Size, Styled

LANDMARKS = np.load(Path(__file__).parent / "data" / "astronaut_landmarks.npy")
DRAWN, RAW = (10, 200, 30), (250, 0, 250)


def styled() -> Styled:
    """A drawn frame; the left half of it is the person."""
    frame = Frame(np.full((90, 160, 3), RAW, np.uint8), 1.5, 7.25, 42)
    person = np.zeros((18, 32), np.float32)
    person[:, :16] = 1
    return Styled(Scene(frame, person, ()), np.full((90, 160, 3), DRAWN, np.uint8), np.zeros((90, 160), np.uint8))


def composed(background: Background, mirror: bool = False) -> Picture:
    return Compose(background, mirror)(styled())


def test_time_and_number_are_the_frame_s_and_the_picture_cannot_be_written_to() -> None:
    picture = composed(Background())
    assert (picture.t, picture.grabbed_s, picture.index) == (1.5, 7.25, 42)
    assert picture.size == Size(160, 90)
    with pytest.raises(ValueError, match="read-only"):
        picture.rgb[0, 0] = 0


def test_the_room_as_drawn() -> None:
    assert (composed(Background()).rgb == DRAWN).all()


def test_a_coloured_room_leaves_the_person() -> None:
    rgb = composed(Background("color", color=(1, 2, 3))).rgb
    assert np.abs(rgb[45, 20].astype(int) - DRAWN).max() <= 1
    assert np.abs(rgb[45, 140].astype(int) - (1, 2, 3)).max() <= 1
    edge = rgb[45, :, 1].astype(int)
    assert np.abs(np.diff(edge)).max() < 150, "the edge is soft"


def test_a_blurred_room_is_the_drawn_room_blurred() -> None:
    drawn = styled()
    drawn.rgb[:, ::2] = 0
    rgb = Compose(Background("blur"), False)(drawn).rgb
    assert rgb[:, 130:150, 1].std() < 12
    assert rgb[:, 10:30, 1].std() > 80, "the person stays sharp"
    assert rgb[..., 0].max() < 60, "nothing of the raw frame"


def test_an_image_as_the_room_fills_it_and_keeps_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "room.png"
    room = np.zeros((100, 100, 3), np.uint8)
    cv2.circle(room, (50, 50), 20, (0, 0, 255), -1)
    cv2.imwrite(str(path), room)
    compose = Compose(Background("image", image=path), False)
    drawn = styled()
    drawn.scene.person[:] = 0
    rgb = compose(drawn).rgb
    red = (rgb[..., 0] > 128) & (rgb[..., 1] < 50)
    assert np.ptp(np.nonzero(red.any(axis=0))) == pytest.approx(np.ptp(np.nonzero(red.any(axis=1))), abs=2)
    path.unlink()
    assert np.array_equal(compose(drawn).rgb, rgb), "the image is read once"


def test_an_image_that_is_none_is_an_error_for_the_user(tmp_path: Path) -> None:
    path = tmp_path / "room.png"
    path.write_text("not a picture", encoding="utf-8")
    with pytest.raises(UsageError, match="PNG or JPEG"):
        composed(Background("image", image=path))


def test_a_transparent_room_gives_alpha() -> None:
    picture = composed(Background("transparent"))
    assert picture.alpha is not None
    assert picture.alpha[45, 20] == 255
    assert picture.alpha[45, 140] == 0


def test_mirrored_is_left_for_right_with_its_alpha() -> None:
    plain, mirrored = composed(Background("transparent")), composed(Background("transparent"), mirror=True)
    assert plain.alpha is not None
    assert mirrored.alpha is not None
    assert np.array_equal(plain.alpha[:, ::-1], mirrored.alpha)


def only(what: str, scene: Scene) -> Picture:
    drawn = styled()
    return Compose(Background(), False, what)(Styled(scene, drawn.rgb, drawn.lines))


def test_only_the_person_or_only_the_background_is_drawn() -> None:
    scene = styled().scene
    person, room = only("person", scene).rgb, only("background", scene).rgb
    assert np.abs(person[45, 20].astype(int) - DRAWN).max() <= 1
    assert np.abs(person[45, 140].astype(int) - RAW).max() <= 1
    assert np.abs(room[45, 20].astype(int) - RAW).max() <= 1
    assert np.abs(room[45, 140].astype(int) - DRAWN).max() <= 1


def test_only_the_face_is_drawn_within_the_person() -> None:
    frame = Frame(np.full((512, 512, 3), RAW, np.uint8), 0.0, 0.0, 0)
    scene = Scene(frame, np.ones((8, 8), np.float32), (Face(LANDMARKS),))
    drawing = Styled(scene, np.full((512, 512, 3), DRAWN, np.uint8), np.zeros((512, 512), np.uint8))
    rgb = Compose(Background(), False, "face")(drawing).rgb.astype(int)
    nose = LANDMARKS[4, :2].astype(int)
    assert np.abs(rgb[nose[1], nose[0]] - DRAWN).max() <= 1
    assert np.abs(rgb[500, 500] - RAW).max() <= 1
    assert 0.03 < (np.abs(rgb - DRAWN).max(axis=2) < 9).mean() < 0.25


@pytest.mark.parametrize("what", ["person", "background", "face"])
def test_where_nothing_of_what_is_to_be_drawn_was_found_all_is_drawn(what: str) -> None:
    nobody = Scene(styled().scene.frame, np.zeros((18, 32), np.float32), ())
    assert (only(what, nobody).rgb == DRAWN).all()


def test_pass_through_is_the_frame() -> None:
    frame = styled().scene.frame
    assert np.array_equal(PassThrough(False)(frame).rgb, frame.rgb)


def test_a_card_shows_nothing_of_the_frame() -> None:
    frame = styled().scene.frame
    picture = card("Paused", frame.size, frame)
    assert not (picture.rgb == RAW).all(axis=2).any()
    assert picture.rgb.std() > 5, "the text is there"
    assert (picture.t, picture.index) == (frame.t, frame.index)
    assert card("Paused", Size(16, 16), frame).size == Size(16, 16)
