"""The 1-euro filter: a low-pass whose cut-off rises with speed, calm at rest and prompt in motion.

Comes in: an array of values and the time that passed. Goes out: the filtered array. Source: Casiez, Roussel, Vogel,
"1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems", CHI 2012.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


class OneEuro:
    """Filters arrays of one shape: (n,) each value by its own speed, (n, d) each row, a point, by its own speed.

    min_cutoff_hz: cut-off at rest, lower is calmer. beta: cut-off gained per unit of speed, higher is prompter.
    derivative_cutoff_hz: of the speed estimate. rest_speed: speed that noise alone makes, which counts as none. All
    four may be arrays that broadcast against the values.

    Differs from the paper's listing in three places. So that 15, 30 and 60 values a second give the same curve, the
    weight of a new value is exact for a first-order low-pass, `1 - exp(-2 pi cut-off dt)`, and speed is the
    difference to the last raw value, not to the filtered one. And `rest_speed`, 0 in the paper, keeps a noisy value
    calm at rest although `beta` is high.
    """

    def __init__(
        self,
        min_cutoff_hz: Values | float,
        beta: Values | float,
        derivative_cutoff_hz: Values | float = 1.0,
        rest_speed: Values | float = 0.0,
    ) -> None:
        self._min_cutoff_hz = np.asarray(min_cutoff_hz, np.float32)
        self._beta = np.asarray(beta, np.float32)
        self._derivative_cutoff_hz = np.asarray(derivative_cutoff_hz, np.float32)
        self._rest_speed = np.asarray(rest_speed, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forgets all values: as a new object."""
        self._raw: Values | None = None
        self._value: Values | None = None
        self._speed: Values = np.zeros(1, np.float32)

    def carry(self, step: Values) -> None:
        """Moves what is remembered by a step that is known: what follows is filtered as if it had not happened."""
        if self._raw is not None and self._value is not None:
            self._raw, self._value = self._raw + step, self._value + step

    def __call__(self, values: Values, dt_s: float, unit: Values | float = 1.0) -> Values:
        """The filtered values, `dt_s` seconds after the last ones.

        unit: how much of a value counts as one in speed, such as a face's height in pixels for its place; may be an
        array as the settings.
        The first values come back as they are; where no time passed, or it ran backwards, the last result does.
        """
        if self._raw is None or self._value is None:
            self._raw = self._value = np.array(values, np.float32)
            return self._value
        if dt_s <= 0:
            return self._value
        speed = np.asarray((values - self._raw) / np.float32(dt_s), np.float32)
        self._raw = np.array(values, np.float32)
        self._speed = self._speed + _weight(self._derivative_cutoff_hz, dt_s) * (speed - self._speed)
        magnitude = np.abs(self._speed)
        if values.ndim > 1:
            magnitude = np.sqrt(np.einsum("...i,...i", self._speed, self._speed))[..., None]
        moving = np.maximum(magnitude / np.asarray(unit, np.float32) - self._rest_speed, 0)
        cutoff_hz = self._min_cutoff_hz + self._beta * moving
        self._value = np.asarray(self._value + _weight(cutoff_hz, dt_s) * (values - self._value), np.float32)
        return self._value


def _weight(cutoff_hz: Values, dt_s: float) -> Values:
    """Weight of the new value, 0..1."""
    return np.asarray(-np.expm1(cutoff_hz * np.float32(-2 * np.pi * dt_s)), np.float32)
