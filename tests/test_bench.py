"""The bench's figures on signals, pictures and renderings whose figures are known, and one short run of the product."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench import earlier, metrics, quality, scenes, sheet
from bench.clip import frames_of, measure_clip, truth_beside
from bench.render import MEMORIES, PARTS, Rendering, Studio, variants
from realtime.landmarks import LEFT_EYE
from realtime.source.open import DEMO_CLIP
from realtime.types import Face, Frame, RgbImage, Scene, Size

T = np.arange(120) / 30
WAVE = np.sin(2 * np.pi * 0.9 * T) + 0.5 * np.sin(2 * np.pi * 2.3 * T)


def rough(seed: int = 0, width: int = 192, height: int = 144, blur: float = 2.0) -> RgbImage:
    """A smooth random picture."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.asarray(np.clip(128 + 40 * smooth / smooth.std(), 0, 255), np.uint8)


def test_correlation_counts_only_what_is_known_and_moves() -> None:
    gap = WAVE.copy()
    gap[10:20] = np.nan
    assert metrics.pearson(WAVE, 3 * WAVE + 2) == pytest.approx(1)
    assert metrics.pearson(gap, -WAVE) == pytest.approx(-1)
    assert np.isnan(metrics.pearson(WAVE, np.ones_like(WAVE)))
    assert np.isnan(metrics.pearson(np.full(120, np.nan), WAVE))
    assert metrics.follows(0.1 * WAVE, WAVE, 0.02) == pytest.approx(1)
    assert np.isnan(metrics.follows(0.001 * WAVE, WAVE, 0.02)), "a source at rest says nothing"


@pytest.mark.parametrize("delay", [-2.0, 0.0, 0.5, 1.0, 3.0])
def test_delay_is_found_to_parts_of_a_frame(delay: float) -> None:
    late = T - delay / 30
    drawn = np.sin(2 * np.pi * 0.9 * late) + 0.5 * np.sin(2 * np.pi * 2.3 * late)
    assert metrics.delay_frames(WAVE, drawn) == pytest.approx(delay, abs=0.12)
    assert np.isnan(metrics.delay_frames(WAVE, np.zeros(120)))
    assert np.isnan(metrics.delay_frames(np.zeros(4), np.zeros(4))), "a clip shorter than the reach"


def test_a_blink_counts_as_drawn_only_where_it_is() -> None:
    source = np.full(60, 0.3)
    source[10:13] = source[40:44] = 0.05
    true = metrics.closings(source, 0.15)
    assert [(run.start, run.stop) for run in true] == [(10, 13), (40, 44)]
    assert metrics.drawn_closed(true, source, 0.15) == 2
    late, elsewhere = np.full(60, 0.3), np.full(60, 0.3)
    late[13] = 0.1
    elsewhere[25:30] = 0.05
    assert metrics.drawn_closed(true, late, 0.15) == 1, "a frame late is drawn, the second is not"
    assert metrics.drawn_closed(true, elsewhere, 0.15) == 0
    assert metrics.closings(np.full(9, np.nan), 0.15) == []


def test_a_picture_that_moves_with_its_source_is_steady() -> None:
    before = rough(blur=4)
    now = np.roll(before, 3, axis=1)
    flow = metrics.backward_flow(*(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (before, now)))
    middle = flow[30:-30, 30:-30]
    assert middle[..., 0].mean() == pytest.approx(-3, abs=0.15)
    moved = metrics.unsteadiness(before, now, flow)
    still = metrics.unsteadiness(before, now, np.zeros_like(flow))
    assert moved < 0.25 * still
    other = metrics.unsteadiness(rough(1), rough(2), flow)
    assert other > 10 * moved, "a drawing that is made anew each frame swims"


def test_texture_of_flat_and_grainy_pictures() -> None:
    flat = np.full((120, 160, 3), 130, np.uint8)
    halves = (np.arange(160) < 80)[None].repeat(120, 0), (np.arange(160) >= 80)[None].repeat(120, 0)
    grain = np.random.default_rng(3).normal(0, 4, (120, 80, 1)).round()
    grainy = flat.copy()
    grainy[:, 80:] = (130 + grain).astype(np.uint8)
    left, right = metrics.texture(grainy, halves)
    assert left < 0.2 * right
    assert metrics.texture(flat, halves) == pytest.approx((0, 0), abs=1e-6)
    line = flat.copy()
    line[:, 78:82] = 20
    assert max(metrics.texture(line, halves)) < 1e-3, "an ink line is no texture"
    assert np.isnan(metrics.texture(flat, (np.zeros((120, 160), bool),))[0])


def test_change_counts_jumps() -> None:
    before = np.full((10, 10, 3), 100, np.uint8)
    now = before.copy()
    now[0, :5, 1] += 17
    now[1, :, 1] += 16
    found = metrics.change(before, now)
    assert (found.jumping, found.largest) == (0.05, 17)
    assert found.mean == pytest.approx((5 * 17 + 10 * 16) / 300)
    assert metrics.change(before, now, np.arange(10)[:, None].repeat(10, 1) > 1).largest == 0


def drawn_face(gaze: float, lid: float, mouth: float, x: float) -> Face:
    """Landmarks on a circle but for the points that the signals are read off."""
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    points = np.stack([40 * np.cos(angle), 50 * np.sin(angle), 0 * angle], 1).astype(np.float32)
    for outer, inner, iris, upper, lower, centre in (
        (33, 133, 468, (246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155), -15),
        (263, 362, 473, (466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382), 15),
    ):
        side = np.sign(centre)
        points[outer, :2], points[inner, :2] = (centre + 8 * side, -10), (centre - 8 * side, -10)
        points[iris, :2] = (centre + 8 * gaze, -10)
        points[list(upper), 1], points[list(lower), 1] = -10 - 8 * lid, -10 + 8 * lid
        points[list(upper), 0] = points[list(lower), 0] = centre
    points[61, :2], points[291, :2] = (-12, 20), (12, 20)
    points[13, :2], points[14, :2] = (0, 20 - 12 * mouth), (0, 20 + 12 * mouth)
    points[:, :2] += (96 + x, 72)
    return Face(points)


@dataclass
class Sees:
    """Eyes that see the face that was put there, frame by frame, and forget nothing."""

    faces: list[Face | None]

    def __call__(self, frame: Frame) -> Scene:
        face = self.faces[frame.index]
        person = np.zeros((36, 48), np.float32)
        person[10:, 12:36] = 1
        return Scene(frame, person, () if face is None else (face,))

    def reset(self) -> None: ...


def made_up_clip(count: int = 60) -> tuple[list[Frame], list[Face]]:
    """A picture that moves to and fro with a face that looks, blinks and speaks."""
    wave = np.sin(np.arange(count) / 5)
    lid = np.where(np.arange(count) % 20 < 3, 0.05, 0.3)
    shift = np.round(5 * np.sin(np.arange(count) / 9)).astype(int)
    room = rough(blur=4)
    frames = [scenes.frame_at(np.roll(room, s, axis=1), n / 30, n) for n, s in enumerate(shift)]
    faces = [drawn_face(0.4 * w, float(o), 0.2 + 0.1 * w, s) for w, o, s in zip(wave, lid, shift, strict=True)]
    return frames, faces


def test_a_rendering_that_is_its_clip_has_the_figures_of_its_clip() -> None:
    frames, faces = made_up_clip()
    late: list[Face | None] = [faces[0], faces[0], *faces[:-2]]
    missing: list[Face | None] = [face if n % 4 else None for n, face in enumerate(faces)]
    renderings = [
        Rendering("same", lambda frame: frame.rgb),
        Rendering("late", lambda frame: frame.rgb),
        Rendering("flat", lambda frame: np.full_like(frame.rgb, 128)),
        Rendering("lost", lambda frame: np.full_like(frame.rgb, (frame.index % 2) * 255)),
    ]
    eyes = {"same": Sees([*faces]), "late": Sees(late), "flat": Sees([None] * 60), "lost": Sees(missing)}
    true = [
        {"gaze": np.sin(n / 5), "right_eye": float(n % 20 >= 3), "left_eye": float(n % 20 >= 3), "mouth": np.sin(n / 5)}
        for n in range(60)
    ]
    found = measure_clip(iter(frames), renderings, Sees([*faces]), eyes, true)  # type: ignore[arg-type]
    same, late_, flat, lost = (found[name] for name in ("same", "late", "flat", "lost"))
    for name in ("found", "gaze", "blink", "mouth", "warp", "texture_body", "texture_room", "true_mouth"):
        assert same[name] == pytest.approx(1, abs=1e-3), name
    assert same["gap"] == pytest.approx(0, abs=1e-6)
    assert (same["blinks"], same["blinks_drawn"]) == (6, 6)
    assert same["delay_mouth"] == pytest.approx(0, abs=0.1)
    assert late_["delay_mouth"] == pytest.approx(2, abs=0.15)
    assert late_["delay_gaze"] == pytest.approx(2, abs=0.3)
    assert late_["gaze"] < 0.98
    assert [flat[name] for name in ("found", "warp", "texture_body")] == pytest.approx([0, 0, 0], abs=1e-4)
    assert np.isnan(flat["gaze"])
    assert lost["found"] == pytest.approx(0.75)
    assert lost["warp"] > 20, "black and white in turn"


def test_a_blink_that_is_not_drawn_is_counted() -> None:
    frames, faces = made_up_clip()
    stares = [drawn_face(0, 0.3, 0.2, 0) for _ in faces]
    staring = [Rendering("stares", lambda frame: frame.rgb)]
    found = measure_clip(iter(frames), staring, Sees([*faces]), {"stares": Sees([*stares])})["stares"]  # type: ignore[arg-type, dict-item]
    assert (found["blinks"], found["blinks_drawn"]) == (6, 0)
    assert np.isnan(found["blink"])
    assert "true_blink" not in found


def test_the_gaze_of_a_shut_eye_does_not_count() -> None:
    frames, faces = made_up_clip()

    def with_shut_eyes_aside(off: float) -> list[Face]:
        found = []
        for n, face in enumerate(faces):
            points = face.landmarks.copy()
            if n % 20 < 3:
                points[[468, 473], 0] += off
            elif n % 20 > 15:  # a wink, and where the shut eye's iris would be
                points[[*LEFT_EYE.upper_lid, *LEFT_EYE.lower_lid], 1] = points[263, 1]
                points[473, 0] += off
            found.append(Face(points))
        return found

    drawn = {"other": Sees([*with_shut_eyes_aside(-6)])}
    renderings = [Rendering("other", lambda frame: frame.rgb)]
    true = [
        {"gaze": np.sin(n / 5), "right_eye": float(n % 20 >= 3), "left_eye": float(3 <= n % 20 <= 15), "mouth": 0.0}
        for n in range(60)
    ]
    source = Sees([*with_shut_eyes_aside(6)])
    found = measure_clip(iter(frames), renderings, source, drawn, true)["other"]  # type: ignore[arg-type]
    assert found["gaze"] == pytest.approx(1, abs=1e-3)
    assert found["true_gaze"] == pytest.approx(1, abs=1e-3)


class Trails:
    """A rendering that mixes each frame with what it drew before: what is left of the past is known."""

    def __init__(self, kept: float) -> None:
        self.kept = kept
        self.reset()

    def reset(self) -> None:
        self.last: np.ndarray | None = None

    def __call__(self, frame: Frame) -> RgbImage:
        now = frame.rgb.astype(np.float32)
        self.last = now if self.last is None else self.kept * self.last + (1 - self.kept) * now
        return np.asarray(np.round(self.last), np.uint8)


def trails(kept: float) -> Rendering:
    draw = Trails(kept)
    return Rendering(f"keeps {kept:g}", draw, draw.reset)


def test_ghosts_cuts_and_rates_show_what_is_kept_of_the_past() -> None:
    clean, ghostly = trails(0), trails(0.5)
    bar = scenes.sweeping_bar([clean, ghostly], Size(640, 64))
    assert bar["keeps 0"]["ghost"] == 0
    # the bar was there two frames ago, in part three frames ago too, and not since; it is 90 darker than the wall
    assert bar["keeps 0.5"]["ghost_60"] == pytest.approx(90 / 8 + 90 / 16, abs=2)
    assert bar["keeps 0.5"]["ghost"] >= bar["keeps 0.5"]["ghost_240"] > bar["keeps 0.5"]["ghost_142"] > 0
    photo = rough(width=320, height=180)
    after = scenes.cuts(photo, [clean, ghostly])
    assert (after["keeps 0"]["cut"], after["keeps 0"]["reset"], after["keeps 0.5"]["reset"]) == (0, 0, 0)
    assert after["keeps 0.5"]["cut"] > 5
    rates = scenes.same_motion(photo, [clean, ghostly])
    assert (rates["keeps 0"]["rate_15"], rates["keeps 0"]["rate_60"]) == (0, 0)
    assert rates["keeps 0.5"]["rate_15"] > 1, "a weight a frame is not a weight a second"


def test_flicker_of_a_still_photo() -> None:
    def nobody(frame: Frame) -> Scene:
        return Scene(frame, np.zeros((9, 16), np.float32), ())

    photo = rough(width=160, height=90)
    renderings = [trails(0), trails(0.9), Rendering("still", lambda frame: photo)]
    found = scenes.still_photo(photo, renderings, nobody)  # type: ignore[arg-type]
    assert found["keeps 0"]["flicker"] == pytest.approx(1)
    assert found["keeps 0"]["mean_change"] == pytest.approx(4 * 2 / np.sqrt(np.pi), rel=0.35), (
        "mean |a - b| of two noises"
    )
    assert found["keeps 0.9"]["flicker"] < 0.15
    assert found["keeps 0"]["settled"] > 10
    assert (found["still"]["flicker"], found["still"]["settled"], found["still"]["jumping"]) == (0, 0, 0)


def test_targets_are_marked() -> None:
    assert quality.misses_target("gaze", 0.94, is_median=False) == 0.95
    assert quality.misses_target("gaze", 0.96, is_median=False) is None
    assert quality.misses_target("warp", 0.9, is_median=False) is None
    assert quality.misses_target("warp", 0.9, is_median=True) == 0.75
    assert quality.misses_target("warp", float("nan"), is_median=True) is None


@pytest.fixture(scope="module")
def run_of_the_product(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], Path]:
    folder = tmp_path_factory.mktemp("bench")
    words = ["--frames", "20", "--no-scenes", "--json", str(folder / "q.json"), "--sheet", str(folder / "q.png")]
    assert quality.main(words) == 0
    return json.loads((folder / "q.json").read_text()), folder


def test_twenty_frames_of_the_demo_clip(run_of_the_product: tuple[dict[str, object], Path]) -> None:
    report, folder = run_of_the_product
    clips = report["clips"]
    assert isinstance(clips, dict)
    found = clips[DEMO_CLIP.name]["webtoon"]
    assert (found["frames"], found["found"]) == (20, 1)
    assert found["blink"] > 0.8
    assert 0.1 < found["texture_body"] < 1
    assert 0.2 < found["warp"] < 3
    assert found["true_blinks"] == 2
    pair = cv2.imread(str(folder / "q.png"))
    assert pair is not None
    assert pair.shape == (720, 2560, 3)


def test_figures_that_are_unknown_or_bad_are_marked_in_the_table() -> None:
    figures = {"found": 1.0, "gaze": float("nan"), "blink": 0.5}
    report = {"version": "v", "style": "webtoon", "host": {"cpu": "cpu"}, "engines": [], "scenes": {}, "misses": []}
    head, row = quality.as_text({**report, "clips": {"clip.mp4": {"webtoon": figures}}}).splitlines()[-2:]
    assert head.split()[:4] == ["clip", "found", "gaze", "blink"]
    assert row.split()[:5] == ["clip.mp4", "webtoon", "1", "-", "0.5!"]


def test_each_part_that_smooths_can_be_switched_off() -> None:
    """Guards the names that are switched from outside: a part that is off must make a difference, and only then."""
    before = [module.TAU_S for module in MEMORIES.values()]
    noise = np.random.default_rng(0)

    def frames() -> Iterator[Frame]:
        for frame in frames_of("demo", 6, print):
            darker = 0.85 if frame.index > 2 else 1.0  # the exposure has something to follow
            grain = noise.normal(0, 4, frame.rgb.shape)
            yield scenes.frame_at(np.clip(frame.rgb * darker + grain, 0, 255).astype(np.uint8), frame.t, frame.index)

    with Studio("auto", lambda line: None) as studio:
        size = Size(1280, 720)
        everything = studio.filter("webtoon", size)
        others = {name: studio.filter("webtoon", size, without=parts) for name, parts in variants().items()}
        assert set().union(*variants().values()) == set(PARTS)
        for frame in frames():
            full = everything.draw(frame)
            drawn = {name: other.draw(frame) for name, other in others.items()}
    for name, picture in drawn.items():
        assert metrics.change(full, picture).mean > 0.01, name
    after = [module.TAU_S for module in MEMORIES.values()]
    assert after == before


def test_signals_beside_a_clip(tmp_path: Path) -> None:
    known = truth_beside(DEMO_CLIP)
    assert known is not None
    assert len(known) == 210
    assert truth_beside(tmp_path / "clip.mp4") is None
    (tmp_path / "clip.json").write_text("no json")
    assert truth_beside(tmp_path / "clip.mp4") is None


def test_sheets_fit_together() -> None:
    wide, narrow = np.zeros((20, 60, 3), np.uint8), np.zeros((20, 30, 3), np.uint8)
    assert sheet.stacked([wide, narrow]).shape == (60, 60, 3)
    assert sheet.side_by_side([wide, narrow]).shape == (20, 90, 3)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere.mp4"], 3, "nowhere.mp4"),
        (["--style", "webton"], 2, "did you mean webtoon"),
        (["--against", "no-such-thing"], 2, "neither a style nor a version"),
        (["--frames", "0"], 2, "above 0"),
        (["--json", "nowhere/q.json"], 4, "nowhere"),
        (["--sheet", "nowhere/q.png"], 4, "nowhere"),
    ],
)
def test_wrong_words_are_one_sentence(
    words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quality.main(words) == code
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told


def test_an_earlier_version_is_drawn_by_its_own_command_line(tmp_path: Path) -> None:
    """A version of two files that writes grey pictures stands for any version of the project."""
    (tmp_path / "run.py").write_text(
        "import sys, cv2, numpy as np\n"
        "w = sys.argv; out = w[w.index('--sink') + 1]\n"
        "[cv2.imwrite(out % n, np.full((8, 8, 3), 10 * n, np.uint8)) for n in range(int(w[w.index('--frames') + 1]))]\n"
    )
    drawing = earlier.rendering_of("old", tmp_path, "demo", "webtoon", 3, tmp_path)
    assert drawing.draw(scenes.frame_at(np.zeros((8, 8, 3), np.uint8), 0.0, 2)).mean() == 20
