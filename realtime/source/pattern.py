"""A moving test pattern whose frames carry their own number, so that order and drops can be checked in the pictures.

Comes in: size and rate. Goes out: frames without end, as fast as they are read. Any thread.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import cv2
import numpy as np

from realtime.errors import UsageError
from realtime.types import Frame, RgbImage, Size, read_only

_BITS = 16
_DEFAULT = (Size(1280, 720), 30.0)


def parse_pattern(uri: str) -> tuple[Size, float]:
    """Size and rate of "test", "test:1280x720" or "test:1280x720@30"; raises `UsageError`."""
    match = re.fullmatch(r"test(?::(\d{1,4})x(\d{1,4})(?:@(\d{1,3}(?:\.\d+)?))?)?", uri)
    if match is None:
        raise UsageError(f"'{uri}' is no test pattern; expected for example test:1280x720@30.")
    size = Size(int(match[1]), int(match[2])) if match[1] else _DEFAULT[0]
    fps = float(match[3]) if match[3] else _DEFAULT[1]
    if min(size.width, size.height) < _BITS or fps <= 0:
        raise UsageError(f"'{uri}' is too small or too slow; expected at least test:16x16 and a rate above 0.")
    return size, fps


class TestPattern:
    """Colours that move to the left by one hundredth of the width a frame, under a bar code of the frame's number."""

    __test__ = False  # the name is no invitation to pytest

    def __init__(self, size: Size, fps: float) -> None:
        self.name = f"test pattern, {size} at {fps:g} fps"
        self.live = False
        self.size = size
        self.fps = fps
        self.frame_count: int | None = None
        self.clip: Path | None = None
        self._next = 0
        self._closed = False
        hue = np.linspace(0, 180, size.width, endpoint=False, dtype=np.float32).astype(np.uint8)
        hsv = np.empty((size.height, size.width, 3), np.uint8)
        hsv[..., 0], hsv[..., 1] = hue, 150
        hsv[..., 2] = np.linspace(255, 90, size.height, dtype=np.float32).astype(np.uint8)[:, None]
        once = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        self._twice = np.concatenate([once, once], axis=1)

    def read(self) -> Frame | None:
        """The next frame; None once closed."""
        if self._closed:
            return None
        index, width = self._next, self.size.width
        x = index * max(1, width // 100) % width
        rgb = np.ascontiguousarray(self._twice[:, x : x + width])
        high, wide = max(1, self.size.height // 18), width // _BITS
        for bit in range(_BITS):
            rgb[:high, bit * wide : (bit + 1) * wide] = 255 * (index >> bit & 1)
        self._next += 1
        return Frame(read_only(rgb), index / self.fps, time.monotonic(), index)

    def close(self) -> None:
        """Ends it."""
        self._closed = True

    def __enter__(self) -> TestPattern:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pattern_index(rgb: RgbImage) -> int:
    """The number that a test pattern's picture carries, modulo 65536; survives video coding."""
    high, wide = max(1, rgb.shape[0] // 18), rgb.shape[1] // _BITS
    bits = [rgb[:high, bit * wide : (bit + 1) * wide].mean() > 127 for bit in range(_BITS)]
    return sum(1 << bit for bit, one in enumerate(bits) if one)
