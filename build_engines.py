"""Compiles the generators for NVIDIA GPUs ahead of time: for the one here, or for all RTX GPUs on any machine.

Command-line words -> engines with a manifest beside each, in the user's cache or `--out`. What is there and good is
used again. Exit codes: 0 everything is there; 2 wrong usage; 5 an engine cannot be compiled or draws wrongly; 6 a
model file is missing or damaged; 130 interrupted.

    python build_engines.py                                        for the GPU here, with what is installed
    python build_engines.py --engine tensorrt-rtx --gpu all        for every RTX GPU; needs none
    python build_engines.py --list
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from engines import built
from engines.built import Built, Wanted
from engines.gpu import nvidia_gpu
from engines.network import PRECISIONS, gpu_network
from engines.reference import run_network
from engines.select import install_command
from engines.tensorrt import COMPILERS, TENSORRT, TENSORRT_RTX, Compiler, TensorRtEngine, compile_network, load
from engines.verify import Trial, agreement, check_drawings, check_engine
from realtime.crop import CROP_PX
from realtime.errors import EngineError, LiveToonError, UsageError
from realtime.settings import ENGINES
from realtime.styles import PASS_THROUGH, list_styles, load_style
from realtime.stylize import GENERATOR_PIXELS, generator_size
from realtime.types import Size

FRAME = Size(1280, 720)
RELOAD_P999 = 1.0  # levels by which the same engine may differ after a reload: a GPU may choose other kernels


@dataclass(frozen=True, slots=True)
class Job:
    """One engine to make: a generator's file, and what is wanted of it."""

    model: Path
    size: Size
    wanted: Wanted

    def __str__(self) -> str:
        return f"{self.wanted.generator} {self.wanted.size} {self.wanted.precision} {words(self.wanted.architectures)}"


@dataclass(frozen=True, slots=True)
class Done:
    """A line of the table."""

    job: Job
    engine: Built
    reused: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. See python build_engines.py --help.")


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code."""
    try:
        given = _parser().parse_args(arguments)
        folder = built.default_folder() if given.out is None else Path(given.out)
        if given.list:
            return list_built(folder)
        return build_all(given, folder)
    except LiveToonError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted; what was built before is untouched.", file=sys.stderr)
        return 130


def build_all(given: argparse.Namespace, folder: Path) -> int:
    """Builds what was asked for and prints the table; gives the exit code."""
    if given.precision is not None and given.precision not in PRECISIONS:
        raise UsageError(
            f"On a GPU generators run in {' or '.join(PRECISIONS)}; {given.precision} is for processors, where nothing "
            "is built" + (" but quantised: python -m calibration.int8 --help." if given.precision == "int8" else ".")
        )
    compiler = chosen_compiler(given.engine)
    architectures = chosen_architectures(compiler, given.gpu)
    jobs = [
        Job(model, size, Wanted(model.stem, _sha256(model), compiler.version, precision, str(size), architectures))
        for model, size in chosen_generators(given.style, given.size)
        for precision in ([given.precision] if given.precision else PRECISIONS)
    ]
    done: list[Done] = []
    failures: list[EngineError] = []
    with tqdm(jobs, unit="engine", disable=None, leave=False) as bar:
        for job in bar:
            bar.set_description(str(job))
            try:
                done.append(build(compiler, job, folder, verify=not given.no_verify, bar=bar))
            except EngineError as error:
                failures.append(error)
    print_table([(d.engine, f"{d.engine.seconds:.1f} s" if not d.reused else "there") for d in done])
    if done:
        print(f"In {folder.absolute()}")
    for failure in failures:
        print(failure, file=sys.stderr)
    return failures[0].exit_code if failures else 0


def build(compiler: Compiler, job: Job, folder: Path, *, verify: bool, bar: tqdm[Job]) -> Done:
    """The engine of a job: the one that is there if it is good, or a new one, checked as far as this machine can."""
    try:
        with built.building(job.wanted, folder):
            there = built.known(job.wanted, folder)
            if there is not None:
                try:
                    there.read()
                    return Done(job, there, reused=True)
                except EngineError as error:
                    bar.write(f"{error.args[0].partition(' Build it')[0]} It is built anew.", file=sys.stderr)
            network = gpu_network(job.model, job.size, job.wanted.precision)
            trial = Trial(job.model, job.size) if verify else None
            network_check = "not checked" if trial is None else check_network(network, job, trial)
            start = time.perf_counter()
            content = compile_network(
                compiler, network, _targets(compiler, job), lambda phase: bar.set_postfix_str(phase[:30])
            )
            seconds = time.perf_counter() - start
            engine = built.save(job.wanted, folder, content, seconds=seconds, network_check=network_check)
            if trial is not None and _runs_here(job.wanted):
                engine = check_on_gpu(compiler, engine, content, trial)
            return Done(job, engine, reused=False)
    except OSError as error:
        raise EngineError(
            f"The engine {job} cannot be written to {folder} ({error.strerror}). What was there before is untouched; "
            "make room, or name another folder with --out."
        ) from error
    except ModuleNotFoundError as error:
        raise EngineError(_not_installed(compiler)) from error


def check_network(network: bytes, job: Job, trial: Trial) -> str:
    """The network that the compiler gets, run by ONNX Runtime, against the generator; raises `EngineError`."""
    check = check_drawings([run_network(network, p) for p in trial.pictures], job.wanted.precision, trial)
    if not check.agrees:
        raise EngineError(f"The generator {job.model} cannot be had in {job.wanted.precision}: {check.why}.")
    return check.why


def check_on_gpu(compiler: Compiler, engine: Built, content: bytes, trial: Trial) -> Built:
    """The finished engine on the GPU here, from memory and from disk; deletes it and raises `EngineError` if wrong."""
    precision, origin = engine.wanted.precision, str(engine.file)
    with TensorRtEngine(compiler, content, precision, origin) as made:
        check = check_engine(made, trial)
        drawn = [made.run(picture) for picture in trial.pictures]
    with TensorRtEngine(compiler, engine.read(), precision, origin) as loaded:
        reloaded = [loaded.run(picture) for picture in trial.pictures]
    why = "" if check.agrees else check.why
    if not why and agreement(reloaded, drawn)[1] > RELOAD_P999:
        why = f"loaded from disk it draws something else ({agreement(reloaded, drawn)[0]:.0f} dB)"
    if why:
        built.discard(engine)
        raise EngineError(f"The engine {engine.file.name} draws wrongly here: {why}. It is deleted.")
    verified = replace(engine, gpu_check=f"{check.why}, {check.ms:.1f} ms on {nvidia_gpu()}")
    built.write_manifest(verified)
    return verified


def list_built(folder: Path) -> int:
    """Prints what is in a folder, with what is wrong with it; 0 also where there is nothing."""
    engines = built.all_built(folder)
    if not engines:
        print(f"No engines are built in {folder.absolute()}.")
        return 0
    rows, problems = [], []
    for engine in engines:
        problem, state = _state(engine)
        rows.append((engine, state))
        if problem:
            problems.append(problem)
    print_table(rows)
    print(f"In {folder.absolute()}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 0


def _state(engine: Built) -> tuple[str, str]:
    """What is wrong with an engine in a sentence, if anything, and in a word."""
    try:
        engine.read()
    except EngineError as error:
        return str(error), "damaged"
    kind = engine.wanted.engine.split()[0]
    for compiler in COMPILERS:
        try:
            if compiler.name == kind and compiler.version != engine.wanted.engine:
                return f"{engine.file.name} is stale: here is {compiler.version}. {engine.remedy}", "stale"
        except PackageNotFoundError:
            return "", "good"
    models = {model.stem: _sha256(model) for model, _ in chosen_generators(None, FRAME)}
    if models.get(engine.wanted.generator, engine.wanted.model) != engine.wanted.model:
        return f"{engine.file.name} is stale: {engine.wanted.generator}.onnx changed. {engine.remedy}", "stale"
    return "", "good"


def chosen_compiler(name: str) -> Compiler:
    """The compiler named, or the one that is installed; raises `UsageError` and `EngineError`."""
    wanted = {"auto": (TENSORRT_RTX, TENSORRT)}.get(name) or tuple(c for c in COMPILERS if c.name == name)
    if not wanted:
        raise UsageError(
            f"The engine {name} needs no building: it compiles when it is opened. "
            f"--engine takes {', '.join(c.name for c in COMPILERS)}."
        )
    for compiler in wanted:
        try:
            load(compiler)
            return compiler
        except ImportError as error:
            if not (isinstance(error, ModuleNotFoundError) and error.name == compiler.module):
                raise EngineError(f"{compiler.name} is installed but cannot be loaded ({error}).") from error
    raise EngineError(_not_installed(wanted[0]))


def chosen_architectures(compiler: Compiler, gpu: str) -> tuple[str, ...]:
    """The GPUs to compile for; raises `UsageError` and `EngineError`."""
    if gpu == "all":
        if compiler.ahead:
            return compiler.ahead
        raise UsageError(f"{compiler.name} compiles for the GPU here only: leave --gpu out, or use tensorrt-rtx.")
    here = nvidia_gpu()
    if gpu == "current":
        if here is None:
            everywhere = " --engine tensorrt-rtx --gpu all"
            raise EngineError(
                "There is no NVIDIA GPU here to compile for (nvidia-smi finds none). "
                f"For every RTX GPU: python build_engines.py{everywhere}"
            )
        return (here.architecture,)
    if gpu not in compiler.ahead and (here is None or gpu != here.architecture):
        ahead = ", ".join(("all", "current", *compiler.ahead))
        raise UsageError(f"{compiler.name} cannot compile for {gpu} here. --gpu takes: {ahead}.")
    return (gpu,)


def chosen_generators(style: str | None, frame: Size) -> list[tuple[Path, Size]]:
    """Every generator of a style, or of all styles, with the size it runs at for frames of size `frame`."""
    if style == PASS_THROUGH:
        raise UsageError("The style none is the camera's own picture: there is nothing to compile.")
    styles = list_styles(lambda line: print(line, file=sys.stderr)) if style is None else [load_style(style)]
    found: list[tuple[Path, Size]] = []
    for s in styles:
        found.append((s.background, s.size or generator_size(frame, s.pixels or GENERATOR_PIXELS)))
        if s.faces:
            fixed = s.size if s.face == s.background else None
            found.append((s.face, fixed or Size(CROP_PX, CROP_PX)))
    return list(dict.fromkeys(found))


def print_table(rows: Sequence[tuple[Built, str]]) -> None:
    """One line an engine."""
    if not rows:
        return
    head = ("generator", "size", "engine", "precision", "GPUs", "MB", "", "checked")
    lines = [head]
    for engine, state in rows:
        w = engine.wanted
        checked = engine.gpu_check or f"network only: {engine.network_check}"
        mb = f"{engine.size_bytes / 1e6:.1f}"
        lines.append((w.generator, w.size, w.engine, w.precision, words(w.architectures), mb, state, checked))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def words(architectures: tuple[str, ...]) -> str:
    """ "sm75 sm80"."""
    return " ".join(architectures)


def _targets(compiler: Compiler, job: Job) -> tuple[str, ...]:
    """What the compiler is told: nothing where it can only mean the GPU here."""
    return tuple(a for a in job.wanted.architectures if a in compiler.ahead)


def _runs_here(wanted: Wanted) -> bool:
    here = nvidia_gpu()
    return here is not None and here.architecture in wanted.architectures


def _sha256(model: Path) -> str:
    try:
        return hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise EngineError(f"The generator {model} cannot be read ({error.strerror}); restore the file.") from error


def _not_installed(compiler: Compiler) -> str:
    return f"{compiler.name} is not installed; install it with: {install_command(compiler.extra, compiler.package)}"


def _size(text: str) -> Size:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"'{text}' is no size like 1280x720")
    return Size(int(width), int(height))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="build_engines.py",
        description="Compiles the generators for NVIDIA GPUs ahead of time. Other engines need no building.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--engine", choices=ENGINES, default="auto", help="tensorrt-rtx or tensorrt (default: what is installed)")
    add("--style", help="name or folder of a style (default: all)")
    add("--precision", choices=("fp32", "fp16", "bf16", "int8"), help="fp16 or fp32 (default: both)")
    add(
        "--gpu",
        default="current",
        type=str.lower,
        help=f"current, all, or one of {words(TENSORRT_RTX.ahead)} (default: current)",
    )
    add(
        "--size",
        type=_size,
        default=FRAME,
        metavar="WxH",
        help="of the frames, whose shape decides (default: 1280x720)",
    )
    add("--out", metavar="DIR", help="folder for the engines (default: the user's cache)")
    add("--list", action="store_true", help="show what is built and whether it is good")
    add("--no-verify", action="store_true", help="do not check what is compiled")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
