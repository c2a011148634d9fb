"""Profile: a few numbers that are true of one person, measured by `run.py --calibrate`.

Comes in: a name or a file. Goes out: a frozen `Profile`, or a small JSON file. Never a picture, and nothing leaves the
machine. No thread of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import platformdirs

from realtime.errors import SinkError, UsageError


@dataclass(frozen=True, slots=True)
class Profile:
    """What helps to draw this person.

    openness: lid distance over eye width of the right and the left eye, looking ahead. closed: the same of shut eyes.
    gaze: pupil places (`landmarks.gaze_offset`) looking at the right and the left edge of the screen. iris: RGB over
    the skin's. glasses: whether worn.
    """

    openness: tuple[float, float]
    closed: tuple[float, float]
    gaze: tuple[float, float]
    iris: tuple[float, float, float]
    glasses: bool


def profile_path(name_or_file: str) -> Path:
    """The file of a profile: a path as it is, a mere name in the user's own folder. Raises `UsageError`."""
    if name_or_file.endswith(".json"):
        return Path(name_or_file)
    if re.fullmatch(r"[\w-]+", name_or_file) is None:
        raise UsageError(
            f"--profile {name_or_file} is neither a name of letters and digits nor a file ending in .json."
        )
    return Path(platformdirs.user_data_dir("livetoon", appauthor=False)) / "profiles" / f"{name_or_file}.json"


def read_profile(name_or_file: str) -> Profile:
    """The profile of this name or in this file; raises `UsageError`."""
    path = profile_path(name_or_file)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if absent := [field.name for field in fields(Profile) if field.name not in data]:
            raise ValueError(f"{absent[0]} is missing")
        glasses = data["glasses"]
        if not isinstance(glasses, bool):
            raise ValueError("glasses is neither true nor false")
        openness, closed, gaze = (_numbers(data[name], 2) for name in ("openness", "closed", "gaze"))
        red, green, blue = _numbers(data["iris"], 3)
        if not all(0 <= shut < wide <= 1 for shut, wide in zip(closed, openness, strict=True)):
            raise ValueError("eyes are not wider open than shut")
    except FileNotFoundError:
        raise UsageError(
            f"There is no profile {name_or_file} ({path}); python run.py --calibrate --profile {name_or_file} makes it."
        ) from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(
            f"The profile {path} cannot be used ({error}); remove it, or make it again with python run.py --calibrate."
        ) from error
    return Profile((openness[0], openness[1]), (closed[0], closed[1]), (gaze[0], gaze[1]), (red, green, blue), glasses)


def check_writable(path: Path) -> None:
    """Makes the folder of a profile; raises `SinkError` where nothing can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"The profile {path} cannot be written ({error.strerror}); name another --profile.") from error
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise SinkError(f"The profile {path} cannot be written; name another --profile.")


def write_profile(profile: Profile, path: Path) -> None:
    """Writes the numbers as JSON; raises `SinkError`."""
    check_writable(path)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(profile), indent=1) + "\n")
    except OSError as error:
        raise SinkError(f"The profile {path} cannot be written ({error.strerror}); name another --profile.") from error


def _numbers(values: object, count: int) -> list[float]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"expected {count} numbers, found {values!r}")
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) or not math.isfinite(v) for v in values):
        raise ValueError(f"{values!r} are not all numbers")
    return [float(v) for v in values]
