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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
