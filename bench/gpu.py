"""What ran on the NVIDIA GPU here, and how fast: the tests marked `gpu`, then every GPU engine on both generators, then
the device path with each of them at 720p, 1080p and 4K.

Out: bench/results/gpu-DATE-NAME.json with date, GPU, driver, versions, commit. Without a GPU it says so and writes
nothing.

    make gpu
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

import numpy as np

import build_engines
from engines import torch_gpu
from engines.cache import write_whole
from engines.engine import DeviceGenerator
from engines.gpu import nvidia_gpu
from engines.select import GPU_KINDS, list_engines, open_engine
from engines.verify import trial_pictures
from realtime.crop import CROP_PX
from realtime.errors import EngineError, LiveToonError
from realtime.styles import load_style
from realtime.stylize import generator_size
from realtime.types import Size

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tensorrt", "tensorrt_rtx_cu13_bindings", "torch", "cuda-bindings", "onnxruntime", "numpy")
FRAMES = 5000  # long enough for a leak to show
FRAME_SIZES = (Size(1280, 720), Size(1920, 1080), Size(3840, 2160))
SCENES = 60  # of the demo clip, shown forth and back


@dataclass(frozen=True, slots=True)
class Figures:
    """An engine on a generator: milliseconds of a picture from host memory to host memory, and memory of the GPU in MiB
    in use after the first 100 pictures and after the last.
    """

    generator: str
    size: str
    engine: str
    precision: str
    p50_ms: float
    p95_ms: float
    mib_before: int
    mib_after: int


def main() -> int:
    """Runs everything and writes the result file; gives the exit code."""
    gpu = nvidia_gpu()
    if gpu is None:
        print("There is no NVIDIA GPU here (nvidia-smi finds none): nothing is run or recorded.", file=sys.stderr)
        return 5
    build_engines.main([])
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "gpu", "-rs"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    print(tests.stdout)
    figures = [
        measure(kind.name, *generator) for kind in GPU_KINDS if _is_here(kind.name) for generator in generators()
    ]
    paths = [path(kind.name, size) for size in FRAME_SIZES for kind in GPU_KINDS if _is_here(kind.name)]
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "gpu": asdict(gpu),
        "commit": _git("rev-parse", "HEAD"),
        "changed_since": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "versions": {name: v for name in PACKAGES if (v := _version(name))},
        "tests": {"exit_code": tests.returncode, "summary": tests.stdout.strip().splitlines()[-1:]},
        "pictures_each": FRAMES,
        "figures": [asdict(f) for f in figures if isinstance(f, Figures)],
        "device_path": [f for f in paths if isinstance(f, dict)],
        "failures": [f for f in (*figures, *paths) if isinstance(f, str)],
    }
    name = re.sub(r"\W+", "-", gpu.name).strip("-").lower()
    path = ROOT / "bench" / "results" / f"gpu-{datetime.now(UTC):%Y-%m-%d}-{name}.json"
    write_whole(path, json.dumps(result, indent=1).encode())
    print(path.read_text())
    return tests.returncode or (5 if result["failures"] else 0)


def generators() -> list[tuple[Path, Size]]:
    """The shipped generators and their sizes for 1280x720."""
    return build_engines.chosen_generators(None, build_engines.FRAME)


def measure(name: str, model: Path, size: Size) -> Figures | str:
    """An engine's figures, or why it gives none."""
    pictures = trial_pictures(size)
    try:
        with open_engine(model, size, name, say=print) as engine:
            ms, before = [], 0
            for i in range(FRAMES):
                start = perf_counter()
                engine.run(pictures[i % 2])
                ms.append((perf_counter() - start) * 1e3)
                if i == 100:
                    before = _mib_in_use()
            p50, p95 = (round(float(p), 3) for p in np.percentile(ms[100:], (50, 95)))
            return Figures(model.stem, str(size), name, engine.precision, p50, p95, before, _mib_in_use())
    except EngineError as error:
        return str(error)


def path(name: str, frame: Size) -> dict[str, object] | str:
    """The device path's figures with an engine, or why it gives none."""
    style = load_style("webtoon")
    try:
        torch_gpu.precisions()
        from bench.device_path import demo_scenes, measure_path  # imports torch

        with (
            open_engine(style.background, generator_size(frame), name, say=print) as background,
            open_engine(style.face, Size(CROP_PX, CROP_PX), name, say=print) as face,
        ):
            if not isinstance(background, DeviceGenerator) or not isinstance(face, DeviceGenerator):
                return f"{name} does not run on device arrays"
            models, names = (style.background, style.face), (name, background.precision)
            scenes = demo_scenes(frame, SCENES)
            return asdict(measure_path(background, face, models, scenes, FRAMES, names=names))
    except (ImportError, RuntimeError, LiveToonError) as error:
        return f"device path, {name}, {frame}: {error}"


def _is_here(name: str) -> bool:
    return any(engine.available for engine in list_engines() if engine.name == name)


def _mib_in_use() -> int:
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0])


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
