"""Gallery: one picture in every style, on a labelled sheet.

Comes in: a picture's path, of which nothing but drawings reaches the sheet. Goes out: a picture file. On the main
thread, style after style, each drawn by the product's own stages and then closed. The letters are OpenCV's own
(Hershey, in the public domain).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from engines.assets import perception_files
from realtime.compose import Compose
from realtime.errors import LiveToonError, UsageError
from realtime.filter import Filter
from realtime.ink import Ink
from realtime.open_style import OpenStyle
from realtime.perceive import Perceiver
from realtime.raw import is_raw
from realtime.settings import PICTURE_SUFFIXES, Look, Pace, Settings
from realtime.sinks.output import check_output
from realtime.sinks.picture import write_picture
from realtime.source import open_source
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.styles import Style, list_styles, load_style
from realtime.styles.paintings import COUNT, PAINTING, paintings_here
from realtime.types import Frame, Picture, RgbImage, Size, read_only

Say = Callable[[str], None]
DEFAULT = Path("gallery.png")
CELL_WIDTH = 400
DRAWN_WIDTH = 1200  # before it is made smaller: as large as a camera's picture, and lines come out fine
_LABEL, _GAP = 34, 10
_PAPER, _INK = 255, (40, 40, 40)
_PASSES_S = 10.0  # between two drawings of the picture, so that nothing of the one before counts


def run_gallery(settings: Settings, say: Say) -> int:
    """Draws `settings.gallery` in every style; raises `UsageError` for a sink that is no picture, and `SourceError`."""
    path = Path(settings.sinks[0]) if settings.sinks else DEFAULT
    if len(settings.sinks) > 1 or path.suffix.lower() not in PICTURE_SUFFIXES:
        raise UsageError("--gallery writes one picture: --sink gallery.png, or .jpg.")
    check_output(path, settings.gallery)
    frame = _frame(str(settings.gallery))
    styles = list_styles(say)
    if paintings_here():
        styles += [load_style(f"{PAINTING}{number}") for number in range(COUNT)]
    drawn = draw_styles(frame, styles, settings.engine, say)
    write_picture(Picture(read_only(sheet(drawn)), 0.0, 0.0, 0), path)
    say(f"{len(drawn)} styles: {path.absolute()}")
    return 0


def draw_styles(frame: Frame, styles: Sequence[Style], engine: str, say: Say) -> list[tuple[str, RgbImage]]:
    """The frame in each style with its name; one that cannot be drawn is said and left out."""
    drawn = []
    with Perceiver(*perception_files()) as perceive:
        for number, style in enumerate(styles):
            try:
                picture = _drawn(replace(frame, t=number * _PASSES_S), style, engine, perceive)
            except LiveToonError as error:
                say(f"{style.name} is left out: {error}")
            else:
                drawn.append((style.name, picture))
                say(f"{number + 1} of {len(styles)}: {style.name}")
    return drawn


def sheet(drawn: Sequence[tuple[str, RgbImage]]) -> RgbImage:
    """The drawings, all of one shape, in rows with their names below; raises `UsageError` where there is none."""
    if not drawn:
        raise UsageError("No style can be drawn here; python run.py --doctor says what is missing.")
    high, wide = drawn[0][1].shape[:2]
    cell = Size(CELL_WIDTH, round(CELL_WIDTH * high / wide))
    columns = max(1, round((len(drawn) * (cell.height + _LABEL) / cell.width) ** 0.5))  # about square as a whole
    columns = min(len(drawn), columns)
    rows = -(-len(drawn) // columns)
    step_x, step_y = cell.width + _GAP, cell.height + _LABEL + _GAP
    made = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), _PAPER, np.uint8)
    for number, (name, rgb) in enumerate(drawn):
        x, y = _GAP + number % columns * step_x, _GAP + number // columns * step_y
        made[y : y + cell.height, x : x + cell.width] = cv2.resize(
            rgb, (cell.width, cell.height), interpolation=cv2.INTER_AREA
        )
        at = (x + 2, y + cell.height + 23)
        cv2.putText(made, _letters(name), at, cv2.FONT_HERSHEY_SIMPLEX, 0.62, _INK, 1, cv2.LINE_AA)
    return made


def _letters(name: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in name)[:36]


def _frame(path: str) -> Frame:
    """The picture, as large as a drawing is made."""
    if Path(path).suffix.lower() not in PICTURE_SUFFIXES:
        raise UsageError(f"--gallery {path} is no picture: {', '.join(PICTURE_SUFFIXES)} are expected.")
    with open_source(path, size=None, fps=None, pace=Pace.ALL, say=lambda _: None) as source:
        frame = source.read()
    assert frame is not None
    scale = DRAWN_WIDTH / max(frame.size.width, frame.size.height)
    size = Size(round(frame.size.width * scale), round(frame.size.height * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    rgb = cv2.resize(frame.rgb, (max(16, size.width), max(16, size.height)), interpolation=interpolation)
    return replace(frame, rgb=read_only(rgb))


def _drawn(frame: Frame, style: Style, engine: str, perceive: Perceiver) -> RgbImage:
    look = Look(style=style.name)
    stage = OpenStyle(style, look, frame.size, engine, lambda _: None)
    try:
        compose = Compose(look.background, mirror=False)
        drawing = Filter(perceive, Steady(), stage, Ink(style.touch_up), compose, Stats())
        drawing.show(look, style)
        picture = drawing(frame)
    finally:
        stage.close()
    if is_raw(picture.rgb, frame.rgb):
        raise UsageError("its network gives back what goes in.")
    return picture.rgb
