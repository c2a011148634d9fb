"""Engines compiled ahead of time: files with a manifest beside each, in the user's cache or a folder of choice.

In: what a compiler gave. Out: the same bytes, or the reason why not. Any thread, any number of processes: a manifest
names the sha256 of its engine, so half a pair is never loaded, and two processes that build the same engine take turns.

    webtoon-background-1f0c….engine    what the compiler gave
    webtoon-background-1f0c….json      what it is made from and for, its sha256, how it was checked
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engines.cache import cache_folder, write_together, write_whole
from engines.engine import NotBuiltError
from realtime.errors import EngineError

FORMAT = 1
DEFAULT_SIZES = ("640x368", "256x256")  # of the generators for frames of 16:9, and of the face generator for all


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an engine is made from and for: everything that decides whether it can be used.

    model: sha256 of the generator. engine: kind and version of the compiler. architectures: GPUs it runs on, "sm89".
    """

    generator: str
    model: str
    engine: str
    precision: str
    size: str
    architectures: tuple[str, ...]
    platform: str = field(default_factory=lambda: f"{platform.system()} {platform.machine()}")

    @property
    def stem(self) -> str:
        """File name without suffix: the generator's and the key."""
        key = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.generator}-{key[:16]}"


@dataclass(frozen=True, slots=True)
class Built:
    """An engine on disk. network_check: the network as ONNX Runtime runs it against the reference. gpu_check: the
    compiled engine on a GPU against the reference, empty until it ran on one.
    """

    wanted: Wanted
    folder: Path
    sha256: str
    size_bytes: int
    seconds: float
    network_check: str
    gpu_check: str = ""

    @property
    def file(self) -> Path:
        """The engine."""
        return self.folder / f"{self.wanted.stem}.engine"

    @property
    def manifest(self) -> Path:
        """The JSON file beside it."""
        return self.file.with_suffix(".json")

    def read(self) -> bytes:
        """The engine's content; raises `EngineError` when it is not what was built."""
        try:
            content = self.file.read_bytes()
        except OSError as error:
            raise EngineError(
                f"The engine file {self.file} cannot be read ({error.strerror}). {self.remedy}"
            ) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise EngineError(
                f"The engine file {self.file} is damaged: its sha256 is not {self.sha256[:12]}… as built. {self.remedy}"
            )
        return content

    @property
    def remedy(self) -> str:
        """What builds it anew."""
        everywhere = " --gpu all" if len(self.wanted.architectures) > 1 else ""
        return f"Build it again with: {build_command(self.wanted)}{everywhere}"


def default_folder() -> Path:
    """Where engines lie unless `--out` says otherwise."""
    return cache_folder() / "compiled"


def build_command(wanted: Wanted) -> str:
    """The command that builds this engine."""
    words = f"python build_engines.py --engine {wanted.engine.split()[0]}"
    return words if wanted.size in DEFAULT_SIZES else f"{words} --size {wanted.size}"


def save(wanted: Wanted, folder: Path, content: bytes, *, seconds: float, network_check: str) -> Built:
    """Writes engine and manifest; raises `OSError`, and then what was there before is still there."""
    sha256 = hashlib.sha256(content).hexdigest()
    built = Built(wanted, folder, sha256, len(content), round(seconds, 3), network_check)
    write_together({built.file: content, built.manifest: _manifest(built)})
    return built


def write_manifest(built: Built) -> None:
    """Writes what has become known of an engine that is there; raises `OSError`."""
    write_whole(built.manifest, _manifest(built))


def _manifest(built: Built) -> bytes:
    content = {"format": FORMAT, **{k: v for k, v in asdict(built).items() if k != "folder"}}
    return json.dumps(content, indent=1).encode()


def discard(built: Built) -> None:
    """Deletes an engine that draws wrongly."""
    for file in (built.manifest, built.file):  # the manifest first: without it nothing is loaded
        with suppress(OSError):
            file.unlink(missing_ok=True)


def all_built(folder: Path) -> list[Built]:
    """Every engine of a folder whose manifest can be read, by name; the engines themselves are not looked at."""
    found = (_read_manifest(path) for path in sorted(folder.glob("*.json")))
    return [built for built in found if built is not None]


def known(wanted: Wanted, folder: Path) -> Built | None:
    """The engine that is exactly this one, if its manifest is there."""
    return _read_manifest(folder / f"{wanted.stem}.json")


def find(wanted: Wanted, folder: Path) -> Built:
    """The engine that serves this generator, compiler, precision and size on the first of `wanted.architectures`.

    Raises `NotBuiltError`, which names an engine for another version or generator if there is one.
    """
    (architecture, *_) = wanted.architectures
    stale = ""
    for built in all_built(folder):
        has = built.wanted
        if (has.generator, has.precision, has.size) != (wanted.generator, wanted.precision, wanted.size):
            continue
        if has.engine.split()[0] != wanted.engine.split()[0] or architecture not in has.architectures:
            continue
        if (has.model, has.engine, has.platform) == (wanted.model, wanted.engine, wanted.platform):
            return built
        if has.engine != wanted.engine:
            stale = f"; {built.file.name} is stale: built by {has.engine}, here is {wanted.engine}"
        elif has.model != wanted.model:
            stale = f"; {built.file.name} is stale: built from another {wanted.generator}.onnx"
        else:
            stale = f"; {built.file.name} is for {has.platform}"
    raise NotBuiltError(
        f"No {wanted.engine.split()[0]} engine is built for {wanted.generator} at {wanted.size} in {wanted.precision} "
        f"on {architecture}{stale}. Build it with: {build_command(wanted)}",
        stale=bool(stale),
    )


@contextmanager
def building(wanted: Wanted, folder: Path) -> Iterator[None]:
    """Keeps other processes from building the same engine; the lock ends with its process. Raises `OSError`."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{wanted.stem}.lock"):
        yield


def _read_manifest(path: Path) -> Built | None:
    try:
        content = json.loads(path.read_bytes())
        if content.pop("format") != FORMAT:
            return None
        known = content.pop("wanted")
        known["architectures"] = tuple(known["architectures"])
        built = Built(Wanted(**known), path.parent, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return built if built.wanted.stem == path.stem else None  # renamed or edited by hand
