"""How fast the filter is: the product's own command on a clip into `null`, as processes, one version or two in turns.

Comes in: a clip (none: the demo). Goes out: a table and, with --json, all figures. Main thread; each run is a process
of its own. Wall times mean something on an idle machine only; CPU milliseconds and ratios of runs in turns always do.

    python -m bench.speed                        every frame as fast as it goes, then live at 30 a second
    python -m bench.speed --against HEAD~20      two versions, run in turns
    python -m bench.speed --scaling --json bench/results/speed-DATE.json     sizes, faces and cores too, and a plot

A clip that is shorter than the runs is shown there and back again, so that no time jumps. On a busy machine
`taskset -c 1` before the command keeps it to one core, where its CPU milliseconds are exact.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from bench.chart import Line, beside, chart
from bench.earlier import ROOT, unpack, version_now
from realtime.cores import allowed_cores
from realtime.errors import EngineError, LiveToonError
from realtime.stats import STAGES, cpu_name
from realtime.types import Size

DEMO = ROOT / "realtime" / "demo" / "demo.mp4"
FEW = 12  # frames of the run whose work is taken off: start-up
SIZES = (Size(640, 360), Size(1280, 720), Size(1920, 1080), Size(2560, 1440), Size(3840, 2160))
FACES = (0, 1, 2, 3, 4)
SCALING_FRAMES = 100
FEWEST_FRAMES = 40  # of which figures are taken: the first 30 warm up
TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its stats file, and the seconds of work of the whole process."""

    stats: dict[str, Any]
    cpu_s: float


def run_once(tree: Path, words: Sequence[str], cores: int | None = None) -> Run:
    """Runs a version's own command line to its end, its modules compiled once, as everywhere; raises `EngineError`."""
    with tempfile.TemporaryDirectory(prefix="livetoon-") as folder:
        stats = Path(folder) / "stats.json"
        command = [sys.executable, "run.py", *words, "--sink", "null", "--stats", str(stats)]
        started = subprocess.Popen(
            command,
            cwd=tree,
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, _first(cores)),
        )
        before = os.times()
        try:
            _, said = started.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            started.kill()
            started.communicate()
            raise EngineError(f"{' '.join(words)} did not end within {TIMEOUT_S} s; take fewer --frames.") from None
        after = os.times()
        if started.returncode != 0 or not stats.exists():
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            raise EngineError(f"{' '.join(words)} failed: {last}")
        cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
        return Run(json.loads(stats.read_text()), cpu_s)


def _first(cores: int) -> set[int]:
    return set(sorted(os.sched_getaffinity(0))[:cores])


def throughput(tree: Path, clip: str, frames: int, extra: Sequence[str] = (), cores: int | None = None) -> Run:
    """Every frame, as fast as it goes."""
    words = ["--source", clip, "--pace", "all", "--frames", str(frames), *extra]
    return run_once(tree, words, cores)


def work_ms(tree: Path, clip: str, run: Run, extra: Sequence[str] = ()) -> float:
    """Milliseconds of work a picture, for versions whose stats do not tell: a long run less a short one."""
    short = throughput(tree, clip, FEW, extra)
    return (run.cpu_s - short.cpu_s) * 1000 / max(1, int(run.stats["frames_out"]) - FEW)


def figures(runs: Sequence[Run]) -> dict[str, Any]:
    """Of each figure the median over the runs."""
    all_stats = [run.stats for run in runs]

    def median(of: Callable[[dict[str, Any]], float | None]) -> float | None:
        known = [value for value in map(of, all_stats) if value is not None]
        return round(statistics.median(known), 2) if known else None

    def each(name: str, of: str) -> float | None:
        return median(lambda stats: stats["stage_ms"].get(name, {}).get(of))

    def latency(of: str) -> float | None:
        return median(lambda stats: stats["latency_ms"].get(of))

    measures = ("p50", "p95", "max")
    stages = {stage: {of: each(stage, of) for of in measures} for stage in STAGES}
    cores = all_stats[0]["host"]["cores"]
    cpu_ms, rate = median(lambda s: s.get("cpu_ms")), median(lambda s: s["fps"])
    return {
        "fps": rate,
        "cpu_ms": cpu_ms,
        "cpu_share": None if cpu_ms is None or rate is None else round(cpu_ms * rate / 1000 / cores, 3),
        "cores": cores,
        "latency_ms": {of: latency(of) for of in measures},
        "stage_ms": stages,
        "first_picture_s": median(lambda s: s.get("first_picture_s")),
        "peak_rss_mib": median(lambda s: s["peak_rss_mib"]),
        "dropped": median(lambda s: s["dropped"]),
        "given_up": [s.get("given_up") for s in all_stats],
        "frames": median(lambda s: s["frames_out"]),
        "engine": f"{all_stats[0]['engine']} {all_stats[0]['precision']}",
        "size": all_stats[0]["size"],
    }


def measured(tree: Path, clip: str, frames: int, rounds: int, extra: Sequence[str]) -> dict[str, Any]:
    """Throughput, and live from a clip that is paced as a camera and from the test pattern."""
    live = ["--pace", "live", "--seconds", str(frames / 30), *extra]
    found: dict[str, list[Run]] = {"all": [], "live": [], "pattern": []}
    for _ in range(rounds):
        found["all"].append(throughput(tree, clip, frames, extra))
        found["live"].append(run_once(tree, ["--source", clip, "--loop", *live]))
        found["pattern"].append(run_once(tree, ["--source", "test:1280x720@30", *live]))
    return {name: figures(runs) for name, runs in found.items()}


def compared(ref: str, clip: str, frames: int, rounds: int, extra: Sequence[str]) -> dict[str, Any]:
    """This version and another in turns; `ratio`: this one's figure over the other's, the median of the rounds."""
    with tempfile.TemporaryDirectory(prefix="livetoon-") as folder:
        other = unpack(ref, Path(folder))
        trees = {"now": ROOT, ref: other}
        runs: dict[str, list[Run]] = {name: [] for name in trees}
        work: dict[str, list[float]] = {name: [] for name in trees}
        for turn in range(rounds):
            for name in sorted(trees, reverse=bool(turn % 2)):
                run = throughput(trees[name], clip, frames, extra)
                runs[name].append(run)
                work[name].append(work_ms(trees[name], clip, run, extra))
        speed = {name: [float(run.stats["fps"]) for run in runs[name]] for name in trees}
        return {
            "now": {**figures(runs["now"]), "work_ms": work["now"]},
            ref: {**figures(runs[ref]), "work_ms": work[ref]},
            "ratio": {"work_ms": _ratio(work["now"], work[ref]), "fps": _ratio(speed["now"], speed[ref])},
        }


def _ratio(now: Sequence[float], other: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(now, other, strict=True)), 3)


def scaling(clip: str, frames: int, extra: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """How the figures grow with the picture's size, the number of faces and the cores; `frames` at most of each run."""
    frames = max(FEWEST_FRAMES, min(frames, SCALING_FRAMES))
    with tempfile.TemporaryDirectory(prefix="livetoon-") as folder:
        rows: dict[str, list[dict[str, Any]]] = {"sizes": [], "faces": [], "cores": []}
        for size in SIZES:
            fewer = min(frames, max(FEWEST_FRAMES, frames * 1280 * 720 // (size.width * size.height)))
            run = throughput(ROOT, clip, fewer, ["--size", str(size), *extra])
            rows["sizes"].append({"of": str(size), **figures([run])})
        for faces in FACES:
            crowd = Path(folder) / f"{faces}.mp4"
            write_crowd(clip, crowd, faces, frames)
            rows["faces"].append({"of": faces, **figures([throughput(ROOT, str(crowd), frames, extra)])})
        if hasattr(os, "sched_setaffinity"):
            for cores in (1, 2, 4, 8):
                if cores <= allowed_cores():
                    run = throughput(ROOT, clip, frames, extra, cores)
                    rows["cores"].append({"of": cores, **figures([run])})
        return rows


def swung(clip: str, frames: int, folder: Path) -> str:
    """The clip, or where it has fewer frames a file in `folder` with as many: there and back again, in turns.

    A clip that begins again would be a cut, after which more is drawn anew than usual.
    """
    with av.open(str(DEMO) if clip == "demo" else clip) as source:
        rate = source.streams.video[0].average_rate or Fraction(30)
        seen = list(islice(source.decode(video=0), frames))  # as the decoder gives them: half the size of RGB
    if len(seen) == frames or not seen:
        return clip
    way = [*range(len(seen)), *range(len(seen) - 2, 0, -1)]
    path = folder / "swung.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": "12", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = seen[0].width, seen[0].height, "yuv420p"
        for number, place in enumerate(islice(cycle(way), frames)):
            seen[place].pts, seen[place].time_base = number, 1 / rate
            out.mux(stream.encode(seen[place]))
        out.mux(stream.encode(None))
    return str(path)


def write_crowd(clip: str, path: Path, faces: int, frames: int) -> None:
    """A clip of 1280x720 in four tiles, `faces` of which show the clip, the others a blurred one."""
    reader = cv2.VideoCapture(str(DEMO) if clip == "demo" else clip)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (1280, 720))
    try:
        empty = None
        for _ in range(frames):
            fine, bgr = reader.read()
            if not fine:
                break
            tile = cv2.resize(bgr, (640, 360), interpolation=cv2.INTER_AREA)
            if empty is None:
                empty = cv2.GaussianBlur(tile, (0, 0), 40)
            tiles = [tile if n < faces else empty for n in range(4)]
            writer.write(np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]))
    finally:
        reader.release()
        writer.release()


def scaling_chart(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Work a picture over megapixels and over faces, and pictures a second over cores, as an SVG file's text."""
    sizes = [(row["size"][0] * row["size"][1] / 1e6, row["cpu_ms"]) for row in rows["sizes"]]
    faces = [(float(row["of"]), row["cpu_ms"]) for row in rows["faces"]]
    cores = [(float(row["of"]), row["fps"]) for row in rows["cores"]]
    return beside(
        [
            chart("Size of the picture", "CPU ms a picture, one face", [Line("megapixels", sizes)]),
            chart("Faces", "CPU ms a picture of 1280x720", [Line("faces", faces)]),
            chart("Cores", "pictures a second of 1280x720, one face", [Line("cores", cores)]),
        ]
    )


def lines_of(name: str, found: dict[str, Any]) -> list[str]:
    """The figures of one way of running, for people."""
    latency, stages = found["latency_ms"], found["stage_ms"]
    share = "an unknown part" if found["cpu_share"] is None else f"{found['cpu_share']:.0%}"
    given_up = "; ".join(f"{what} in {pictures}" for run in found["given_up"] for what, pictures in (run or {}).items())
    return [
        f"{name}: {found['fps']} pictures a second, {found['cpu_ms']} ms of work a picture ({share} of "
        f"{found['cores']} cores), {found['engine']}, {found['peak_rss_mib']:.0f} MiB, dropped {found['dropped']:.0f} "
        f"of {found['frames'] + found['dropped']:.0f}",
        f"  latency {latency['p50']} median, {latency['p95']} p95, {latency['max']} most, ms; first picture after "
        f"{found['first_picture_s']} s; given up: {given_up or 'nothing'}",
        "  stages, ms, median/p95/most: "
        + ", ".join(f"{stage} {of['p50']}/{of['p95']}/{of['max']}" for stage, of in stages.items()),
    ]


def main(arguments: Sequence[str]) -> int:
    """Measures and prints; 0, or 2 when something cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description="How fast the filter is here.")
    parser.add_argument("clip", nargs="?", default="demo", help="a clip with a face (default: the demo)")
    parser.add_argument("--frames", type=int, default=300, help="of each run")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is run; the median counts")
    parser.add_argument("--against", metavar="REF", help="run another commit's version too, in turns")
    parser.add_argument("--engine", default="auto", help="as run.py's: openvino:fp32 shows a processor without bf16")
    parser.add_argument("--scaling", action="store_true", help="sizes, faces and cores too")
    parser.add_argument("--json", type=Path, help="write all figures here, and a plot beside it as .svg")
    given = parser.parse_args(arguments)
    clip = str(Path(given.clip).absolute()) if Path(given.clip).exists() else given.clip
    extra = [] if given.engine == "auto" else ["--engine", given.engine]
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": version_now(),
        "cpu": cpu_name(),
        "cores": allowed_cores(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(terse=True),
        "clip": Path(clip).name,
    }
    try:
        with tempfile.TemporaryDirectory(prefix="livetoon-") as folder:
            _measure(given, swung(clip, given.frames, Path(folder)), extra, report)
    except (LiveToonError, av.FFmpegError) as error:
        print(error, file=sys.stderr)
        return 2
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if given.scaling:
            given.json.with_suffix(".svg").write_text(scaling_chart(report["scaling"]), encoding="utf-8")
    return 0


def _measure(given: argparse.Namespace, clip: str, extra: Sequence[str], report: dict[str, Any]) -> None:
    """Fills the report and prints it as it grows."""
    if given.against is not None:
        report["compared"] = both = compared(given.against, clip, given.frames, given.rounds, extra)
        for name in ("now", given.against):
            print("\n".join(lines_of(name, both[name])))
        ratio = both["ratio"]
        print(f"now over {given.against}: work {ratio['work_ms']}, pictures a second {ratio['fps']}")
    else:
        report.update(measured(ROOT, clip, given.frames, given.rounds, extra))
        for name in ("all", "live", "pattern"):
            print("\n".join(lines_of(name, report[name])))
    if given.scaling:
        report["scaling"] = rows = scaling(clip, given.frames, extra)
        for kind, of in rows.items():
            for row in of:
                print(f"{kind} {row['of']}: {row['fps']} a second, {row['cpu_ms']} ms, {row['peak_rss_mib']:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
