"""Hours of the filter in minutes: the real loop, stages, source and sink threads on a clock of their own, with faults.

Comes in: how many hours. Goes out: the figures as JSON, the memory curve as SVG, and exit code 1 where something leaks:
memory, threads, handles, or the mark that every raw frame carries. The generators are stand-ins that blur, for not
their speed is tried; `--reopen` opens and closes the real models and engines again and again.

    python -m bench.soak                    two hours (about one, on two cores), 1,000 style switches, 200 restarts
    python -m bench.soak --hours 0.05 --switches 50 --restarts 10 --reopen 5 --out bench/results/soak
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray

from bench.earlier import version_now
from bench.watermark import FOUND_R, found_r, marked
from engines.assets import perception_files
from engines.select import open_engine
from realtime.checked_generator import CheckedGenerator
from realtime.compose import Compose
from realtime.crop import CROP_PX
from realtime.errors import EngineError, SinkError, SourceError
from realtime.filter import Filter
from realtime.hold import Hold
from realtime.ink import Ink
from realtime.loop import Stop, run_loop
from realtime.perceive import Perceiver
from realtime.settings import Background, Look
from realtime.sinks import Sinks
from realtime.sinks.threaded import Threaded
from realtime.source.clip import Clip
from realtime.source.lasting import Lasting
from realtime.source.live import Live
from realtime.source.open import DEMO_CLIP
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.styles import load_style
from realtime.stylize import Stylize
from realtime.types import Face, Frame, Mask, Picture, RgbImage, Scene, Size, read_only

SIZE, FPS = Size(320, 180), 30
GROWTH_MIB = 20.0  # that is allowed after the warm-up
WARM_UP = 0.1  # of the run
STAGES = ("perceive", "steady", "stylize", "ink", "compose")
KINDS = ("raise", "memory", "engine", "nothing", "the frame", "nan", "black", "what went in")
SINK_FAILS_AFTER = 1000  # pictures
CHECK_EVERY = 20  # frames of which one is searched for the mark
FAULT_EVERY, OUTAGE_EVERY, OUTAGE = 150, 9000, 120  # frames: one fault now and then, and failing for four seconds
STYLES = ("webtoon", "manga")


@dataclass(slots=True)
class Counts:
    """What happened."""

    faults: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    cards: int = 0
    checked: int = 0
    found: int = 0
    switches: int = 0
    restarts: int = 0
    reopened_sinks: int = 0
    said: int = 0


class Plan:
    """Which fault happens at the frame that is drawn now."""

    def __init__(self, counts: Counts, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._counts = counts
        self._outage: tuple[str, str] | None = None
        self.now: tuple[str, str] | None = None  # place and kind
        self.frame: Frame | None = None

    def next(self, frame: Frame) -> None:
        """Another frame is drawn."""
        self.frame = frame
        phase = frame.index % OUTAGE_EVERY
        if phase == OUTAGE_EVERY // 2:
            self._outage = self._any()
        elif phase == OUTAGE_EVERY // 2 + OUTAGE:
            self._outage = None
        self.now = self._any() if self._random.integers(FAULT_EVERY) == 0 else self._outage

    def at(self, place: str) -> str | None:
        """Raises as planned; gives the planned kind of wrong result."""
        if self.now is None or self.now[0] != place:
            return None
        kind = self.now[1]
        self._counts.faults[kind] += 1
        if kind == "raise":
            raise ValueError("a stage broke")
        if kind == "memory":
            raise MemoryError
        if kind == "engine":
            raise EngineError("The engine died.")
        return kind

    def _any(self) -> tuple[str, str]:
        place = str(self._random.choice([*STAGES, "room", "background", "face"]))
        return place, str(self._random.choice(KINDS if place in ("background", "face") else KINDS[:5]))


class Generator:
    """Blurs; breaks as planned."""

    def __init__(self, size: Size, place: str, plan: Plan) -> None:
        self.size = size
        self._place = place
        self._plan = plan

    def run(self, rgb: RgbImage) -> Any:
        """As a generator's."""
        kind = self._plan.at(self._place)
        layers: NDArray[np.uint8] = np.dstack([cv2.blur(rgb, (25, 25)), np.zeros(rgb.shape[:2], np.uint8)])
        if kind in ("nothing", "nan"):
            return None if kind == "nothing" else np.full(layers.shape, np.nan, np.float32)
        if kind == "black":
            return np.zeros_like(layers)
        if kind in ("what went in", "the frame"):
            layers[..., :3] = rgb
        return layers


class Seen:
    """Perceive: what MediaPipe saw in each picture once; breaks as planned."""

    def __init__(self, scenes: Sequence[tuple[Mask, tuple[Face, ...]]], plan: Plan) -> None:
        self._scenes = scenes
        self._plan = plan

    def __call__(self, frame: Frame) -> Any:
        """The scene."""
        self._plan.next(frame)
        kind = self._plan.at("perceive")
        if kind is not None:
            return None if kind == "nothing" else frame
        person, faces = self._scenes[frame.index % len(self._scenes)]
        return Scene(frame, person, faces)

    def reset(self) -> None:
        """Nothing is remembered."""


class Breaking:
    """A stage that breaks as planned."""

    def __init__(self, stage: Any, place: str, plan: Plan) -> None:
        self.__dict__.update(_stage=stage, _place=place, _plan=plan)

    def __call__(self, value: Any) -> Any:
        """What the stage gives, or not."""
        return self._breaking(self._place, self._stage, value)

    def begin(self, value: Any) -> Any:
        """The same of the first half of drawing."""
        return self._breaking("room", self._stage.begin, value)

    def draw(self, value: Any) -> Any:
        """The same of the second half."""
        return self._breaking(self._place, self._stage.draw, value)

    def _breaking(self, place: str, works: Callable[[Any], Any], value: Any) -> Any:
        kind = self._plan.at(place)
        if kind is not None:
            return None if kind == "nothing" else self._plan.frame
        return works(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._stage, name, value)


class Camera:
    """Gives marked pictures until it breaks off."""

    def __init__(self, pictures: Sequence[RgbImage], counts: Counts, breaks_after: int, total: int) -> None:
        self.name, self.live, self.size, self.fps = "camera", True, SIZE, float(FPS)
        self.frame_count: int | None = None
        self.clip: Path | None = None
        self._pictures = pictures
        self._counts = counts
        self._breaks_after = breaks_after
        self._total = total
        self._next = 0

    def take(self, timeout_s: float | None) -> Frame | None:
        """As `Live.take`."""
        if self._counts.frames >= self._total:
            return None
        index, self._next = self._next, self._next + 1
        self._counts.frames += 1
        if index >= self._breaks_after:
            self._counts.restarts += 1
            raise SourceError("The camera was unplugged.")
        rgb = self._pictures[self._counts.frames % len(self._pictures)]
        return Frame(rgb, index / FPS, time.monotonic(), index)

    def close(self) -> None:
        """Nothing is open."""


class CallSink:
    """A sink that fails now and then and is opened again."""

    def __init__(self, counts: Counts) -> None:
        self.name = "camera of the call"
        self._counts = counts
        self._taken = 0

    def send(self, picture: Picture) -> None:
        """Fails after a while."""
        self._taken += 1
        if self._taken > SINK_FAILS_AFTER:
            self._counts.reopened_sinks += 1
            raise SinkError("The virtual camera is gone.")

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def soak(hours: float, switches: int, restarts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs for so long of the source's time; gives the figures."""
    counts = Counts()
    pictures, scenes = _seen_pictures()
    plan = Plan(counts, seed=1)
    total = max(200, round(hours * 3600 * FPS))
    stats = Stats()
    styles = [load_style(name) for name in STYLES]

    def told(_: str) -> None:
        counts.said += 1

    def opened() -> Filter:
        generators = [
            CheckedGenerator(Generator(size, place, plan))
            for size, place in ((Size(160, 96), "background"), (Size(CROP_PX, CROP_PX), "face"))
        ]
        stylize = Stylize(generators[0], generators[1], styles[0].finish)
        ink = Ink(styles[0].touch_up, 1.0, None)
        others: tuple[Any, ...] = (Steady(), stylize, ink, Compose(Background(), False))
        stages: list[Any] = [Breaking(stage, place, plan) for stage, place in zip(others, STAGES[1:], strict=True)]
        steady, drawing, inking, composing = stages
        return Filter(Seen(scenes, plan), steady, drawing, inking, composing, stats)  # type: ignore[arg-type]

    camera_frames = max(60, total // (restarts + 1))

    def plug(_: Size | None) -> Live:
        return Camera(pictures, counts, camera_frames, total)  # type: ignore[return-value]

    source = Lasting(plug, what="Camera", say=told, frame_within_s=3, ends=True, dark=True, wait=lambda _: None)
    hold = Hold(opened(), opened, told, live=True)
    sinks = Sinks(
        [Threaded(CallSink(counts), reopen=lambda: CallSink(counts), say=told, wait=lambda _: False)],
        live=True,
        frame_count=None,
        say=told,
    )
    process, samples = psutil.Process(), []
    started_s = last_s = time.monotonic()
    sent = 0

    def send(picture: Picture) -> None:
        nonlocal sent, last_s
        sent += 1
        sinks.send(picture)
        if sent % CHECK_EVERY == 0:
            counts.checked += 1
            counts.found += found_r(picture.rgb, SIZE) >= FOUND_R
        if sent % max(1, total // max(1, switches)) == 0 and counts.switches < switches:
            counts.switches += 1
            style = styles[counts.switches % len(styles)]
            hold.show(Look(style=style.name), style)
            hold.mirror(counts.switches % 4 > 1)
        if sent % max(100, total // 200) == 0:
            now_s = time.monotonic()
            ms = (now_s - last_s) * 1000 / max(100, total // 200)
            last_s = now_s
            rss = process.memory_info().rss / 2**20
            samples.append((sent / FPS / 3600, rss, threading.active_count(), _handles(process), ms))
            say(f"{sent / FPS / 3600:.2f} h  {rss:.0f} MiB  {threading.active_count()} threads  {ms:.1f} ms a frame")

    run_loop(source, hold, send, stats, Stop())
    hold.close()
    sinks.close()
    source.close()
    warm = samples[max(1, round(WARM_UP * len(samples))) - 1]
    end = samples[-1]
    late = samples[len(samples) // 2 :]
    return {
        "hours": round(total / FPS / 3600, 3),
        "took_s": round(time.monotonic() - started_s, 1),
        "frames": counts.frames,
        "pictures_sent": sent,
        "held_or_cards": hold.frames,
        "faults_injected": dict(counts.faults),
        "style_switches": counts.switches,
        "source_restarts": counts.restarts,
        "sink_restarts": counts.reopened_sinks,
        "messages_said": counts.said,
        "pictures_searched_for_the_mark": counts.checked,
        "marks_found": counts.found,
        "memory_mib": {"warm": round(warm[1], 1), "end": round(end[1], 1), "growth": round(end[1] - warm[1], 1)},
        "threads": {"warm": warm[2], "end": end[2]},
        "handles": {"warm": warm[3], "end": end[3]},
        "ms_a_frame": {"warm": round(warm[4], 2), "second_half": round(float(np.median([s[4] for s in late])), 2)},
        "samples": [[round(value, 3) for value in sample] for sample in samples],
    }


def reopen_models(times: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Opens, uses and closes MediaPipe's models and the engines so often; gives memory, threads and handles."""
    style, process = load_style("webtoon"), psutil.Process()
    pictures, _ = _seen_pictures()
    samples = []
    for number in range(times):
        with ExitStack() as opened:
            perceive = opened.enter_context(_perceiver())
            face = opened.enter_context(open_engine(style.face, Size(CROP_PX, CROP_PX), say=lambda _: None))
            perceive(Frame(pictures[0], 0.0, 0.0, 0))
            face.run(np.ascontiguousarray(np.resize(pictures[0], (CROP_PX, CROP_PX, 3))))
        samples.append((process.memory_info().rss / 2**20, threading.active_count(), _handles(process)))
        say(f"opened {number + 1}: {samples[-1][0]:.0f} MiB, {samples[-1][1]} threads, {samples[-1][2]} handles")
    warm, end = samples[min(len(samples) - 1, max(2, times // 4))], samples[-1]
    return {
        "times": times,
        "memory_mib": {"warm": round(warm[0], 1), "end": round(end[0], 1), "growth": round(end[0] - warm[0], 1)},
        "threads": {"warm": warm[1], "end": end[1]},
        "handles": {"warm": warm[2], "end": end[2]},
        "samples": [[round(value, 1) for value in sample] for sample in samples],
    }


def leaks(figures: dict[str, Any]) -> list[str]:
    """What grew or was seen that must not."""
    found = []
    if figures.get("marks_found"):
        found.append(f"the mark of raw frames was found in {figures['marks_found']} pictures")
    if figures["memory_mib"]["growth"] > GROWTH_MIB:
        found.append(f"memory grew by {figures['memory_mib']['growth']} MiB")
    for what in ("threads", "handles"):
        if figures[what]["end"] > figures[what]["warm"] + 2:
            found.append(f"{what} grew from {figures[what]['warm']} to {figures[what]['end']}")
    return found


def memory_curve(samples: Sequence[Sequence[float]]) -> str:
    """Memory over hours as SVG."""
    wide, high, left, low = 720, 260, 60, 36
    hours, mib = [s[0] for s in samples], [s[1] for s in samples]
    top = 1.25 * max(mib)
    points = " ".join(
        f"{left + (wide - left - 20) * h / max(hours):.1f},{high - low - (high - low - 20) * m / top:.1f}"
        for h, m in zip(hours, mib, strict=True)
    )
    text = 'font-family="sans-serif" font-size="12" fill="#333"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}">'
        f'<rect width="{wide}" height="{high}" fill="#fff"/>'
        f'<path d="M{left} 20V{high - low}H{wide - 20}" stroke="#999" fill="none"/>'
        f'<polyline points="{points}" stroke="#c2410c" stroke-width="2" fill="none"/>'
        f'<text x="8" y="24" {text}>{top:.0f} MiB</text><text x="40" y="{high - low}" {text}>0</text>'
        f'<text x="{wide - 60}" y="{high - 14}" {text}>{max(hours):.2f} h</text>'
        f'<text x="{left + 10}" y="{high - 14}" {text}>memory of the process: '
        f"{min(mib):.0f} to {max(mib):.0f} MiB, {mib[-1]:.0f} at the end</text></svg>\n"
    )


def _seen_pictures() -> tuple[list[RgbImage], list[tuple[Mask, tuple[Face, ...]]]]:
    """Some marked pictures of the demo clip, and what MediaPipe sees in them without the mark."""
    pictures: list[RgbImage] = []
    scenes: list[tuple[Mask, tuple[Face, ...]]] = []
    with Clip(str(DEMO_CLIP), SIZE, what="demo", say=lambda _: None) as clip, _perceiver() as perceive:
        while len(pictures) < 16 and (frame := clip.read()) is not None:
            scene = perceive(frame)
            pictures.append(read_only(marked(frame.rgb)))
            scenes.append((scene.person, scene.faces))
    return pictures, scenes


def _perceiver() -> Perceiver:
    return Perceiver(*perception_files())


def _handles(process: psutil.Process) -> int:
    count: Callable[[], int] = getattr(process, "num_fds" if hasattr(process, "num_fds") else "num_handles")
    return count()


def main(arguments: Sequence[str]) -> int:
    """Runs what the command line asks; 1 where something leaks."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--switches", type=int, default=1000)
    parser.add_argument("--restarts", type=int, default=200)
    parser.add_argument("--reopen", type=int, default=0, help="open and close models and engines so often as well")
    parser.add_argument("--out", type=Path, help="write OUT.json and OUT.svg")
    given = parser.parse_args(list(arguments))

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    figures = soak(given.hours, given.switches, given.restarts, say)
    found = leaks(figures)
    told: dict[str, Any] = {"version": version_now(), "soak": figures}
    if given.reopen:
        told["reopen"] = reopen_models(given.reopen, say)
        found += [f"models and engines opened anew: {leak}" for leak in leaks(told["reopen"])]
    told["leaks"] = found
    if given.out is not None:
        given.out.with_suffix(".json").write_text(json.dumps(told) + "\n", encoding="utf-8")
        given.out.with_suffix(".svg").write_text(memory_curve(figures["samples"]), encoding="utf-8")
    print(json.dumps({name: value for name, value in figures.items() if name != "samples"}, indent=1))
    print("Leaks: " + ("; ".join(found) if found else "none"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
