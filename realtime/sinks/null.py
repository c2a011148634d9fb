"""Pictures go nowhere: for measuring. Any thread."""

from __future__ import annotations

from realtime.types import Picture


class Null:
    """Counts the pictures it takes."""

    def __init__(self) -> None:
        self.name = "null"
        self.count = 0

    def send(self, picture: Picture) -> None:
        """Counts it."""
        self.count += 1

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Null:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
