from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from stand_in_tensorrt import Cuda, Runtime
from test_engines import SIZE, quiet, write_generator

import build_engines
from engines import built, tensorrt
from engines.built import Wanted, all_built, save
from engines.gpu import Gpu, read_answer
from engines.network import gpu_network
from engines.select import open_engine
from engines.verify import Trial, trial_pictures
from realtime.errors import EngineError
from realtime.styles import SHIPPED_MODELS, load_style
from realtime.stylize import generator_size
from realtime.types import Size

ROOT = Path(build_engines.__file__).parent
NOT_INSTALLED = pytest.mark.skipif(
    find_spec("tensorrt_rtx_bindings") is None, reason="TensorRT for RTX is not installed: python bootstrap.py --rtx"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only generator there is, small."""
    model = write_generator(tmp_path / "small.onnx")
    monkeypatch.setattr(build_engines, "chosen_generators", lambda style, frame: [(model, SIZE)])
    return model


Build = Callable[..., tuple[int, str, str]]


@pytest.fixture
def build(capsys: pytest.CaptureFixture[str]) -> Build:
    def run(*words: str) -> tuple[int, str, str]:
        code = build_engines.main([*words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def for_all(*more: str) -> list[str]:
    return ["--engine", "tensorrt-rtx", "--gpu", "all", *more]


@pytest.mark.usefixtures("stand_in", "no_gpu")
class TestBuilding:
    def test_builds_for_every_gpu_and_uses_it_again(self, generator: Path, build: Build, cache: Path) -> None:
        code, table, _ = build(*for_all())
        assert code == 0 and table.count("sm75 sm80 sm86 sm89 sm120") == 2
        files = sorted((cache / "compiled").glob("*.engine"))
        assert len(files) == 2 and all(f.with_suffix(".json").is_file() for f in files)
        before = [f.stat().st_mtime_ns for f in files]
        code, table, _ = build(*for_all())
        assert code == 0 and table.count("  there  ") == 2
        assert [f.stat().st_mtime_ns for f in files] == before

    def test_the_manifest_says_what_it_is_and_that_no_gpu_has_run_it(self, generator: Path, build: Build) -> None:
        build(*for_all("--precision", "fp16"))
        (engine,) = all_built(built.default_folder())
        manifest = json.loads(engine.manifest.read_bytes())
        assert manifest["wanted"]["engine"] == "tensorrt-rtx 9.9" and manifest["wanted"]["size"] == "96x64"
        assert manifest["size_bytes"] == engine.file.stat().st_size
        assert "dB to the reference" in manifest["network_check"] and manifest["gpu_check"] == ""

    def test_a_flipped_byte_is_found_named_and_mended(self, generator: Path, build: Build) -> None:
        build(*for_all("--precision", "fp32"))
        (engine,) = all_built(built.default_folder())
        good = engine.file.read_bytes()
        engine.file.write_bytes(good[:500] + bytes([good[500] ^ 1]) + good[501:])
        _, table, said = build("--list")
        assert "damaged" in table and engine.file.name in said and "Build it again with: python build_eng" in said
        code, _, said = build(*for_all("--precision", "fp32"))
        assert code == 0 and "damaged" in said and "It is built anew." in said
        assert engine.file.read_bytes() == good
        assert "good" in build("--list")[1]

    def test_out_names_the_folder(self, generator: Path, build: Build, tmp_path: Path) -> None:
        code, table, _ = build(*for_all("--out", str(tmp_path / "there")))
        assert code == 0 and str(tmp_path / "there") in table
        assert len(all_built(tmp_path / "there")) == 2 and not all_built(built.default_folder())
        assert "No engines are built" in build("--list")[1]

    def test_what_cannot_be_written_is_one_sentence(self, generator: Path, build: Build, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        code, _, said = build(*for_all("--precision", "fp32", "--out", str(tmp_path / "file")))
        assert code == 5 and "cannot be written to" in said and said.count("\n") == 1

    def test_an_interrupt_leaves_the_old_engine(
        self, generator: Path, build: Build, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build(*for_all("--precision", "fp32"))
        (engine,) = all_built(built.default_folder())
        old = engine.read()

        def interrupted(*_: object) -> bytes:
            raise KeyboardInterrupt

        monkeypatch.setattr(build_engines, "compile_network", interrupted)
        write_generator(generator, scale=0.9)
        code, _, said = build(*for_all("--precision", "fp32"))
        assert code == 130 and "untouched" in said
        assert [e.read() for e in all_built(built.default_folder())] == [old]

    def test_two_at_once_build_once(
        self, generator: Path, build: Build, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        compiled: list[object] = []
        real = tensorrt.compile_network

        def counted(*given: object) -> bytes:
            compiled.append(given)
            return real(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(build_engines, "compile_network", counted)
        threads = [Thread(target=build_engines.main, args=(for_all("--precision", "fp32"),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(compiled) == 1
        assert capsys.readouterr().out.count("  there  ") == 2

    def test_a_generator_that_half_precision_breaks_is_not_compiled(self, tmp_path: Path, build: Build) -> None:
        model = write_generator(tmp_path / "loud.onnx", scale=1.0)
        job = build_engines.Job(model, SIZE, Wanted("loud", "0", "tensorrt-rtx 9.9", "fp16", "96x64", ("sm75",)))
        network = write_generator(tmp_path / "other.onnx", scale=0.7)
        other = gpu_network(network, SIZE, "fp16")
        with pytest.raises(EngineError, match=r"loud\.onnx cannot be had in fp16: .* dB"):
            build_engines.check_network(other, job, Trial(model, SIZE))


@pytest.mark.usefixtures("nvidia_gpu")
class TestOnAGpu:
    """With a stand-in for the GPU: what is built is run, checked, and chosen by the filter."""

    def test_is_checked_and_then_run_by_name(self, generator: Path, build: Build, stand_in: Cuda) -> None:
        code, table, _ = build("--engine", "tensorrt-rtx")
        assert code == 0 and table.count("ms on Stand-in RTX (sm89, driver 999.1)") == 2
        with open_engine(generator, SIZE, "tensorrt-rtx", say=quiet) as engine:
            assert engine.name == "tensorrt-rtx"
            assert engine.run(trial_pictures(SIZE)[0]).shape == (64, 96, 4)
        assert stand_in.held == {}

    def test_auto_says_what_builds_it(self, generator: Path, stand_in: Cuda) -> None:
        said: list[str] = []
        open_engine(generator, SIZE, say=said.append).close()
        command = "python build_engines.py --engine tensorrt-rtx --size 96x64"
        assert any(command in line for line in said)
        with pytest.raises(EngineError, match="No tensorrt-rtx engine is built for small at 96x64 in fp16 on sm89"):
            open_engine(generator, SIZE, "tensorrt-rtx", say=quiet)

    def test_damaged_is_never_loaded(self, generator: Path, build: Build, stand_in: Cuda) -> None:
        build("--precision", "fp32")
        (engine,) = all_built(built.default_folder())
        engine.file.write_bytes(engine.file.read_bytes()[:-1] + b"?")
        with pytest.raises(EngineError, match=f"{engine.file.name} is damaged"):
            open_engine(generator, SIZE, "tensorrt-rtx", say=quiet)
        said: list[str] = []
        with open_engine(generator, SIZE, say=said.append) as other:
            assert other.name in ("openvino", "onnxruntime")
        assert any("damaged" in line and "left out" in line for line in said)

    def test_stale_is_named(
        self, generator: Path, build: Build, stand_in: Cuda, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build("--precision", "fp32")
        monkeypatch.setattr(tensorrt, "version", lambda package: "10.0")
        with pytest.raises(EngineError, match=r"stale: built by tensorrt-rtx 9\.9, here is tensorrt-rtx 10\.0"):
            open_engine(generator, SIZE, "tensorrt-rtx", say=quiet)
        assert "stale: here is tensorrt-rtx 10.0" in build("--list")[2]
        monkeypatch.setattr(tensorrt, "version", lambda package: "9.9")
        write_generator(generator, scale=0.9)
        with pytest.raises(EngineError, match=r"stale: built from another small\.onnx"):
            open_engine(generator, SIZE, "tensorrt-rtx", say=quiet)
        assert r"stale: small.onnx changed" in build("--list")[2]

    @pytest.mark.parametrize(
        ("paint", "why"), [(np.zeros_like, "black"), (lambda d: d[..., ::-1], "dB"), (lambda d: d // 200, "same value")]
    )
    def test_one_that_draws_wrongly_is_deleted(
        self,
        generator: Path,
        build: Build,
        stand_in: Cuda,
        monkeypatch: pytest.MonkeyPatch,
        paint: Callable[[object], object],
        why: str,
    ) -> None:
        monkeypatch.setattr(Runtime, "paint", staticmethod(paint))
        code, _, said = build("--precision", "fp32")
        assert code == 5 and "draws wrongly here" in said and why in said and "It is deleted." in said
        assert not all_built(built.default_folder())
        build("--precision", "fp32", "--no-verify")
        assert len(all_built(built.default_folder())) == 1
        with pytest.raises(EngineError, match=rf"draws small\.onnx wrongly here.*{why}.*deleted"):
            open_engine(generator, SIZE, "tensorrt-rtx", say=quiet)
        assert not all_built(built.default_folder())


@pytest.mark.usefixtures("no_gpu")
class TestWords:
    @pytest.mark.parametrize(
        ("words", "code", "what"),
        [
            (["--engine", "openvino"], 2, "needs no building"),
            (["--engine", "magic"], 2, "invalid choice"),
            (["--precision", "int8"], 2, "calibration.int8"),
            (["--size", "wide"], 2, "no size like 1280x720"),
            (["--gpu", "sm90"], 2, "cannot compile for sm90 here. --gpu takes: all, current, sm75"),
            (["--style", "none"], 2, "nothing to compile"),
            (["--style", "webtun"], 2, "did you mean webtoon"),
            ([], 5, "There is no NVIDIA GPU here to compile for"),
        ],
    )
    def test_what_cannot_be_done_is_one_line(
        self, build: Build, stand_in: Cuda, words: list[str], code: int, what: str
    ) -> None:
        more = ["--gpu", "all"] if "--style" in words else []
        given, _, said = build(*words, *more)
        assert given == code and what in said and said.count("\n") == 1

    def test_without_the_extra_it_says_the_command(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", None)
        tensorrt.load.cache_clear()
        code, _, said = build("--engine", "tensorrt-rtx")
        assert code == 5 and said == "tensorrt-rtx is not installed; install it with: python bootstrap.py --rtx\n"

    def test_the_size_in_an_error_leads_to_the_same_engine(self) -> None:
        for frame in [(1280, 720), (1920, 1080), (640, 480), (1080, 1920), (1024, 1024), (800, 600), (3840, 2160)]:
            size = generator_size(Size(*frame))
            assert generator_size(size) == size

    def test_the_size_is_left_out_where_it_is_the_default(self) -> None:
        sizes = {str(size) for _, size in build_engines.chosen_generators(None, build_engines.FRAME)}
        assert sizes == set(built.DEFAULT_SIZES)

    def test_both_shipped_generators_are_built_by_default(self) -> None:
        found = build_engines.chosen_generators(None, Size(1920, 1080))
        assert [(m.stem, str(s)) for m, s in found][:2] == [
            ("webtoon-background", "640x368"),
            ("webtoon-face", "256x256"),
        ]


class TestFiles:
    def test_a_full_disk_leaves_the_old_pair(self, tmp_path: Path) -> None:
        wanted = Wanted("small", "0", "tensorrt-rtx 9.9", "fp32", "96x64", ("sm89",))
        old = save(wanted, tmp_path, b"old" * 1000, seconds=0.1, network_check="")
        program = (
            "import resource, sys; from pathlib import Path; from engines.built import *\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
            f"wanted = Wanted('small', '0', 'tensorrt-rtx 9.9', 'fp32', '96x64', ('sm89',))\n"
            f"save(wanted, Path({str(tmp_path)!r}), b'new' * 9000, seconds=0.1, network_check='')"
        )
        run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
        assert "File too large" in run.stderr
        assert old.read() == b"old" * 1000
        assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 2}'])
    def test_a_damaged_manifest_is_no_engine(self, tmp_path: Path, damage: bytes) -> None:
        wanted = Wanted("small", "0", "tensorrt-rtx 9.9", "fp32", "96x64", ("sm89",))
        save(wanted, tmp_path, b"old", seconds=0.1, network_check="").manifest.write_bytes(damage)
        assert all_built(tmp_path) == [] and built.known(wanted, tmp_path) is None

    def test_an_engine_of_another_name_is_not_taken(self, tmp_path: Path) -> None:
        wanted = Wanted("small", "0", "tensorrt-rtx 9.9", "fp32", "96x64", ("sm89",))
        save(wanted, tmp_path, b"old", seconds=0.1, network_check="").manifest.rename(tmp_path / "large-0.json")
        assert all_built(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "gpu"),
    [
        (
            "GeForce RTX 4070, 8.9, 580.65\nother, 7.5, 580.65\n",
            Gpu("GeForce RTX 4070", "sm89", "580.65"),
        ),
        ("GeForce RTX 5090, 12.0, 590.1", Gpu("GeForce RTX 5090", "sm120", "590.1")),
        ("No devices were found", None),
        ("a, [N/A], b", None),
        ("", None),
    ],
)
def test_what_the_driver_says(answer: str, gpu: Gpu | None) -> None:
    assert read_answer(answer) == gpu


@NOT_INSTALLED
@pytest.mark.usefixtures("no_gpu")
class TestTensorRtForRtx:
    """The real compiler, which needs no GPU."""

    def test_every_shipped_generator_for_every_gpu_twice(self, build: Build, cache: Path) -> None:
        wanted = 2 * len(list(SHIPPED_MODELS.glob("*.onnx")))  # in two precisions
        code, table, said = build(*for_all())
        assert code == 0, said
        assert table.count("sm75 sm80 sm86 sm89 sm120") == wanted and table.count("network only") == wanted
        contents = {e.file.name: e.read() for e in all_built(built.default_folder())}
        assert len(contents) == wanted and all(len(content) > 500_000 for content in contents.values())
        assert build(*for_all())[1].count("  there  ") == wanted
        for engine in all_built(built.default_folder()):
            built.discard(engine)
        build(*for_all("--no-verify"))
        assert {e.file.name: e.read() for e in all_built(built.default_folder())} == contents  # reproducible

    @pytest.mark.parametrize("architecture", ["sm75", "sm120"])
    def test_for_one_gpu(self, generator: Path, build: Build, architecture: str) -> None:
        code, table, _ = build("--engine", "tensorrt-rtx", "--gpu", architecture)
        assert code == 0 and table.count(f" {architecture} ") == 2

    def test_what_is_no_network_is_an_error(self) -> None:
        with pytest.raises(EngineError, match="tensorrt-rtx cannot read the network"):
            tensorrt.compile_network(tensorrt.TENSORRT_RTX, b"nonsense", ("sm89",), quiet)

    def test_running_needs_a_gpu_and_says_so(self, generator: Path) -> None:
        with pytest.raises(EngineError, match="tensorrt-rtx needs an NVIDIA GPU"):
            open_engine(generator, SIZE, "tensorrt-rtx", say=quiet)


def test_a_picture_style_is_built_at_its_own_size_and_without_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    painted = replace(load_style("webtoon"), faces=False, picture=True, size=Size(512, 512))
    smaller = replace(load_style("webtoon"), faces=False, picture=True, pixels=320 * 176)
    monkeypatch.setattr(build_engines, "list_styles", lambda say: [painted, smaller])
    found = build_engines.chosen_generators(None, Size(1280, 720))
    assert [size for _, size in found] == [Size(512, 512), generator_size(Size(1280, 720), 320 * 176)]
