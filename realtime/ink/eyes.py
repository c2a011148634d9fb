"""Eyes: lid opening, white, iris, lid lines, each eye by itself.

Comes in: a `FaceSketch`, its memory and a canvas. Goes out: the canvas with both eyes drawn. Main thread.

What is drawn stands where the person's own lids and iris stand; the enlargement is modest and goes to nothing as the
eye closes, so that a closed eye is one drawn line. Colours of iris and white are the photo's, in the drawing's light.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.ink.canvas import (
    Box,
    Canvas,
    Colour,
    Floats,
    Points,
    blend,
    box_of,
    coverage,
    curve,
    luma,
    sample,
    smoothstep,
    soft_coverage,
    vector,
)
from realtime.ink.face import FaceSketch
from realtime.ink.memory import FaceMemory
from realtime.landmarks import EYES, EyePoints, eye_openness
from realtime.types import GrayImage

CLOSED, OPEN = 0.05, 0.12  # lid distance over eye width: only a line below the first, a full eye above the second
WIDE = 0.28  # lid distance over eye width from which on an eye is enlarged in full
LID_GROWTH = (0.22, 0.10)  # upper and lower lid move out by this share of their distance from the eye's middle line
WIDTH_GROWTH = 1.05
IRIS_GROWTH = 1.14
IRIS_TAU_S, LIGHT_TAU_S, VISIBLE_TAU_S = 2.0, 0.5, 0.25
IRIS_OVER_SKIN = vector(0.42, 0.37, 0.33)  # dark brown: until an iris was seen well
COMMON_SKIN = vector(1.22, 0.95, 0.82)  # RGB over luma of skin in white light, the mean of many people
CREASE_AT = np.linspace(0.07, 0.34, 10, dtype=np.float32)  # places above the upper lid, in eye widths
CREASE_TAU_S = 0.4
SAMPLES = 25
# Lights in the eye: across and along the iris from its centre, size (all in radii), strength.
HIGHLIGHTS = ((-0.32, -0.36, 0.22, 0.95), (0.34, 0.36, 0.10, 0.7))
# Lid line from the outer corner to the inner one: place along the lid, share of the full width.
LID_PROFILE = ((-0.05, 0.05, 0.22, 0.45, 0.8, 1.0), (0.1, 0.75, 1.0, 0.95, 0.6, 0.2))


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """The geometry of one drawn eye; chains run from the outer corner to the inner one.

    upper, lower: (SAMPLES, 2) px, the lids to be drawn. own_upper, own_lower: the person's lids. right: unit vector
    from the picture-left corner to the picture-right one. down: unit vector across it. width: px between the corners.
    iris: centre. across, along: half axes of the iris ellipse, px vectors. openness: of the person's lids. opened: 0
    closed to 1.
    """

    upper: Points
    lower: Points
    own_upper: Points
    own_lower: Points
    right: NDArray[np.float32]
    down: NDArray[np.float32]
    width: float
    iris: NDArray[np.float32]
    across: NDArray[np.float32]
    along: NDArray[np.float32]
    openness: float
    opened: float

    @property
    def radius(self) -> float:
        """Of the iris, px."""
        return float(np.linalg.norm(self.along))


@dataclass(frozen=True, slots=True, eq=False)
class _Light:
    """The light on one eye. photo, drawing: RGB of the skin below it, in the photo and as the generator drew it."""

    photo: Colour
    drawing: Colour

    def drawn(self, photo_colour: Colour) -> Colour:
        """A colour of the photo as it looks in the drawing, in the light on this eye."""
        return np.minimum(photo_colour * np.clip((self.drawing + 4) / (self.photo + 4), 0.4, 6), 250)


def draw_eyes(canvas: Canvas, lines: GrayImage, face: FaceSketch, memory: FaceMemory, eye_scale: float) -> None:
    """Draws both eyes. `lines`: the generator's ink: glasses in it stay on top."""
    eyes = [_eye(face, points, eye_scale) for points in EYES]
    lights = [_light(face, eye, memory, side) for side, eye in enumerate(eyes)]
    seen = _evidence([_Cues.of(face, eye) for eye in eyes])
    _remember_iris(face, eyes, lights, seen, memory)
    for side, eye in enumerate(eyes):
        believed = max(eye.opened, 0.1)  # a blink is no time to judge
        visible = float(memory.ease(f"visible {side}", seen[side], VISIBLE_TAU_S, believed))
        # The far eye of a turned face gets narrow: below this it is only a blot.
        alpha = face.alpha * visible * smoothstep(0.09, 0.13, eye.width / face.width)
        if alpha > 0.01:
            iris = _iris_colour(lights[side], memory)
            white = _white_colour(face, eye, lights[side], seen[side], memory, side)
            _draw_eye(canvas, lines, face, eye, iris, white, alpha)
            _draw_crease(canvas, face, eye, memory, side, alpha * face.detail)


def _light(face: FaceSketch, eye: Eye, memory: FaceMemory, side: int) -> _Light:
    below = np.concatenate([eye.own_lower[4:-4:2] + eye.down * (eye.width * k) for k in (0.2, 0.3, 0.4)])
    photo, drawing = (np.median(sample(rgb, below), 0) for rgb in (face.photo, face.drawing))
    # Bags and rims of glasses lie there too: the cheeks and forehead have a say.
    photo = 0.65 * photo + 0.35 * face.skin / face.gain
    drawing = 0.65 * drawing + 0.35 * face.skin
    both = memory.ease(f"light {side}", np.stack([photo, drawing]), LIGHT_TAU_S)
    return _Light(np.maximum(both[0], 3), np.maximum(both[1], 3))


def _eye(face: FaceSketch, points: EyePoints, eye_scale: float) -> Eye:
    own_upper = curve(face.points[points.upper_lid], SAMPLES)
    own_lower = curve(face.points[points.lower_lid], SAMPLES)
    axis = own_upper[-1] - own_upper[0]
    width = max(float(np.linalg.norm(axis)), 1e-3)
    right = axis / width
    down = vector(-right[1], right[0])
    if down @ face.down < 0:
        down = -down
    if np.cross(right, down) < 0:  # the left eye's chain runs against the picture's x
        right = -right
    openness = eye_openness(face.points, points)
    opened = smoothstep(CLOSED, OPEN, openness)

    centre = (own_upper[0] + own_upper[-1]) / 2
    middle = (own_upper + own_lower) / 2
    grow = smoothstep(CLOSED, WIDE, openness) * eye_scale
    stretch = 1 + (WIDTH_GROWTH - 1) * grow
    upper = own_upper + (own_upper - middle) * (LID_GROWTH[0] * grow)
    lower = own_lower + (own_lower - middle) * (LID_GROWTH[1] * grow)
    upper, lower = (p + ((p - centre) @ right)[:, None] * right * (stretch - 1) for p in (upper, lower))

    ring = face.points[points.iris_ring]
    across, along = (ring[0] - ring[2]) / 2, (ring[3] - ring[1]) / 2
    radius = max(float(np.linalg.norm(across)), float(np.linalg.norm(along)))
    radius = float(np.clip(radius, 0.17 * width, 0.30 * width))
    narrow = float(np.clip(np.linalg.norm(across) / max(radius, 1e-3), 0.75, 1.0))
    size = radius * (1 + (IRIS_GROWTH - 1) * eye_scale)
    iris = face.points[points.iris_centre]
    iris = iris + ((iris - centre) @ right) * right * (stretch - 1)
    return Eye(
        upper, lower, own_upper, own_lower, right, down, width, iris, right * (size * narrow), down * (size * 1.04),
        openness, opened,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Cues:
    """What the photo shows where an eye should be, brightness over that of the face's skin.

    ring: the skin below the eye. likeness: correlation (-1..1) with a dark disc on a bright ground, where the iris
    should be. contrast: white minus iris. openness: 0 closed to 1.
    """

    ring: float
    likeness: float
    contrast: float
    opened: float

    @classmethod
    def of(cls, face: FaceSketch, eye: Eye) -> _Cues:
        below = np.concatenate([eye.own_lower[3:-3:3] + eye.down * (eye.width * k) for k in (0.18, 0.28, 0.38)])
        ring = min(float(np.median(luma(sample(face.photo, below)))) / face.photo_skin, 1.0)
        share = np.linspace(0.2, 0.85, 6, dtype=np.float32)[:, None, None]
        points = (eye.own_upper[2:-2] * (1 - share) + eye.own_lower[2:-2] * share).reshape(-1, 2)
        level = np.minimum(luma(sample(face.photo, points)) / face.photo_skin, 1.5)
        across = (points - eye.iris) @ eye.right / max(float(np.linalg.norm(eye.across)), 1e-3)
        along = (points - eye.iris) @ eye.down / max(eye.radius, 1e-3)
        radius = np.hypot(across, along) * IRIS_GROWTH
        disc = np.clip((radius - 0.75) / 0.4, 0, 1)
        a, b = disc - disc.mean(), level - level.mean()
        likeness = float((a * b).sum() / (np.sqrt((a * a).sum() * (b * b).sum()) + 1e-6))
        iris, white = level[radius < 0.75], level[radius > 1.15]
        seen = len(iris) > 2 and len(white) > 2
        contrast = float(np.percentile(white, 70) - np.median(iris)) if seen else 0.0
        return cls(ring, likeness, contrast, eye.opened)

    @property
    def score(self) -> float:
        """Above 0.1: most likely an uncovered eye. The weights were chosen on some hundred portraits."""
        skin = 1.6 * (self.ring - 0.5)
        pattern = 0.8 * self.likeness + 0.6 * float(np.clip(self.contrast, -0.3, 0.5))
        return skin + self.opened * pattern + (1 - self.opened) * 0.3  # closed: only the skin tells


def _evidence(cues: list[_Cues]) -> list[float]:
    """0..1 for each eye: how much the photo looks like an uncovered eye there.

    Dark glasses cover both eyes, so each eye has a say for the other, and skin that is very dark on one side hides
    both, unless an eye is unmistakable.
    """
    lit = smoothstep(0.22, 0.38, min(c.ring for c in cues))
    found = []
    for own, other in ((cues[0], cues[1]), (cues[1], cues[0])):
        clear = smoothstep(0.4, 0.6, own.likeness) * smoothstep(0.15, 0.3, own.contrast)
        found.append(max(lit, clear) * smoothstep(0.0, 0.12, 0.6 * own.score + 0.4 * other.score))
    return found


def _remember_iris(
    face: FaceSketch, eyes: list[Eye], lights: list[_Light], seen: list[float], memory: FaceMemory
) -> None:
    """Keeps the middle tone of both irises over the skin's, learnt from the frames that show them well.

    Over the skin's: so a lamp being switched on, or one that lights half the face, changes nothing in it.
    """
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False, dtype=np.float32)
    unit = np.concatenate([r * np.stack([np.cos(angles), np.sin(angles)], 1) for r in (0.5, 0.62, 0.74)]) / IRIS_GROWTH
    ratios, weight = np.zeros(3, np.float32), 0.0
    for eye, light, trust in zip(eyes, lights, seen, strict=True):
        points = eye.iris + unit @ np.stack([eye.across, eye.along])
        inside = _inside(eye, points, 0.05 * eye.width)
        share = float(inside.mean()) * trust * smoothstep(0.1, 0.2, eye.openness) * smoothstep(1.5, 4.0, eye.radius)
        if share > 0.05:
            found = sample(face.photo, points[inside])
            level = luma(found)
            low, high = np.percentile(level, (30, 80))  # lashes below, reflections and white above
            ratios += found[(level >= low) & (level <= high)].mean(0) / light.photo * share
            weight += share
    trust = smoothstep(0.05, 0.5, weight)
    ratio = IRIS_OVER_SKIN + trust * (ratios / max(weight, 1e-3) - IRIS_OVER_SKIN)
    memory.ease("iris", np.clip(ratio, 0.02, 1.5), IRIS_TAU_S, trust)


def _iris_colour(light: _Light, memory: FaceMemory) -> Colour:
    """RGB of the iris's middle tone in the drawing: a little more vivid than in the photo, never black or white."""
    ratio = memory["iris"]
    # Small dark irises come out of a camera as good as black: most of them are brown.
    dark = 0.5 * smoothstep(0.45, 0.22, float(luma(ratio)))
    brown = IRIS_OVER_SKIN * (luma(ratio) / luma(IRIS_OVER_SKIN))
    drawn = light.drawn((ratio + dark * (brown - ratio)) * light.photo)
    grey = float(luma(drawn))
    vivid = grey + (drawn - grey) * 1.45
    aim = float(np.clip(1.1 * grey, 34, 145))
    return np.clip(vivid * (aim / max(grey, 1.0)), 8, 215).astype(np.float32)


def _white_colour(face: FaceSketch, eye: Eye, light: _Light, trust: float, memory: FaceMemory, side: int) -> Colour:
    """RGB of the white in the drawing: the photo's where it can be seen, never much above the light on the lids."""
    level = float(luma(light.drawing))
    # What white paper would be in this light: paler than the skin, with the tint the light gives to common skin.
    # A black-and-white picture has no light to speak of.
    coloured = smoothstep(0.08, 0.3, 1 - float(light.drawing.min() / max(light.drawing.max(), 1.0)))
    tint = 1 + coloured * (np.clip(light.drawing / max(level, 1.0) / COMMON_SKIN, 0.25, 2.0) - 1)
    tint = tint / max(float(luma(tint)), 0.1)
    paper = (0.4 + 0.6 * tint) * (level + 0.50 * (250 - level)) * 0.86 + 0.14 * light.drawing
    inside = np.concatenate([eye.own_upper[3:-3] * (1 - k) + eye.own_lower[3:-3] * k for k in (0.4, 0.55, 0.7)])
    away = np.abs((inside - eye.iris) @ eye.right) > 1.1 * eye.radius / IRIS_GROWTH
    if away.sum() >= 4 and trust > 0.3:
        colours = sample(face.photo, inside[away])
        grey = luma(colours)
        measured = light.drawn(colours[grey >= np.percentile(grey, 60)].mean(0))
        aim = float(np.clip(luma(measured) * 1.12, 0.8 * level + 25, luma(paper)))
        # Reddened corners are not the white's colour: only its brightness is taken, with a trace of its hue.
        measured = 0.75 * paper * (aim / max(float(luma(paper)), 1.0)) + 0.25 * measured
        paper = 0.35 * paper + 0.65 * measured
    return memory.ease(f"white {side}", np.clip(paper, 0, 246), LIGHT_TAU_S)


def _inside(eye: Eye, points: Points, margin: float) -> NDArray[np.bool_]:
    """Which points lie between the person's lids, `margin` px from them."""
    origin = eye.own_upper[0]
    axis = eye.right if (eye.own_upper[-1] - origin) @ eye.right > 0 else -eye.right
    x = (points - origin) @ axis
    y = (points - origin) @ eye.down
    upper = np.interp(x, (eye.own_upper - origin) @ axis, (eye.own_upper - origin) @ eye.down)
    lower = np.interp(x, (eye.own_lower - origin) @ axis, (eye.own_lower - origin) @ eye.down)
    inside: NDArray[np.bool_] = (y > upper + margin) & (y < lower - margin) & (x > 0) & (x < eye.width)
    return inside


def _draw_eye(
    canvas: Canvas, lines: GrayImage, face: FaceSketch, eye: Eye, iris: Colour, white: Colour, alpha: float
) -> None:
    around = np.concatenate([eye.upper, eye.lower])
    box = box_of(around, 0.22 * eye.width + 4, canvas.rgb.shape)
    if box is None:
        return
    _clean(canvas, eye, box, alpha)
    if eye.opened > 0.01:
        _draw_ball(canvas, face, eye, iris, white, alpha * smoothstep(0.0, 0.5, eye.opened))
    _draw_lids(canvas, face, eye, alpha)
    _keep_glasses(canvas, lines, eye, box)


def _clean(canvas: Canvas, eye: Eye, box: Box, alpha: float) -> None:
    """Takes the generator's thin dark lines off the lids' edges: the drawn ones replace them."""
    x0, y0, x1, y1 = box
    size = int(np.clip(0.14 * eye.width, 3, 41)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    part = canvas.before[y0:y1, x0:x1]
    cleaned = cv2.morphologyEx(part, cv2.MORPH_CLOSE, kernel)
    cleaned = cv2.blur(cleaned, (size // 2 | 1, size // 2 | 1))
    reach = eye.down * (0.08 * eye.width)
    zone = soft_coverage(np.concatenate([eye.upper - reach, (eye.lower + reach)[::-1]]), box, 0.025 * eye.width)
    blend(canvas.rgb[y0:y1, x0:x1], cleaned, zone, alpha)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _iris_texture() -> NDArray[np.uint8]:
    """(128, 128, 2) u8: tone of the iris (0 pupil, 60 rim, 128 its colour, 255 its light) and coverage.

    A comic's iris: dark rim and pupil, upper half in the lid's shade, light gathering in the lower half.
    """
    side = 128
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side * 2.2 - 1.1
    x, y = np.meshgrid(axis, axis)
    radius = np.hypot(x, y)

    def step(low: float, high: float, value: Floats) -> Floats:
        t = np.clip((value - low) / (high - low), 0, 1)
        return (t * t * (3 - 2 * t)).astype(np.float32)

    tone = 78 + 62 * step(-0.45, 0.25, y)
    glow = step(0.62, 0.38, np.hypot(x / 1.15, (y - 0.42) / 0.8))
    tone = tone + glow * (235 - tone)
    tone = tone + step(0.76, 0.93, radius) * (45 - tone)
    tone = tone + step(0.46, 0.36, radius) * (0 - tone)
    cover = step(1.02, 0.98, radius) * 255
    return np.stack([tone, cover], 2).astype(np.uint8)


def _iris_table(iris: Colour, ink: Colour) -> NDArray[np.float32]:
    """(256, 3) RGB of the texture's tones."""
    stops = np.stack([ink * 0.55, ink * 0.5 + iris * 0.28, iris * 0.86, np.minimum(iris * 1.55 + 16, 245)])
    at = np.arange(256)
    return np.stack([np.interp(at, (0, 50, 130, 255), stops[:, c]) for c in range(3)], 1).astype(np.float32)


def _draw_ball(canvas: Canvas, face: FaceSketch, eye: Eye, iris: Colour, white: Colour, alpha: float) -> None:
    """White, iris, highlights and the upper lid's shadow, clipped by the lids."""
    outline = np.concatenate([eye.upper, eye.lower[::-1]])
    box = box_of(outline, 2, canvas.rgb.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    scale = 2 if eye.width < 160 else 1
    size = ((x1 - x0) * scale, (y1 - y0) * scale)
    ball = np.empty((size[1], size[0], 3), np.float32)
    ball[:] = white

    texture = _iris_texture()
    half = texture.shape[0] / 2
    unit = half / 1.1  # texture pixels that make one iris radius
    matrix = np.empty((2, 3), np.float32)
    matrix[:, 0], matrix[:, 1] = eye.across * (scale / unit), eye.along * (scale / unit)
    centre = (eye.iris - vector(x0, y0)) * scale - 0.5
    matrix[:, 2] = centre - matrix[:, :2] @ vector(half - 0.5, half - 0.5)
    shrink = eye.radius * scale / unit
    if shrink < 0.6:  # fewer pixels than the texture has: average first, or the rim breaks up
        texture = cv2.blur(texture, (int(1 / shrink) | 1,) * 2)  # type: ignore[assignment]
    painted = cv2.warpAffine(texture, matrix, size, flags=cv2.INTER_LINEAR)
    share = painted[..., 1:].astype(np.float32) * np.float32(1 / 255)
    ball += (_iris_table(iris, face.ink)[painted[..., 0]] - ball) * share

    # The upper lid's shadow lies on white and iris.
    gap = eye.openness * eye.width
    depth = eye.down * (0.22 * gap)
    shadow = np.concatenate([eye.upper - depth, (eye.upper + depth * 1.25)[::-1]])
    mask = cv2.blur(coverage(shadow, box, scale), (max(int(0.05 * eye.width * scale), 1) | 1,) * 2)
    tint = vector(0.60, 0.56, 0.58) - 1
    ball *= 1 + tint * (mask * np.float32(1 / 255))[..., None]

    _draw_highlights(ball, face, eye, box, scale)

    inside = coverage(outline, box, scale)
    if scale > 1:
        ball = cv2.resize(ball, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        inside = cv2.resize(inside, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    blend(canvas.rgb[y0:y1, x0:x1], ball, inside, alpha)  # type: ignore[arg-type]


def _draw_highlights(ball: NDArray[np.float32], face: FaceSketch, eye: Eye, box: Box, scale: int) -> None:
    """One large light above, one small below on the other side: the same in both eyes, as from one window."""
    bright = vector(255, 253, 250) * np.float32(np.clip(0.62 + face.skin_luma / 400, 0.7, 1.0))
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False, dtype=np.float32)
    for across, along, size, strength in HIGHLIGHTS[: 2 if eye.radius > 3.5 else 1]:
        radius = max(size * eye.radius, 0.7)
        centre = eye.iris + across * eye.across + along * eye.along
        if along < 0:  # a lowered lid must not put the light out at once: it slides down with it
            nearest = np.argmin(np.abs((eye.upper - centre) @ eye.right))
            room = float((centre - eye.upper[nearest]) @ eye.down)
            centre = centre + eye.down * float(np.clip(1.15 * radius - room, 0, 0.5 * eye.radius))
        spot = centre + radius * np.stack([np.cos(angles), 1.15 * np.sin(angles)], 1)
        share = coverage(spot.astype(np.float32), box, scale)[..., None] * np.float32(strength / 255)
        ball += (bright - ball) * share


def _draw_lids(canvas: Canvas, face: FaceSketch, eye: Eye, alpha: float) -> None:
    ink = face.ink
    foreshort = float(np.clip(eye.width / (0.2 * face.width), 0.5, 1.1))
    full = face.stroke_px(19) * foreshort
    # Lashes as the person has them: how dark the photo is along the lid.
    edge = np.concatenate([eye.own_upper[3:-6] - eye.down * (k * eye.width) for k in (-0.02, 0.02, 0.06)])
    lashes = float(np.clip(1 - np.median(luma(sample(face.photo, edge))) / face.photo_skin, 0.2, 0.9))
    full *= 0.5 + 0.95 * lashes

    tail = (
        eye.upper[0]
        + (eye.upper[0] - eye.upper[2]) / (np.linalg.norm(eye.upper[0] - eye.upper[2]) + 1e-6) * (0.05 * eye.width)
        + eye.down * (0.012 * eye.width)
    )
    path = np.concatenate([tail[None], eye.upper]).astype(np.float32)
    at = np.concatenate([[-0.05], np.linspace(0, 1, SAMPLES)])
    widths = (full * np.interp(at, *LID_PROFILE)).astype(np.float32)
    path = path - eye.down * (0.25 * widths[:, None])
    canvas.stroke(path, widths, ink, alpha)

    if face.detail > 0:
        part = eye.lower[1:16]
        t = np.linspace(0, 1, len(part))
        widths = (full * 0.36 * np.sin(np.pi * (0.1 + 0.85 * t)) ** 0.8).astype(np.float32)
        canvas.stroke(part, widths, ink + 0.30 * (face.skin - ink), alpha * face.detail * 0.75 * eye.opened)


def _draw_crease(canvas: Canvas, face: FaceSketch, eye: Eye, memory: FaceMemory, side: int, alpha: float) -> None:
    """The fold above the upper lid, where the photo has one: a dark valley between lid and brow."""
    path = eye.upper[3:-2:2]
    across = CREASE_AT[:, None, None] * (eye.width * -eye.down)
    level = luma(sample(face.photo, (path + across).reshape(-1, 2)).reshape(len(CREASE_AT), len(path), 3))
    level = np.minimum(cv2.blur(level, (3, 3)), 1.3 * face.photo_skin)
    below = np.maximum.accumulate(level, 0)
    above = np.maximum.accumulate(level[::-1], 0)[::-1]
    valley = np.minimum(below, above) - level
    at = CREASE_AT[valley.argmax(0)]
    depth = valley.max(0) / face.photo_skin
    strength = smoothstep(0.015, 0.08, float(np.median(depth)))
    believed = depth + 1e-4
    height, slope = _weighted_line(np.linspace(-1, 1, len(path)), at, believed)
    placed = memory.ease(f"crease {side}", (height, slope, strength), CREASE_TAU_S, 0.2 + 0.8 * strength)
    if placed[2] * alpha < 0.03:
        return
    t = np.linspace(-1, 1, len(path))
    lift = np.clip(placed[0] + placed[1] * t, CREASE_AT[0], CREASE_AT[-1]) * (1 - 0.25 * t**2)
    line = path - eye.down * (eye.width * lift[:, None])
    line = curve(line.astype(np.float32), SAMPLES)
    t = np.linspace(0, 1, SAMPLES)
    widths = (face.stroke_px(7) * np.sin(np.pi * (0.06 + 0.9 * t)) ** 0.7).astype(np.float32)
    canvas.stroke(line, widths, face.ink + 0.22 * (face.skin - face.ink), 0.7 * alpha * float(placed[2]))


def _weighted_line(x: Points, y: Points, weight: Points) -> tuple[float, float]:
    """Value at 0 and slope of the straight line nearest to the weighted points."""
    total = weight.sum()
    mean_x, mean_y = (x * weight).sum() / total, (y * weight).sum() / total
    slope = (weight * (x - mean_x) * (y - mean_y)).sum() / ((weight * (x - mean_x) ** 2).sum() + 1e-6)
    slope = float(np.clip(slope, -0.06, 0.06))
    return float(mean_y - slope * mean_x), slope


def _keep_glasses(canvas: Canvas, lines: GrayImage, eye: Eye, box: Box) -> None:
    """Puts the generator's ink back where it is no part of the eye: rims, straps, strands of hair."""
    x0, y0, x1, y1 = box
    ink = lines[y0:y1, x0:x1]
    if not ink.any():
        return
    reach = eye.down * (0.12 * eye.width)
    own = soft_coverage(np.concatenate([eye.upper - reach, (eye.lower + reach)[::-1]]), box, 0.02 * eye.width)
    keep = cv2.subtract(ink, cv2.convertScaleAbs(own, alpha=1.6))
    blend(canvas.rgb[y0:y1, x0:x1], canvas.before[y0:y1, x0:x1], keep, 1.0)  # type: ignore[arg-type]
