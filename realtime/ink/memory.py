"""What is remembered of one face from frame to frame: measured colours and how far a stroke has faded in.

Comes in: what was measured in this frame and its time. Goes out: the value smoothed over time. Main thread.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


class FaceMemory:
    """The state of one face: exponential smoothing in seconds, the same curve at any frame rate."""

    def __init__(self, centre: NDArray[np.float32], t: float, presence: float) -> None:
        self.centre = centre
        self.t = t
        self.presence = presence
        self._values: dict[str, NDArray[np.float32]] = {}
        self._dt_s = 0.0

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """The value called `name` as it is."""
        return self._values[name]

    def advance(self, centre: NDArray[np.float32], t: float) -> None:
        """The face is now here; `ease` counts the time since the last call."""
        self._dt_s = max(t - self.t, 0.0)
        self.centre, self.t = centre, t

    def share(self, tau_s: float) -> float:
        """How far a value moves towards its target in this frame: 1 - exp(-dt / tau)."""
        return 1 - math.exp(-self._dt_s / tau_s)

    def ease(self, name: str, target: ArrayLike, tau_s: float, weight: float = 1.0) -> NDArray[np.float32]:
        """The value called `name`, moved towards `target`; the first target is taken as it is.

        `weight` (0..1) is how far this frame's measurement is to be believed: it slows the movement down.
        """
        goal = np.asarray(target, np.float32)
        value = self._values.get(name)
        value = goal if value is None else value + (1 - (1 - self.share(tau_s)) ** weight) * (goal - value)
        self._values[name] = value
        return value

    def ease_share(self, name: str, target: float, tau_s: float) -> float:
        """`ease` for one number."""
        return float(self.ease(name, target, tau_s))
