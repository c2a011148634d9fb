"""What a run did: counts, times, memory, as the stats file of the command line's contract and a line for people."""

from __future__ import annotations

import json
import platform
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil

from realtime.cores import allowed_cores
from realtime.errors import SinkError
from realtime.trace import Trace
from realtime.types import Size

VERSION = "0.1.0"
STAGES = ("perceive", "steady", "room", "stylize", "ink", "compose", "deliver")
MOST_TIMES = 20_000  # that are kept of a run
RECENT = 30  # that the status line is made of
NOTICED_MS = 45  # that sound may be ahead
WARM_UP = 30  # frames that percentiles leave out: engines and caches are still warming up

A = TypeVar("A")
B = TypeVar("B")


class _Times:
    """Times in milliseconds. Of a long run a fair sample is kept (Vitter 1985, algorithm R), and the largest."""

    def __init__(self) -> None:
        self.kept: list[float] = []
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.largest = 0.0  # after the warm-up
        self._count = 0
        self._random = random.Random(0)

    def append(self, ms: float) -> None:
        self.recent.append(ms)
        self._count += 1
        if self._count > WARM_UP:
            self.largest = max(self.largest, ms)
        if len(self.kept) < MOST_TIMES:
            self.kept.append(ms)
        elif (place := self._random.randrange(WARM_UP, self._count)) < MOST_TIMES:
            self.kept[place] = ms

    def percentiles(self, names: tuple[str, ...]) -> dict[str, float]:
        """Of all but the warm-up frames (of all, where there are fewer); empty without any."""
        counted = self.kept[WARM_UP:] if len(self.kept) > WARM_UP else self.kept
        if not counted:
            return {}
        share = {"p50": 50, "p95": 95, "p99": 99}
        largest = self.largest if self._count > WARM_UP else max(counted)
        found = {name: largest if name == "max" else float(np.percentile(counted, share[name])) for name in names}
        return {name: round(ms, 2) for name, ms in found.items()}


class Stats:
    """Collects while a run goes on. Times are kept in milliseconds."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
        trace: Trace | None = None,
    ) -> None:
        """clock, cpu_clock: seconds gone by, and seconds of work of all this process's threads."""
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._trace = trace
        self._warm: tuple[int, float] = (0, 0.0)  # pictures and seconds of work when the warm-up ended
        self._first_picture_s: float | None = None
        self._started_s: float | None = None
        self._stage_ms = {stage: _Times() for stage in STAGES}
        self._latency_ms = _Times()
        self._delivered_s: deque[float] = deque(maxlen=61)
        self._taken: deque[tuple[float, int]] = deque(maxlen=61)  # when, and the frame's number
        self._first_index: int | None = None
        self.frames_in = 0
        self.frames_out = 0
        self.faces_frames = 0

    def timed(self, stage: str, call: Callable[[A], B]) -> Callable[[A], B]:
        """The same callable, its time counted under `stage`."""
        times = self._stage_ms[stage]

        def measured(value: A) -> B:
            start = self._clock()
            try:
                return call(value)
            finally:
                end = self._clock()
                times.append((end - start) * 1000)
                if self._trace is not None:
                    self._trace.add(stage, start, end)

        return measured

    def took(self, index: int) -> None:
        """A frame of this number came from the source; a gap in the numbers is a drop.

        What a live source gave before the first frame was taken (engines were loading) does not count.
        """
        if self._first_index is None:
            self._first_index, self._started_s = index, self._clock()
            self._warm = (0, self._cpu_clock())
        self.frames_in = index - self._first_index + 1
        self._taken.append((self._clock(), index))

    def saw(self, faces: int) -> None:
        """A frame with this many faces was perceived."""
        self.faces_frames += faces > 0

    def delivered(self, grabbed_s: float) -> None:
        """A picture whose frame was grabbed at `grabbed_s` reached the sinks."""
        now = self._clock()
        self.frames_out += 1
        self._latency_ms.append((now - grabbed_s) * 1000)
        self._delivered_s.append(now)
        if self._first_picture_s is None:
            self._first_picture_s = time.time() - psutil.Process().create_time()
        if self.frames_out == WARM_UP:
            self._warm = (self.frames_out, self._cpu_clock())
        if self._trace is not None:
            self._trace.add("grab to delivery", grabbed_s, now)

    @property
    def dropped(self) -> int:
        """Frames the source produced that nothing was made of."""
        return self.frames_in - self.frames_out

    def recent_fps(self) -> float:
        """Pictures a second over the last two seconds or so; 0 while unknown."""
        if len(self._delivered_s) < 2:
            return 0.0
        span = self._delivered_s[-1] - self._delivered_s[0]
        return (len(self._delivered_s) - 1) / span if span > 0 else 0.0

    def recent_source_fps(self) -> float:
        """Frames a second that the source gave, also those that were dropped, over the same time; 0 while unknown."""
        if len(self._taken) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._taken[0], self._taken[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0

    def cpu_ms_a_picture(self) -> float:
        """Milliseconds of work of all threads a picture, since the warm-up; 0 while unknown."""
        pictures = self.frames_out - self._warm[0]
        return (self._cpu_clock() - self._warm[1]) * 1000 / pictures if pictures > 0 else 0.0

    def now(self) -> dict[str, Any]:
        """The figures of the last second or two, for remote control."""
        medians = {name: float(np.median(times.recent)) for name, times in self._stage_ms.items() if times.recent}
        return {
            "camera_fps": round(self.recent_source_fps(), 1),
            "fps": round(self.recent_fps(), 1),
            "dropped": self.dropped,
            "latency_ms": round(self.recent_latency_ms(), 1),
            "stage_ms": {name: round(ms, 1) for name, ms in medians.items()},
        }

    def recent(self) -> str:
        """The rates, the delay from grab to delivery and the median time of each stage, for the status line."""
        stages = [f"{name} {np.median(times.recent):.0f}" for name, times in self._stage_ms.items() if times.recent]
        rates = f"camera {self.recent_source_fps():.0f}  out {self.recent_fps():.0f} fps  {self.dropped} dropped"
        return f"{rates}   delay {self.recent_latency_ms():.0f} ms   {'  '.join(stages)} ms"

    def recent_latency_ms(self) -> float:
        """Median of the last 30 pictures; 0 while unknown."""
        return float(np.median(self._latency_ms.recent)) if self._latency_ms.recent else 0.0

    def audio_offset_ms(self) -> int | None:
        """By how much sound that does not go through here is to be delayed, in steps of 5 ms; None while unknown."""
        latency = self._latency_ms.percentiles(("p50",))
        return 5 * round(latency["p50"] / 5) if latency else None

    def summary(
        self, *, style: str, engine: str, precision: str, size: Size, source: str, held_frames: int
    ) -> dict[str, Any]:
        """The contents of the stats file."""
        seconds = 0.0 if self._started_s is None else self._clock() - self._started_s
        return {
            "style": style,
            "engine": engine,
            "precision": precision,
            "size": [size.width, size.height],
            "source": source,
            "frames_in": self.frames_in,
            "frames_out": self.frames_out,
            "dropped": self.dropped,
            "seconds": round(seconds, 3),
            "fps": round(self.frames_out / seconds, 2) if seconds > 0 else 0.0,
            "latency_ms": self._latency_ms.percentiles(("p50", "p95", "p99", "max")),
            "audio_offset_ms": self.audio_offset_ms(),
            "stage_ms": {stage: times.percentiles(("p50", "p95", "max")) for stage, times in self._stage_ms.items()},
            "cpu_ms": round(self.cpu_ms_a_picture(), 2),
            "first_picture_s": None if self._first_picture_s is None else round(self._first_picture_s, 2),
            "faces_frames": self.faces_frames,
            "held_frames": held_frames,
            "peak_rss_mib": round(_peak_rss_mib()),
            "host": {"cpu": cpu_name(), "cores": allowed_cores(), "gpu": None},
            "version": VERSION,
        }


def write_stats(path: Path, summary: dict[str, Any]) -> None:
    """Writes the stats file; raises `SinkError` when that is impossible."""
    try:
        path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"The stats file {path} cannot be written ({error.strerror}); name another --stats.") from error


def audio_advice(offset_ms: int | None) -> str:
    """What to do about sound that is ahead of the picture; empty where nobody notices (ITU-R BT.1359: 45 ms)."""
    if offset_ms is None or offset_ms < NOTICED_MS:
        return ""
    return (
        f"The pictures come {offset_ms} ms after the sound of your microphone: in OBS, give it a sync offset of "
        f"{offset_ms} ms (Advanced Audio Properties)."
    )


def stats_line(summary: dict[str, Any]) -> str:
    """One line for people."""
    latency = summary["latency_ms"]
    timing = f", {latency['p50']:.0f} ms a picture" if latency else ""
    return (
        f"{summary['frames_out']} pictures of {summary['frames_in']} frames ({summary['dropped']} dropped) in "
        f"{summary['seconds']:.1f} s: {summary['fps']:.1f} a second{timing}, "
        f"{summary['engine']} {summary['precision']}, {summary['peak_rss_mib']} MiB"
    )


def _peak_rss_mib() -> float:
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def cpu_name() -> str:
    """The processor, as its maker or the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
