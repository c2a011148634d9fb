"""A photo | drawing picture of a clip and its rendering, taken at one moment of both.

python -m realtime.pair CLIP DRAWN OUT.png [SECONDS]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from realtime.errors import LiveToonError, SinkError, SourceError
from realtime.settings import Pace
from realtime.source import open_source
from realtime.types import Frame


def frame_at(clip: Path, seconds: float) -> Frame:
    """The first frame at or after `seconds` of media time, or the clip's last."""
    last: Frame | None = None
    with open_source(str(clip), size=None, fps=None, pace=Pace.ALL, say=lambda _: None) as source:
        while (frame := source.read()) is not None:
            last = frame
            if frame.t >= seconds:
                break
    if last is None:
        raise SourceError(f"{clip} has no picture.")
    return last


def write_pair(clip: Path, drawn: Path, out: Path, seconds: float) -> None:
    """Writes both pictures side by side; raises `SourceError` or `SinkError`."""
    pair = np.hstack([frame_at(path, seconds).rgb for path in (clip, drawn)])
    if not cv2.imwrite(str(out), cv2.cvtColor(pair, cv2.COLOR_RGB2BGR)):
        raise SinkError(f"{out} cannot be written; name a folder that exists and can be written to.")


def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit code."""
    if len(arguments) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    clip, drawn, out = (Path(argument) for argument in arguments[:3])
    try:
        write_pair(clip, drawn, out, float(arguments[3]) if len(arguments) == 4 else 2.0)
    except LiveToonError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
