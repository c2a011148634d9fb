"""What every source promises."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

from realtime.types import Frame, Missing, Size


class LastingSource(Protocol):
    """Gives frames, in order, on the caller's thread; may say that there is none at the moment, instead of ending.

    name: for the user: what it is, its size and rate, and for a camera what was granted.
    live: whether frames may be dropped; the newest one wins, and a gap in `Frame.index` counts what was lost.
    size: of every frame it gives. fps: nominal.
    frame_count: as the file says, None where unknown or endless; a damaged file may give fewer.
    clip: the file, for its sound; None where there is none or where it plays endlessly.
    """

    name: str
    live: bool
    size: Size
    fps: float
    frame_count: int | None
    clip: Path | None

    def read(self) -> Frame | Missing | None:
        """As `Source.read`; `Missing` twice a second while there is no frame."""

    def close(self) -> None:
        """Lets go of device or file, within a second even while a device is blocked; may be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Source(LastingSource, Protocol):
    """One that ends, or fails, where there are no more frames."""

    def read(self) -> Frame | None:
        """The next frame, None at the end; raises `SourceError`.

        It waits for a frame in slices of 0.1 s, so that Ctrl-C gets through and `close` on another thread ends it.
        """
