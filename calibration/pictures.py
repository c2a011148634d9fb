"""Representative pictures: what the generators will see, cut and exposed as the filter does it.

In: a folder of photos, a clip, a camera or the demo. Out: generator inputs, RGB u8 (h, w, 3). The choice is spread
evenly over what there is and the same every time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.assets import perception_files
from realtime.crop import crop_matrix, cut
from realtime.errors import SourceError
from realtime.exposure import apply_exposure, measure_exposure
from realtime.perceive import Perceiver
from realtime.settings import Pace
from realtime.source import open_source
from realtime.source.picture import PICTURE_SUFFIXES
from realtime.stylize import generator_size
from realtime.types import Frame, RgbImage, Size

CAMERA_FRAMES = 300  # of a source that does not end: ten seconds


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the two generators see of the same frames; a frame without a face gives no face."""

    background: list[RgbImage]
    face: list[RgbImage]


def generator_inputs(source: str, count: int) -> Inputs:
    """Inputs made of `count` frames of a source, as `run.py --source` names it, or of a folder of photos.

    Raises `SourceError` when there are fewer frames, and what opening the source raises.
    """
    folder = Path(source)
    frames = photos(folder, count) if folder.is_dir() else source_frames(source, count)
    found = Inputs([], [])
    with Perceiver(*perception_files()) as perceive:
        for i, rgb in enumerate(frames):
            size = generator_size(Size(rgb.shape[1], rgb.shape[0]))
            small = cv2.resize(rgb, (size.width, size.height), interpolation=cv2.INTER_AREA)
            exposure = measure_exposure(small)
            found.background.append(apply_exposure(small, exposure))
            perceive.reset()  # each frame by itself: they are no sequence
            scene = perceive(Frame(rgb, float(i), float(i), i))
            if scene.faces:
                found.face.append(apply_exposure(cut(rgb, crop_matrix(scene.faces[0].landmarks)), exposure))
    return found


def photos(folder: Path, count: int) -> Iterator[RgbImage]:
    """`count` photos of a folder, by name, evenly spread."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    _check_enough(len(files), count, f"The folder {folder}", "photos")
    for i in evenly(len(files), count):
        read = cv2.imread(str(files[i]), cv2.IMREAD_COLOR)
        if read is None:
            raise SourceError(f"The photo {files[i]} cannot be read; remove it from the folder.")
        yield cv2.cvtColor(read, cv2.COLOR_BGR2RGB)


def source_frames(source: str, count: int) -> Iterator[RgbImage]:
    """`count` frames of a clip or camera, evenly spread."""
    with open_source(source, size=None, fps=None, pace=Pace.ALL, say=lambda _: None) as opened:
        total = opened.frame_count or CAMERA_FRAMES
        _check_enough(total, count, f"The source {opened.name}", "frames")
        wanted = set(evenly(total, count))
        for i in range(max(wanted) + 1):
            frame = opened.read()
            if frame is None:
                raise SourceError(f"The source {opened.name} ended after {i} frames of {total}.")
            if i in wanted:
                yield frame.rgb


def evenly(total: int, count: int) -> list[int]:
    """`count` of the numbers 0..total-1, evenly spread."""
    return [int(i) for i in np.linspace(0, total - 1, count).round()]


def _check_enough(found: int, count: int, what: str, of: str) -> None:
    if found < count:
        raise SourceError(f"{what.rstrip(os.sep)} has {found} {of}; at least {count} are needed.")
