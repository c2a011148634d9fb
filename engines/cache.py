"""The user's cache folder: model files, compiled engines, checks of engines; all of it can be made again.

In: nothing or bytes. Out: paths. Any thread, any number of processes.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from platformdirs import user_cache_dir


def cache_folder() -> Path:
    """Where this user's files go, existing or not: `LIVETOON_CACHE` if set, else what the system uses for caches."""
    return Path(os.environ.get("LIVETOON_CACHE") or user_cache_dir("livetoon", appauthor=False))


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that nobody ever sees half of it; creates its folder; raises `OSError`."""
    write_together({path: content})


def write_together(files: dict[Path, bytes]) -> None:
    """Writes files that belong together: all of them first, and only then each into its place; raises `OSError`.

    A disk that fills up or an interrupt leaves what was there before.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part") for path in files}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path].write_bytes(content)
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
