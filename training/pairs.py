"""The user's own pairs instead of a teacher: a photo and how they drew it.

Comes in: a folder with `photo/NAME.*` and `drawing/NAME.*`. Goes out: which drawing belongs to which photo, and a
finished drawing taken apart into the two layers that a student learns. Any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.errors import UsageError
from realtime.types import RgbImage
from training.teacher import Drawing

LINE_SHARE, LINE_LEAST_PX = 0.016, 7  # what is darker than its surroundings and thinner, of its smaller side, is a line
LINE_LEAST, LINE_FULL = 0.06, 0.35  # how much darker, of 0..1
MOST_SHAPE_ERROR = 0.02  # a drawing may have another size than its photo, not another shape


def find_pairs(folder: Path, suffixes: Sequence[str]) -> list[tuple[Path, Path]]:
    """Photos and their drawings, by name; raises `UsageError` where one of a pair is missing."""
    found = []
    for part in ("photo", "drawing"):
        if not (folder / part).is_dir():
            raise UsageError(f"--pairs {folder} has no folder '{part}'; it must hold photo/NAME.* and drawing/NAME.*.")
        files = sorted(f for f in (folder / part).iterdir() if f.suffix.lower() in suffixes and f.is_file())
        found.append({f.stem: f for f in files})
        if len(found[-1]) < len(files):
            raise UsageError(f"--pairs {folder / part} holds two pictures of one name; a name tells a pair.")
    photos, drawings = found
    if alone := sorted(photos.keys() ^ drawings.keys()):
        has, lacks = ("photo", "drawing") if alone[0] in photos else ("drawing", "photo")
        raise UsageError(f"--pairs {folder} has a {has} '{alone[0]}' without a {lacks} of that name.")
    if not photos:
        raise UsageError(f"--pairs {folder} holds no pictures; expected files that end in {', '.join(suffixes)}.")
    return [(photos[name], drawings[name]) for name in sorted(photos)]


def fitted(drawing: RgbImage, photo: RgbImage, name: str) -> RgbImage:
    """The drawing at the photo's size; raises `UsageError` if it shows another part of the scene."""
    h, w = photo.shape[:2]
    if abs(np.log((drawing.shape[1] / drawing.shape[0]) / (w / h))) > MOST_SHAPE_ERROR:
        sizes = f"{drawing.shape[1]}x{drawing.shape[0]} and {w}x{h}"
        raise UsageError(f"The drawing and the photo '{name}' have different shapes ({sizes}); they must lie on top of "
                         "each other.")  # fmt: skip
    smaller = drawing.shape[0] > h
    return cv2.resize(drawing, (w, h), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def taken_apart(drawing: RgbImage) -> Drawing:
    """Thin dark lines as ink, and the colour areas that go on beneath them (morphological closing, Serra 1982)."""
    luma = cv2.cvtColor(drawing, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    side = max(LINE_LEAST_PX, round(LINE_SHARE * min(luma.shape))) | 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    darker = cv2.morphologyEx(luma, cv2.MORPH_CLOSE, around) - luma
    ink = np.clip((darker - LINE_LEAST) / (LINE_FULL - LINE_LEAST), 0, 1).astype(np.float32)
    lines = cv2.dilate((ink > 0.02).astype(np.uint8), np.ones((3, 3), np.uint8))
    flat = cv2.inpaint(np.ascontiguousarray(drawing), lines, 3, cv2.INPAINT_TELEA)
    return Drawing(flat.astype(np.float32) / 255, ink)


def changed(drawing: Drawing, change: Callable[[Any], Any]) -> Drawing:
    """Both layers cut or resized alike; what interpolation added beyond 0..1 is cut off."""
    flat, ink = (np.clip(change(layer), 0, 1) for layer in (drawing.flat, drawing.ink))
    return Drawing(flat, ink)
