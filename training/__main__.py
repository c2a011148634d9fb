"""From photos to a style pack, with one command; the same command again carries on where the last one stopped.

    python -m training --style NAME --photos FOLDER [--teacher FILE.toml] [--clips FOLDER] [--out runs/NAME] ...
    python -m training --style NAME --pairs FOLDER ...

Photos are drawn by the teacher (or were by the user: `--pairs`), two students learn from the drawings, and what they
learned is checked, written as ONNX and measured on pictures that were never trained on. Comes in: command-line words.
Goes out: the folder `--out` with `pack/` (what `run.py --style` takes), `report.json` and contact sheets; the exit
code, 0 done, 2 wrong usage, 3 photos that cannot be used, 5 an export that does not agree, 6 a model file is missing,
130 interrupted. Main thread; drawing and training run in processes of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines.cache import write_whole
from realtime.errors import LiveToonError, SourceError, UsageError
from realtime.layers import Finish
from realtime.styles import load_style
from training.knobs import Knobs, read_knobs
from training.words import Words

MEASURED_MOST = 48  # held-out pictures that the report is made of
AS_DRAWN = Finish(tone_share=0.0, black=0.0, white=1.0)  # the user's own drawings have their tones already
FLICKER_MOST = 4  # of them, for the flicker: the teacher draws each twice


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        given = _parser().parse_args(words)
        try:
            import onnx  # noqa: F401
            import skimage  # noqa: F401
            import torch  # noqa: F401
        except ImportError as error:
            raise UsageError(f"Training needs the package {error.name}: pip install -e .[train]") from error
        folders = {
            str(f) for f in (given.photos, given.clips, given.pairs, given.teacher, given.out) if f is not None
        }  # where is nobody's business
        command = shlex.join(Path(word).name if word in folders else word for word in words)
        make_style(given, f"python -m training {command}")
    except LiveToonError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("Interrupted; the same command carries on from here.")
        return 130
    return 0


def make_style(given: argparse.Namespace, command: str) -> None:
    """Draws, trains, exports and measures what is not there yet; raises `LiveToonError`."""
    import torch

    from training.card import project_commit
    from training.data import KINDS, draw_all, find_jobs, pair_jobs
    from training.train import Plan, train_both

    _check(given)
    out: Path = given.out or Path("runs") / given.style
    start = _start(given.start_from)
    knobs = Knobs() if given.teacher is None else read_knobs(given.teacher)
    drawn_already = given.pairs is not None
    jobs = pair_jobs(given.pairs) if drawn_already else find_jobs(given.photos, given.clips, given.held_out_clips)
    _claim(out, given, [(job.name, job.held_out) for job in jobs], knobs)
    threads = given.threads or os.cpu_count() or 2
    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    examples = out / "examples"
    draw_all(jobs, examples, threads, _say, knobs)
    for kind in KINDS:
        if not any((examples / kind / f"{job.name}.npz").exists() for job in jobs if not job.held_out):
            what = "picture" if kind == "background" else "face"
            folder = given.pairs or given.photos
            raise SourceError(f"No {what} to train on was found in {folder}; expected photos of people, many of them: "
                              "every 15th, beginning with the first, is kept for measuring.")  # fmt: skip
    plan = Plan(examples, tuple(jobs), out, given.minutes, device, threads, start)
    train_both(plan, _say)
    _finish(given, plan, knobs, project_commit(), command)
    _say(f"Done. Try it: python run.py --style {out / 'pack'}")


def _check(given: argparse.Namespace) -> None:
    if (given.photos is None) == (given.pairs is None):
        raise UsageError("Give either --photos FOLDER, which the teacher draws, or --pairs FOLDER, which you drew.")
    if given.pairs is not None and (given.teacher is not None or given.clips is not None):
        raise UsageError("--pairs brings its own drawings; --teacher and --clips belong to --photos.")
    if given.minutes <= 0:
        raise UsageError(f"--minutes {given.minutes:g} is no time; expected a number above 0.")
    if given.threads is not None and given.threads < 1:
        raise UsageError(f"--threads {given.threads} is none; expected 1 or more.")
    if given.device is not None and given.device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise UsageError(f"--device {given.device}: torch finds no GPU here; leave it out to train on the CPU.")
    if given.style != Path(given.style).name or given.style in ("", ".", ".."):
        raise UsageError(f"--style {given.style} is no name; expected a word such as mine, without slashes.")


def _start(style: str | None) -> dict[str, Path]:
    """The generators to start from, by kind, each checked; raises `LiveToonError`."""
    if style is None:
        return {}
    from training.onnx_file import student_from_onnx

    found = load_style(style)
    start = {"background": found.background, "face": found.face}
    for path in start.values():
        student_from_onnx(path)
    return start


def _claim(out: Path, given: argparse.Namespace, pictures: list[tuple[str, bool]], knobs: Knobs) -> None:
    """Makes `out` this run's folder, or checks that it is: what is held out must stay held out."""
    about = {
        "style": given.style,
        "start_from": given.start_from,
        "teacher's knobs": asdict(knobs),
        "pictures": len(pictures),
        "pictures_sha256": hashlib.sha256(json.dumps(pictures).encode()).hexdigest(),
    }
    record, teacher = out / "run.json", Path(__file__).with_name("teacher.py")
    drawn_by = hashlib.sha256(teacher.read_bytes()).hexdigest()
    try:
        if not record.exists():
            if out.exists() and any(out.iterdir()):
                raise UsageError(f"{out} holds something else; give --out a new or empty folder.")
            write_whole(record, json.dumps({**about, "teacher_sha256": drawn_by}, indent=1).encode())
            return
        before: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        other = [name for name, value in about.items() if before.get(name, value) != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{out} cannot be used ({error}); give --out a new or empty folder.") from error
    if other:
        raise UsageError(
            f"{out} was begun with other {' and '.join(sorted({name.split('_sha')[0] for name in other}))}; give the "
            "same again to carry on, or --out a new folder."
        )
    if before["teacher_sha256"] != drawn_by:
        _say(f"The teacher has changed since {out / 'examples'} was drawn; remove {out} to draw anew.")


def _finish(given: argparse.Namespace, plan: Any, knobs: Knobs, commit: str, command: str) -> None:
    """Writes the pack, the cards and the report, and prints the figures."""
    from training.card import Made, card, style_toml
    from training.data import KINDS, Perceiving, load
    from training.onnx_file import export
    from training.report import measure, measure_flicker, table
    from training.train import evenly, read_checkpoint, student_from_checkpoint

    pack = plan.out / "pack"
    pack.mkdir(exist_ok=True)
    drawn_by = f"`training/teacher.py` of commit {commit}"
    if given.teacher is not None:
        drawn_by += ", with the knobs of `teacher.toml` beside this card"
        write_whole(pack / "teacher.toml", given.teacher.read_bytes())
    if given.pairs is not None:
        drawn_by = "the maker of this style"
    device = "a GPU" if plan.device.startswith("cuda") else f"{plan.threads} CPU threads for both generators"
    report: dict[str, Any] = {"style": given.style, "command": command, "commit": commit, "device": plan.device}
    for kind in KINDS:
        checkpoint = plan.out / f"{kind}.pt"
        state, student = read_checkpoint(checkpoint), student_from_checkpoint(checkpoint)
        worst = export(kind, student, pack / f"{kind}.onnx")
        _say(f"Wrote {pack / f'{kind}.onnx'}, ONNX Runtime within {worst:.1e} of torch.")
        folder = plan.examples / kind
        held_out = evenly(load(folder, [job for job in plan.jobs if job.held_out]), MEASURED_MOST)
        figures = {}
        if held_out:
            figures = measure(student, held_out)
            if given.pairs is None:  # who drew the pairs cannot be asked for more
                with Perceiving(_say) as perceive:
                    figures["flicker"] = measure_flicker(student, evenly(held_out, FLICKER_MOST), perceive, knobs)
            _say(f"\n{kind}, held out, against the teacher (PSNR, SSIM):\n\n{table(figures)}\n")
        drawn = sum((folder / f"{job.name}.npz").exists() for job in plan.jobs if not job.held_out)
        made = Made(
            kind, given.style, given.licence, commit, given.start_from, drawn, len(held_out), state["spent_s"] / 60,
            state["steps"], state["crops"], device, figures, drawn_by,
        )  # fmt: skip
        write_whole(pack / f"{kind}.md", card(made, command).encode())
        report[kind] = {
            "pictures": drawn,
            "held_out": len(held_out),
            "minutes": round(made.minutes, 2),
            "steps": made.steps,
            "crops": made.crops,
            "sha256": hashlib.sha256((pack / f"{kind}.onnx").read_bytes()).hexdigest(),
            "figures": figures,
        }
    finish = Finish() if given.pairs is None else AS_DRAWN
    write_whole(pack / "style.toml", style_toml(given.style, given.licence, {"finish": finish}).encode())
    write_whole(plan.out / "report.json", json.dumps(report, indent=1).encode())


def _parser() -> argparse.ArgumentParser:
    parser = Words(prog="python -m training", description="Train a style: photos in, a style pack out.")
    add = parser.add_argument
    add("--style", required=True, metavar="NAME", help="the style's name")
    add("--photos", type=Path, metavar="FOLDER", help="photos, best several hundred, of people")
    add("--teacher", type=Path, metavar="FILE", help="the teacher's knobs, a TOML file: training/README.md")
    add("--pairs", type=Path, metavar="FOLDER", help="your own: photo/NAME.* and drawing/NAME.*, instead of --photos")
    add("--clips", type=Path, metavar="FOLDER", help="clips: every tenth frame is used")
    add(
        "--held-out-clips",
        nargs="+",
        default=[],
        metavar="WORD",
        help="clips with a word in their name are not trained on",
    )
    add("--out", type=Path, metavar="FOLDER", help="where everything goes (runs/NAME)")
    add("--minutes", type=float, default=60.0, help="training time of each generator, both at once (60)")
    add("--start-from", metavar="STYLE", help="begin with the weights of this style or style pack")
    add("--licence", default="not stated", help="the licence of the weights, for the card and the pack")
    add("--device", help="torch's name of it: cpu, cuda (cuda if there is one)")
    add("--threads", type=int, help="processor cores to use (all)")
    return parser


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end is an interrupt
    sys.exit(main())
