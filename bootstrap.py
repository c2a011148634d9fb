"""Makes `.venv` with the pinned packages, once: `python3 bootstrap.py`, with `--dev` for the tests' packages too,
with `--gpu` or `--rtx` for what compiles and runs the generators on an NVIDIA GPU.

Needs Python and its standard library only. Says what this machine lacks before anything fails on it, and does nothing
when everything is in place. Exit codes: 0 ready, 1 the packages could not be installed, 2 the machine lacks something.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "installed"  # a hash of what was asked for, then the extras that are in


def main() -> int:
    """Brings `.venv` to what pyproject.toml and constraints.txt say; gives the exit code."""
    lacking = what_is_lacking()
    if lacking:
        print(lacking, file=sys.stderr)
        return 2
    extras = {"camera"} | {
        extra for extra in ("dev", "gpu", "paintings", "rtx", "train") if f"--{extra}" in sys.argv[1:]
    }
    asked = hashlib.sha256(b"".join((ROOT / f).read_bytes() for f in ("pyproject.toml", "constraints.txt"))).hexdigest()
    stamp, *installed = STAMP.read_text().split() if STAMP.exists() else [""]
    if stamp == asked and extras <= set(installed) and works(PYTHON):
        return 0
    if not install(sorted(extras | set(installed))):
        print(
            "The packages could not be installed: pip says why above. Is the network there? Then run the same again.",
            file=sys.stderr,
        )
        return 1
    STAMP.write_text(" ".join([asked, *sorted(extras | set(installed))]))
    return 0


def what_is_lacking() -> str:
    """What keeps this machine from running the filter, and the remedy; empty if nothing."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if sys.version_info < (3, 11):  # noqa: UP036  # this file is what an older Python gets to run first
        return (
            f"LiveToon needs Python 3.11 or newer; {sys.executable} is {here}. Install a newer one and name it, "
            "for example: make demo PYTHON=python3.12"
        )
    if importlib.util.find_spec("ensurepip") is None:  # Debian and Ubuntu ship it apart
        package = f"python{here}-venv"
        return f"{sys.executable} cannot make virtual environments. Install with: sudo apt-get install -y {package}"
    from realtime.system_libraries import missing_libraries, remedy  # not before the version is known to be right

    missing = missing_libraries()
    return remedy(missing) if missing else ""


def works(python: Path) -> bool:
    """Whether this interpreter starts; it does not once the Python that it was made from is gone."""
    try:
        return subprocess.call([str(python), "-c", ""]) == 0
    except OSError:
        return False


def install(extras: list[str]) -> bool:
    """Makes the virtual environment if need be and installs the packages into it; whether that worked."""
    STAMP.unlink(missing_ok=True)
    if not works(PYTHON):
        print("Making .venv ...", flush=True)
        if subprocess.call([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            return False
    print("Installing the Python packages (some hundred MB, once) ...", flush=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    return subprocess.call([*pip, "--constraint", str(ROOT / "constraints.txt"), *requirements(extras)]) == 0


def requirements(extras: list[str]) -> list[str]:
    """The requirements in pyproject.toml, with those of these extras."""
    import tomllib  # new in Python 3.11

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [line for extra in extras for line in project["optional-dependencies"].get(extra, [])]
    return [*project["dependencies"], *optional]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
