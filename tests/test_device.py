"""The device path on torch's CPU device against the OpenCV path; on a GPU with `make gpu`.

Tolerance: at least 46 dB, 99.9 % of the values within 8 levels, of ink 12. The two round in different places, and tone
steps turn a difference of one level into a few.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from stand_in_tensorrt import Cuda
from test_engines import quiet, write_generator
from test_stylize import face_at

from engines import reference, torch_gpu
from engines.engine import DeviceGenerator
from engines.network import gpu_network
from engines.openvino_cpu import OpenVinoEngine
from engines.tensorrt import TENSORRT_RTX, TensorRtEngine, compile_network
from engines.torch_gpu import TorchEngine
from engines.verify import agreement
from realtime.crop import CROP_PX
from realtime.errors import EngineError
from realtime.layers import Finish, Layers, draw_layers
from realtime.motion import Motion
from realtime.open_stylize import open_stylize
from realtime.stylize import Stylize, generator_size, shrunk
from realtime.types import Frame, RgbImage, Scene, Size, Styled

torch = pytest.importorskip("torch", reason="torch is not installed (extra gpu or train)")

from bench.device_path import demo_scenes, macs, measure_path  # noqa: E402
from realtime.device import layers as device_layers  # noqa: E402
from realtime.device import resample  # noqa: E402
from realtime.device.stylize import StylizeOnDevice  # noqa: E402

Tensor = Any

LEAST_DB, MOST_LEVELS = 46.0, 8.0
MOST_INK = 12.0  # where lines begin a level of the layers is four of ink
MODELS = Path(reference.__file__).parent / "models"
FRAME = Size(480, 270)
SQUARE = Size(CROP_PX, CROP_PX)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """torch's threads wait for each other by spinning, which is slow where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Sketch:
    """A generator that runs on host and device arrays: flat colour is the picture blurred, ink its edges."""

    def __init__(self, size: Size) -> None:
        self.size = size

    def queue(self, picture: Tensor, drawing: Tensor, stream: int) -> None:
        planes = picture.permute(0, 3, 1, 2).float()
        flat = resample.box_blurred(planes, 7)
        ink = (resample.highest(flat, 3) - resample.lowest(flat, 3)).amax(1, keepdim=True) * 4 - 60
        drawing.copy_(torch.cat([flat, ink], 1).round().clamp(0, 255).permute(0, 2, 3, 1))

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        drawing = torch.zeros((1, *rgb.shape[:2], 4), dtype=torch.uint8)
        self.queue(torch.from_numpy(rgb.copy())[None], drawing, 0)
        return np.asarray(drawing[0].numpy(), np.uint8)


Networks = tuple[TorchEngine, TorchEngine]
Pair = tuple[Sketch | TorchEngine, Sketch | TorchEngine]


def networks(device: str, frame: Size, precision: str = "fp32") -> Networks:
    """The shipped ones in torch, where both paths get the same layers."""
    return (
        TorchEngine(MODELS / "webtoon-background.onnx", generator_size(frame), precision, device),
        TorchEngine(MODELS / "webtoon-face.onnx", SQUARE, precision, device),
    )


@pytest.fixture
def pair() -> Pair:
    return Sketch(Size(240, 144)), Sketch(SQUARE)


def on_cpu(pair: Pair, finish: Finish | None = None, frame: Size = FRAME, steadiness: float = 1.0) -> StylizeOnDevice:
    return StylizeOnDevice(*pair, finish or Finish(), frame, steadiness, say=print, device="cpu")


def portrait(size: Size) -> RgbImage:
    part = skimage.data.astronaut()[: round(512 * size.height / size.width)]
    return np.asarray(cv2.resize(part, (size.width, size.height), interpolation=cv2.INTER_CUBIC), np.uint8)


def scenes(size: Size = FRAME, count: int = 4, light: float = 1.0, step: float = 3.0, fps: float = 30) -> list[Scene]:
    """A portrait that moves to the right, with sensor noise; its face is followed. The second frame has the first's
    time: nothing may change by it.
    """
    random, motion, still = np.random.default_rng(0), Motion(), portrait(size)
    scale = size.width / 512
    found = []
    for i in range(count):
        moved = cv2.warpAffine(
            still,
            np.array([[1, 0, step * i], [0, 1, 0]], np.float32),
            (size.width, size.height),
            borderMode=cv2.BORDER_REPLICATE,
        )
        rgb = np.clip(moved * light + random.normal(0, 3, moved.shape), 0, 255).astype(np.uint8)
        face = face_at(225 * scale + step * i, 110 * scale, 120 * scale, 0.1)
        t = max(0, i - 1) / fps
        found.append(Scene(Frame(rgb, t, t, i), np.ones((36, 64), np.float32), (face,), i == 0, motion(rgb)))
    return found


def check_alike(given: Styled, expected: Styled) -> None:
    check_close("drawing", given.rgb, expected.rgb, MOST_LEVELS)
    check_close("ink", given.lines[..., None], expected.lines[..., None], MOST_INK)


def check_close(what: str, given: NDArray[np.uint8], expected: NDArray[np.uint8], most: float) -> None:
    psnr_db, p999 = agreement([given], [expected])
    assert psnr_db >= LEAST_DB and p999 <= most, f"{what}: {psnr_db:.1f} dB, 99.9 % within {p999:.0f} levels"


def check_run(device: StylizeOnDevice, host: Stylize, shown: list[Scene]) -> None:
    for scene in shown:
        check_alike(device(scene), host(scene))


class TestAgainstOpenCv:
    def test_with_the_shipped_networks(self) -> None:
        frame = Size(1280, 720)
        pair = networks("cpu", frame)
        check_run(on_cpu(pair, frame=frame), Stylize(*pair, Finish()), scenes(frame, 3))

    @pytest.mark.parametrize("light", [1.0, 0.3])
    def test_a_moving_portrait_in_any_light(self, pair: Pair, light: float) -> None:
        check_run(on_cpu(pair), Stylize(*pair, Finish()), scenes(light=light))

    @pytest.mark.parametrize("fps", [30, 3])  # 3: over a second, after which what is still is held
    def test_a_moving_head_before_a_still_room(self, pair: Pair, fps: float) -> None:
        shown = scenes(count=8, fps=fps)
        still, motion, found = shown[0].frame.rgb, Motion(), []
        left = FRAME.width // 4, FRAME.width * 5 // 8
        for scene in shown:
            rgb = still.copy()
            rgb[:, slice(*left)] = scene.frame.rgb[:, slice(*left)]
            found.append(replace(scene, frame=replace(scene.frame, rgb=rgb), flow=motion(rgb)))
        assert found[4].flow is not None and 0.1 < (found[4].flow != 0).any(2).mean() < 0.7
        check_run(on_cpu(pair), Stylize(*pair, Finish()), found)

    def test_frames_that_are_not_kept_steady(self, pair: Pair) -> None:
        check_run(on_cpu(pair, steadiness=0), Stylize(*pair, Finish(), 0), scenes(count=3))

    def test_steadiness_that_changes_while_it_runs(self, pair: Pair) -> None:
        device, first, second = on_cpu(pair), *scenes(count=2)
        device(first)
        device.steadiness = 0.0
        check_alike(device(second), Stylize(*pair, Finish(), 0)(second))

    def test_a_style_and_strength_that_change_while_it_runs(self, pair: Pair) -> None:
        device, host = on_cpu(pair), Stylize(*pair, Finish())
        first, *later = scenes(count=3)
        check_alike(device(first), host(first))
        manga = Finish(tone_steps=4, chroma=0.0, ink_low=0.1, ink_high=0.42, black=0.02)
        meadow = Finish(green_chroma=1.5, green_turn=-6.0, simplify=3, ink_grow=0.5, light_tint=0.3)
        for finish, scene in zip((manga, meadow), later, strict=True):
            device.finish = host.finish = finish
            check_alike(device(scene), host(scene))

    def test_faces_at_edges_beside_each_other_tiny_and_gone(self, pair: Pair) -> None:
        device, host = on_cpu(pair), Stylize(*pair, Finish())
        faces = [
            (face_at(0, 0, track=1), face_at(300, 150, 90, -0.8, track=2)),
            (face_at(300, 150, 90, -0.8, track=2), face_at(330, 160, 420, track=3)),
            (face_at(-900, 150, track=1), face_at(300, 150, 20, track=4)),
            (),
        ]
        for scene, these in zip(scenes(), faces, strict=True):
            scene = replace(scene, faces=these)
            check_alike(device(scene), host(scene))

    def test_a_face_that_appears_later_fades_in_alike(self, pair: Pair) -> None:
        device, host, (first, _, *later) = on_cpu(pair), Stylize(*pair, Finish()), scenes(count=5)
        check_alike(device(replace(first, faces=())), host(replace(first, faces=())))
        for scene in later:
            check_alike(device(scene), host(scene))

    def test_a_face_that_fills_the_frame_is_averaged_down_alike(self, pair: Pair) -> None:
        device, host = on_cpu(pair), Stylize(*pair, Finish())
        scene = replace(scenes(count=1)[0], faces=(face_at(300, 180, 500, 0.3),))
        check_alike(device(scene), host(scene))

    def test_a_cut_and_a_reset_forget(self, pair: Pair) -> None:
        device, host = on_cpu(pair), Stylize(*pair, Finish())
        first, _, third, fourth = scenes()
        device(first), host(first)
        dark = replace(third, frame=replace(third.frame, rgb=third.frame.rgb // 3), fresh=True)
        check_alike(device(dark), host(dark))
        device.reset()
        host.reset()
        check_alike(device(fourth), host(fourth))

    @pytest.mark.parametrize("size", [Size(160, 120), Size(200, 360), Size(722, 410)])
    def test_frames_of_other_sizes(self, pair: Pair, size: Size) -> None:
        device, host = on_cpu(pair), Stylize(*pair, Finish())
        scene = scenes(count=1)[0]
        device(scene), host(scene)
        other = replace(scenes(size, 1)[0], fresh=True)
        check_alike(device(other), host(other))
        assert device(other).rgb.shape == (size.height, size.width, 3)

    def test_frames_submitted_ahead_are_the_same(self, pair: Pair) -> None:
        one, ahead, shown = on_cpu(pair), on_cpu(pair), scenes(count=3)
        waiting = [ahead.submit(scene) for scene in shown]
        for wait, scene in zip(waiting, shown, strict=True):
            assert np.array_equal(wait().rgb, one(scene).rgb)


class TestParts:
    @pytest.mark.parametrize(
        ("before", "after"),
        [((1280, 720), (640, 368)), ((1920, 1080), (640, 368)), ((320, 240), (560, 416)), ((200, 700), (560, 416))],
    )
    def test_resizing_is_that_of_the_other_path(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        picture = portrait(Size(*before))
        expected = shrunk(picture, Size(*after)).astype(int)
        given = resample.shrunk(torch.from_numpy(picture), Size(*after))[0].permute(1, 2, 0).numpy()
        assert np.abs(given - expected).max() <= 2  # halves are rounded otherwise, which the cubic enlarges

    @pytest.mark.parametrize("size", [Size(1, 1), Size(16, 16), Size(101, 33), Size(300, 200)])
    @pytest.mark.parametrize(
        "finish",
        [
            Finish(),
            Finish(chroma=1.4, tone_steps=3, ink_weight=0.5),
            Finish(contrast=0.3, ink_depth=0.95, ink_grow=0.5, simplify=5, green_chroma=1.5, shade_tint=0.4),
        ],
    )
    def test_layers_become_the_same_picture(self, size: Size, finish: Finish) -> None:
        flat = portrait(Size(96, 64))
        ink = cv2.Canny(flat, 60, 120)
        rgb, lines = draw_layers(Layers(flat, ink), size, finish)
        together = torch.from_numpy(np.dstack([flat, ink])).permute(2, 0, 1)[None].float()
        colour = device_layers.colours(finish)
        fixed = (finish.ink_grow, finish.simplify, None if colour is None else torch.from_numpy(colour))
        given, given_ink = device_layers.drawn(together, size, torch.from_numpy(device_layers.tables(finish)), *fixed)
        given_rgb = given.round().clamp(0, 255)[0].permute(1, 2, 0).numpy()
        apart = np.abs(given_rgb - rgb)
        assert np.percentile(apart, 99) <= 4 and apart.mean() < 0.8
        assert np.abs(given_ink[0, 0].numpy() - lines).mean() < 0.5


class TestOwnership:
    def test_what_comes_out_is_the_callers_own_and_the_frame_is_left_alone(self, pair: Pair) -> None:
        stylize, (first, _, third) = on_cpu(pair), scenes(count=3)
        first.frame.rgb.flags.writeable = False
        before = first.frame.rgb.copy()
        styled = stylize(first)
        kept = styled.rgb.copy()
        stylize(third)
        assert np.array_equal(styled.rgb, kept) and np.array_equal(first.frame.rgb, before)
        with pytest.raises(ValueError, match="read-only"):
            styled.rgb[0, 0] = 0

    def test_every_part_of_the_work_is_marked_for_a_bench(self, pair: Pair) -> None:
        stylize, marks = on_cpu(pair), list[str]()
        stylize.mark = marks.append
        stylize(scenes(count=1)[0])
        assert marks == ["start", "upload", "background", "steady", "compose", "faces"]


class Blank:
    """A generator that has come to draw nothing."""

    def __init__(self, size: Size) -> None:
        self.size = size

    def queue(self, picture: object, drawing: Tensor, stream: int) -> None:
        drawing.fill_(90)


def test_a_generator_that_draws_nothing_any_more_is_an_error() -> None:
    stylize = StylizeOnDevice(Blank(generator_size(FRAME)), Blank(SQUARE), Finish(), FRAME, say=quiet, device="cpu")
    with pytest.raises(EngineError, match="the same everywhere"):
        stylize(scenes(count=1)[0])


def test_tensorrt_reads_and_writes_the_tensors_own_memory(stand_in: Cuda) -> None:
    model = MODELS / "webtoon-face.onnx"
    content = compile_network(TENSORRT_RTX, gpu_network(model, SQUARE, "fp32"), (), quiet)
    picture = torch.from_numpy(portrait(SQUARE))[None]
    bound = torch.zeros((1, CROP_PX, CROP_PX, 4), dtype=torch.uint8)
    with TensorRtEngine(TENSORRT_RTX, content, "fp32", "memory") as engine:
        assert isinstance(engine, DeviceGenerator)
        engine.queue(picture, bound, 7)
        drawn = bound[0].numpy().copy()
        assert np.array_equal(engine.run(picture[0].numpy()), drawn)  # in memory of its own
        assert np.array_equal(bound[0].numpy(), drawn)
        engine.queue(picture.flip(1).contiguous(), bound, 7)
    assert not np.array_equal(bound[0].numpy(), drawn)
    with pytest.raises(ValueError, match="closed"):
        engine.queue(picture, bound, 7)


class TestChoice:
    @pytest.fixture
    def pair(self) -> Iterator[Networks]:
        """The face's network twice: small, and an engine of a GPU."""
        with TorchEngine(MODELS / "webtoon-face.onnx", SQUARE, "fp32", "cpu") as engine:
            yield engine, engine

    def opened(self, pair: tuple[OpenVinoEngine | TorchEngine, ...], said: list[str]) -> object:
        return open_stylize(pair[0], pair[1], Finish(), FRAME, 1.0, said.append)

    def test_engines_of_the_processor_stay_there(self) -> None:
        said: list[str] = []
        with OpenVinoEngine(MODELS / "webtoon-face.onnx", SQUARE, "fp32") as engine:
            assert isinstance(self.opened((engine, engine), said), Stylize)
        assert said == []

    @pytest.mark.usefixtures("no_gpu")
    def test_a_gpu_that_torch_cannot_use_is_said(self, pair: Networks) -> None:
        said: list[str] = []
        assert isinstance(self.opened(pair, said), Stylize)
        assert len(said) == 1 and "bootstrap.py --gpu" in said[0]

    def test_without_torch_it_is_said_too(self, pair: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> tuple[str, ...]:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

        monkeypatch.setattr(torch_gpu, "precisions", missing)
        said: list[str] = []
        assert isinstance(self.opened(pair, said), Stylize)
        assert "torch is missing" in said[0]

    def test_generators_on_a_gpu_take_the_device_path(self, pair: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch_gpu, "precisions", lambda: ("fp16",))
        opened: list[tuple[object, ...]] = []

        def stage(*given: object, say: Callable[[str], None]) -> str:
            opened.append(given)
            return "device"

        monkeypatch.setattr("realtime.device.stylize.StylizeOnDevice", stage)
        assert self.opened(pair, []) == "device"
        assert opened[0] == (*pair, Finish(), FRAME, 1.0)

    def test_a_gpu_that_is_full_is_one_sentence(self, pair: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch_gpu, "precisions", lambda: ("fp16",))

        def full(*_: object, say: object) -> None:
            raise RuntimeError("CUDA out of memory.\nTried to allocate")

        monkeypatch.setattr("realtime.device.stylize.StylizeOnDevice", full)
        with pytest.raises(EngineError, match=r"cannot draw frames of 480x270 \(CUDA out of memory\.\)") as caught:
            self.opened(pair, [])
        assert "\n" not in str(caught.value)

    def test_torch_is_not_imported_for_a_processor(self) -> None:
        program = "import sys, realtime.session; print('torch' in sys.modules)"
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=MODELS.parent.parent, capture_output=True, text=True, check=False
        )
        assert run.stdout == "False\n", run.stderr


class TestBench:
    def test_measures_every_part(self, pair: Pair) -> None:
        models = (MODELS / "webtoon-background.onnx", MODELS / "webtoon-face.onnx")
        found = measure_path(*pair, models, scenes(count=3), 6, names=("sketch", "fp32"), device="cpu")
        assert list(found.part_ms) == ["upload", "background", "steady", "compose", "faces"]
        assert all(0 <= p50 <= p95 for p50, p95 in (*found.part_ms.values(), found.call_ms))
        assert found.faces == 1 and found.size == str(FRAME) and found.slower == []
        assert found.up_mib == round(480 * 270 * 3 / 2**20, 2)

    def test_counts_multiplications(self, tmp_path: Path) -> None:
        assert macs(write_generator(tmp_path / "one.onnx"), Size(96, 64)) == 96 * 64 * 3 * 4 * 9

    def test_the_demo_has_a_face_in_motion(self) -> None:
        shown = demo_scenes(Size(640, 360), 3)
        assert [len(s.faces) for s in shown] == [1, 1, 1]
        assert shown[0].fresh and shown[2].flow is not None and shown[2].frame.size == Size(640, 360)


@pytest.mark.gpu
class TestOnAGpu:
    @pytest.fixture(params=["fp32", "fp16"])
    def there(self, request: pytest.FixtureRequest) -> Iterator[Networks]:
        background, face = networks("cuda", FRAME, request.param)
        with background, face:
            yield background, face

    def on_gpu(self, pair: Networks, said: list[str]) -> StylizeOnDevice:
        stylize = open_stylize(pair[0], pair[1], Finish(), FRAME, 1.0, said.append)
        assert isinstance(stylize, StylizeOnDevice)
        return stylize

    def test_draws_as_opencv_does_and_all_of_it_is_recorded(self, there: Networks) -> None:
        said: list[str] = []
        check_run(self.on_gpu(there, said), Stylize(*there, Finish()), scenes())
        assert said == []

    def test_frames_submitted_ahead_are_the_same(self, there: Networks) -> None:
        one, ahead, shown = self.on_gpu(there, []), self.on_gpu(there, []), scenes(count=6)
        waiting = [ahead.submit(scene) for scene in shown]
        for wait, scene in zip(waiting, shown, strict=True):
            check_alike(wait(), one(scene))

    def test_pictures_that_are_kept_are_not_written_over(self, there: Networks) -> None:
        stylize, shown = self.on_gpu(there, []), scenes(count=6)
        kept = [stylize(scene).rgb for scene in shown]
        copies = [rgb.copy() for rgb in kept]
        for scene in shown:
            stylize(scene)
        assert all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))

    def test_memory_does_not_grow(self, there: Networks) -> None:
        stylize, shown = self.on_gpu(there, []), scenes()
        for i in range(300):
            stylize(replace(shown[i % 4], frame=replace(shown[i % 4].frame, t=i / 30), fresh=False))
            if i == 100:
                before = torch.cuda.memory_allocated()
        assert torch.cuda.memory_allocated() <= before + 2**20
