"""Which engine runs a generator on this machine: the fastest one that is present and agrees with the reference.

In: an ONNX file and a size. Out: an open `Engine`. On the caller's thread: about two seconds for a generator that this
machine has not seen, for every engine is checked and timed; after that the remembered result is used.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from engines import assets, openvino_cpu, reference
from engines.cache import cache_folder, write_whole
from engines.engine import Engine, thread_count
from engines.openvino_cpu import OpenVinoEngine
from engines.reference import OnnxRuntimeEngine
from engines.verify import TOLERANCES, Check, Trial, check_engine
from realtime.errors import EngineError, ModelFileError
from realtime.types import Size

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of engine: `module` has PACKAGE and precisions(), `opens` is its class."""

    name: str
    module: ModuleType
    opens: Callable[[Path, Size, str], Engine]


KINDS = (
    Kind("openvino", openvino_cpu, OpenVinoEngine),
    Kind("onnxruntime", reference, OnnxRuntimeEngine),
)
_PLANNED = ("tensorrt", "tensorrt-rtx", "torch")
_NOT_HERE = "not part of this version"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """A line of `--list engines`. why_not: empty when it is available."""

    name: str
    precisions: tuple[str, ...]
    available: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    kind: Kind
    precision: str
    check: Check

    def __str__(self) -> str:
        return f"{self.kind.name} {self.precision}"


def list_engines() -> list[EngineInfo]:
    """Every engine's name, what it computes with on this machine, and whether it can be used."""
    found = []
    for kind in KINDS:
        try:
            found.append(EngineInfo(kind.name, kind.module.precisions(), True, ""))
        except Exception as error:  # what a broken installation raises on import is anybody's guess
            found.append(EngineInfo(kind.name, (), False, _why_missing(kind, error)))
    return found + [EngineInfo(name, (), False, _NOT_HERE) for name in _PLANNED]


def open_engine(model: Path, size: Size, name: str = "auto", *, say: Say) -> Engine:
    """The generator `model`, ready for pictures of `size` (multiples of 16), in the engine `name` or the fastest.

    `say` gets one line: which engine and why, and a line for every engine that had to be left out. Raises
    `EngineError` when the named engine is missing or its pictures are wrong, `ModelFileError` when the file is.
    """
    if size.width % 16 or size.height % 16:
        raise ValueError(f"an engine's size must be multiples of 16, not {size}")
    kinds = [kind for kind in KINDS if name in ("auto", kind.name)]
    if not kinds:
        usable = ", ".join(kind.name for kind in KINDS)
        raise EngineError(f"The engine {name} is {_NOT_HERE}. Use --engine auto, or one of: {usable}.")
    sha256 = _checked_sha256(model)
    trial = cache(lambda: Trial(model, size))  # made only if an engine has not been checked yet
    candidates: list[_Candidate] = []
    failures: list[str] = []
    for kind in kinds:
        try:
            checks = _remembered_checks(kind, sha256, size) or _checks(kind, model, sha256, size, trial)
        except ImportError as error:
            failures.append(f"The engine {kind.name} is {_why_missing(kind, error)}.")
        except EngineError as error:
            failures.append(str(error))
        else:
            found = [_Candidate(kind, precision, check) for precision, check in checks.items()]
            candidates += [c for c in found if c.check.agrees]
            wrong = [c for c in found if not c.check.agrees]
            failures += [f"The engine {c} draws {model.name} wrongly here: {c.check.why}." for c in wrong]
    if not candidates:
        raise EngineError(failures[-1])  # of the reference if it was asked, which tells a damaged file best
    for failure in failures:
        say(f"{failure} It is left out.")
    best, *others = sorted(candidates, key=lambda c: c.check.ms)
    compared = "".join(f"; {other} {other.check.ms:.0f} ms" for other in others)
    say(f"Engine for {model.name} at {size}: {best}, {best.check.ms:.0f} ms, {best.check.why}{compared}.")
    return best.kind.opens(model, size, best.precision)


def _checked_sha256(model: Path) -> str:
    try:
        content = model.read_bytes()
    except OSError as error:
        raise ModelFileError(f"The generator {model} cannot be read ({error.strerror}); restore the file.") from error
    listed = assets.manifest().get(model.name)
    if listed is not None and listed.path == model.absolute() and not listed.accepts(content):
        assets.model_file(model.name)  # raises, and says how to restore it
    return hashlib.sha256(content).hexdigest()


def _checks(kind: Kind, model: Path, sha256: str, size: Size, trial: Callable[[], Trial]) -> dict[str, Check]:
    """Every precision of an engine, checked now and remembered; raises `ImportError` and `EngineError`."""
    checks = {}
    for precision in kind.module.precisions():
        with kind.opens(model, size, precision) as engine:
            checks[precision] = check_engine(engine, trial())
    content = {"for": _key(kind, sha256, size), "checks": {p: asdict(check) for p, check in checks.items()}}
    with suppress(OSError):  # a cache that cannot be written costs the next start two seconds and nothing else
        write_whole(_record(kind, sha256, size), json.dumps(content, indent=1).encode())
    return checks


def _remembered_checks(kind: Kind, sha256: str, size: Size) -> dict[str, Check] | None:
    """What an earlier start found out for exactly this generator, package, processor and size, or None."""
    try:
        content = json.loads(_record(kind, sha256, size).read_bytes())
        if content["for"] != _key(kind, sha256, size):
            return None
        return {precision: Check(**check) for precision, check in content["checks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PackageNotFoundError):
        return None


def _key(kind: Kind, sha256: str, size: Size) -> dict[str, str]:
    """Everything that may change what an engine gives or how fast it is."""
    return {
        "model": sha256,
        "engine": f"{kind.name} {version(kind.module.PACKAGE)}",
        "reference": version(reference.PACKAGE),
        "processor": _processor(),
        "threads": str(thread_count()),
        "size": str(size),
        "tolerances": str(TOLERANCES),
    }


def _record(kind: Kind, sha256: str, size: Size) -> Path:
    key = json.dumps(_key(kind, sha256, size), sort_keys=True)
    return cache_folder() / "engines" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


@cache
def _processor() -> str:
    """The processor's name and features: what decides which instructions a network is compiled to."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        told = {platform.processor(), platform.version()}
    else:
        told = {line for line in lines if line.startswith(("model name", "flags", "CPU part", "Features"))}
    features = hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()[:16]
    return f"{platform.system()} {platform.machine()} {features}"


def _why_missing(kind: Kind, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == kind.module.PACKAGE:
        return f"not installed; install it with: pip install -c constraints.txt {kind.module.PACKAGE}"
    return f"installed but cannot be loaded ({error})"
