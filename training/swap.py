"""Layer swapping: one style's idea of shapes drawn by another's hand.

    python -m training.swap A B --at LAYER --out PACK

Two generators that began as one (`--start-from`) understand each other's layers: those before LAYER are taken from
style A, LAYER and those after it from style B (Pinkney and Adler, "Resolution Dependent GAN Interpolation for
Controllable Image Synthesis Between Domains", 2020). Comes in: two styles or style packs that were trained here. Goes
out: a style pack; the exit code, 0 done, 2 wrong usage, 5 an export that does not agree. Main thread.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.cache import write_whole
from realtime.errors import LiveToonError, UsageError
from realtime.styles import Style, load_style
from training.words import Words

if TYPE_CHECKING:
    from training.student import Student

# In the order of computing. Before the middle they see ever larger shapes, after it they draw ever finer ones.
LAYERS = (
    "to_half", "to_quarter", "to_eighth", "to_sixteenth", "join_eighth", "up_eighth", "join_quarter", "up_quarter",
    "join_half", "up_half", "pixels", "edges", "picture", "layers",
)  # fmt: skip


def swapped(first: Student, second: Student, at: str) -> Student:
    """A student with the layers of `first` before the layer `at`, and those of `second` from it on.

    Raises `UsageError` for an unknown layer, and for the first of all, which would leave nothing of `first`.
    """
    from training.student import Student

    if at not in LAYERS[1:]:
        near = difflib.get_close_matches(at, LAYERS[1:], n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(LAYERS[1:])}."
        raise UsageError(f"--at {at} is no layer to swap at: {hint}")
    from_second = LAYERS[LAYERS.index(at) :]
    own, others = first.state_dict(), second.state_dict()
    student = Student()
    student.load_state_dict({n: others[n] if n.partition(".")[0] in from_second else own[n] for n in own})
    return student.eval()


def swap(first: Style, second: Style, at: str, out: Path) -> None:
    """Writes the pack; its numbers are those of `second`. Raises `UsageError` for networks of another shape."""
    from training.card import style_toml
    from training.data import KINDS
    from training.onnx_file import export, student_from_onnx

    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} holds something; give --out a new or empty folder.")
    pairs = [(first.background, second.background), (first.face, second.face)]
    students = [swapped(student_from_onnx(a), student_from_onnx(b), at) for a, b in pairs]
    out.mkdir(parents=True, exist_ok=True)
    for kind, student in zip(KINDS, students, strict=True):
        export(kind, student, out / f"{kind}.onnx")
    licence = first.licence if first.licence == second.licence else f"{first.licence} and {second.licence}"
    title = f"{first.name} before {at}, {second.name} from it on"
    tables = {"finish": second.finish, "touch_up": second.touch_up, "page": second.page, "shape": second.shape}
    write_whole(out / "style.toml", style_toml(title, licence, tables).encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    parser = Words(prog="python -m training.swap", description="Layers of two styles in one.")
    parser.add_argument("first", metavar="A", help="the style whose layers come first: what it sees")
    parser.add_argument("second", metavar="B", help="the style whose layers follow: how it draws")
    parser.add_argument("--at", required=True, metavar="LAYER", help=f"the first layer of B: {', '.join(LAYERS[1:])}")
    parser.add_argument("--out", required=True, type=Path, metavar="PACK", help="the new style pack's folder")
    try:
        given: argparse.Namespace = parser.parse_args(arguments)
        try:
            import torch  # noqa: F401
        except ImportError as error:
            raise UsageError(f"Swapping needs the package {error.name}: pip install -e .[train]") from error
        swap(load_style(given.first), load_style(given.second), given.at, given.out)
    except LiveToonError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"Done. Try it: python run.py --style {given.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
