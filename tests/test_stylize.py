import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from realtime.crop import CROP_PX, HELD_PX, crop_matrix, cut, edge_in_box, edge_matrix, held, invert, place, soft_edge
from realtime.exposure import Exposure, apply_exposure, measure_exposure
from realtime.layers import Finish
from realtime.redraw import Effort
from realtime.stylize import FACE_FADE_S, GENERATOR_PIXELS, MOOD_MIN, Stylize, generator_size, shrunk, with_mood
from realtime.types import Face, Frame, RgbImage, Scene, Size

FRAME = Size(640, 360)
PLAIN = Finish(tone_share=0, black=0, white=1)


class PaintOver:
    """A generator that paints all one colour: what it drew is easy to find in the picture."""

    def __init__(self, size: Size, color: tuple[int, int, int]) -> None:
        self.size = size
        self.color = color
        self.seen: list[RgbImage] = []

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        assert rgb.shape == (self.size.height, self.size.width, 3)
        self.seen.append(rgb)
        out = np.zeros((*rgb.shape[:2], 4), np.uint8)
        out[..., :3] = self.color
        return out


class Copy(PaintOver):
    """A generator that gives back what it sees."""

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        super().run(rgb)
        return np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])


def face_at(x: float, y: float, height: float = 120, turn: float = 0.0, track: int = 1) -> Face:
    """A face whose landmarks fill an upright ellipse, turned by `turn` radians."""
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    points = np.stack([0.4 * height * np.cos(angle), 0.5 * height * np.sin(angle)], 1)
    points[10], points[152], points[234], points[454] = (
        (0, -height / 2),
        (0, height / 2),
        (-0.4 * height, 0),
        (0.4 * height, 0),
    )
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = points @ rotation.T + (x, y)
    return Face(np.concatenate([points, np.zeros((478, 1))], 1).astype(np.float32), track=track)


def scene(*faces: Face, t: float = 0.0, rgb: RgbImage | None = None, index: int = 0) -> Scene:
    if rgb is None:
        rgb = np.full((FRAME.height, FRAME.width, 3), 128, np.uint8)
    return Scene(Frame(rgb, t, t, index), np.ones((36, 64), np.float32), faces)


def stylizer(kind: type[PaintOver] = PaintOver) -> tuple[Stylize, PaintOver, PaintOver]:
    background = kind(generator_size(FRAME), (40, 90, 200))
    face = kind(Size(CROP_PX, CROP_PX), (200, 90, 40))
    return Stylize(background, face, PLAIN), background, face


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (512, 512), (16, 16), (7680, 4320), (4000, 16)])
def test_the_generator_works_at_its_scale_whatever_the_frame(size: tuple[int, int]) -> None:
    chosen = generator_size(Size(*size))
    assert chosen.width % 16 == chosen.height % 16 == 0
    if max(size) / min(size) < 3:
        assert chosen.width * chosen.height == pytest.approx(GENERATOR_PIXELS, rel=0.12)
        assert chosen.width / chosen.height == pytest.approx(size[0] / size[1], rel=0.06)


def test_a_1280x720_frame_runs_at_640x368() -> None:
    assert generator_size(Size(1280, 720)) == Size(640, 368) or generator_size(Size(1280, 720)) == Size(640, 352)


@pytest.mark.parametrize("size", [(1280, 736), (640, 368), (1920, 1080), (320, 180)])
def test_a_frame_is_shrunk_to_the_means_of_its_areas(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    means = cv2.resize(frame, (640, 368), interpolation=cv2.INTER_AREA)
    assert cv2.absdiff(shrunk(frame, Size(640, 368)), means).max() <= 1


@pytest.mark.parametrize("size", [(1280, 720), (1270, 700)])
def test_a_frame_of_nearly_twice_the_size_lies_where_it_should_and_is_as_sharp(size: tuple[int, int]) -> None:
    frame = cv2.resize(skimage.data.astronaut()[60:348], size, interpolation=cv2.INTER_CUBIC)
    means = cv2.resize(frame, (640, 368), interpolation=cv2.INTER_AREA)
    small = shrunk(frame, Size(640, 368))
    assert np.quantile(cv2.absdiff(small, means), 0.999) <= 6
    sharp, soft = (np.abs(cv2.Laplacian(of, cv2.CV_32F)).mean() for of in (small, means))
    assert 0.97 < sharp / soft < 1.03


def test_room_and_face_are_drawn_each_by_its_generator_with_a_soft_edge_between() -> None:
    stylize, _, _ = stylizer()
    rgb = stylize(scene(face_at(320, 180))).rgb.astype(int)
    assert rgb[180, 320, 0] > rgb[180, 320, 2] + 100, "the face generator drew the middle of the face"
    assert rgb[10, 10, 2] > rgb[10, 10, 0] + 100, "the background generator drew the room"
    assert np.abs(np.diff(rgb[180, :, 0])).max() < 30, "the edge between them is soft"


def test_nothing_of_the_frame_itself_is_in_the_picture() -> None:
    stylize, _, _ = stylizer()
    noise = np.random.default_rng(1).integers(0, 256, (FRAME.height, FRAME.width, 3), np.uint8)
    rgb = stylize(scene(face_at(320, 180), rgb=noise)).rgb
    assert cv2.Laplacian(rgb, cv2.CV_32F).std() < 3


def test_no_face_is_no_error_and_a_tiny_face_is_left_to_the_background() -> None:
    stylize, _, face = stylizer()
    stylize(scene())
    stylize(scene(face_at(320, 180, height=20)))
    assert face.seen == []


@pytest.mark.parametrize("place", [(0, 0), (640, 360), (-300, -300), (320, 500), (2000, 100)])
def test_a_face_at_or_beyond_the_edge_is_no_error(place: tuple[int, int]) -> None:
    stylize, _, _ = stylizer()
    rgb = stylize(scene(face_at(*place), face_at(100, 100, height=900))).rgb
    assert rgb.shape == (FRAME.height, FRAME.width, 3)


def test_a_frame_of_16x16_works() -> None:
    size = Size(16, 16)
    stylize = Stylize(PaintOver(generator_size(size), (9, 9, 9)), PaintOver(Size(CROP_PX, CROP_PX), (9, 9, 9)), PLAIN)
    assert stylize(scene(face_at(8, 8), rgb=np.zeros((16, 16, 3), np.uint8))).rgb.shape == (16, 16, 3)


def test_the_frame_is_not_written_to_and_the_drawing_is_the_next_stages_own() -> None:
    (stylize, _, _), (other, _, _) = stylizer(), stylizer()
    given = scene(face_at(320, 180))
    before = given.frame.rgb.copy()
    given.frame.rgb.flags.writeable = False
    styled, same = stylize(given), other(given)
    assert np.array_equal(given.frame.rgb, before)
    with pytest.raises(ValueError, match="read-only"):
        styled.lines[0, 0] = 0
    styled.rgb[:] = 0  # what is painted on is no part of what is kept for the next drawing
    later = replace(given, frame=replace(given.frame, t=given.frame.t + 0.03))
    assert np.array_equal(stylize(later).rgb, other(later).rgb)
    assert same.rgb.any()


def test_a_face_that_appears_later_fades_in() -> None:
    def red(step: int, fps: float) -> float:
        stylize, _, _ = stylizer()
        stylize(scene(t=0))
        for i in range(1, step + 1):
            styled = stylize(scene(face_at(320, 180), t=i / fps, index=i))
        return float(styled.rgb[180, 320, 0])

    assert red(1, 30) < 0.4 * red(30, 30)
    assert red(3, 15) == pytest.approx(red(6, 30), abs=12), "the same in time at any frame rate"
    assert red(round(30 * FACE_FADE_S) + 1, 30) == pytest.approx(red(60, 30), abs=2)


def test_dim_frames_reach_the_generators_bright_and_both_at_the_same_exposure() -> None:
    stylize, background, face = stylizer(Copy)
    ramp = np.tile(np.linspace(0, 60, FRAME.width).astype(np.uint8)[None, :, None], (FRAME.height, 1, 3))
    stylize(scene(face_at(320, 180), rgb=ramp))
    assert background.seen[0].max() > 180
    middle = float(face.seen[0][CROP_PX // 2, CROP_PX // 2].mean())
    assert middle == pytest.approx(float(background.seen[0][180, 320].mean()), abs=6)


def test_a_jump_of_all_light_is_taken_out_at_once_and_a_cut_is_measured_anew() -> None:
    stylize, background, _ = stylizer(Copy)
    grey = np.tile(np.linspace(0, 200, FRAME.width).astype(np.uint8)[None, :, None], (FRAME.height, 1, 3))
    stylize(scene(rgb=grey, t=0))
    first = background.seen[-1].astype(int)
    stylize(scene(rgb=grey // 3 * 2, t=1 / 30, index=1))
    assert np.abs(background.seen[-1] - first).max() < 8
    stylize(replace(scene(rgb=grey // 12, t=2 / 30, index=2), fresh=True))
    assert background.seen[-1].max() < 100, "no more light than the gain allows"


def test_without_steadiness_every_frame_is_drawn_for_itself() -> None:
    rng = np.random.default_rng(2)
    frames = [rng.integers(0, 256, (FRAME.height, FRAME.width, 3), np.uint8) for _ in range(3)]
    background, face = Copy(generator_size(FRAME), (0, 0, 0)), Copy(Size(CROP_PX, CROP_PX), (0, 0, 0))
    used = Stylize(background, face, PLAIN, steadiness=0)
    for number, rgb in enumerate(frames):
        styled = used(scene(rgb=rgb, t=number / 30, index=number))
    alone = Stylize(background, face, PLAIN, steadiness=0)(scene(rgb=frames[-1]))
    np.testing.assert_array_equal(styled.rgb, alone.rgb)


def test_steadiness_changes_from_one_frame_to_the_next() -> None:
    rng = np.random.default_rng(2)
    frames = [rng.integers(0, 256, (FRAME.height, FRAME.width, 3), np.uint8) for _ in range(3)]
    background, face = Copy(generator_size(FRAME), (0, 0, 0)), Copy(Size(CROP_PX, CROP_PX), (0, 0, 0))
    used = Stylize(background, face, PLAIN, steadiness=1)
    for number, rgb in enumerate(frames[:2]):
        used(scene(face_at(300, 180), rgb=rgb, t=number / 30, index=number))
    used.steadiness = 0
    styled = used(scene(face_at(300, 180), rgb=frames[2], t=2 / 30, index=2))
    alone = Stylize(background, face, PLAIN, steadiness=0)(scene(face_at(300, 180), rgb=frames[2]))
    np.testing.assert_array_equal(styled.rgb, alone.rgb)


def test_two_faces_swap_their_order_without_swapping_their_memory() -> None:
    stylize, _, face = stylizer(Copy)
    left, right = face_at(150, 180, track=1), face_at(480, 180, track=2)
    rgb = np.full((FRAME.height, FRAME.width, 3), 40, np.uint8)
    rgb[:, 320:] = 200
    first = stylize(scene(left, right, rgb=rgb, t=0)).rgb
    swapped = stylize(scene(right, left, rgb=rgb, t=1 / 30, index=1)).rgb
    assert np.abs(first.astype(int) - swapped).max() <= 2
    assert len(face.seen) == 4


def test_the_crop_is_upright_centred_and_of_fixed_scale() -> None:
    for turn in (0.0, 0.5, -1.2, 3.0):
        face = face_at(400, 300, height=150, turn=turn)
        matrix = crop_matrix(face.landmarks)
        top, chin = (matrix @ np.append(face.landmarks[i, :2], 1) for i in (10, 152))
        assert top == pytest.approx((CROP_PX / 2, CROP_PX / 2 - CROP_PX / 3.2), abs=0.01)
        assert chin == pytest.approx((CROP_PX / 2, CROP_PX / 2 + CROP_PX / 3.2), abs=0.01)
        there = np.append(matrix @ np.array([123.0, 45.0, 1.0]), 1)
        assert invert(matrix) @ there == pytest.approx((123, 45), abs=0.05)


def test_the_crop_stays_while_the_face_hardly_moves_and_is_then_dragged_along() -> None:
    scale = CROP_PX / (1.6 * 150)

    def crop_at(step: float, turn: float = 0.0) -> NDArray[np.float32]:
        """Of a face that moved to the right by `step` pixels of the crop."""
        return crop_matrix(face_at(400 + step / scale, 300, height=150, turn=turn).landmarks)

    before = held(None, crop_at(0))
    assert held(before, crop_at(0.9 * HELD_PX)) is before
    np.testing.assert_allclose(held(before, crop_at(HELD_PX + 5)), crop_at(5), atol=1e-2)
    turned = held(before, crop_at(0, 0.2))
    np.testing.assert_allclose(np.hypot(*turned[0, :2]), scale, rtol=0.02)
    assert held(turned, crop_at(0, 0.2)) is turned or np.abs(held(turned, crop_at(0, 0.2)) - turned).max() < 0.5


@pytest.mark.parametrize(("height", "turn"), [(60, 0.0), (110, 0.2), (300, -0.1)])
def test_what_the_face_generator_draws_lies_where_it_was_in_the_frame(height: float, turn: float) -> None:
    rgb = np.full((360, 640, 3), 20, np.uint8)
    cv2.circle(rgb, (323, 171), max(4, round(height / 20)), (220, 220, 220), -1)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 2)
    room, face = PaintOver(generator_size(FRAME), (0, 0, 0)), Copy(Size(CROP_PX, CROP_PX), (0, 0, 0))
    drawn = Stylize(room, face, PLAIN)(scene(face_at(320, 170, height, turn), rgb=rgb)).rgb[..., 1]
    bright = np.clip(drawn[100:].astype(float) - 90, 0, None)
    y, x = np.mgrid[100:360, 0:640]
    assert abs((bright * x).sum() / bright.sum() - 323) < 0.1
    assert abs((bright * y).sum() / bright.sum() - 171) < 0.1


def test_the_soft_edge_lies_where_the_face_does_also_where_the_frame_ends() -> None:
    for x, height, turn in ((400, 60, 0.3), (150, 300, -0.4), (430, 900, 0.1)):
        there = place(crop_matrix(face_at(x, 300, height=height, turn=turn).landmarks), Size(800, 600))
        assert there is not None
        box = (there.right - there.left, there.bottom - there.top)
        turned = cv2.warpAffine(soft_edge(), edge_matrix(there), box, flags=cv2.INTER_LINEAR)
        assert np.abs(edge_in_box(there) - turned).max() < 0.025


def test_a_large_face_is_shrunk_without_aliasing() -> None:
    stripes = np.zeros((2000, 2000, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = cut(stripes, crop_matrix(face_at(1000, 1000, height=1200).landmarks))
    assert crop.std() < 20, "stripes finer than a crop pixel are grey"


def test_a_shrunk_crop_shows_the_same_place_as_a_plain_one() -> None:
    y, x = np.mgrid[0:800, 0:900].astype(np.float32)
    smooth = np.dstack([x / 4, y / 4, (x + y) / 8]).astype(np.uint8)
    for height, turn in ((330, 0.3), (500, -0.8), (700, 0.0)):
        matrix = crop_matrix(face_at(450, 420, height=height, turn=turn).landmarks)
        plain = cv2.warpAffine(smooth, matrix, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE)
        inner = np.s_[60:-60, 60:-60]
        assert np.abs(cut(smooth, matrix)[inner].astype(int) - plain[inner]).max() <= 2


def test_exposure_brings_the_white_point_home_and_keeps_a_good_picture() -> None:
    dim = np.tile(np.linspace(5, 70, 256).astype(np.uint8)[None, :, None], (64, 1, 3))
    bright = apply_exposure(dim, measure_exposure(dim))
    assert 190 < np.percentile(bright, 98) < 215
    assert bright.min() <= 12
    black = np.zeros((64, 64, 3), np.uint8)
    assert apply_exposure(black, measure_exposure(black)).max() < 20, "darkness is not turned into noise"
    half = Exposure(1, 0).towards(Exposure(3, 0.2), 0.5)
    assert (half.gain, half.offset) == (2, 0.1)


def test_a_dim_room_stays_a_little_darker_than_a_bright_one() -> None:
    whites = [with_mood(Finish(), Exposure(gain, 0)).white / Finish().white for gain in (0.85, 1, 1.2, 1.4, 4.5)]
    assert whites[0] == whites[1] == pytest.approx(1)
    assert 1 > whites[2] > whites[3]
    assert whites[4] == pytest.approx(MOOD_MIN, abs=0.006), "never so dark that the drawing suffers"


def test_where_nothing_changes_every_other_room_of_30_a_second_is_drawn_and_every_face() -> None:
    background, face = PaintOver(generator_size(FRAME), (40, 90, 200)), PaintOver(Size(CROP_PX, CROP_PX), (200, 90, 40))
    effort = Effort(0.06)
    stylize = Stylize(background, face, PLAIN, effort=effort)
    still = np.zeros((90, 160, 2), np.float32)
    pictures = [stylize(replace(scene(face_at(320, 180), t=n / 30), flow=still)).rgb for n in range(20)]
    assert (len(background.seen), len(face.seen)) == (10, 20)
    assert np.abs(pictures[19].astype(int) - pictures[0]).max() <= 2
    effort.face_every_s = 0.06
    stylize.reset()
    for n in range(20, 40):
        stylize(replace(scene(face_at(320, 180), t=n / 30), flow=still))
    assert len(face.seen) == 31, "the first two, and every other from there"


def test_without_steadiness_every_room_is_drawn() -> None:
    background, face = PaintOver(generator_size(FRAME), (40, 90, 200)), PaintOver(Size(CROP_PX, CROP_PX), (200, 90, 40))
    stylize = Stylize(background, face, PLAIN, steadiness=0, effort=Effort(0.06, 0.06))
    for n in range(6):
        stylize(replace(scene(t=n / 30), flow=np.zeros((90, 160, 2), np.float32)))
    assert len(background.seen) == 6


def test_beginning_the_next_frames_before_this_one_is_drawn_changes_no_pixel() -> None:
    rng = np.random.default_rng(3)
    room = cv2.GaussianBlur(rng.integers(0, 256, (FRAME.height, FRAME.width + 40, 3), np.uint8), (0, 0), 4)
    sideways = np.zeros((90, 160, 2), np.float32)
    sideways[..., 0] = 4
    frames = [np.ascontiguousarray(room[:, n * 4 : n * 4 + FRAME.width]) for n in range(8)]
    scenes = [
        replace(scene(*[face_at(300 + 6 * n, 180)] * (n >= 2), t=n / 30, rgb=rgb, index=n), flow=sideways)
        for n, rgb in enumerate(frames)
    ]
    scenes[5] = replace(scenes[5], fresh=True)
    one_by_one, ahead = (
        Stylize(Copy(generator_size(FRAME), (0, 0, 0)), Copy(Size(CROP_PX, CROP_PX), (0, 0, 0)), PLAIN, effort=effort)
        for effort in (Effort(0.06), Effort(0.06))
    )
    begun = [ahead.begin(first) for first in scenes[:3]]
    for number, shown in enumerate(scenes):
        expected, drawn = one_by_one(shown), ahead.draw(begun[number])
        assert (drawn.rgb == expected.rgb).all() and (drawn.lines == expected.lines).all()
        begun += [ahead.begin(later) for later in scenes[number + 3 : number + 4]]


class Painted(PaintOver):
    """Paints otherwise each time, and may be stopped in the middle."""

    def __init__(self, *greys: int) -> None:
        super().__init__(generator_size(FRAME), (0, 0, 0))
        self.greys = list(greys)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.at_work = 0

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        self.at_work += 1
        assert self.at_work == 1, "one frame at a time"
        self.goes_on.wait(5)
        self.color = (self.greys[len(self.seen)],) * 3
        drawn = super().run(rgb)
        self.at_work -= 1
        return drawn


def moving(t: float, index: int = 0, fresh: bool = False) -> Scene:
    """A frame of a room in which nothing moves."""
    return replace(scene(t=t, index=index), flow=np.zeros((90, 160, 2), np.float32), fresh=fresh)


def greys_of(stylize: Stylize, scenes: list[Scene]) -> list[int]:
    return [int(np.median(stylize(shown).rgb)) for shown in scenes]


def test_a_room_that_only_became_old_is_shown_a_frame_later_so_that_nobody_waits_for_it() -> None:
    background = Painted(60, 120, 180)
    stylize = Stylize(background, None, PLAIN, effort=Effort(0.06))
    first = greys_of(stylize, [moving(0.0), moving(1 / 30)])
    background.goes_on.clear()
    begun = stylize.begin(moving(2 / 30))
    assert int(np.median(stylize.draw(begun).rgb)) == first[0], "while the second is at work"
    background.goes_on.set()
    assert int(np.median(stylize(moving(3 / 30)).rgb)) > first[0] + 20


def test_what_appears_is_drawn_at_once_but_after_the_drawing_that_is_at_work() -> None:
    background = Painted(60, 120, 180)
    stylize = Stylize(background, None, PLAIN, effort=Effort(0.06))
    greys_of(stylize, [moving(0.0), moving(1 / 30)])
    background.goes_on.clear()
    stylize.begin(moving(2 / 30))
    hand = moving(0.0).frame.rgb.copy()
    hand[100:260, 200:400] = 230
    threading.Timer(0.05, background.goes_on.set).start()
    shown = stylize.begin(replace(moving(3 / 30), frame=scene(t=3 / 30, rgb=hand).frame))
    assert shown.room.layers is not None and shown.room.layers[0, 0, 0] == 180


def test_a_late_drawing_is_not_shown_after_a_cut_and_what_it_raises_comes_a_frame_later() -> None:
    background = Painted(60, 250, 90)
    stylize = Stylize(background, None, PLAIN, effort=Effort(0.06))
    cut = greys_of(stylize, [moving(0.0), moving(1 / 30), moving(2 / 30), moving(3 / 30, fresh=True)])[-1]
    assert [cut] == greys_of(Stylize(Painted(90), None, PLAIN), [moving(0.0)])
    greys_of(stylize, [moving(4 / 30), moving(5 / 30)])  # there is no fourth grey
    with pytest.raises(IndexError):
        stylize(moving(6 / 30))
