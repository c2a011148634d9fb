"""The 1-euro filter: a low-pass whose cut-off rises with speed, calm at rest and prompt in motion.

Comes in: an array of values and the time that passed. Goes out: the filtered array. Source: Casiez, Roussel, Vogel,
"1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems", CHI 2012.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float32]


class OneEuro:
    """Filters arrays of one shape, each value by itself or each row (point) by its own speed.

    min_cutoff_hz: cut-off at rest, lower is calmer. beta: cut-off gained per unit of speed, higher is prompter.
    derivative_cutoff_hz: of the speed estimate. All three may be arrays that broadcast against the values.
    """

    def __init__(
        self, min_cutoff_hz: Values | float, beta: Values | float, derivative_cutoff_hz: Values | float = 1.0
    ) -> None:
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta
        self._derivative_cutoff_hz = derivative_cutoff_hz
        self._value: Values | None = None
        self._speed: Values | None = None

    def __call__(self, values: Values, dt_s: float, unit: float = 1.0) -> Values:
        """The filtered values, `dt_s` seconds after the last; unchanged for the first, the last where no time passed.

        unit: how much of a value counts as one in speed, such as a face's height in pixels: so a far face is filtered
        like a near one.
        """
        if self._value is None or self._speed is None:
            self._value, self._speed = values, np.zeros_like(values)
            return values
        if dt_s <= 0:
            return self._value
        speed = (values - self._value) / np.float32(dt_s)
        self._speed = self._speed + _alpha(self._derivative_cutoff_hz, dt_s) * (speed - self._speed)
        magnitude = np.linalg.norm(self._speed, axis=-1, keepdims=True) if values.ndim > 1 else np.abs(self._speed)
        cutoff_hz = self._min_cutoff_hz + self._beta * magnitude / np.float32(unit)
        self._value = (self._value + _alpha(cutoff_hz, dt_s) * (values - self._value)).astype(np.float32)
        return self._value


def _alpha(cutoff_hz: ArrayLike, dt_s: float) -> Values:
    """Weight of the new value: 1 / (1 + tau / dt) with tau = 1 / (2 pi cut-off)."""
    turn = 2 * np.pi * np.asarray(cutoff_hz, np.float32) * np.float32(dt_s)
    return turn / (turn + 1)  # type: ignore[no-any-return]
