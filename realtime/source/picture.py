"""A picture file becomes one frame, or, when it is shown live, the same frame again and again.

Comes in: a path. Goes out: frames. Any thread. EXIF orientation is applied, 16 bits are cut to 8, grey becomes RGB,
transparent parts become white.
"""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np

from realtime.errors import SourceError
from realtime.source.fit import letterbox
from realtime.source.sizes import checked_size
from realtime.types import Frame, RgbImage, Size, read_only

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm")
_WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
_FPS = 30.0  # of the file that is made of it, or of its showing


def read_picture(path: Path) -> RgbImage:
    """The picture as (h, w, 3) u8; raises `SourceError`."""
    unreadable = SourceError(
        f"{path} cannot be read as a picture: it is damaged or of another kind. "
        "Expected a PNG, JPEG, WebP, BMP or TIFF."
    )
    try:
        data = np.fromfile(path, np.uint8)  # not cv2.imread: that cannot open every name on Windows
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
        whole = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if path.suffix.lower() in _WITH_ALPHA else None
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}).") from error
    except (cv2.error, MemoryError) as error:
        raise unreadable from error
    if bgr is None:
        raise unreadable
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    if whole is not None and whole.ndim == 3 and whole.shape[2] == 4 and whole.shape[:2] == rgb.shape[:2]:
        top = np.float32(np.iinfo(whole.dtype).max) if whole.dtype.kind == "u" else np.float32(1)
        alpha = whole[..., 3:].astype(np.float32) / top  # (h, w, 1), 0..1
        rgb = (whole[..., 2::-1].astype(np.float32) / top * 255 * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)
    return np.asarray(rgb, np.uint8)


class PictureFile:
    """One frame; with `repeat` without end, at 30 frames a second of its own clock."""

    def __init__(self, path: Path, size: Size | None, *, repeat: bool = False) -> None:
        rgb = read_picture(path)
        self.size = checked_size(Size(rgb.shape[1], rgb.shape[0]), size, str(path))
        self.name = f"{path.name}, {self.size}" + (", shown until stopped" if repeat else "")
        self.live = False
        self.fps = _FPS
        self.frame_count: int | None = None if repeat else 1
        self.clip: Path | None = path
        self._rgb = read_only(letterbox(rgb, self.size))
        self._repeat = repeat
        self._next = 0
        self._closed = False

    def read(self) -> Frame | None:
        """The picture, None after it."""
        if self._closed or (self._next > 0 and not self._repeat):
            return None
        index, self._next = self._next, self._next + 1
        return Frame(self._rgb, index / self.fps, time.monotonic(), index)

    def close(self) -> None:
        """Ends it."""
        self._closed = True

    def __enter__(self) -> PictureFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
