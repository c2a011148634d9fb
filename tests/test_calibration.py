from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
import skimage.data
from onnx import numpy_helper
from test_engines import SIZE, quiet, write_generator

from calibration import int8
from calibration.int8 import (
    CALIBRATE,
    CHOOSE,
    METHODS,
    TEST,
    Quantiser,
    agreement_of,
    apart,
    calibrate_generator,
    drawings,
    ends_and_others,
)
from calibration.pictures import Inputs, evenly, generator_inputs, photos
from engines import select
from engines.int8 import int8_name, int8_twin
from engines.select import open_engine
from engines.verify import Check, trial_pictures
from realtime.errors import EngineError, SourceError
from realtime.types import RgbImage

SCALE = 0.15  # the gradients of the ink then span little more than 0..1, and 256 steps are enough


def write_deep(path: Path, scale: float, loud: float = 0.0) -> Path:
    """A generator with three convolutions before the one that draws: they give what they get. `loud` is added before
    the second and taken away after it: 256 steps for so wide a range lose the picture.
    """
    network = onnx.load(str(write_generator(path, scale=scale)))
    graph = network.graph
    same, far = np.zeros((3, 3, 1, 1), np.float32), np.zeros((1, 3, 1, 1), np.float32)
    same[range(3), range(3)] = 1
    far[0, 2] = loud
    graph.initializer.extend([numpy_helper.from_array(same, "same"), numpy_helper.from_array(far, "far")])
    node = onnx.helper.make_node
    before = [
        node("Conv", ["rgb", "same"], ["a"], name="first"),
        node("Add", ["a", "far"], ["b"]),
        node("Conv", ["b", "same"], ["c"], name="second"),
        node("Sub", ["c", "far"], ["d"]),
        node("Conv", ["d", "same"], ["e"], name="third"),
    ]
    graph.node[0].input[0] = "e"
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(network, str(path))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    return write_deep(tmp_path / "small.onnx", SCALE)


@pytest.fixture(scope="module")
def pictures() -> list[RgbImage]:
    """Parts of a portrait, as many as are needed."""
    portrait = cv2.resize(skimage.data.astronaut(), (200, 200), interpolation=cv2.INTER_AREA)
    return [
        np.ascontiguousarray(portrait[y : y + SIZE.height, x : x + SIZE.width])
        for y in range(0, 128, 16)
        for x in range(0, 100, 10)
    ]


def test_a_generator_in_int8_draws_as_in_f32_on_other_pictures(
    generator: Path, pictures: list[RgbImage], cache: Path
) -> None:
    said: list[str] = []
    cores = os.sched_getaffinity(0)
    report = calibrate_generator(generator, pictures, None, 40.0, said.append)
    assert report.psnr_db > 40 and report.convolutions == 4 and report.float_layers == ["third", "both"]
    assert set(report.cpu_ms) >= {"onnxruntime fp32", "onnxruntime int8", "openvino fp32", "openvino int8"}
    assert set(report.ranges_psnr_db) == set(METHODS)
    assert report.ranges_psnr_db[report.ranges] == max(report.ranges_psnr_db.values())
    twin = cache / "int8" / report.file
    network = onnx.load(str(twin))
    onnx.checker.check_model(network)  # ONNX Runtime takes nodes in any order, others do not
    assert "QuantizeLinear" in {node.op_type for node in network.graph.node}
    assert report.size_bytes == twin.stat().st_size
    assert f"{report.psnr_db:.1f} dB" in said[0] and "CPU time on one core" in said[1] and "openvino int8" in said[1]
    assert report.layer_psnr_db == {} and os.sched_getaffinity(0) == cores
    before = twin.read_bytes()
    calibrate_generator(generator, pictures, None, 40.0, quiet)
    assert twin.read_bytes() == before  # the same every time


def test_what_cannot_be_reached_is_an_error_and_writes_nothing(
    generator: Path, pictures: list[RgbImage], tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=r"small\.onnx does not reach 100 dB in int8"):
        calibrate_generator(generator, pictures, tmp_path / "out", 100.0, quiet)
    assert not (tmp_path / "out").exists()
    with pytest.raises(EngineError, match=f"{CALIBRATE + CHOOSE + TEST} are needed"):
        calibrate_generator(generator, pictures[:10], tmp_path / "out", 40.0, quiet)


def test_the_most_harmful_layer_stays_in_float(tmp_path: Path, pictures: list[RgbImage]) -> None:
    report = calibrate_generator(write_deep(tmp_path / "loud.onnx", SCALE, loud=300), pictures, None, 40.0, quiet)
    assert report.float_layers == ["third", "both", "second"]
    assert report.layer_psnr_db["second"] < 30 < report.layer_psnr_db["first"]


def test_the_last_layers_are_told_by_what_comes_after_them(generator: Path) -> None:
    quantiser = Quantiser(generator, trial_pictures(SIZE), "least and largest")
    assert (quantiser.ends, quantiser.layers) == (["third", "both"], ["first", "second"])
    shipped = onnx.load(str(Path(select.__file__).parent / "models" / "webtoon-background.onnx"))
    ends, others = ends_and_others(shipped)
    assert 2 <= len(ends) <= 5 < len(others)


def test_a_written_report_tells_every_convolution_and_where_it_was_made(
    generator: Path, pictures: list[RgbImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "generator_inputs", lambda source, count: Inputs(pictures, pictures))
    monkeypatch.setattr(int8, "load_style", lambda name: SimpleNamespace(background=generator, face=generator))
    assert (
        int8.main(["--source", "folder/of/photos", "--report", str(tmp_path / "int8.json"), "--target-db", "40"]) == 0
    )
    written = json.loads((tmp_path / "int8.json").read_bytes())
    (figures,) = written["generators"]
    assert set(figures["layer_psnr_db"]) == {"first", "second", "third", "both"}
    assert written["source"] == "photos" and written["versions"]["openvino"] and written["host"]["cpu"]
    assert figures["f32_bytes"] == generator.stat().st_size


@pytest.mark.parametrize("method", METHODS)
def test_every_way_to_take_ranges_works(
    generator: Path, pictures: list[RgbImage], tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    quantiser = Quantiser(generator, pictures[:8], method)
    path = tmp_path / "int8.onnx"
    path.write_bytes(quantiser.quantised(quantiser.layers))
    psnr_db, p999 = agreement_of(drawings(path, pictures[40:50]), drawings(generator, pictures[40:50]))
    assert 30 < psnr_db < 70 and p999 < 30
    assert capsys.readouterr().out == ""


class TestTheEngineThatRunsIt:
    def made(self, generator: Path, pictures: list[RgbImage]) -> None:
        calibrate_generator(generator, pictures, None, 40.0, quiet)

    def test_auto_takes_it_where_it_is_clearly_faster(
        self, generator: Path, pictures: list[RgbImage], cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.made(generator, pictures)
        ms = {"int8": 7.0, "fp32": 10.0, "bf16": 10.0}
        monkeypatch.setattr(select, "check_engine", lambda engine, trial: Check(True, "", ms[engine.precision]))
        with open_engine(generator, SIZE, "openvino", say=quiet) as engine:
            assert engine.precision == "int8"
        ms["int8"] = 8.0
        (cache / "engines").rename(cache / "forgotten")
        with open_engine(generator, SIZE, "openvino", say=quiet) as engine:
            assert engine.precision != "int8"

    @pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
    def test_is_checked_like_every_other(self, generator: Path, pictures: list[RgbImage], name: str) -> None:
        self.made(generator, pictures)
        said: list[str] = []
        open_engine(generator, SIZE, name, say=said.append).close()
        assert f"{name} int8" in said[-1]

    def test_the_twin_of_another_generator_is_not_taken(
        self, generator: Path, pictures: list[RgbImage], cache: Path
    ) -> None:
        self.made(generator, pictures)
        write_deep(generator, 0.14)
        said: list[str] = []
        open_engine(generator, SIZE, say=said.append).close()
        assert "int8" not in said[0]

    def test_a_wrong_twin_is_left_out_and_named(self, generator: Path, tmp_path: Path) -> None:
        sha256 = select._checked_sha256(generator)
        write_generator(generator.with_name(int8_name("small", sha256)), scale=0.1)
        assert int8_twin(generator, sha256) == tmp_path / int8_name("small", sha256)
        said: list[str] = []
        with open_engine(generator, SIZE, say=said.append) as engine:
            assert engine.precision != "int8"
        assert any("int8 draws small.onnx wrongly here" in line for line in said)


def test_pictures_are_chosen_evenly_and_apart(pictures: list[RgbImage]) -> None:
    assert evenly(10, 4) == [0, 3, 6, 9] and evenly(3, 3) == [0, 1, 2]
    chosen, rest = apart(pictures, 7)
    assert len(chosen) == 7 and len(rest) == len(pictures) - 7
    assert not any(c is r for c in chosen for r in rest)


def test_a_folder_of_photos_is_read_and_its_faults_named(tmp_path: Path) -> None:
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 8, 3), (0, 0, 40 * i), np.uint8))
    (tmp_path / "notes.txt").touch()
    assert [int(p[0, 0, 0]) for p in photos(tmp_path, 3)] == [0, 80, 200]
    with pytest.raises(SourceError, match="has 6 photos; at least 7 are needed"):
        list(photos(tmp_path, 7))
    (tmp_path / "0.png").write_bytes(b"no photo")
    with pytest.raises(SourceError, match=r"0\.png cannot be read"):
        list(photos(tmp_path, 3))


def test_inputs_are_what_the_filter_gives_its_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the model files of this machine
    inputs = generator_inputs("demo", 3)
    assert [p.shape for p in inputs.background] == [(368, 640, 3)] * 3
    assert [p.shape for p in inputs.face] == [(256, 256, 3)] * 3


def test_what_the_command_line_cannot_do_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert int8.main(["--source", str(tmp_path)]) == 3
    assert "has 0 photos; at least 80 are needed" in capsys.readouterr().err
    assert int8.main(["--style", "nothing-like-it"]) == 2
    assert "There is no style" in capsys.readouterr().err
