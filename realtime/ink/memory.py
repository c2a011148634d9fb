"""What is remembered of one face from frame to frame: measured colours and how far a stroke has faded in.

Comes in: what was measured in this frame and its time. Goes out: the value smoothed over time. Filter's thread.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from realtime.profile import Profile
from realtime.types import Face


class FaceMemory:
    """The state of one face: exponential smoothing in seconds, the same curve at any frame rate."""

    def __init__(self, t: float, presence: float, profile: Profile | None = None) -> None:
        """`profile`: what is known of this person beforehand."""
        self.t = t
        self.presence = presence
        self.profile = profile
        self.face: Face | None = None  # as last seen
        self.seen_s = t
        self.marks: NDArray[np.float32] = np.zeros((0, 6), np.float32)  # see `marks`
        self._values: dict[str, NDArray[np.float32]] = {}
        self._shares: dict[str, float] = {}  # plain numbers are several times as fast as arrays of one
        self._times_s: dict[str, float] = {}
        self._measured_s = -math.inf  # when `due` last said yes
        if profile is not None:
            self.ease("iris", profile.iris, 1.0)
            self.ease_share("glasses worn", float(profile.glasses), 1.0)
            for side, openness in enumerate(profile.openness):
                self.ease_share(f"usual openness {side}", openness, 1.0)
            del self._times_s["glasses worn"]  # their shape is still to be measured

    def get(self, name: str, default: float) -> float:
        """The number called `name` as it is, `default` before its first `ease`."""
        return self._shares.get(name, default)

    def __contains__(self, name: str) -> bool:
        """Whether the value called `name` was ever eased."""
        return name in self._values or name in self._shares

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """The value called `name` as it is; for numbers `get`."""
        return self._values[name]

    def appear(self, face: Face, t: float, tau_s: float) -> None:
        """The face is here at `t`: a little more present than before."""
        self.face, self.seen_s = face, t
        self.presence += share_after(t - self.t, tau_s) * (1 - self.presence)
        self.t = t

    def vanish(self, t: float, tau_s: float) -> None:
        """The face is not to be found at `t`: a little less present than before."""
        self.presence -= share_after(t - self.t, tau_s) * self.presence
        self.t = t

    def due(self, name: str, every_s: float) -> bool:
        """Whether the value called `name` is to be measured: never was, or `every_s` ago and the face is to be seen.

        One value a frame, so that no frame takes long; none waits for more than half of `every_s`.
        """
        since_s = self.since(name)
        if since_s is None:
            return True
        if self.seen_s != self.t or since_s < every_s * (1.5 if self._measured_s == self.t else 1):
            return False
        self._measured_s = self.t
        return True

    def stale(self, name: str, every_s: float) -> bool:
        """Whether the value called `name` was not moved for `every_s`, or never: for what cannot wait as `due` does."""
        since_s = self.since(name)
        return since_s is None or since_s >= every_s - 1e-3

    def since(self, name: str) -> float | None:
        """Seconds since the value called `name` was measured; None if it never was."""
        return self.t - self._times_s[name] if name in self._times_s else None

    def ease(self, name: str, target: ArrayLike, tau_s: float, weight: float = 1.0) -> NDArray[np.float32]:
        """The value called `name`, moved towards `target`; the first target is taken as it is.

        It moves as far as the time since it was last moved allows. `weight` (0..1) is how far this frame's
        measurement is to be believed: it slows the movement down.
        """
        goal = np.asarray(target, np.float32)
        value = self._values.get(name)
        if value is not None:
            goal = value + self._moved_by(name, tau_s, weight) * (goal - value)
        self._values[name], self._times_s[name] = goal, self.t
        return goal

    def ease_share(self, name: str, target: float, tau_s: float, weight: float = 1.0) -> float:
        """`ease` for one number."""
        value = self._shares.get(name)
        goal = float(target) if value is None else value + self._moved_by(name, tau_s, weight) * (target - value)
        self._shares[name], self._times_s[name] = goal, self.t
        return goal

    def _moved_by(self, name: str, tau_s: float, weight: float) -> float:
        return share_after((self.t - self._times_s.get(name, self.t)) * weight, tau_s)


def share_after(seconds: float, tau_s: float) -> float:
    """How far an exponential smoother has moved towards its target: 1 - exp(-t / tau)."""
    return 1 - math.exp(-max(seconds, 0.0) / tau_s)
