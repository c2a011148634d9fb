"""Sheets to look at: photo | drawing side by side, and strips of 8 consecutive frames.

    python -m bench.sheet SOURCE... --out SHEET.png [--style NAME] [--moments N]
    python -m bench.sheet CLIP --strip SECONDS --out STRIP.png [--style NAME] [--off] [--whole]

A source is a clip, a picture or a folder of pictures. Comes in: those. Goes out: one PNG. Main thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from bench.clip import frames_of
from bench.render import PARTS, Rendering, Studio
from realtime.errors import LiveToonError, SinkError, UsageError
from realtime.landmarks import FACE_OVAL
from realtime.settings import PICTURE_SUFFIXES
from realtime.types import Frame, RgbImage, Size

STRIP_FRAMES = 8
STRIP_TILE_PX = 300
FACE_MARGIN = 0.35  # of the face's height, around it in a strip
LEAD_IN_S, LEAD_IN_FRAMES = 0.5, 15  # drawn before what is shown, so that every temporal part is at work


def write_png(rgb: RgbImage, out: Path) -> None:
    """Writes it; raises `SinkError`."""
    if not cv2.imwrite(str(out), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)):
        raise SinkError(f"{out} cannot be written; name a .png file in a folder that exists and can be written to.")


def stacked(rows: Sequence[RgbImage]) -> RgbImage:
    """The rows one below the other, each as wide as the widest."""
    width = max(row.shape[1] for row in rows)
    sized = [_scaled(row, width / row.shape[1]) for row in rows]
    return np.vstack(sized)


def side_by_side(pictures: Sequence[RgbImage]) -> RgbImage:
    """The pictures beside each other, each as high as the first."""
    height = pictures[0].shape[0]
    return np.hstack([_scaled(picture, height / picture.shape[0]) for picture in pictures])


def strip(clip: str, start_s: float, studio: Studio, renderings: Sequence[Rendering], *, whole: bool) -> RgbImage:
    """8 consecutive frames from `start_s` on, photos in the first row, a row of drawings for each rendering.

    Only the face and its surroundings, all from the same place, or the `whole` frame. Raises `UsageError`.
    """
    frames: list[Frame] = []
    for frame in frames_of(clip, None, _quiet):
        if frame.t < start_s - LEAD_IN_S:
            continue
        frames.append(frame)
        if sum(f.t >= start_s for f in frames) == STRIP_FRAMES:
            break
    if not frames or frames[-1].t < start_s:
        raise UsageError(f"{clip} ends before second {start_s:g}; name an earlier --strip.")
    shown = sum(f.t >= start_s for f in frames)
    rows = [[frame.rgb for frame in frames[-shown:]]]
    for rendering in renderings:
        rendering.reset()
        rows.append([rendering.draw(frame) for frame in frames][-shown:])
    box = np.s_[:, :] if whole else _around_face(studio, frames[-shown])
    scale = min(1.0, STRIP_TILE_PX / rows[0][0][box].shape[1])
    return stacked([np.hstack([_scaled(picture[box], scale) for picture in row]) for row in rows])


def _around_face(studio: Studio, frame: Frame) -> tuple[slice, slice]:
    faces = studio.perceive(frame).faces
    if not faces:
        return np.s_[:, :]
    outline = faces[0].landmarks[FACE_OVAL, :2]
    margin = FACE_MARGIN * float(np.ptp(outline[:, 1]))
    (left, top), (right, bottom) = outline.min(axis=0) - margin, outline.max(axis=0) + margin
    return np.s_[max(0, int(top)) : int(bottom), max(0, int(left)) : int(right)]


def _pairs(source: str, moments: int, style: str, studio: Studio) -> list[RgbImage]:
    """photo | drawing of a picture, or of a clip at so many moments at even distances."""
    count = sum(1 for _ in frames_of(source, None, _quiet))
    wanted = {round((moment + 0.5) / moments * (count - 1)) for moment in range(moments)}
    rows: list[RgbImage] = []
    rendering: Rendering | None = None
    for frame in frames_of(source, None, _quiet):
        if not any(0 <= index - frame.index <= LEAD_IN_FRAMES for index in wanted):
            continue
        if rendering is None:
            rendering = studio.filter(style, frame.size)
            rendering.reset()
        drawn = rendering.draw(frame)
        if frame.index in wanted:
            rows.append(side_by_side([frame.rgb, drawn]))
    return rows


def _scaled(rgb: RgbImage, scale: float) -> RgbImage:
    if scale == 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8)


def _quiet(_: str) -> None:
    """Says nothing: a sheet needs no lines about its sources."""


def _sources(words: Sequence[str]) -> list[str]:
    """Folders become their pictures; raises `UsageError` for one without any."""
    found: list[str] = []
    for word in words:
        if not Path(word).is_dir():
            found.append(word)
            continue
        pictures = sorted(p for p in Path(word).iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
        if not pictures:
            raise UsageError(f"The folder {word} holds no {', '.join(PICTURE_SUFFIXES)}.")
        found += map(str, pictures)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.sheet", description="Photo | drawing, to be looked at.")
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="clips, pictures, folders of pictures, demo")
    parser.add_argument("--out", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--style", default="webtoon")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--moments", type=int, default=3, help="rows for each clip")
    parser.add_argument("--strip", type=float, metavar="SECONDS", help="8 consecutive frames of one clip from here on")
    parser.add_argument("--off", action="store_true", help="with --strip: a row drawn frame by frame, too")
    parser.add_argument("--whole", action="store_true", help="with --strip: the whole frame, not the face")
    given = parser.parse_args(arguments)
    try:
        with Studio(given.engine, _quiet) as studio:
            if given.strip is None:
                rows = [
                    r for s in _sources(given.sources) for r in _pairs(s, max(1, given.moments), given.style, studio)
                ]
                write_png(stacked(rows), given.out)
            else:
                clip = given.sources[0]
                size: Size = next(frames_of(clip, 1, _quiet)).size
                off = [frozenset(PARTS)] if given.off else []
                renderings = [studio.filter(given.style, size, without=parts) for parts in (frozenset[str](), *off)]
                write_png(strip(clip, given.strip, studio, renderings, whole=given.whole), given.out)
    except LiveToonError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
