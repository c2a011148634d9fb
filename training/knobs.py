"""The teacher's knobs: what of its hand can be changed without changing its code.

Comes in: a TOML file, `python -m training --teacher FILE`. Goes out: `Knobs`. What a file leaves out is as in the
style `webtoon`; an unknown name is an error that names the near one. No thread of its own.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from realtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class FlatKnobs:
    """How colour becomes areas.

    figure_join: how unlike two colours of clothes may be (1/255) that mean shift joins. hair_join: the same of hair.
    figure_blur: how far what is no edge is softened afterwards, in face heights. hair_blur: the same of hair.
    skin_shapes: half side of the median that makes large shapes of light on skin, in face heights. skin_blur: blur of
    their edges, in face heights: 0.008 painted shapes, 0.03 soft light. room_join: as figure_join, of the room.
    room_blur: in pixels of a picture 640 wide.
    """

    figure_join: float = 14.0
    hair_join: float = 20.0
    figure_blur: float = 0.0
    hair_blur: float = 0.0
    skin_shapes: float = 0.03
    skin_blur: float = 0.008
    room_join: float = 26.0
    room_blur: float = 1.0


@dataclass(frozen=True, slots=True)
class GradeKnobs:
    """What colours become.

    lift: brightening of the middle tones. lively: added share of colourfulness of dull colours. warmth: yellow, in Lab.
    skin_relief: contrast of light and shade on skin. skin_glow: red that light leaves in the shades of skin, in Lab.
    """

    lift: float = 0.55
    lively: float = 0.38
    warmth: float = 1.2
    skin_relief: float = 1.0
    skin_glow: float = 0.0


@dataclass(frozen=True, slots=True)
class InkKnobs:
    """Lines: factors of their strength, 0 none, 1 as `webtoon` has them.

    figure: the person's; room; hair: strands; wrinkles: lines on smooth skin; glasses: their rims. shortest: factor of
    the shortest line that is drawn.
    """

    figure: float = 1.0
    room: float = 1.0
    hair: float = 1.0
    wrinkles: float = 1.0
    glasses: float = 1.0
    shortest: float = 1.0


@dataclass(frozen=True, slots=True)
class Knobs:
    """All knobs, a table of the TOML file each."""

    flat: FlatKnobs = field(default_factory=FlatKnobs)
    grade: GradeKnobs = field(default_factory=GradeKnobs)
    ink: InkKnobs = field(default_factory=InkKnobs)


LIMITS = {
    **dict.fromkeys(("figure_join", "hair_join", "room_join"), 80.0),
    **dict.fromkeys(("figure_blur", "hair_blur", "skin_shapes", "skin_blur"), 0.1),
    **dict.fromkeys(("warmth", "skin_glow"), 30.0),
    "room_blur": 8.0,
}
MOST = 4.0  # of every other knob


def read_knobs(path: Path) -> Knobs:
    """The knobs of a TOML file; raises `UsageError` in one sentence for whatever is wrong with it."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--teacher {path} cannot be read ({error.strerror}); give a TOML file of knobs.") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise UsageError(f"--teacher {path} is no TOML ({error}); mend it.") from error
    knobs, tables = Knobs(), {f.name for f in fields(Knobs)}
    for name, values in data.items():
        if name not in tables or not isinstance(values, dict):
            raise UsageError(f"--teacher {path} has an unknown table or key '{name}'{_near(name, tables)}.")
        table = getattr(knobs, name)
        known = {f.name for f in fields(table)}
        for key, value in values.items():
            if key not in known:
                raise UsageError(f"--teacher {path} has an unknown knob '{key}' in [{name}]{_near(key, known)}.")
            most = LIMITS.get(key, MOST)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
                raise UsageError(f"--teacher {path}: {key} = {value!r} in [{name}] is no number from 0 to {most:g}.")
        knobs = replace(knobs, **{name: replace(table, **{k: float(v) for k, v in values.items()})})
    return knobs


def _near(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(sorted(known))}"
