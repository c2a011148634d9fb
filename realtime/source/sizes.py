"""Which frame sizes the filter takes on."""

from __future__ import annotations

from realtime.errors import SourceError
from realtime.types import Size

SMALLEST_PX, LARGEST_PX = 16, 8192


def checked_size(own: Size, asked: Size | None, what: str) -> Size:
    """The size of a clip's or picture's frames: the one asked for, else its own; raises `SourceError`."""
    if min(own.width, own.height) < SMALLEST_PX:
        raise SourceError(f"{what} is {own}: too small. At least {SMALLEST_PX}x{SMALLEST_PX} is expected.")
    if asked is None and max(own.width, own.height) > LARGEST_PX:
        raise SourceError(f"{what} is {own}: larger than 8K. Name a smaller size, for example --size 3840x2160.")
    return own if asked is None else asked
