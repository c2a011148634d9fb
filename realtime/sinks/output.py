"""Whether a file can be written, found out before anything runs and without touching what is there. Any thread."""

from __future__ import annotations

import tempfile
from pathlib import Path

from realtime.errors import SinkError


def check_output(path: Path, clip: Path | None) -> None:
    """Raises `SinkError` when `path` cannot be written, or is the clip that is being read."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise SinkError(f"The folder {folder} for {path.name} does not exist; create it or name another --sink.")
    if path.is_dir():
        raise SinkError(f"{path} is a folder; name a file, for example {path / 'out.mp4'}.")
    if clip is not None and path.exists() and clip.exists() and path.samefile(clip):
        raise SinkError(f"{path} is the source itself; writing would destroy it. Name another --sink.")
    try:
        if path.exists():
            with path.open("ab"):  # changes nothing, and fails where writing would
                pass
        else:
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        raise SinkError(f"{path} cannot be written ({error.strerror}); name a --sink in a folder of yours.") from error
