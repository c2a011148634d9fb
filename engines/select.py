"""Which engine runs a generator on this machine: the fastest one that is present and agrees with the reference.

In: an ONNX file and a size. Out: an open `Engine`. On the caller's thread: about two seconds for a generator that this
machine has not seen, for every engine is checked and timed; after that the remembered result is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engines import assets, built, openvino_cpu, reference, tensorrt, torch_gpu
from engines.cache import cache_folder, write_whole
from engines.engine import Engine, thread_count
from engines.gpu import nvidia_gpu
from engines.int8 import int8_twin
from engines.network import PRECISIONS
from engines.openvino_cpu import OpenVinoEngine
from engines.processor import processor
from engines.reference import OnnxRuntimeEngine
from engines.tensorrt import Compiler, TensorRtEngine
from engines.torch_gpu import TorchEngine
from engines.verify import TOLERANCES, Check, Trial, check_engine
from realtime.errors import EngineError, ModelFileError
from realtime.types import Size

Say = Callable[[str], None]

INT8_MUST_WIN = 1.3  # int8 flickers a little more: worth it against f32, not against bf16


@dataclass(frozen=True, slots=True)
class Offer:
    """A generator in one precision of one engine. made_from: sha256 of a file of its own, beside the generator.

    discard: deletes that file, if it was made on this machine.
    """

    precision: str
    opens: Callable[[], Engine]
    made_from: str = ""
    discard: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of engine. imports, package: its module and Python package; extra: of pyproject.toml, if not default.

    precisions: what it computes with here. offers: what it has for a generator with this sha256 and size. runs_on: the
    processor that its speed depends on. All three raise `ImportError`, and `EngineError` where they cannot be.
    """

    name: str
    imports: str
    package: str
    precisions: Callable[[], tuple[str, ...]]
    offers: Callable[[Path, str, Size], list[Offer]]
    runs_on: Callable[[], str]
    extra: str | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """A line of `--list engines`. why_not: empty when it is available. checks: what was found out here so far, as
    "bf16 webtoon-face.onnx 256x256: 3.2 ms", of this version on this processor.
    """

    name: str
    precisions: tuple[str, ...]
    available: bool
    why_not: str
    version: str = ""
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    kind: Kind
    offer: Offer
    check: Check

    def __str__(self) -> str:
        return f"{self.kind.name} {self.offer.precision}"

    @property
    def cost(self) -> float:
        return self.check.ms * (INT8_MUST_WIN if self.offer.precision == "int8" else 1.0)


def cpu_offers(
    precisions: Callable[[], tuple[str, ...]],
    opens: Callable[[Path, Size, str], Engine],
    model: Path,
    sha256: str,
    size: Size,
) -> list[Offer]:
    """The generator itself in every precision, and its quantised twin if there is one."""
    offers = [Offer(precision, partial(opens, model, size, precision)) for precision in precisions()]
    twin = int8_twin(model, sha256)
    if twin is not None:
        made_from = hashlib.sha256(_content(twin)).hexdigest()
        offers.append(Offer("int8", partial(opens, twin, size, "int8"), made_from))
    return offers


def tensorrt_offers(compiler: Compiler, model: Path, sha256: str, size: Size) -> list[Offer]:
    """The engines built ahead for this GPU, each whole."""
    offers = []
    for precision, found in tensorrt.find_built(compiler, model.stem, sha256, size).items():
        opens = partial(TensorRtEngine, compiler, found.read(), precision, str(found.file))
        offers.append(Offer(precision, opens, found.sha256, partial(built.discard, found)))
    return offers


def torch_offers(model: Path, sha256: str, size: Size) -> list[Offer]:
    """The generator itself, fp16 and fp32."""
    return [Offer(p, partial(TorchEngine, model, size, p)) for p in torch_gpu.precisions()]


def _gpu() -> str:
    return str(nvidia_gpu())


def _tensorrt_precisions(compiler: Compiler) -> tuple[str, ...]:
    tensorrt.here(compiler)
    return PRECISIONS


KINDS = (  # part of every installation
    Kind(
        "openvino",
        "openvino",
        openvino_cpu.PACKAGE,
        openvino_cpu.precisions,
        partial(cpu_offers, openvino_cpu.precisions, OpenVinoEngine),
        processor,
    ),
    Kind(
        "onnxruntime",
        "onnxruntime",
        reference.PACKAGE,
        reference.precisions,
        partial(cpu_offers, reference.precisions, OnnxRuntimeEngine),
        processor,
    ),
)
GPU_KINDS = (
    *(
        Kind(
            compiler.name,
            compiler.module,
            compiler.package,
            partial(_tensorrt_precisions, compiler),
            partial(tensorrt_offers, compiler),
            _gpu,
            compiler.extra,
        )
        for compiler in tensorrt.COMPILERS
    ),
    Kind("torch", "torch", torch_gpu.PACKAGE, torch_gpu.precisions, torch_offers, _gpu, "gpu"),
)


def list_engines() -> list[EngineInfo]:
    """Every engine's name, what it computes with on this machine, and whether it can be used."""
    found = []
    for kind in (*KINDS, *GPU_KINDS):
        try:
            here = kind.precisions()
            found.append(EngineInfo(kind.name, here, True, "", version(kind.package), _known_checks(kind)))
        except EngineError as error:
            found.append(EngineInfo(kind.name, (), False, str(error)))
        except Exception as error:  # what a broken installation raises on import is anybody's guess
            found.append(EngineInfo(kind.name, (), False, _why_missing(kind, error)))
    return found


def open_engine(model: Path, size: Size, name: str = "auto", *, say: Say) -> Engine:
    """The generator `model`, ready for pictures of `size` (multiples of 16), in the engine `name` or the fastest.

    name: "auto", or an engine's; ":fp32" or another precision after it allows no other.
    `say` gets one line: which engine and why, and a line for every engine that had to be left out. Raises
    `EngineError` when the named engine is missing or its pictures are wrong, `ModelFileError` when the file is.
    """
    if size.width % 16 or size.height % 16:
        raise ValueError(f"an engine's size must be multiples of 16, not {size}")
    name, _, only = name.partition(":")
    kinds = [kind for kind in (*GPU_KINDS, *KINDS) if name in ("auto", kind.name)]
    if not kinds:
        usable = ", ".join(kind.name for kind in (*KINDS, *GPU_KINDS))
        raise EngineError(f"There is no engine {name}. Use --engine auto, or one of: {usable}.")
    sha256 = _checked_sha256(model)
    trial = cache(lambda: Trial(model, size))  # made only if an engine has not been checked yet
    candidates: list[_Candidate] = []
    failures: list[str] = []
    for kind in kinds:
        optional = name == "auto" and kind.extra is not None
        try:
            offers = kind.offers(model, sha256, size)
            key = _key(kind, sha256, size, offers)
            checks = _remembered_checks(key) or _checks(key, model.name, offers, trial)
        except ImportError as error:
            if not optional:
                failures.append(f"The engine {kind.name} is {_why_missing(kind, error)}.")
        except EngineError as error:
            if not optional or nvidia_gpu() is not None:  # without a GPU there is nothing to miss
                failures.append(str(error))
        else:
            found = [_Candidate(kind, o, checks[o.precision]) for o in offers if only in ("", o.precision)]
            candidates += [c for c in found if c.check.agrees]
            failures += [_refuse(c, model) for c in found if not c.check.agrees]
    if not candidates and not failures:
        raise EngineError(f"No engine here computes with {only}. See --list engines.")
    if not candidates:
        raise EngineError(failures[-1])  # of the reference if it was asked, which tells a damaged file best
    for failure in failures:
        say(f"{failure} It is left out.")
    best, *others = sorted(candidates, key=lambda c: c.cost)
    compared = "".join(f"; {other} {other.check.ms:.0f} ms" for other in others)
    say(f"Engine for {model.name} at {size}: {best}, {best.check.ms:.0f} ms, {best.check.why}{compared}.")
    return best.offer.opens()


def _refuse(wrong: _Candidate, model: Path) -> str:
    """Deletes what was built for a wrong engine, if anything was; gives what to tell the user."""
    told = f"The engine {wrong} draws {model.name} wrongly here: {wrong.check.why}."
    if wrong.offer.discard is None:
        return told
    wrong.offer.discard()
    return f"{told} What was built for it is deleted."


def _checked_sha256(model: Path) -> str:
    content = _content(model)
    listed = assets.manifest().get(model.name)
    if listed is not None and listed.path == model.absolute() and not listed.accepts(content):
        assets.model_file(model.name)  # raises, and says how to restore it
    return hashlib.sha256(content).hexdigest()


def _content(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as error:
        raise ModelFileError(f"The generator {model} cannot be read ({error.strerror}); restore the file.") from error


def _checks(key: dict[str, str], name: str, offers: list[Offer], trial: Callable[[], Trial]) -> dict[str, Check]:
    """Every precision of an engine, checked now and remembered; raises `ImportError` and `EngineError`."""
    checks = {}
    for offer in offers:
        with offer.opens() as engine:
            checks[offer.precision] = check_engine(engine, trial())
    content = {"for": key, "generator": name, "checks": {p: asdict(check) for p, check in checks.items()}}
    with suppress(OSError):  # a cache that cannot be written costs the next start two seconds and nothing else
        write_whole(_record(key), json.dumps(content, indent=1).encode())
    return checks


def _remembered_checks(key: dict[str, str]) -> dict[str, Check] | None:
    """What an earlier start found out for exactly this generator, package, processor and size, or None."""
    try:
        content = json.loads(_record(key).read_bytes())
        if content["for"] != key:
            return None
        return {precision: Check(**check) for precision, check in content["checks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _known_checks(kind: Kind) -> tuple[str, ...]:
    """What earlier starts found out about an engine as it is now, for any generator."""
    now = {"engine": f"{kind.name} {version(kind.package)}", "processor": kind.runs_on(), "tolerances": str(TOLERANCES)}
    found = set()
    for path in (cache_folder() / "engines").glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            content = json.loads(path.read_bytes())
            if all(content["for"][name] == value for name, value in now.items()):
                for precision, check in content["checks"].items():
                    told = f"{check['ms']:.1f} ms" if check["agrees"] else f"wrong: {check['why']}"
                    found.add(f"{precision} {content['generator']} {content['for']['size']}: {told}")
    return tuple(sorted(found))


def _key(kind: Kind, sha256: str, size: Size, offers: list[Offer]) -> dict[str, str]:
    """Everything that may change what an engine gives or how fast it is; raises `PackageNotFoundError`."""
    return {
        "model": sha256,
        "engine": f"{kind.name} {version(kind.package)}",
        "reference": version(reference.PACKAGE),
        "processor": kind.runs_on(),
        "threads": str(thread_count()),
        "size": str(size),
        "offers": str([(offer.precision, offer.made_from) for offer in offers]),
        "tolerances": str(TOLERANCES),
    }


def _record(key: dict[str, str]) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / "engines" / f"{name}.json"


def _why_missing(kind: Kind, error: Exception) -> str:
    absent = isinstance(error, PackageNotFoundError) or (
        isinstance(error, ModuleNotFoundError) and error.name == kind.imports
    )
    if not absent:
        return f"installed but cannot be loaded ({error})"
    return f"not installed; install it with: {install_command(kind.extra, kind.package)}"


def install_command(extra: str | None, package: str) -> str:
    """What installs an engine's package into the Python that is running."""
    return f"pip install -c constraints.txt {package}" if extra is None else f"python bootstrap.py --{extra}"
