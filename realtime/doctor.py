"""What works on this machine and, for what does not, the remedy.

In: nothing. Out: lines, "ok" or "problem" with its remedy, and an exit code. On the caller's thread, a second or two;
the virtual camera is opened for a moment, cameras are not. Imports nothing but the standard library until a check
needs it, so that it also runs where the installation is what is broken.

    python -m realtime.doctor
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from realtime.cores import allowed_cores
from realtime.system_libraries import missing_libraries, remedy

ROOT = Path(__file__).parent.parent
_INSTALL = "Run: make setup (or: python3 bootstrap.py)"
_OTHER_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. remedy: empty when all is well. essential: without it no clip can be drawn either."""

    text: str
    remedy: str = ""
    essential: bool = False

    def __str__(self) -> str:
        return f"problem  {self.text} {self.remedy}" if self.remedy else f"ok       {self.text}"


Check = Callable[[], Iterator[Finding]]


def doctor(say: Callable[[str], None]) -> int:
    """Says every finding; 1 if something essential is missing, else 0."""
    findings: list[Finding] = []
    for check in CHECKS:
        for finding in _guarded(check):
            say(str(finding))
            findings.append(finding)
    problems = [f for f in findings if f.remedy]
    if any(f.essential for f in problems):
        say("LiveToon cannot run here until the problems above are mended.")
        return 1
    say("Everything works." if not problems else "Clips can be drawn; what the problems above name does not work.")
    return 0


def _guarded(check: Check) -> Iterator[Finding]:
    """The findings of a check; a check that fails is itself a finding, so that the rest is still looked at."""
    try:
        yield from check()
    except Exception as error:  # a half-broken installation fails in any way it likes
        what = check.__name__.removeprefix("check_").replace("_", " ")
        yield Finding(f"The {what} could not be checked ({type(error).__name__}: {error}).", _INSTALL, essential=True)


def check_machine() -> Iterator[Finding]:
    """Python and processor."""
    here = f"Python {platform.python_version()} on {platform.system()} {platform.release()} {platform.machine()}"
    yield Finding(f"{here}, {allowed_cores()} cores")


def check_packages() -> Iterator[Finding]:
    """The packages of pyproject.toml, as pinned in constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    found, lacking = [], []
    for requirement in project["dependencies"]:
        if not _wanted_here(requirement):
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        installed = _version(name)
        if installed is None:
            lacking.append(name)
        elif installed != pins[name]:
            yield Finding(f"{name} is {installed}, tried with {pins[name]}.", _INSTALL)
        else:
            found.append(f"{name} {installed}")
    if lacking:
        yield Finding(f"Packages that are not installed: {', '.join(lacking)}.", _INSTALL, essential=True)
    if found:
        yield Finding(f"Packages: {', '.join(found)}")
    for name in _OTHER_OPENCV:
        if _version(name) is not None:
            again = "pip install --force-reinstall --no-deps -c constraints.txt opencv-contrib-python"
            yield Finding(
                f"{name} is installed beside opencv-contrib-python and overwrites it.",
                f"Run: {sys.executable} -m pip uninstall -y {name} && {sys.executable} -m {again}",
                essential=True,
            )


def _wanted_here(requirement: str) -> bool:
    """Whether this system is meant: no other marker is used, and `packaging` may be missing here."""
    marker = re.search(r"sys_platform *(==|!=) *'(\w+)'", requirement)
    return marker is None or (marker[1] == "==") == (sys.platform == marker[2])


def check_system_libraries() -> Iterator[Finding]:
    """The shared libraries that the packages load."""
    missing = missing_libraries()
    if missing:
        yield Finding("System libraries:", remedy(missing), essential=True)
    else:
        yield Finding("System libraries: all there")


def check_model_files() -> Iterator[Finding]:
    """MediaPipe's models in the user's cache and the shipped generators."""
    from engines.assets import manifest

    good = []
    for file in manifest().values():
        if file.is_good():
            good.append(file.name)
            continue
        state = "damaged" if file.path.exists() else "not there"
        how = f"git checkout engines/models/{file.name}" if file.shipped else f"{sys.executable} -m engines.assets"
        yield Finding(f"The model file {file.path} is {state}.", f"Run: {how}", essential=True)
    if good:
        yield Finding(f"Model files: {', '.join(good)}")


def check_cache_folder() -> Iterator[Finding]:
    """Whether what is fetched and measured can be kept."""
    from engines.cache import cache_folder

    folder = cache_folder()
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        yield Finding(f"Cache folder: {folder}")
    else:
        yield Finding(
            f"The cache folder {folder} cannot be written: every start checks the engines anew.",
            "Make it writable, or set LIVETOON_CACHE to a folder that is.",
        )


def check_engines() -> Iterator[Finding]:
    """What can run the generators."""
    from engines.select import KINDS, list_engines

    here = {kind.name for kind in KINDS}
    for engine in list_engines():
        if engine.available:
            yield Finding(f"Engine {engine.name}: {', '.join(engine.precisions)}")
        elif engine.name in here:
            yield Finding(f"The engine {engine.name} is {engine.why_not}.", _INSTALL, essential=True)


def check_gpu() -> Iterator[Finding]:
    """NVIDIA GPUs, as their driver names them; having none is fine."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        yield Finding("GPU: no NVIDIA driver here; the processor draws")
        return
    if answer.returncode == 0 and answer.stdout.strip():
        for line in answer.stdout.strip().splitlines():
            yield Finding(f"GPU: {line} (what can draw on it: python run.py --list engines)")
    else:
        said = (answer.stdout + answer.stderr).strip().splitlines() or ["nothing"]
        yield Finding(f"nvidia-smi fails ({said[0]}).", "Install the NVIDIA driver again, or ignore the GPU.")


def check_cameras() -> Iterator[Finding]:
    """Cameras and the modes they offer; none of them is opened."""
    from realtime.source import list_cameras

    cameras = list_cameras()
    for camera in cameras:
        modes = f": {', '.join(camera.modes)}" if camera.modes else ""
        if camera.path is not None and not os.access(camera.path, os.R_OK | os.W_OK):
            how = "Run: sudo usermod -aG video $USER, then log in again."
            yield Finding(f"{camera} may not be opened by this user.", how)
        else:
            yield Finding(f"C{str(camera)[1:]}{modes}")
    if not cameras:
        yield Finding("No camera was found.", "Connect one; until then --source takes a clip, a picture or demo.")


def check_display() -> Iterator[Finding]:
    """Whether the preview can open its window."""
    from realtime.sinks.window import display_answers

    if display_answers():
        yield Finding("Display: the preview can be shown")
    else:
        how = "Start it on a desktop (DISPLAY set); until then use --sink virtualcam or a file."
        yield Finding("No display answers, so there is no preview.", how)


def check_virtual_camera() -> Iterator[Finding]:
    """How Linux's driver was loaded; then opens the virtual camera for a moment."""
    from realtime.errors import SinkError
    from realtime.sinks.virtualcam import open_virtual_camera
    from realtime.types import Size

    if sys.platform == "linux":
        yield from _loopback_findings()
    try:
        with open_virtual_camera(None, Size(1280, 720), 30.0, lambda _: None) as sink:
            yield Finding(f"Virtual camera: {sink.name}, pyvirtualcam {_version('pyvirtualcam')}")
    except SinkError as error:
        what, _, how = str(error).partition(". ")
        yield Finding(f"{what}.", how or "Close the program that uses it.")


def _loopback_findings() -> Iterator[Finding]:
    """The state of v4l2loopback, where it is loaded; the virtual camera itself says what to do where it is not."""
    from realtime.sinks.loopback import RELOAD, is_watched, loopback_devices, module_state
    from realtime.source.v4l2 import query_device

    state, devices = module_state(), loopback_devices()
    if not state.loaded:
        return
    told = " ".join(f"{name}={value}" for name, value in state.parameters.items())
    yield Finding(f"v4l2loopback {state.version or 'of unknown version'}: {told}")
    for path, label in devices:
        device = query_device(path)
        if device is None:
            continue  # opening it says why
        if device.captures and device.outputs:
            yield Finding(
                f"{path} ({label}) was made with exclusive_caps=0: Chrome and programs made of it do not list it.",
                f"Load it anew: {RELOAD}",
            )
        rests = "rests" if is_watched(path) is not None else "stays on"
        yield Finding(f"{path} ({label}): while nobody watches it, the real camera {rests}")


CHECKS: tuple[Check, ...] = (
    check_machine,
    check_packages,
    check_system_libraries,
    check_model_files,
    check_cache_folder,
    check_engines,
    check_gpu,
    check_cameras,
    check_display,
    check_virtual_camera,
)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(doctor(print))
