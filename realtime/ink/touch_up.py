"""How strong the drawn face is: the table [touch_up] of a style. No thread of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TouchUp:
    """How the live eyes, brows and mouth are drawn.

    weight: factor of all stroke widths. eye_scale: 0 eyes as large as they are, 1 modestly enlarged. lashes: 0 none, 1
    as dark as the person's own, above 1 darker. make_up: colour of the lips over the skin's: 0 none, 1 the person's
    own, above 1 stronger. opacity: how much all of it covers what was drawn before, 0 nothing to 1.
    """

    weight: float = 1.0
    eye_scale: float = 1.0
    lashes: float = 1.0
    make_up: float = 1.0
    opacity: float = 1.0
