"""Outlines of a face's parts, and what is round them, for telling which ink is whose.

Comes in: a face's points, in pixels of a small picture of its neighbourhood. Goes out: closed outlines in whole pixels,
all worked out at once, and boxes round them. Filter's thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import Box
from realtime.ink.measure import Floats, Points, vector
from realtime.landmarks import EYES, FACE_OVAL, LIPS_INNER, LIPS_OUTER_BOTTOM, LIPS_OUTER_TOP, EyePoints

CORE_WIDTH = 0.07  # eye widths beyond the lids within which no ink but the eye's own is kept
ABOVE, BELOW, ASIDE = 0.18, 0.12, 0.14  # the neighbourhood: eye widths beyond the lids
BAG = 0.32  # eye widths below the lids down to which bags are
BEYOND_LIPS = 0.022  # face widths
CHEEK = 0.3  # eye distances below the lids, about which lower rims lie
WITHIN_FACE = 0.92  # of the face's outline: beyond, ink is that of hair and ears

# Of an eye: between the lids; further and further round it; as NEAR, and down to where bags are; from the upper lid
# to there.
OPENING, CORE, NEAR, UNDER, HANGING, EYE_PARTS = range(6)
# Of the second eye the same again. Then the lips and what is just beyond; the gap between them; brows and lids; where
# the lower rims of glasses are, beside the nose, below the first eye, the second one.
LIPS, GAP, BROWS_AND_LIDS, *CHEEKS = range(2 * EYE_PARTS, 2 * EYE_PARTS + 5)


class _Vertex(NamedTuple):
    """A mesh point, and how far aside and down of it."""

    point: int
    aside: float = 0.0
    down: float = 0.0


def _round_eye(eye: EyePoints, above: float, below: float, aside: float = 0.0) -> list[_Vertex]:
    """The closed outline so many eye widths beyond the lids."""
    over = [_Vertex(int(point), 0.0, -above) for point in eye.upper_lid]
    if aside:
        over = [over[0]._replace(aside=-aside, down=0.0), *over, over[-1]._replace(aside=aside, down=0.0)]
    return over + [_Vertex(int(point), 0.0, below) for point in eye.lower_lid[::-1]]


def _chain(points: NDArray[np.intp], down: float = 0.0) -> list[_Vertex]:
    return [_Vertex(int(point), 0.0, down) for point in points]


def _parts() -> list[tuple[int, list[_Vertex]]]:
    """Each part: by which of the directions in `Outlines.of` it is moved, and its vertices."""
    beyond = ((0, 0), (CORE_WIDTH, CORE_WIDTH), (ABOVE, BELOW, ASIDE), (ABOVE, BAG, ASIDE), (0, BAG))
    parts = [(side, _round_eye(eye, *amounts)) for side, eye in enumerate(EYES) for amounts in beyond]
    first, last = int(LIPS_OUTER_TOP[0]), int(LIPS_OUTER_TOP[-1])
    top, bottom = _chain(LIPS_OUTER_TOP), _chain(LIPS_OUTER_BOTTOM[::-1])
    right = [_Vertex(last, 1, -1), _Vertex(last, 1, 1)]
    parts.append((2, [_Vertex(first, -1, -1), *top, *right, *bottom, _Vertex(first, -1, 1)]))
    parts.append((2, _chain(LIPS_INNER)))
    parts.append((2, [v for e in EYES for chain in (e.brow_bottom, e.lower_lid) for v in _chain(chain)]))
    return parts + [(3, _chain(e.lower_lid[2:-2], 1.0)) for e in EYES]


_PARTS = _parts()
_ENDS = [0, *accumulate(len(part) for _, part in _PARTS)]
_SLICES = [slice(*ends) for ends in pairwise(_ENDS)]
_DIRECTION = np.array([direction for direction, part in _PARTS for _ in part], np.intp)
_POINT = np.array([vertex.point for _, part in _PARTS for vertex in part], np.intp)
_ASIDE, _DOWN = np.array([vertex[1:] for _, part in _PARTS for vertex in part], np.float32).T[..., None]
# Corners of both eyes, outer and inner, corners of the mouth, irises.
_CORNERS = [corner for eye in EYES for corner in (eye.outer_corner, eye.inner_corner)]
_LANDMARKS = np.array([*_CORNERS, LIPS_OUTER_TOP[0], LIPS_OUTER_TOP[-1], *(eye.iris_centre for eye in EYES)], np.intp)
_SHRUNK = WITHIN_FACE * np.eye(len(FACE_OVAL), dtype=np.float32) + np.float32((1 - WITHIN_FACE) / len(FACE_OVAL))


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Of one face. widths: of both eyes, of the mouth. span: between the irises. All in pixels.

    places: (n, 2) all outlines, one after the other. oval: (36, 2) the face's own, a little within it.
    """

    widths: tuple[float, float, float]
    span: float
    places: NDArray[np.int32]
    oval: NDArray[np.int32]
    _least: list[list[int]]
    _most: list[list[int]]

    @classmethod
    def of(cls, points: Points, down: Floats, width: float, lips_beyond: float) -> Outlines:
        """points: (478, 2), plus a half. down: unit vector down the face. lips_beyond: mouth widths to each side."""
        *corners, iris, other_iris = points.take(_LANDMARKS, 0).tolist()
        chords = [(bx - ax, by - ay) for (ax, ay), (bx, by) in zip(corners[::2], corners[1::2], strict=True)]
        first, second, mouth = (max(math.hypot(*chord), 1e-3) for chord in chords)
        span = math.dist(iris, other_iris)
        towards = np.zeros((2, 4, 2), np.float32)
        towards[0, :3] = chords
        towards[0, 2] *= lips_beyond
        towards[1] = vector(first, second, BEYOND_LIPS * width, CHEEK * span)[:, None] * down
        aside, below = towards.take(_DIRECTION, 1)
        places = (points.take(_POINT, 0) + aside * _ASIDE + below * _DOWN).astype(np.int32)
        least, most = (of.reduceat(places, _ENDS[:-1]).tolist() for of in (np.minimum, np.maximum))
        oval = (_SHRUNK @ points.take(FACE_OVAL, 0)).astype(np.int32)
        return cls((first, second, mouth), span, places, oval, least, most)

    def __getitem__(self, part: int) -> NDArray[np.int32]:
        """(n, 2) closed."""
        return self.places[_SLICES[part]]

    def box(self, part: int, margin: float, shape: tuple[int, ...]) -> Box | None:
        """As `box_of` the part."""
        beyond = math.ceil(margin)
        (x0, y0), (x1, y1) = self._least[part], self._most[part]
        x0, y0 = max(x0 - beyond, 0), max(y0 - beyond, 0)
        x1, y1 = min(x1 + 1 + beyond, shape[1]), min(y1 + 1 + beyond, shape[0])
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None
