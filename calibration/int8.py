"""A generator in int8, for processors: faster than f32 by half or more, checked on pictures it was not made with.

In: a generator and representative pictures. Out: an ONNX file with quantised convolutions (Q/DQ: u8 activations, int8
weights per channel) that ONNX Runtime and OpenVINO run, and a report. The engine selection finds it by itself.

    python -m calibration.int8 --source DIR_OF_PHOTOS        both generators of the style webtoon, into the user's cache
    python -m calibration.int8 --source DIR --out engines/models    to ship them: then update engines/assets.toml

The last convolutions before the picture stay in float, for their steps are seen as grain that flickers; measured alone
they are also those that do most harm (45 to 50 dB, all others 52 and more). Ranges are taken both as least and largest
value and as percentiles, and whichever draws better is used. Where that is not good enough, the convolutions whose
quantisation alone does most harm stay in float too.

TensorRT knows no u8 activations, only i8 around 0, which after every ReLU is a bit less: tried so, both generators of
the style webtoon came out with 99.9 % of their values within 28 and 32 levels, where 24 are allowed. So the GPU gets
fp16.

The report's figures of speed are milliseconds of the process's own on one core, which other programs hardly change.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from time import process_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from calibration.pictures import evenly, generator_inputs
from engines.cache import cache_folder, write_whole
from engines.engine import Engine
from engines.int8 import int8_name
from engines.openvino_cpu import OpenVinoEngine, precisions
from engines.reference import OnnxRuntimeEngine
from engines.verify import agreement
from realtime.errors import EngineError, LiveToonError
from realtime.stats import cpu_name
from realtime.styles import load_style
from realtime.types import RgbImage, Size

CALIBRATE, CHOOSE, TEST = 24, 16, 24  # pictures: for ranges, for decisions, for the report
METHODS = {"least and largest": ("MinMax", {}), "99.99 %": ("Percentile", {"percentile": 99.99})}
END_DEPTH = 2
_TIMED_RUNS = 20
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Report:
    """What came of quantising one generator.

    f32_bytes: size of what it was made from. ranges_psnr_db: what each way to take ranges reached, over the pictures
    for decisions; ranges: the one taken. psnr_db: to f32, worst channel, over the test pictures, which nothing was
    decided by. float_layers: convolutions left alone: the last ones, then in the order of harm. layer_psnr_db: with
    that convolution alone quantised. cpu_ms: each engine's fastest run, in milliseconds of the process's own on one
    core; all measured in turns in one run.
    """

    generator: str
    made_from: str
    file: str
    size_bytes: int
    f32_bytes: int
    ranges: str
    ranges_psnr_db: dict[str, float]
    psnr_db: float
    p999: float
    convolutions: int
    float_layers: list[str]
    layer_psnr_db: dict[str, float]
    cpu_ms: dict[str, float]


class Quantiser:
    """A generator with its activations' ranges, from which int8 networks are made."""

    def __init__(self, model: Path, pictures: Sequence[RgbImage], method: str) -> None:
        """Runs the generator over the pictures; raises `ImportError` without onnx."""
        import onnx
        from onnxruntime.quantization import CalibrationMethod
        from onnxruntime.quantization.calibrate import create_calibrator

        self._network = onnx.load(str(model))
        for node in self._network.graph.node:
            node.name = node.name or node.output[0]  # convolutions are told apart by name
        self.ends, self.layers = ends_and_others(self._network)
        kind, options = METHODS[method]
        with tempfile.TemporaryDirectory(prefix="livetoon-") as folder:
            calibrator = create_calibrator(
                model,
                ["Conv"],
                augmented_model_path=str(Path(folder) / "ranges.onnx"),
                calibrate_method=CalibrationMethod[kind],
                extra_options=options,
            )
            with redirect_stdout(StringIO()):  # it prints what it is at
                for picture in pictures:  # one by one: it keeps every activation of what it gets at once
                    calibrator.collect_data(_Reader(self._network.graph.input[0].name, picture))
                self._ranges = calibrator.compute_data()

    def quantised(self, layers: Sequence[str]) -> bytes:
        """The network with these convolutions in int8, as ONNX bytes."""
        import onnx
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        network = onnx.ModelProto()
        network.CopyFrom(self._network)
        quantizer = QDQQuantizer(
            network,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=list(layers),
            nodes_to_exclude=[],
            op_types_to_quantize=["Conv"],
            extra_options={"WeightSymmetric": True},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()  # ONNX wants it, and compilers insist
        return bytes(quantizer.model.model.SerializeToString(deterministic=True))


def ends_and_others(network: Any) -> tuple[list[str], list[str]]:
    """Names of the convolutions with fewer than `END_DEPTH` others between them and an output, and of all others."""
    after = dict.fromkeys((value.name for value in network.graph.output), 0)  # convolutions from a value to an output
    ends: list[str] = []
    others: list[str] = []
    for node in reversed(network.graph.node):  # in the order of computation, by ONNX's rule
        depth = min(after.get(name, END_DEPTH) for name in node.output)
        if node.op_type == "Conv":
            (ends if depth < END_DEPTH else others).append(node.name)
            depth += 1
        for name in node.input:
            after[name] = min(depth, after.get(name, depth))
    return ends[::-1], others[::-1]


class _Reader:
    """Gives a picture to the calibrator as it wants it."""

    def __init__(self, name: str, picture: RgbImage) -> None:
        self._inputs = iter([{name: cv2.dnn.blobFromImage(picture, 1 / 255)}])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, or None at the end."""
        return next(self._inputs, None)

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> dict[str, NDArray[np.float32]]:
        return next(self._inputs)


@dataclass(frozen=True, slots=True)
class Quantised:
    """An int8 network, and what was measured on the way to it, as in `Report`."""

    network: bytes
    ranges: str
    ranges_psnr_db: dict[str, float]
    convolutions: int
    float_layers: list[str]
    layer_psnr_db: dict[str, float]


def quantise(
    model: Path, calibrate: Sequence[RgbImage], choose: Sequence[RgbImage], target_db: float, *, every_layer: bool
) -> Quantised:
    """The int8 network. every_layer: measures each convolution by itself also where that decides nothing.

    Raises `EngineError` where `target_db` cannot be reached.
    """
    expected = drawings(model, choose)
    with tempfile.TemporaryDirectory(prefix="livetoon-") as folder:

        def psnr_db(network: bytes) -> float:
            path = Path(folder) / "trial.onnx"
            path.write_bytes(network)
            return round(agreement_of(drawings(path, choose), expected)[0], 2)

        made = {method: Quantiser(model, calibrate, method) for method in METHODS}
        reached = {method: psnr_db(q.quantised(q.layers)) for method, q in made.items()}
        method = max(reached, key=lambda m: reached[m])
        quantiser = made[method]
        enough = reached[method] >= target_db
        measured = [*quantiser.layers, *quantiser.ends] if every_layer or not enough else []
        alone = {
            layer: psnr_db(quantiser.quantised([layer]))
            for layer in tqdm(measured, "Layers", disable=None, leave=False)
        }
        by_harm = sorted(quantiser.layers, key=lambda layer: alone.get(layer, 0.0))
        for count in range(len(by_harm)):
            rest = [layer for layer in quantiser.layers if layer not in by_harm[:count]]
            network = quantiser.quantised(rest)
            if psnr_db(network) >= target_db:
                kept = quantiser.ends + by_harm[:count]
                return Quantised(network, method, reached, len(rest) + len(kept), kept, alone)
    raise EngineError(f"{model.name} does not reach {target_db:.0f} dB in int8; f32 or bf16 has to do.")


def apart(pictures: Sequence[RgbImage], count: int) -> tuple[list[RgbImage], list[RgbImage]]:
    """`count` of the pictures, evenly spread, and the others."""
    chosen = set(evenly(len(pictures), count))
    return [p for i, p in enumerate(pictures) if i in chosen], [p for i, p in enumerate(pictures) if i not in chosen]


def drawings(model: Path, pictures: Sequence[RgbImage]) -> list[NDArray[np.uint8]]:
    """What ONNX Runtime makes of the pictures, each as (1, pixels, channels) u8: they may differ in size."""
    engines: dict[Size, OnnxRuntimeEngine] = {}
    drawn = []
    for picture in pictures:
        size = Size(picture.shape[1], picture.shape[0])
        if size not in engines:
            engines[size] = OnnxRuntimeEngine(model, size)
        engine = engines[size]
        drawn.append(engine.run(picture).reshape(1, -1, engine.channels))
    return drawn


def agreement_of(given: list[NDArray[np.uint8]], expected: list[NDArray[np.uint8]]) -> tuple[float, float]:
    """PSNR in dB and 99.9th percentile of |difference|, over all pictures, each in its worst channel."""
    return agreement([np.concatenate(given, axis=1)], [np.concatenate(expected, axis=1)])


def timings(model: Path, twin: Path, picture: RgbImage) -> dict[str, float]:
    """Milliseconds of CPU time of a frame in every engine, on one core, in turns: what else the machine does counts
    little, and hits all alike.
    """
    size = Size(picture.shape[1], picture.shape[0])
    with ExitStack() as opened:
        opened.enter_context(_one_core())
        engines: dict[str, Engine] = {
            "onnxruntime fp32": OnnxRuntimeEngine(model, size),
            "onnxruntime int8": OnnxRuntimeEngine(twin, size, "int8"),
            "openvino int8": OpenVinoEngine(twin, size, "int8"),
            **{f"openvino {precision}": OpenVinoEngine(model, size, precision) for precision in precisions()},
        }
        ms = dict.fromkeys(engines, float("inf"))
        for engine in engines.values():
            opened.enter_context(engine)
        for _ in range(_TIMED_RUNS):
            for name, engine in engines.items():
                start = process_time()
                engine.run(picture)
                ms[name] = min(ms[name], (process_time() - start) * 1e3)
    return {name: round(value, 2) for name, value in ms.items()}


@contextmanager
def _one_core() -> Iterator[None]:
    """Engines opened inside run on one core, where the system can say so: spinning threads would count as work."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def calibrate_generator(
    model: Path,
    pictures: Sequence[RgbImage],
    folder: Path | None,
    target_db: float,
    say: Any = print,
    *,
    every_layer: bool = False,
) -> Report:
    """Makes the int8 twin of a generator and reports on it; raises `EngineError` where that cannot be done well."""
    needed = CALIBRATE + CHOOSE + TEST
    if len(pictures) < needed:
        raise EngineError(f"{len(pictures)} pictures show what {model.name} draws; {needed} are needed.")
    test, rest = apart(pictures, TEST)
    choose, rest = apart(rest, CHOOSE)
    calibrate, _ = apart(rest, CALIBRATE)
    made = quantise(model, calibrate, choose, target_db, every_layer=every_layer)
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    twin = (cache_folder() / "int8" if folder is None else folder) / int8_name(model.stem, sha256)
    try:
        write_whole(twin, made.network)
    except OSError as error:
        raise EngineError(f"{twin} cannot be written ({error.strerror}); name another folder with --out.") from error
    psnr_db, p999 = agreement_of(drawings(twin, test), drawings(model, test))
    report = Report(
        generator=model.stem,
        made_from=sha256,
        file=str(twin.name),
        size_bytes=len(made.network),
        f32_bytes=model.stat().st_size,
        ranges=made.ranges,
        ranges_psnr_db=made.ranges_psnr_db,
        psnr_db=round(psnr_db, 2),
        p999=p999,
        convolutions=made.convolutions,
        float_layers=made.float_layers,
        layer_psnr_db=made.layer_psnr_db,
        cpu_ms=timings(model, twin, test[0]),
    )
    by_ranges = ", ".join(f"{method} {db:.1f} dB" for method, db in made.ranges_psnr_db.items())
    say(
        f"{twin}: {psnr_db:.1f} dB to f32 on {len(test)} other pictures, {len(made.network) / 1e6:.2f} MB (f32 "
        f"{report.f32_bytes / 1e6:.2f}), ranges by {made.ranges} ({by_ranges}), {len(made.float_layers)} of "
        f"{made.convolutions} convolutions in float"
    )
    say("  CPU time on one core: " + "; ".join(f"{name} {ms:.1f} ms" for name, ms in report.cpu_ms.items()))
    return report


def result(reports: Sequence[Report], source: str) -> dict[str, object]:
    """The reports with what is needed to read them later."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "host": {"cpu": cpu_name(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("onnxruntime", "openvino", "onnx")},
        "what": f"int8 twins: {CALIBRATE} pictures for ranges, {CHOOSE} for decisions, {TEST} others for "
        "the report; cpu_ms is CPU time on one core, no wall time",
        "source": Path(source).name,
        "generators": [asdict(report) for report in reports],
    }


def main(arguments: Sequence[str]) -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m calibration.int8", description="Quantises a style's generators.")
    add = parser.add_argument
    add(
        "--source",
        default="demo",
        help="folder of photos, clip, camera or demo (default; better: photos of many people)",
    )
    add("--style", default="webtoon", help="whose generators (default: webtoon)")
    add("--count", type=int, default=80, help="pictures to take (default: 80)")
    add("--target-db", type=float, default=42.0, help="PSNR to f32 to reach (default: 42)")
    add("--out", type=Path, metavar="DIR", help="folder for the int8 generators (default: the user's cache)")
    add("--report", type=Path, metavar="FILE", help="write the figures as JSON, with those of every convolution")
    given = parser.parse_args(arguments)
    try:
        style = load_style(given.style)
        inputs = generator_inputs(given.source, given.count)
        reports = [
            calibrate_generator(model, pictures, given.out, given.target_db, every_layer=given.report is not None)
            for model, pictures in {style.background: inputs.background, style.face: inputs.face}.items()
        ]
        if given.report is not None:
            write_whole(given.report, json.dumps(result(reports, given.source), indent=1).encode())
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        print(
            "Quantising needs the package onnx; install it with: pip install -c constraints.txt onnx", file=sys.stderr
        )
        return 5
    except LiveToonError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
