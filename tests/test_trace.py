import json
import threading
from pathlib import Path

import pytest

from realtime import trace as module
from realtime.errors import SinkError
from realtime.stats import Stats
from realtime.trace import Trace


def test_stages_and_latency_are_written_with_their_times_and_threads(tmp_path: Path) -> None:
    trace = Trace()
    now = [10.0]

    def work(_: int) -> None:
        now[0] += 0.25

    stats = Stats(lambda: now[0], trace=trace)
    drawing = threading.Thread(target=stats.timed("stylize", work), args=(1,), name="draw")
    drawing.start()
    drawing.join()
    stats.delivered(9.5)
    trace.write(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    done = {e["name"]: (e["ts"], e["dur"], names[e["tid"]]) for e in events if e["ph"] == "X"}
    assert done == {
        "stylize": (10_000_000, 250_000, "draw"),
        "grab to delivery": (9_500_000, 750_000, threading.current_thread().name),
    }


def test_a_trace_stays_small_and_one_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_EVENTS", 3)
    trace = Trace()
    for n in range(5):
        trace.add("ink", n, n + 1)
    trace.write(tmp_path / "t.json")
    assert (tmp_path / "t.json").read_text().count('"X"') == 3
    with pytest.raises(SinkError, match="--trace"):
        trace.write(tmp_path)
