"""Profiles: settings under a name, and a few numbers that are true of one person, in one TOML file.

    strength = 0.8          what the command line calls --strength, and so on
    [person]                measured by `run.py --calibrate`
    openness = [0.3, 0.3]

Comes in: a name or a file. Goes out: what the file holds, or the file. A JSON file with a person's numbers only, as
earlier versions wrote it, is read too. Never a picture, and nothing leaves the machine. No thread of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import platformdirs

from realtime.errors import SinkError, UsageError

MOST_BYTES = 64 << 10
PERSON = "person"


@dataclass(frozen=True, slots=True)
class Profile:
    """What helps to draw this person.

    openness: lid distance over eye width of the right and the left eye, looking ahead. closed: the same of shut eyes.
    gaze: pupil places (`landmarks.gaze_offset`) looking at the right and the left edge of the screen. iris: RGB over
    the skin's. glasses: whether worn. drop: pupil places (`landmarks.gaze_drop`) looking at the top and the bottom of
    the screen; both 0 in a profile that was made before they were measured.
    """

    openness: tuple[float, float]
    closed: tuple[float, float]
    gaze: tuple[float, float]
    iris: tuple[float, float, float]
    glasses: bool
    drop: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a profile's file holds. options: names and values as they stand there. person: None if not measured."""

    path: Path
    options: Mapping[str, object]
    person: Profile | None


def profile_path(name_or_file: str) -> Path:
    """The file of a profile: a path as it is, a mere name in the user's own folder. Raises `UsageError`."""
    if name_or_file.endswith((".toml", ".json")):
        return Path(name_or_file)
    if re.fullmatch(r"[\w-]+", name_or_file) is None:
        raise UsageError(
            f"--profile {name_or_file} is neither a name of letters and digits nor a file ending in .toml."
        )
    return _folder() / f"{name_or_file}.toml"


def profile_name(path: Path) -> str:
    """What to say to --profile for this file."""
    return path.stem if path.parent == _folder() else str(path)


def read_profile(name_or_file: str) -> Stored:
    """The profile of this name or in this file; its options are not looked at yet. Raises `UsageError`."""
    path = profile_path(name_or_file)
    earlier = path.with_suffix(".json")
    if not path.exists() and earlier.exists():
        path = earlier
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES >> 10} KiB")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return Stored(path, {}, _person(json.loads(text)))
        options = tomllib.loads(text)
        person = options.pop(PERSON, None)
        return Stored(path, options, None if person is None else _person(person))
    except FileNotFoundError:
        raise UsageError(
            f"There is no profile {name_or_file} ({path}); python run.py --calibrate --profile {name_or_file} makes "
            f"it, and so does python run.py --save-profile {name_or_file}."
        ) from None
    except (OSError, ValueError, TypeError, RecursionError) as error:  # TOML's and JSON's errors are ValueErrors
        raise UsageError(
            f"The profile {path} cannot be used ({' '.join(str(error).split())}); correct it, or make it again with "
            "python run.py --calibrate."
        ) from error


def _folder() -> Path:
    return Path(platformdirs.user_data_dir("livetoon", appauthor=False)) / "profiles"


def check_writable(path: Path) -> None:
    """Makes the folder of a profile; raises `SinkError` where nothing can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"The profile {path} cannot be written ({error.strerror}); name another --profile.") from error
    if not os.access(path.parent, os.W_OK) or path.is_dir() or path.suffix != ".toml":
        raise SinkError(f"The profile {path} cannot be written; name another --profile, ending in .toml.")


def write_profile(
    path: Path,
    *,
    person: Profile | None = None,
    options: Mapping[str, object] | None = None,
    explained: Mapping[str, tuple[str, object]] | None = None,
) -> None:
    """Puts a person's numbers or options into a profile; whatever else stands there stays, comments too.

    explained: name, meaning and example of every option there is, for a file that is new. Only its user can read the
    file. Raises `SinkError` and, for a file that is no profile, `UsageError`.
    """
    import tomlkit  # writing is the rare case

    check_writable(path)
    earlier = path.with_suffix(".json")
    if path.exists():
        read_profile(str(path))  # what is damaged is not written over
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    else:
        document = tomlkit.parse(_explanation(path, explained or {}, options or {}))
        if person is None and earlier.exists():
            person = read_profile(str(earlier)).person
    for name, value in (options or {}).items():
        document[name] = value
    if person is not None:
        table = tomlkit.table()
        table.comment("measured by --calibrate")
        for name, value in asdict(person).items():
            table[name] = list(value) if isinstance(value, tuple) else value
        document[PERSON] = table
    _write(path, tomlkit.dumps(document))


def _explanation(path: Path, explained: Mapping[str, tuple[str, object]], options: Mapping[str, object]) -> str:
    """A file that names every option; those that are not chosen are commented out."""
    lines = [
        f"# A profile of LiveToon: python run.py --profile {profile_name(path)}",
        "# What the command line says wins. Saved while LiveToon runs, it changes the look at once.",
    ]
    for name, (meaning, example) in explained.items():
        lines += ["", f"# {meaning}", f"{'' if name in options else '# '}{name} = {json.dumps(example)}"]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Whole or not at all, readable by its user only."""
    part: str | None = None
    try:
        handle, part = tempfile.mkstemp(".part", f".{path.name}.", path.parent)  # 0600
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(part).replace(path)
    except OSError as error:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        raise SinkError(f"The profile {path} cannot be written ({error.strerror}); name another --profile.") from error


def _person(data: object) -> Profile:
    if not isinstance(data, dict):
        raise ValueError("the person's numbers are no table")
    names = [field.name for field in fields(Profile) if field.name != "drop"]  # which older profiles lack
    if absent := [name for name in names if name not in data]:
        raise ValueError(f"{absent[0]} is missing")
    glasses = data["glasses"]
    if not isinstance(glasses, bool):
        raise ValueError("glasses is neither true nor false")
    openness, closed, gaze = (_numbers(data[name], 2) for name in ("openness", "closed", "gaze"))
    top, bottom = _numbers(data.get("drop", [0, 0]), 2)
    red, green, blue = _numbers(data["iris"], 3)
    if not all(0 <= shut < wide <= 1 for shut, wide in zip(closed, openness, strict=True)):
        raise ValueError("eyes are not wider open than shut")
    return Profile(
        (openness[0], openness[1]),
        (closed[0], closed[1]),
        (gaze[0], gaze[1]),
        (red, green, blue),
        glasses,
        (top, bottom),
    )


def _numbers(values: object, count: int) -> list[float]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"expected {count} numbers, found {values!r}")
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) or not math.isfinite(v) for v in values):
        raise ValueError(f"{values!r} are not all numbers")
    return [float(v) for v in values]
