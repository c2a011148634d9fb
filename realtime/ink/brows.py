"""Brows: one tapered mass each, in the brow's own place, thickness and colour.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with both brows drawn. Filter's thread.

The mesh knows only about where a brow is. Luma across it, at stations along it, gives its centre line and thickness;
kept relative to the mesh and smoothed in time, they move with the face at once. Where hair or a hat covers a brow, or
it hardly differs from the skin, nothing is drawn.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.ink.canvas import Canvas, curve
from realtime.ink.face import FaceSketch
from realtime.ink.measure import Points, length, luma, smoothstep, smoothsteps, vector
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES, EyePoints

STATIONS = 9
# Places across the brow in halves of the mesh's thickness; above reaches further, a raised brow leaves the mesh.
ACROSS = np.linspace(-6.6, 2.1, 30, dtype=np.float32)
LIKELY = np.exp(-((ACROSS / 4.5) ** 2))  # where a brow may be expected
REACH = (-4.8, 0.8)  # how far the mass may lie from the mesh
LOOK_EVERY_S = 0.1  # of the source's time: kept relative to the mesh, a brow moves with it at once
SHAPE_TAU_S, COLOUR_TAU_S, VISIBLE_TAU_S, HEIGHT_TAU_S = 0.2, 0.6, 0.12, 8.0
TAPER = (0.14, 0.48, 0.78, 0.95, 1.0, 1.0, 0.98, 0.9, 0.62)  # thickness from the temple to the nose


def draw_brows(canvas: Canvas, face: FaceSketch, memory: FaceMemory) -> None:
    """Draws both brows."""
    for side, eye in enumerate(EYES):
        _draw_brow(canvas, face, memory, eye, side)


def _draw_brow(canvas: Canvas, face: FaceSketch, memory: FaceMemory, eye: EyePoints, side: int) -> None:
    top, bottom = (curve(face.points[chain], STATIONS) for chain in (eye.brow_top, eye.brow_bottom))
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    reach = length(middle[-1] - middle[0])
    # A brow seen from its end has no mass; one thinner than this in the mesh is measured as if it had this thickness.
    least = 0.016 * face.width
    thin = np.linalg.norm(half, axis=1, keepdims=True)
    half = half * np.maximum(1, least / np.maximum(thin, 1e-3))

    if memory.due(f"brow {side}", LOOK_EVERY_S):
        _look(face, middle, half, memory, side)
    shape, tone = memory[f"brow {side}"], memory[f"brow colour {side}"] * face.photo_skin
    seen = float(shape[2].mean())
    visible = memory.ease_share(f"brow seen {side}", smoothstep(0.34, 0.56, seen), VISIBLE_TAU_S)
    alpha = face.alpha * face.detail * visible * smoothstep(0.06, 0.12, reach / face.width)
    if alpha < 0.01:
        return
    colour = face.drawn(tone) * np.float32(0.74) + face.ink * np.float32(0.12)
    raised = (
        float((middle.mean(0) - face.points[[eye.outer_corner, eye.inner_corner]].mean(0)) @ face.down) / face.width
    )
    usual = memory.ease_share(f"brow height {side}", raised, HEIGHT_TAU_S)
    middle = middle + (face.expression - 1) * (raised - usual) * face.width * face.down
    canvas.fill(_outline(middle, half, shape), colour.astype(np.float32), 0.92 * alpha, 0.0022 * face.width)


def _look(face: FaceSketch, middle: Points, half: Points, memory: FaceMemory, side: int) -> None:
    """Measures the brow's place, thickness and colour in this frame's photo."""
    grid = middle[:, None] + half[:, None] * ACROSS[None, :, None]  # (stations, across, 2)
    place = grid.astype(np.float32) - 0.5
    colours = cv2.remap(
        face.photo, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    level = luma(colours)
    skin = np.maximum(np.sort(level, 1)[:, int(0.85 * len(ACROSS))], 0.35 * face.photo_skin)
    dark = np.clip((skin[:, None] - level) / skin[:, None] - 0.07, 0, 1)
    # The temple's end may lie in the hair: the rest of the brow says how far all of it is from the mesh.
    profile = np.convolve(dark[2:].mean(0), (1, 2, 3, 3, 3, 2, 1), "same") * LIKELY
    dark *= np.exp(-(((ACROSS - ACROSS[profile.argmax()]) / 1.4) ** 4))
    mass = dark.sum(1) + 1e-3
    centre = (dark * ACROSS).sum(1) / mass
    spread = np.sqrt((dark * (ACROSS - centre[:, None]) ** 2).sum(1) / mass)
    clear = smoothsteps(0.05, 0.22, dark.max(1))
    # Above the brow there has to be skin again: else it is hair, or the edge of a hat.
    place = np.clip(np.searchsorted(ACROSS, centre - 1.9), 1, len(ACROSS) - 2)
    rows = np.arange(STATIONS)
    above = np.maximum(level[rows, place - 1], level[rows, place])
    clear = clear * smoothsteps(0.45, 0.75, above / np.maximum(0.5 * (skin + level[:, -3:].mean(1)), 1))
    # Below it as well: else it is a dark lens.
    clear = clear * smoothsteps(0.28, 0.45, level[:, -4:].mean(1) / face.photo_skin)
    trust = clear / (clear.mean() + 1e-3)
    centre = np.clip(centre, *REACH) * np.minimum(trust, 1)
    thick = np.clip(1.55 * spread, 0.4, 1.05)

    memory.ease(f"brow {side}", _calm(np.stack([centre, thick, clear])), SHAPE_TAU_S)
    weight = dark * (level < skin[:, None] * 0.93)
    if weight.sum() > 0.2:
        tone = (colours * weight[..., None]).sum((0, 1)) / weight.sum()
        believed = float(clear.mean())
    else:
        tone, believed = vector(0.5, 0.45, 0.42) * face.photo_skin, 0.05
    memory.ease(f"brow colour {side}", tone / face.photo_skin, COLOUR_TAU_S, believed)


def _outline(middle: Points, half: Points, shape: Points) -> Points:
    """The closed outline of the mass, round at the nose, pointed at the temple."""
    centre, thick, clear = shape
    thick = thick * np.array(TAPER, np.float32) * np.sqrt(np.clip(clear * 1.3, 0, 1))
    upper = curve((middle + half * (centre - thick)[:, None]).astype(np.float32), 21)
    lower = curve((middle + half * (centre + thick)[:, None]).astype(np.float32), 21)
    return np.concatenate([upper, lower[::-1]])


def _calm(values: Points) -> Points:
    """(n, STATIONS) smoothed along the brow."""
    padded = np.concatenate([values[:, :1], values, values[:, -1:]], 1)
    return ((padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4).astype(np.float32)
