"""Seconds of the soak test, so that it works when it is asked for; `make soak` runs hours."""

import json
from pathlib import Path

import pytest

from bench.soak import leaks, main, memory_curve


def test_a_short_soak_injects_faults_and_finds_no_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "soak"
    code = main(["--hours", "0.002", "--switches", "20", "--restarts", "5", "--out", str(out)])
    told = json.loads(out.with_suffix(".json").read_text())
    figures = told["soak"]
    assert (code, told["leaks"]) == (0, [])
    assert figures["frames"] == 216 and figures["pictures_searched_for_the_mark"] >= 8 and figures["marks_found"] == 0
    assert figures["style_switches"] >= 19
    assert figures["source_restarts"] >= 2 and sum(figures["faults_injected"].values()) > 0
    assert out.with_suffix(".svg").read_text().startswith("<svg")
    assert "Leaks: none" in capsys.readouterr().out


def test_what_grows_is_a_leak() -> None:
    calm = {"memory_mib": {"growth": 3.0}, "threads": {"warm": 4, "end": 4}, "handles": {"warm": 8, "end": 8}}
    assert leaks(calm) == []
    assert "21" in leaks({**calm, "memory_mib": {"growth": 21.0}})[0]
    assert "threads" in leaks({**calm, "threads": {"warm": 4, "end": 40}})[0]
    assert "mark" in leaks({**calm, "marks_found": 2})[0]


def test_the_curve_is_drawn() -> None:
    assert memory_curve([(0.5, 250.0), (1.0, 260.0)]).count("<polyline") == 1
