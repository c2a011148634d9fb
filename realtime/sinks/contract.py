"""What every sink promises."""

from __future__ import annotations

from typing import Protocol, Self

from realtime.types import Picture


class Sink(Protocol):
    """Takes pictures of the size it was opened with, in order, on one thread.

    name: for the user, for example "out.mp4" or "preview".
    """

    name: str

    def send(self, picture: Picture) -> None:
        """Takes one picture; raises `SinkError`, after which only `close` may be called."""

    def close(self) -> None:
        """Finishes the file or lets go of the device; may be called again; raises `SinkError` the first time only."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
