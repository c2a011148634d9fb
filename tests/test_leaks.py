"""No raw picture reaches a sink: the real loop and stages, faults of every kind in every place and on every frame.

Every raw frame carries a mark. What a fault of a stage or a generator may do is in FAULTS; hypothesis chooses which
happen where and when, and what follows on what.
"""

from __future__ import annotations

import ast
import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import astronaut

import run as command_line
from bench.watermark import FOUND_R, found_r, marked
from realtime.card import card
from realtime.checked_generator import CheckedGenerator
from realtime.compose import Compose, PassThrough
from realtime.crop import CROP_PX
from realtime.errors import EngineError
from realtime.filter import Filter
from realtime.hold import Hold
from realtime.ink import Ink
from realtime.ink.touch_up import TouchUp
from realtime.layers import Finish
from realtime.loop import Stop, run_loop
from realtime.raw import is_raw
from realtime.settings import Background
from realtime.sinks.null import Null
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.stylize import Stylize
from realtime.types import Face, Frame, Missing, Picture, RgbImage, Scene, Size, Styled, read_only

SIZE = Size(384, 384)
SCALE = SIZE.width / 512
LANDMARKS = np.load(Path(__file__).parent / "data" / "astronaut_landmarks.npy") * np.float32(SCALE)
PHOTO = marked(cv2.resize(astronaut()[..., :3], (SIZE.width, SIZE.height), interpolation=cv2.INTER_AREA))
STAGES = ("perceive", "steady", "stylize", "ink", "compose", "room", "background", "face")
FAULTS = ("raise", "memory", "user's error", "timeout", "hang", "nothing", "the frame", "a copy of the frame")
OUTPUTS = ("nan", "black", "one colour", "all ink", "another size", "what went in", "what went in, darker")
PATIENCE_S = 0.2
FPS = 10.0

EXAMPLES = int(os.environ.get("LEAK_EXAMPLES", "20"))  # more for a long search: LEAK_EXAMPLES=2000 pytest -s

counted: Counter[str] = Counter()


@pytest.fixture(autouse=True, scope="module")
def say_what_was_counted() -> Iterator[None]:
    yield
    print("\nfaults injected and frames checked:", dict(counted))


class Faults:
    """Which fault happens in which place at which frame, and the frame that is drawn now."""

    def __init__(self, plan: dict[tuple[int, str], str]) -> None:
        self.plan = plan
        self.frame: Frame | None = None
        self.hangs_since: int | None = None
        self.let_go = threading.Event()

    def before(self, place: str) -> str | None:
        """Raises or hangs as planned; gives the planned kind of wrong result."""
        assert self.frame is not None
        fault = self.plan.get((self.frame.index, place))
        if fault is None:
            return None
        counted[fault] += 1
        if fault == "raise":
            raise ValueError("a stage broke")
        if fault == "memory":
            raise MemoryError
        if fault == "user's error":
            raise EngineError("The engine died.")
        if fault == "timeout":
            raise TimeoutError
        if fault == "hang":
            self.hangs_since = self.frame.index
            self.let_go.wait(20)
        return fault


class Source:
    """Marked frames. What hangs is let go of when the frame after the next is read, and then waited for."""

    def __init__(self, count: int, faults: Faults) -> None:
        self.count = count
        self.faults = faults
        self.hold: Hold | None = None
        self.next = 0

    def read(self) -> Frame | Missing | None:
        index, self.next = self.next, self.next + 1
        if index >= self.count:
            return None
        hangs_since = self.faults.hangs_since
        if self.hold is not None and (hangs_since is None or index >= hangs_since + 2):
            self.faults.let_go.set()
            worker = self.hold._worker
            while worker.busy and not worker._made._slot:
                threading.Event().wait(0.001)
            self.faults.hangs_since = None
            self.faults.let_go.clear()
        return Frame(read_only(PHOTO.copy()), index / FPS, index / FPS, index)


def draws(rgb: RgbImage) -> NDArray[np.uint8]:
    """A drawing: smooth areas and no ink."""
    flat = cv2.GaussianBlur(rgb, (0, 0), 10)
    return np.dstack([flat, np.zeros(rgb.shape[:2], np.uint8)])


class Generator:
    def __init__(self, size: Size, place: str, faults: Faults) -> None:
        self.size = size
        self.place = place
        self.faults = faults

    def run(self, rgb: RgbImage) -> Any:
        fault = self.faults.before(self.place)
        if fault in ("nothing", "the frame", "a copy of the frame"):
            return None if fault == "nothing" else rgb
        out = draws(rgb)
        if fault == "nan":
            return np.full(out.shape, np.nan, np.float32)
        if fault == "black":
            return np.zeros_like(out)
        if fault == "one colour":
            return np.full_like(out, 127)
        if fault == "all ink":
            out[..., 3] = 255
        if fault == "another size":
            return out[::2, ::2]
        if fault == "what went in":
            out[..., :3] = rgb
        if fault == "what went in, darker":
            out[..., :3] = rgb // 2
        return out


class Perceive:
    """Always the same face; a person in the right two thirds."""

    def __call__(self, frame: Frame) -> Scene:
        person = np.ones((9, 15), np.float32)
        person[:, :5] = 0
        return Scene(frame, person, (Face(LANDMARKS),))

    def reset(self) -> None:
        pass


class Faulty:
    """A stage with faults."""

    def __init__(self, stage: Any, place: str, faults: Faults) -> None:
        self.__dict__.update(stage=stage, place=place, faults=faults)

    def __call__(self, value: Any) -> Any:
        if self.place == "perceive":
            self.faults.frame = value
        return self.faulty(self.place, self.stage, value)

    def begin(self, value: Any) -> Any:
        return self.faulty("room", self.stage.begin, value)

    def draw(self, value: Any) -> Any:
        return self.faulty(self.place, self.stage.draw, value)

    def faulty(self, place: str, works: Callable[[Any], Any], value: Any) -> Any:
        fault = self.faults.before(place)
        if fault == "nothing":
            return None
        if fault in ("the frame", "a copy of the frame"):
            return self.undrawn(value, fault)
        return works(value)

    def undrawn(self, value: Any, fault: str) -> Any:
        """What a stage would give that lets the frame through."""
        assert self.faults.frame is not None
        rgb = self.faults.frame.rgb if fault == "the frame" else read_only(self.faults.frame.rgb.copy())
        if self.place in ("stylize", "ink"):
            scene = value if isinstance(value, Scene) else value.scene
            return Styled(scene, rgb, np.zeros(rgb.shape[:2], np.uint8))
        if self.place == "compose":
            return Picture(rgb, 0.0, 0.0, 0)
        return self.faults.frame

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stage, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.stage, name, value)


def a_filter(faults: Faults, background: Background, stats: Stats, only: str = "all") -> Filter:
    background_generator = CheckedGenerator(Generator(Size(256, 256), "background", faults))
    face_generator = CheckedGenerator(Generator(Size(CROP_PX, CROP_PX), "face", faults))
    stages: tuple[Any, ...] = (
        Perceive(),
        Steady(),
        Stylize(background_generator, face_generator, Finish()),
        Ink(TouchUp(), 1.0, None),
        Compose(background, False, only),
    )
    perceive, steady, stylize, ink, compose = (Faulty(s, p, faults) for s, p in zip(stages, STAGES, strict=False))
    return Filter(perceive, steady, stylize, ink, compose, stats)  # type: ignore[arg-type]


def run(
    plan: dict[tuple[int, str], str],
    frames: int,
    *,
    live: bool = True,
    background: Background | None = None,
    only: str = "all",
) -> tuple[list[Picture], list[str]]:
    faults, stats = Faults(plan), Stats()
    sent: list[Picture] = []
    said: list[str] = []

    def opened() -> Filter:
        return a_filter(faults, Background() if background is None else background, stats, only)

    patience_s = PATIENCE_S if any(fault == "hang" for fault in plan.values()) else 20.0
    hold = Hold(opened(), opened, said.append, live=live, patience_s=patience_s)
    source = Source(frames, faults)
    source.hold = hold
    try:
        run_loop(source, hold, sent.append, stats, Stop())
    finally:
        faults.let_go.set()
        hold.close()
    return sent, said


def is_card(picture: Picture) -> bool:
    return any(
        np.array_equal(picture.rgb, card(text, SIZE, Frame(PHOTO, 0, 0, 0)).rgb)
        for text in ("LiveToon starts", "LiveToon is back in a moment")
    )


def check(sent: list[Picture]) -> None:
    for picture in sent:
        counted["frames checked"] += 1
        assert picture.size == SIZE
        assert found_r(picture.rgb, SIZE) < FOUND_R, "the raw frame is in a picture"
    assert [p.t for p in sent] == sorted(p.t for p in sent)


@pytest.mark.parametrize(
    "change",
    [
        lambda rgb: rgb,
        lambda rgb: rgb[:, ::-1],
        lambda rgb: cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda rgb: cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
        lambda rgb: (rgb // 3 + 100).astype(np.uint8),
        lambda rgb: cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
        lambda rgb: cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR),
        lambda rgb: cv2.addWeighted(rgb, 0.4, draws(rgb)[..., :3], 0.6, 0),
    ],
)
def test_the_mark_is_found_in_whatever_shows_the_frame(change: Callable[[RgbImage], RgbImage]) -> None:
    assert found_r(np.ascontiguousarray(change(PHOTO)), SIZE) > FOUND_R


def test_the_mark_is_found_in_a_part_of_a_picture_and_not_without_one() -> None:
    drawing = np.ascontiguousarray(draws(PHOTO)[..., :3])
    assert found_r(drawing, SIZE) < FOUND_R - 0.15
    drawing[100:180, 200:280] = PHOTO[100:180, 200:280]
    assert found_r(drawing, SIZE) > FOUND_R
    assert found_r(card("LiveToon starts", SIZE, Frame(PHOTO, 0, 0, 0)).rgb, SIZE) < FOUND_R - 0.15


def test_the_style_none_passes_the_frame_through_and_the_mark_is_found() -> None:
    sent: list[Picture] = []
    run_loop(Source(3, Faults({})), PassThrough(False), sent.append, Stats(), Stop())
    assert min(found_r(picture.rgb, SIZE) for picture in sent) > 0.8


def test_without_a_fault_every_frame_is_drawn_and_the_mark_is_in_none() -> None:
    sent, said = run({}, 5)
    check(sent)
    assert said == []
    assert all(np.abs(p.rgb.astype(int) - PHOTO).mean() > 5 and not is_card(p) for p in sent)


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        *itertools.product(FAULTS, STAGES),
        *itertools.product(OUTPUTS, ("background", "face")),
    ],
)
def test_one_fault_in_any_place_shows_a_drawing_or_a_card_and_all_is_drawn_again(fault: str, place: str) -> None:
    sent, _ = run({(i, place): fault for i in (0, 2)}, 5)
    check(sent)
    assert len(sent) == 5
    assert not is_card(sent[-1])


DRAWN_PARTS = {"background": np.s_[:, :100], "person": np.s_[:, 170:], "face": np.s_[70:130, 150:210]}


def drawn_part(picture: Picture, only: str) -> RgbImage:
    """The picture without what is to be the photo."""
    kept = np.full_like(picture.rgb, 127)
    kept[DRAWN_PARTS[only]] = picture.rgb[DRAWN_PARTS[only]]
    return kept


@pytest.mark.parametrize("only", DRAWN_PARTS)
def test_what_was_named_is_drawn_and_only_the_rest_is_the_frame(only: str) -> None:
    sent, said = run({}, 3, only=only)
    assert said == []
    for picture in sent:
        assert found_r(picture.rgb, SIZE) > FOUND_R, "the rest is the camera's own picture, which was asked for"
        assert found_r(drawn_part(picture, only), SIZE) < FOUND_R


@pytest.mark.parametrize("only", ["background", "face"])
@pytest.mark.parametrize(
    ("fault", "place"),
    [
        *itertools.product(("raise", "a copy of the frame"), ("perceive", "stylize", "ink")),
        *itertools.product(("nan", "what went in"), ("background", "face")),
    ],
)
def test_no_fault_lets_the_frame_into_what_is_to_be_drawn(only: str, fault: str, place: str) -> None:
    sent, _ = run({(i, place): fault for i in (0, 2)}, 4, only=only)
    assert len(sent) == 4
    for picture in sent:
        assert found_r(drawn_part(picture, only), SIZE) < FOUND_R


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 7), st.sampled_from(STAGES)), st.sampled_from(FAULTS + OUTPUTS), max_size=20
    ),
    st.sampled_from([Background(), Background("blur"), Background("color", (0, 90, 20)), Background("transparent")]),
    st.booleans(),
)
def test_no_fault_lets_the_frame_through(plan: dict[tuple[int, str], str], background: Background, live: bool) -> None:
    try:
        sent, said = run(plan, 8, live=live, background=background)
    except Exception:
        assert not live, "a live run goes on whatever happens"
        return
    check(sent)
    assert len(sent) == 8, "every frame has its picture"
    assert len(said) <= 3, "a state is said once"


@pytest.mark.parametrize("place", ["stylize", "ink", "compose"])
def test_what_lets_the_frame_through_would_be_found_if_nothing_stopped_it(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("hold", "filter", "checked_generator"):
        monkeypatch.setattr(f"realtime.{module}.is_raw", lambda *_: False)
    sent, _ = run({(2, place): "a copy of the frame"}, 4)
    assert found_r(sent[2].rgb, SIZE) > FOUND_R


@pytest.mark.parametrize(
    "words", ["--style webtoon", "--style manga --strength 0", "--background blur", "--style none"]
)
def test_the_real_networks_draw_no_grain_and_the_style_none_shows_it(words: str, tmp_path: Path) -> None:
    size = Size(640, 360)  # the large blocks of the other tests are things to draw; grain is what only a camera gives
    photo = cv2.resize(astronaut()[60:348, :, :3], (size.width, size.height))
    cv2.imwrite(str(tmp_path / "in.png"), marked(photo, 1, 12)[..., ::-1])
    given = ["--source", str(tmp_path / "in.png"), "--sink", str(tmp_path / "out.png"), *words.split()]
    assert command_line.main(given) == 0
    bgr = cv2.imread(str(tmp_path / "out.png"))
    assert bgr is not None
    assert (found_r(np.ascontiguousarray(bgr[..., ::-1]), size, 1) > FOUND_R) == ("none" in words)


def test_only_the_preview_knows_of_frames_among_the_sinks() -> None:
    """A sink that takes a raw picture needs its type: the split view of the preview is the only one."""
    knows = set()
    for path in (Path(command_line.__file__).parent / "realtime" / "sinks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            if "Frame" in names or "realtime.types" in names:
                knows.add(path.name)
    assert knows == {"preview.py"}


def test_the_photo_of_the_split_view_reaches_the_window_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), PHOTO[..., ::-1])
    given: list[Frame] = []

    class SplitPreview(Null):
        """A preview whose window always asks for the photo; the pause is its user's second key."""

        def __init__(self, size: Size, *, on_key: Callable[[str], None], **_: Any) -> None:
            super().__init__()
            self.on_key, self.sent = on_key, 0

        def photo(self, frame: Frame) -> None:
            given.append(frame)

        def send(self, picture: Picture) -> None:
            self.sent += 1
            for key in {1: "s", 2: "r", 4: "s", 5: "r", 6: " "}.get(self.sent, ""):
                self.on_key(key)

    monkeypatch.setattr("realtime.session.Preview", SplitPreview)
    monkeypatch.chdir(tmp_path)
    sinks = ("--sink", "preview", "--sink", str(tmp_path / "%03d.png"))
    clip = tmp_path / "in.mp4"
    with av.open(str(clip), "w") as out:
        video = out.add_stream("mpeg4", rate=30)
        video.width, video.height, video.pix_fmt, video.bit_rate = SIZE.width, SIZE.height, "yuv420p", 20_000_000
        for _ in range(9):
            out.mux(video.encode(av.VideoFrame.from_ndarray(PHOTO, format="rgb24")))
        out.mux(video.encode(None))
    assert command_line.main(["--source", str(clip), "--pace", "all", *sinks, "--engine", "onnxruntime"]) == 0
    assert 6 <= len(given) < 9, "while paused not even the window gets it"
    assert min(found_r(frame.rgb, SIZE) for frame in given) > FOUND_R
    written = [bgr for path in tmp_path.glob("[0-9]*.png") if (bgr := cv2.imread(str(path))) is not None]
    written += [bgr for path in tmp_path.glob("livetoon-*.png") if (bgr := cv2.imread(str(path))) is not None]
    for path in tmp_path.glob("livetoon-*.mp4"):
        with av.open(str(path)) as recorded:
            written += [frame.to_ndarray(format="bgr24") for frame in recorded.decode(video=0)]
    assert len(written) >= 9 + 1 + 3
    for bgr in written:
        assert not is_raw(np.ascontiguousarray(bgr[..., ::-1]), PHOTO)


def test_is_raw_tells_frames_from_drawings() -> None:
    assert is_raw(PHOTO, PHOTO) and is_raw(np.ascontiguousarray(PHOTO[:, ::-1]), PHOTO) and is_raw(PHOTO // 2, PHOTO)
    assert not is_raw(np.ascontiguousarray(draws(PHOTO)[..., :3]), PHOTO)
    plain = np.full_like(PHOTO, 90)
    assert not is_raw(plain, plain), "a plain wall shows nothing"
