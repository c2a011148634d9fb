"""Brows: one tapered mass each, in the brow's own place, thickness and colour.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with both brows drawn. Filter's thread.

The mesh knows only about where a brow is. Luma across it, at stations along it, gives its centre line and thickness;
kept relative to the mesh and smoothed in time, they move with the face at once. Where hair or a hat covers a brow, or
it hardly differs from the skin, nothing is drawn.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.ink.canvas import Canvas, Overlay, box_of, curve
from realtime.ink.face import FaceSketch
from realtime.ink.measure import Points, length, lumas, smoothstep, smoothsteps, vector
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES

STATIONS = 9
# Places across the brow in halves of the mesh's thickness; above reaches further, a raised brow leaves the mesh.
ACROSS = np.linspace(-6.6, 2.1, 30, dtype=np.float32)
LIKELY = np.exp(-((ACROSS / 4.5) ** 2))  # where a brow may be expected
REACH = (-4.8, 0.8)  # how far the mass may lie from the mesh
LOOK_EVERY_S = 0.1  # of the source's time: kept relative to the mesh, a brow moves with it at once
SHAPE_TAU_S, COLOUR_TAU_S, VISIBLE_TAU_S, HEIGHT_TAU_S = 0.2, 0.6, 0.12, 8.0
TAPER = vector(0.14, 0.48, 0.78, 0.95, 1.0, 1.0, 0.98, 0.9, 0.62)  # thickness from the temple to the nose
COMMON = vector(0.5, 0.45, 0.42)  # a brow's colour over the skin's, until one was seen
CHAINS = np.array([[e.brow_top for e in EYES], [e.brow_bottom for e in EYES]])


def draw_brows(canvas: Canvas, face: FaceSketch, memory: FaceMemory) -> None:
    """Draws both brows."""
    top, bottom = curve(face.points.take(CHAINS, 0), STATIONS)  # (2, STATIONS, 2)
    half = (bottom - top) / 2
    middle = top + half
    # A brow seen from its end has no mass; one thinner than this in the mesh is measured as if it had this thickness.
    thin = np.maximum(np.hypot(half[..., :1], half[..., 1:]), 1e-3)
    half *= np.maximum(1, np.float32(0.016 * face.width) / thin)
    if memory.due("brows", LOOK_EVERY_S):
        _look(face, middle, half, memory)
    shapes = memory["brows"]
    if face.expression != 1:
        middle = middle + np.array([_raised(face, memory, middle[side], side) for side in range(2)])[:, None]
    outlines = _outlines(middle, half, shapes)
    shown = []
    for side, clear in enumerate(shapes[:, 2].sum(1).tolist()):
        visible = memory.ease_share(f"brow seen {side}", smoothstep(0.34, 0.56, clear / STATIONS), VISIBLE_TAU_S)
        long_enough = smoothstep(0.06, 0.12, length(middle[side, -1] - middle[side, 0]) / face.width)
        alpha = face.alpha * face.detail * visible * long_enough
        if alpha >= 0.01:
            shown.append((side, alpha))
    feather_px = 0.0022 * face.width
    around = outlines[[side for side, _ in shown]].reshape(-1, 2)
    box = box_of(around, 1 + 2.5 * feather_px, canvas.rgb.shape) if shown else None
    if box is None:
        return
    overlay = Overlay(box)
    for side, alpha in shown:
        tone = face.drawn(memory[f"brow colour {side}"] * face.photo_skin)
        overlay.fill(outlines[side], tone * np.float32(0.74) + face.ink * np.float32(0.12), 0.92 * alpha)
    overlay.put_on(canvas.rgb, feather_px)


def _raised(face: FaceSketch, memory: FaceMemory, middle: Points, side: int) -> Points:
    """(2,) px by which a brow is drawn further up than it is, for an exaggerated expression."""
    eye = EYES[side]
    lids = (face.points[eye.outer_corner] + face.points[eye.inner_corner]) / 2
    raised = float((middle.mean(0) - lids) @ face.down) / face.width
    usual = memory.ease_share(f"brow height {side}", raised, HEIGHT_TAU_S)
    return (face.expression - 1) * (raised - usual) * face.width * face.down


def _look(face: FaceSketch, middle: Points, half: Points, memory: FaceMemory) -> None:
    """Measures place, thickness and colour of both brows in this frame's photo: arrays are (2, STATIONS, ...)."""
    grid = (middle[:, :, None] + half[:, :, None] * ACROSS[:, None]).reshape(2 * STATIONS, len(ACROSS), 2)
    place = (grid - 0.5).astype(np.float32)
    colours = cv2.remap(face.photo, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    level = lumas(colours)
    skin = np.maximum(np.sort(level, 1)[:, int(0.85 * len(ACROSS))], 0.35 * face.photo_skin)
    dark = np.clip((skin[:, None] - level) / skin[:, None] - 0.07, 0, 1)
    # The temple's end may lie in the hair: the rest of the brow says how far all of it is from the mesh.
    for own in (dark[:STATIONS], dark[STATIONS:]):
        profile = np.convolve(own[2:].mean(0), (1, 2, 3, 3, 3, 2, 1), "same") * LIKELY
        own *= np.exp(-(((ACROSS - ACROSS[profile.argmax()]) / 1.4) ** 4))
    mass = dark.sum(1) + 1e-3
    centre = dark @ ACROSS / mass
    spread = np.sqrt((dark * (ACROSS - centre[:, None]) ** 2).sum(1) / mass)
    clear = smoothsteps(0.05, 0.22, dark.max(1))
    # Above the brow there has to be skin again: else it is hair, or the edge of a hat.
    at = np.clip(np.searchsorted(ACROSS, centre - 1.9), 1, len(ACROSS) - 2)
    rows = np.arange(2 * STATIONS)
    above = np.maximum(level[rows, at - 1], level[rows, at])
    clear = clear * smoothsteps(0.45, 0.75, above / np.maximum(0.5 * (skin + level[:, -3:].mean(1)), 1))
    # Below it as well: else it is a dark lens.
    clear = (clear * smoothsteps(0.28, 0.45, level[:, -4:].mean(1) / face.photo_skin)).reshape(2, STATIONS)
    believed = clear.mean(1)
    centre = np.clip(centre, *REACH).reshape(2, STATIONS) * np.minimum(clear / (believed[:, None] + 1e-3), 1)
    thick = np.clip(1.55 * spread, 0.4, 1.05).reshape(2, STATIONS)

    memory.ease("brows", _calm(np.stack([centre, thick, clear], 1)), SHAPE_TAU_S)
    weights = (dark * (level < skin[:, None] * 0.93)).reshape(2, -1)
    for side, (weight, seen) in enumerate(zip(weights, colours.reshape(2, -1, 3), strict=True)):
        total = float(weight.sum())
        if total > 0.2:
            tone = weight @ seen / (total * face.photo_skin)
            memory.ease(f"brow colour {side}", tone, COLOUR_TAU_S, float(believed[side]))
        else:
            memory.ease(f"brow colour {side}", COMMON, COLOUR_TAU_S, 0.05)


def _outlines(middle: Points, half: Points, shapes: Points) -> Points:
    """(2, n, 2) the closed outlines of the masses, round at the nose, pointed at the temple."""
    centre, thick, clear = shapes.swapaxes(0, 1)
    thick = thick * TAPER * np.sqrt(np.minimum(clear * np.float32(1.3), 1))
    edges = middle + half * np.array([centre - thick, centre + thick])[..., None]
    above, below = curve(edges, 21)
    return np.concatenate([above, below[:, ::-1]], 1)


def _calm(values: Points) -> Points:
    """(2, n, STATIONS) smoothed along the brows."""
    padded = np.concatenate([values[..., :1], values, values[..., -1:]], 2)
    return (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
