"""The report of an unexpected failure: one short text file for whoever mends it.

Comes in: the error and the command line. Goes out: a file in the user's log folder, which only the user can read. It
holds versions, the command line, the stage and the traceback; no picture, no password and no name of the home folder.
Main thread.
"""

from __future__ import annotations

import os
import platform
import re
import traceback
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import platformdirs

from realtime.secrets import without_home, without_secrets
from realtime.stats import VERSION

MOST_REPORTS = 5
_PACKAGES = ("numpy", "opencv-contrib-python", "av", "mediapipe", "onnxruntime", "openvino", "pyvirtualcam", "torch")
_LONGEST_LINE = 400
_ARRAY = re.compile(r"\b(array|tensor)\(.*", re.DOTALL)  # numbers of a picture
_PROGRAM = Path(__file__).parent.parent


def report_folder() -> Path:
    """Where reports are kept."""
    return Path(platformdirs.user_log_dir("livetoon", appauthor=False))


def write_report(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """Writes a report and removes the oldest; gives its path, None where nothing can be written."""
    folder = report_folder()
    path = folder / f"crash-{datetime.now():%Y%m%d-%H%M%S-%f}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(report(error, arguments))
        for old in sorted(folder.glob("crash-*.txt"))[:-MOST_REPORTS]:
            old.unlink()
    except OSError:
        return None
    return path


def report(error: BaseException, arguments: Sequence[str]) -> str:
    """The text of a report."""
    lines = [
        f"LiveToon {VERSION}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)) is not None),
        f"Command line: {' '.join(arguments)}",
        f"Stage: {stage(error)}",
        "",
        *"".join(traceback.format_exception(error)).splitlines(),
    ]
    return "".join(f"{_clean(line)}\n" for line in lines)


def stage(error: BaseException) -> str:
    """The last place in this program on the way to the error, as "realtime/stylize.py, line 90, in run"."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_PROGRAM) and not path.relative_to(_PROGRAM).parts[0].startswith("."):
            return f"{path.relative_to(_PROGRAM).as_posix()}, line {frame.lineno}, in {frame.name}"
    return "outside of the program"


def _clean(line: str) -> str:
    return without_home(without_secrets(_ARRAY.sub(r"\1(...)", line)))[:_LONGEST_LINE]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
