"""Pictures become picture files: one, or a numbered one each. On the loop's thread."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from realtime.errors import SinkError
from realtime.settings import PICTURE_SUFFIXES
from realtime.sinks.output import check_output
from realtime.types import Picture

SETTLED_S = 1.0  # media time after which smoothing has settled and a camera has found its exposure
_NUMBER = re.compile(r"%0?\d*d")
_JPEG_QUALITY = 95


def is_sequence(path: Path) -> bool:
    """Whether the file's name holds a place for a number, as in frames/%05d.png."""
    return _NUMBER.search(path.name) is not None


def is_one_picture(uri: str) -> bool:
    """Whether the sink is one picture file, which needs no more than `SETTLED_S` of a source."""
    return Path(uri).suffix.lower() in PICTURE_SUFFIXES and not is_sequence(Path(uri))


class PictureFile:
    """One picture: the first after a second of the source's time, or the last of a shorter source.

    A transparent picture keeps its alpha in a PNG.
    """

    def __init__(self, path: Path, clip: Path | None) -> None:
        check_output(path, clip)
        self.name = str(path)
        self._path = path
        self._first_t: float | None = None
        self._kept: Picture | None = None
        self._written = False

    def send(self, picture: Picture) -> None:
        """Keeps or writes it; raises `SinkError`."""
        if self._written:
            return
        if self._first_t is None:
            self._first_t = picture.t
        self._kept = picture
        if picture.t - self._first_t >= SETTLED_S:
            self._write()

    def close(self) -> None:
        """Writes the picture if it was not written yet; raises `SinkError`."""
        if not self._written and self._kept is not None:
            self._write()

    def __enter__(self) -> PictureFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        assert self._kept is not None
        self._written = True
        write_picture(self._kept, self._path)


class PictureSequence:
    """Every picture, its index in the name."""

    def __init__(self, path: Path) -> None:
        match = _NUMBER.search(path.name)
        assert match is not None
        self._before, self._place, self._after = (
            path.name[: match.start()],
            match[0],
            path.name[match.end() :],
        )
        self._folder = path.parent
        check_output(self._numbered(0), None)
        self.name = str(path)

    def send(self, picture: Picture) -> None:
        """Writes it; raises `SinkError`."""
        write_picture(picture, self._numbered(picture.index))

    def close(self) -> None:
        """Every file is closed already."""

    def __enter__(self) -> PictureSequence:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _numbered(self, index: int) -> Path:
        return self._folder / f"{self._before}{self._place % index}{self._after}"


def write_picture(picture: Picture, path: Path) -> None:
    """Writes a PNG or JPEG, whole or not at all: an older file of that name stays until the new one is complete."""
    suffix = path.suffix.lower()
    if picture.alpha is not None and suffix == ".png":
        bgr = cv2.cvtColor(np.dstack([picture.rgb, picture.alpha]), cv2.COLOR_RGBA2BGRA)
    else:
        bgr = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2BGR)
    part = path.with_name(f".{path.name}.part")
    try:
        quality = [] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        done, data = cv2.imencode(suffix, bgr, quality)
        if not done:
            raise SinkError(f"{path} cannot be made: {picture.size} does not fit into a {suffix} file.")
        part.write_bytes(data.tobytes())
        part.replace(path)
    except (OSError, cv2.error) as error:
        part.unlink(missing_ok=True)
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SinkError(f"{path} cannot be written ({why}); free some space or name another --sink.") from error
