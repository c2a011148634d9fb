"""What goes beside the weights: a style pack's `style.toml`, and a card for each generator.

Comes in: the figures of a run. Goes out: text.
"""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.report import Figures, table


@dataclass(frozen=True, slots=True)
class Made:
    """How one generator was made. drawn: pictures trained on; held_out: pictures measured on; drawn_by: whose hand."""

    kind: str
    style: str
    licence: str
    commit: str
    start: str | None
    drawn: int
    held_out: int
    minutes: float
    steps: int
    crops: int
    device: str
    figures: Figures
    drawn_by: str


def project_commit() -> str:
    """The checkout's commit, with "+" if files differ from it; "unknown" outside of git."""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def style_toml(title: str, licence: str, tables: Mapping[str, Any]) -> str:
    """A pack of two own generators, with what its `tables` (dataclasses of numbers, by name) differ in from their
    defaults. A JSON string is a TOML string too."""
    name, terms = json.dumps(title, ensure_ascii=False), json.dumps(licence, ensure_ascii=False)
    lines = [
        f"title = {name}",
        f"licence = {terms}",
        'kind = "layers"',
        'background = "background.onnx"',
        'face = "face.onnx"',
    ]
    for place, numbers in tables.items():
        plain = asdict(type(numbers)())
        lines += ["", f"[{place}]", *(f"{key} = {v}" for key, v in asdict(numbers).items() if v != plain[key])]
    return "\n".join(lines) + "\n"


def card(made: Made, command: str) -> str:
    """The card of one generator, as markdown."""
    draws = {
        "background": "Draws the whole frame, at about 640x360 (any height and width that are multiples of 16).",
        "face": "Draws a face: the upright 256x256 crop of `realtime/crop.py`.",
    }
    start = "from random weights" if made.start is None else f"from the weights of `{made.start}`"
    held_out = (
        f"({made.held_out} pictures, of every 15th photo by name and the clips that the command names), PSNR and SSIM "
        f"against those drawings:\n\n{table(made.figures)}"
        if made.figures
        else "(no picture was held out)"
    )
    data = f"**Data.** {made.drawn} pictures drawn by {made.drawn_by}, degraded as webcams do (`training/degrade.py`)."
    training = (
        f"**Training.** `{command}`, {start}: {made.minutes:.1f} minutes on {made.device}, {made.steps} steps, "
        f"{made.crops} crops of 192 pixels; the weights are a running mean."
    )
    return f"""# {made.style}: {made.kind}.onnx

{draws[made.kind]}

| | |
| --- | --- |
| input | `rgb` f32 (1, 3, height, width), RGB 0..1, stretched by `realtime/exposure.py` before |
| output | `layers` f32 (1, 4, height, width), 0..1: flat colour RGB without tone steps, and ink |
| network | `training/student.py`, f32, no normalisation layers |
| licence | {made.licence} |

{textwrap.fill(data, 120)}

{textwrap.fill(training, 120)}

**Held out** {held_out}

**Weak:** to be written by whoever has looked at many of its drawings.
"""
