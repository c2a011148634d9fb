from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from stand_in_tensorrt import Cuda

from engines import reference, select
from engines.engine import Engine
from engines.network import PRECISIONS, gpu_network
from engines.openvino_cpu import OpenVinoEngine, precisions
from engines.reference import OnnxRuntimeEngine, run_network
from engines.select import Kind, Offer, cpu_offers, list_engines, open_engine
from engines.tensorrt import TENSORRT_RTX, TensorRtEngine, compile_network
from engines.torch_gpu import TorchEngine
from engines.verify import TOLERANCES, Trial, agreement, check_drawings, check_engine, trial_pictures
from realtime.errors import EngineError, ModelFileError
from realtime.settings import ENGINES
from realtime.types import RgbImage, Size

SIZE = Size(96, 64)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_generator(
    path: Path, *, inputs: int = 3, scale: float = 1.0, fixed: Size | None = None, kind: int = 1
) -> Path:
    """A generator of layers: a 3x3 convolution for the flat colours, slightly beyond 0..1 as trained ones are, and an
    ink of |horizontal gradient|. `scale` 0 or NaN makes one that is broken.
    """
    random = np.random.default_rng(0)
    weight = np.zeros((4, inputs, 3, 3), np.float32)
    for c in range(3):
        weight[c, c % inputs] = random.uniform(0, 0.2, (3, 3))
        weight[c, c % inputs, 1, 1] += 0.5
    weight[3, :, :, 0], weight[3, :, :, 2] = -1.0, 1.0
    bias = np.array([-0.2, 0.0, 0.1, 0.0], np.float32)
    h, w = ("h", "w") if fixed is None else (fixed.height, fixed.width)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["rgb", "weight", "bias"], ["both"], pads=[1, 1, 1, 1]),
            helper.make_node("Split", ["both", "parts"], ["flat", "gradient"], axis=1),
            helper.make_node("Abs", ["gradient"], ["ink"]),
            helper.make_node("Concat", ["flat", "ink"], ["layers"], axis=1),
        ],
        "generator",
        [helper.make_tensor_value_info("rgb", kind, [1, inputs, h, w])],
        [helper.make_tensor_value_info("layers", kind, [1, 4, h, w])],
        [
            numpy_helper.from_array(weight * np.float32(scale), "weight"),
            numpy_helper.from_array(bias * np.float32(scale), "bias"),
            numpy_helper.from_array(np.array([3, 1], np.int64), "parts"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    return write_generator(tmp_path / "generator.onnx")


def quiet(_: str) -> None:
    """Takes what would be said."""


def compiled(model: Path, size: Size, precision: str) -> Engine:
    """As `build_engines.py` and `auto` do it, with the packages or stand-ins for them."""
    content = compile_network(TENSORRT_RTX, gpu_network(model, size, precision), (), quiet)
    return TensorRtEngine(TENSORRT_RTX, content, precision, "memory")


def torch_on(device: str, model: Path, size: Size, precision: str) -> Engine:
    return TorchEngine(model, size, precision, device)


Opens = Callable[[Path, Size, str], Engine]
WITHOUT_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed (extra gpu or train)")
EVERY_ENGINE = [
    pytest.param(OnnxRuntimeEngine, "fp32", None, id="onnxruntime-fp32"),
    *(pytest.param(OpenVinoEngine, p, None, id=f"openvino-{p}") for p in precisions()),
    *(pytest.param(compiled, p, "stand_in", id=f"tensorrt-rtx-stand-in-{p}") for p in PRECISIONS),
    *(pytest.param(compiled, p, None, id=f"tensorrt-rtx-{p}", marks=pytest.mark.gpu) for p in PRECISIONS),
    *(pytest.param(partial(torch_on, "cpu"), p, None, id=f"torch-cpu-{p}", marks=WITHOUT_TORCH) for p in PRECISIONS),
    *(pytest.param(partial(torch_on, "cuda"), p, None, id=f"torch-{p}", marks=pytest.mark.gpu) for p in PRECISIONS),
]


@pytest.fixture
def engine(
    opens: Opens, precision: str, fixture: str | None, request: pytest.FixtureRequest, generator: Path
) -> Iterator[Engine]:
    if fixture is not None:
        request.getfixturevalue(fixture)
    with opens(generator, SIZE, precision) as opened:
        yield opened


@pytest.mark.parametrize(("opens", "precision", "fixture"), EVERY_ENGINE)
class TestEveryEngine:
    def test_says_what_it_is(self, engine: Engine) -> None:
        assert engine.name in ENGINES and engine.precision in TOLERANCES
        assert engine.size == SIZE and engine.channels == 4

    def test_computes_the_network_and_saturates(self, engine: Engine, generator: Path) -> None:
        weight, bias = (numpy_helper.to_array(t) for t in onnx.load(str(generator)).graph.initializer[:2])
        picture = trial_pictures(SIZE)[0]
        padded = np.pad(picture / 255, ((1, 1), (1, 1), (0, 0)))
        y, x = 30, 40
        value = np.einsum("ocij,ijc->o", weight, padded[y : y + 3, x : x + 3]) + bias
        value[3] = abs(value[3])
        given = engine.run(picture)
        assert given.shape == (64, 96, 4) and given.dtype == np.uint8
        assert given[y, x] == pytest.approx(np.clip(value * 255, 0, 255), abs=3)
        dark = engine.run(np.zeros_like(picture))
        assert dark[y, x].tolist() == pytest.approx([0, 0, 26, 0], abs=1)  # -0.2 is 0, not 205
        bright = engine.run(np.full_like(picture, 255))
        assert bright[y, x, :3].min() >= 253  # above 1 is 255, not a wrapped-around dark value

    def test_gives_memory_of_the_callers_own(self, engine: Engine) -> None:
        first, second = trial_pictures(SIZE)
        given = engine.run(first)
        kept = given.copy()
        engine.run(second)
        assert np.array_equal(given, kept)

    def test_takes_any_memory_layout(self, engine: Engine) -> None:
        picture = trial_pictures(SIZE)[0]
        mirrored = picture[:, ::-1]
        read_only = picture.copy()
        read_only.flags.writeable = False
        assert np.array_equal(engine.run(mirrored), engine.run(mirrored.copy()))
        assert np.array_equal(engine.run(read_only), engine.run(picture))

    @pytest.mark.parametrize("shape", [(64, 96), (64, 96, 4), (96, 64, 3), (32, 96, 3)])
    def test_refuses_another_shape(self, engine: Engine, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="expected u8"):
            engine.run(np.zeros(shape, np.uint8))

    def test_refuses_another_type(self, engine: Engine) -> None:
        with pytest.raises(ValueError, match="expected u8"):
            engine.run(np.zeros((64, 96, 3), np.float32))  # type: ignore[arg-type]

    def test_closes_twice_and_then_refuses(self, engine: Engine) -> None:
        with engine:
            engine.run(trial_pictures(SIZE)[0])
        engine.close()
        with pytest.raises(ValueError, match="closed"):
            engine.run(trial_pictures(SIZE)[0])

    def test_agrees_with_the_reference(self, engine: Engine, generator: Path) -> None:
        check = check_engine(engine, Trial(generator, SIZE))
        assert check.agrees, check.why
        assert check.ms > 0


@dataclass
class PaintedEngine:
    """The reference with something done to its picture: what a wrong engine looks like."""

    model: Path
    size: Size
    precision: str = "fp32"
    name: str = "painted"
    paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = np.zeros_like
    channels: int = 4

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        with OnnxRuntimeEngine(self.model, self.size) as real:
            return self.paint(real.run(rgb))

    def close(self) -> None:
        """Holds nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Holds nothing."""


def swapped(layers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return layers[..., [2, 1, 0, 3]]


def shifted(layers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.roll(layers, 1, axis=1)


def without_ink(layers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return layers * np.array([1, 1, 1, 0], np.uint8)


def constant(layers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.full_like(layers, 100)


def always_the_same(layers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, layers.shape, np.uint8)


@pytest.mark.parametrize(
    ("paint", "why"),
    [
        (np.zeros_like, "black"),
        (constant, "same value everywhere"),
        (always_the_same, "whatever goes in"),
        (swapped, "dB to the reference"),
        (shifted, "dB to the reference"),
        (without_ink, "dB to the reference"),
    ],
)
@pytest.mark.parametrize("precision", sorted(TOLERANCES))
def test_a_wrong_engine_is_refused(
    generator: Path, precision: str, paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], why: str
) -> None:
    check = check_engine(PaintedEngine(generator, SIZE, precision, paint=paint), Trial(generator, SIZE))
    assert not check.agrees
    assert why in check.why


@pytest.mark.parametrize(("scale", "why"), [(float("nan"), "NaN"), (0.0, "black")])
def test_a_broken_generator_is_refused_by_name(tmp_path: Path, scale: float, why: str) -> None:
    model = write_generator(tmp_path / "broken.onnx", scale=scale)
    with pytest.raises(EngineError, match=rf"broken\.onnx.*{why}"):
        open_engine(model, SIZE, say=quiet)


def test_agreement_is_that_of_the_worst_channel() -> None:
    expected = [np.zeros((20, 20, 4), np.uint8)]
    given = [expected[0].copy()]
    assert agreement(given, expected) == (99.0, 0.0)
    given[0][..., 3] = 10  # only the ink is off, by 10 levels everywhere: 20 log10(255 / 10)
    assert agreement(given, expected) == pytest.approx((28.13, 10.0), abs=0.01)


def test_auto_takes_the_fastest_and_says_why(generator: Path) -> None:
    said: list[str] = []
    with open_engine(generator, SIZE, say=said.append) as engine:
        assert engine.run(trial_pictures(SIZE)[0]).shape == (64, 96, 4)
    assert len(said) == 1
    assert f"{engine.name} {engine.precision}" in said[0].partition(";")[0]
    assert "generator.onnx at 96x64" in said[0] and "onnxruntime" in said[0]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_named_engine_is_the_one_that_runs(generator: Path, name: str) -> None:
    with open_engine(generator, SIZE, name, say=quiet) as engine:
        assert engine.name == name


@pytest.mark.parametrize(
    ("name", "remedy"), [("tensorrt", "--gpu"), ("tensorrt-rtx", "--rtx"), ("torch", "--gpu|needs an NVIDIA GPU")]
)
@pytest.mark.usefixtures("no_gpu")
def test_an_engine_that_is_not_here_is_never_replaced_by_another(generator: Path, name: str, remedy: str) -> None:
    with pytest.raises(EngineError, match=rf"The engine {name} (is not installed.*bootstrap.py )?.*({remedy}|NVIDIA)"):
        open_engine(generator, SIZE, name, say=quiet)
    said: list[str] = []
    open_engine(generator, SIZE, say=said.append).close()
    assert len(said) == 1  # nothing about what this machine could not use anyway


def test_an_unknown_engine_is_refused(generator: Path) -> None:
    with pytest.raises(EngineError, match="There is no engine magic"):
        open_engine(generator, SIZE, "magic", say=quiet)


def painted_kind(paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], precisions: Callable[[], object]) -> Kind:
    def opens(model: Path, size: Size, precision: str) -> Engine:
        return PaintedEngine(model, size, precision, paint=paint)

    def offers(model: Path, sha256: str, size: Size) -> list[Offer]:
        return cpu_offers(found, opens, model, sha256, size)

    def found() -> tuple[str, ...]:
        precisions()
        return ("bf16",)

    return Kind("painted", "onnxruntime", "onnxruntime", found, offers, lambda: "any")


def test_auto_leaves_a_wrong_engine_out_and_says_so_and_by_name_it_is_an_error(
    generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "KINDS", (painted_kind(swapped, tuple), select.KINDS[-1]))
    for _ in range(2):  # found out, then remembered
        said: list[str] = []
        with open_engine(generator, SIZE, say=said.append) as engine:
            assert engine.name == "onnxruntime"
        assert len(said) == 2 and "painted bf16 draws generator.onnx wrongly" in said[0]
        with pytest.raises(EngineError, match="painted bf16 draws"):
            open_engine(generator, SIZE, "painted", say=quiet)


def test_an_engine_that_is_not_installed_is_said_or_is_an_error(
    generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed() -> tuple[str, ...]:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

    monkeypatch.setattr(select, "KINDS", (painted_kind(swapped, not_installed), select.KINDS[-1]))
    said: list[str] = []
    open_engine(generator, SIZE, say=said.append).close()
    assert "painted is not installed" in said[0]
    with pytest.raises(EngineError, match="painted is not installed; install it with: pip install"):
        open_engine(generator, SIZE, "painted", say=quiet)
    assert list_engines()[0].why_not.startswith("not installed")


def count_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    checked: list[str] = []

    def counted(engine: Engine, trial: Trial) -> object:
        checked.append(f"{engine.name} {engine.precision}")
        return check_engine(engine, trial)

    monkeypatch.setattr(select, "check_engine", counted)
    return checked


def test_checks_are_done_once_and_again_when_anything_changes(
    generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = count_checks(monkeypatch)
    open_engine(generator, SIZE, say=quiet).close()
    everything = len(checked)
    assert everything == 1 + len(precisions())
    open_engine(generator, SIZE, say=quiet).close()
    assert len(checked) == everything
    open_engine(generator, Size(64, 64), say=quiet).close()
    assert len(checked) == 2 * everything
    write_generator(generator, scale=0.9)
    open_engine(generator, SIZE, say=quiet).close()
    assert len(checked) == 3 * everything
    monkeypatch.setattr(select, "version", lambda package: "999")
    open_engine(generator, SIZE, say=quiet).close()
    assert len(checked) == 4 * everything


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"for": 1}', b'{"checks": {"fp32": {}}}'])
def test_a_damaged_memory_of_checks_is_made_again(
    generator: Path, cache: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_engine(generator, SIZE, "onnxruntime", say=quiet).close()
    (record,) = (cache / "engines").iterdir()
    good = json.loads(record.read_bytes())
    record.write_bytes(damage)
    checked = count_checks(monkeypatch)
    open_engine(generator, SIZE, "onnxruntime", say=quiet).close()
    assert checked == ["onnxruntime fp32"]
    assert json.loads(record.read_bytes())["for"] == good["for"]


def test_a_cache_that_cannot_be_written_is_done_without(generator: Path, cache: Path) -> None:
    cache.write_bytes(b"a file where the folder should be")
    open_engine(generator, SIZE, "onnxruntime", say=quiet).close()


def test_files_that_are_no_generators_are_named(tmp_path: Path, generator: Path) -> None:
    text, cut = tmp_path / "text.onnx", tmp_path / "cut.onnx"
    text.write_text("not a network")
    cut.write_bytes(generator.read_bytes()[:200])
    grey = write_generator(tmp_path / "grey.onnx", inputs=1)
    half = write_generator(tmp_path / "half.onnx", kind=TensorProto.FLOAT16)
    for path in (text, cut, grey, half):
        for name in ("auto", "openvino", "onnxruntime"):
            with pytest.raises(EngineError, match=path.name) as caught:
                open_engine(path, SIZE, name, say=quiet)
            assert "\n" not in str(caught.value)
    with pytest.raises(ModelFileError, match=r"none\.onnx cannot be read"):
        open_engine(tmp_path / "none.onnx", SIZE, say=quiet)


def test_a_generator_of_fixed_size_runs_at_that_size_only(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "face.onnx", fixed=Size(64, 64))
    open_engine(model, Size(64, 64), "openvino", say=quiet).close()
    for name in ("openvino", "onnxruntime"):
        with pytest.raises(EngineError, match="64x64 only, not at 96x64"):
            open_engine(model, SIZE, name, say=quiet)
    with pytest.raises(ValueError, match="multiples of 16"):
        open_engine(model, Size(60, 64), say=quiet)


def test_every_engine_of_the_command_line_is_listed() -> None:
    listed = {e.name: e for e in list_engines()}
    assert set(listed) == set(ENGINES) - {"auto"}
    assert listed["onnxruntime"].available and listed["onnxruntime"].precisions == ("fp32",)
    for name in ("tensorrt", "tensorrt-rtx", "torch"):
        assert listed[name].available or "bootstrap.py" in listed[name].why_not or "NVIDIA" in listed[name].why_not


def test_the_list_tells_what_was_found_out(generator: Path) -> None:
    assert all(not e.checks for e in list_engines())
    open_engine(generator, SIZE, "onnxruntime", say=quiet).close()
    (known,) = {e.name: e for e in list_engines()}["onnxruntime"].checks
    assert re.fullmatch(r"fp32 generator\.onnx 96x64: \d+\.\d ms", known)
    assert {e.name: e for e in list_engines()}["onnxruntime"].version[0].isdigit()


class TestCompiledEngine:
    """What only the engines of TensorRT can do wrongly; with stand-ins for its packages."""

    def test_gives_back_what_it_took_of_the_gpu(self, generator: Path, stand_in: Cuda) -> None:
        with compiled(generator, SIZE, "fp32"):
            assert len(stand_in.held) == 5  # two buffers here, two there, a stream
        assert stand_in.held == {}

    def test_a_full_gpu_is_an_error_and_nothing_is_kept(self, generator: Path, stand_in: Cuda) -> None:
        stand_in.fails = True
        with pytest.raises(EngineError, match="The GPU failed: out of memory"):
            compiled(generator, SIZE, "fp32")
        assert stand_in.held == {}

    def test_an_engine_for_something_else_is_named(self, stand_in: Cuda) -> None:
        with pytest.raises(EngineError, match=r"cannot load a\.engine on this GPU: magic tag does not match"):
            TensorRtEngine(TENSORRT_RTX, b"nonsense", "fp32", "a.engine")

    def test_a_network_that_cannot_be_read_says_why(self, stand_in: Cuda) -> None:
        with pytest.raises(EngineError, match="cannot read the network: nothing to parse"):
            compile_network(TENSORRT_RTX, b"", (), quiet)
        with pytest.raises(EngineError, match="cannot compile for sm10"):
            compile_network(TENSORRT_RTX, b"x", ("sm10",), quiet)

    def test_an_interrupt_ends_a_build(self, stand_in: Cuda) -> None:
        def interrupted(_: str) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compile_network(TENSORRT_RTX, b"x", (), interrupted)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("file", ["webtoon-background.onnx", "webtoon-face.onnx"])
def test_what_a_compiler_is_given_draws_as_the_generator_does(file: str, precision: str) -> None:
    model = Path(reference.__file__).parent / "models" / file
    size = Size(256, 256)
    trial = Trial(model, size)
    network = gpu_network(model, size, precision)
    check = check_drawings([run_network(network, p) for p in trial.pictures], precision, trial)
    assert check.agrees, check.why
    half = len(network) < 0.6 * model.stat().st_size
    assert half == (precision == "fp16")


@WITHOUT_TORCH
def test_torch_names_layers_that_it_does_not_know(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "odd.onnx")
    network = onnx.load(str(model))
    next(n for n in network.graph.node if n.op_type == "Abs").op_type = "Tanh"
    onnx.save(network, str(model))
    with pytest.raises(EngineError, match="does not know the layers Tanh"):
        TorchEngine(model, SIZE, "fp32", "cpu")


def test_nothing_is_reported_over_the_network(tmp_path: Path, generator: Path) -> None:
    """Both packages report their use unless they are told not to, as soon as they are imported."""
    program = f"""
import os, sys
from pathlib import Path
def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect", "socket.sendto"):
        print("NETWORK", event, arguments)
sys.addaudithook(watch)
from engines.select import open_engine
from realtime.types import Size
for name in ("openvino", "onnxruntime"):
    open_engine(Path({str(generator)!r}), Size(96, 64), name, say=str).close()
print("backend", "openvino_telemetry.backend" in sys.modules)
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "LIVETOON_CACHE": str(tmp_path / "other"), "PYTHONPATH": ".", "PATH": ""}
    root = Path(reference.__file__).parent.parent
    run = subprocess.run([sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True)
    assert run.stdout == "backend False\n", run.stderr
    assert list(home.rglob("*onnxruntime*")) == []  # where its reports wait to be sent


def test_an_engine_has_run_once_when_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two engines' first runs may meet on two threads, and OpenVINO's bindings then wait for each other."""
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(OpenVinoEngine, "run", lambda self, rgb: seen.append(rgb.shape))
    model = Path(select.__file__).parent / "models" / "webtoon-face.onnx"
    OpenVinoEngine(model, Size(256, 256), "fp32")
    assert seen == [(256, 256, 3)]
