"""What the photo tells about an eye: whether one is to be seen at all, the light on it, iris and white.

Comes in: a `FaceSketch`, an `Eye`, the face's memory. Goes out: shares and colours for the drawing. Filter's thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from realtime.ink.eye_shape import IRIS_GROWTH, Eye, inside_lids
from realtime.ink.face import FaceSketch
from realtime.ink.measure import (
    Colour,
    Floats,
    clamp,
    length,
    luma,
    middle_colour,
    quantile,
    sample,
    smoothstep,
    vector,
)
from realtime.ink.memory import FaceMemory

GLARE = (1.0, 1.2)  # white minus iris over the skin's brightness
NO_DISC = (0.45, 0.3)  # likeness: beside dark skin a white is as bright as a lens's glare, but has an iris in it
LENS = (0.20, 0.28)  # luma of the skin below the less dark eye over that of bare skin: dark glasses below
BARE = np.array([4, 5, 195, 36, 266, 50, 280, 205, 425], np.intp)  # nose and cheeks, mostly below glasses
BLUE_IRIS = (1.1, 1.25)  # blue over red of an iris over that of the white
IRIS_TAU_S, LIGHT_TAU_S = 2.0, 0.5
REFLECTING = 1.3  # blue over red of one iris over that of the other
BLUER = (1.08, 1.3)  # blue over red, over the skin's
PALE = (0.31, 0.43)  # luma of an iris over the white's, or the fairer skin's: brown below, blue, grey or green above
OVER_WHITE, EASIER = (1.0, 1.15), 0.08  # blue over red, over the white's: so blue an iris is pale from less luma on
DARK_BLUE = (0.15, 0.25)  # level from which a dark iris that is so blue is a blue one: a black one mirrors the sky
PALER = (0.45, 0.53)  # so pale is none that is brown, unless it is as warm as amber:
AMBER = (0.8, 0.95)  # blue over red, over the skin's
DEEP_LUMA, DEEP_VIVID = (175, 145), (0.45, 0.62)  # luma and (red - blue) / luma of drawn skin: fair to deep
GREEN = (1.0, 1.1)  # green over red of an iris: one less green in a face of deep skin is brown, a dark or a shining one
PLAIN_VIVID, PLAIN_IRIS = (0.16, 0.08), (0.45, 0.25)  # (highest - lowest) / luma in black and white: skin, and iris
IRIS_OVER_SKIN = vector(0.42, 0.37, 0.33)  # dark brown: until an iris was seen well
LAMP = (0.3, 0.7)  # by how much the colour of skin differs from the common one in plain and in coloured light
COMMON_SKIN = vector(1.22, 0.95, 0.82)  # RGB over luma of skin in white light, the mean of many people
_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False, dtype=np.float32)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
IRIS_POINTS = np.concatenate([r * _CIRCLE for r in (0.5, 0.62, 0.74)]) / IRIS_GROWTH  # in radii of the drawn iris
LID_SHARES = np.linspace(0.2, 0.85, 6, dtype=np.float32)[:, None, None]  # between upper and lower lid


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """The light on one eye. photo, drawing: RGB of the skin below it, in the photo and as the generator drew it."""

    photo: Colour
    drawing: Colour

    def drawn(self, photo_colour: Colour) -> Colour:
        """A colour of the photo as it looks in the drawing, in the light on this eye."""
        return np.minimum(photo_colour * np.clip((self.drawing + 4) / (self.photo + 4), 0.4, 6), 250)


def light_on(face: FaceSketch, eye: Eye, memory: FaceMemory, side: int) -> Light:
    """The light on one eye, measured on the skin below it and smoothed in time."""
    below = np.concatenate([eye.own_lower[4:-4:2] + eye.down * (eye.width * k) for k in (0.2, 0.3, 0.4)])
    photo, drawing = (middle_colour(sample(rgb, below)) for rgb in (face.photo, face.drawing))
    # Bags and rims of glasses lie there too: the cheeks and forehead have a say.
    photo = 0.65 * photo + 0.35 * face.photo_colour
    drawing = 0.65 * drawing + 0.35 * face.skin
    memory.ease(f"light {side}", [photo, drawing], LIGHT_TAU_S)
    return light_of(memory, side)


def light_of(memory: FaceMemory, side: int) -> Light:
    """The light on one eye as it is remembered."""
    both = memory[f"light {side}"]
    return Light(np.maximum(both[0], 3), np.maximum(both[1], 3))


@dataclass(frozen=True, slots=True)
class Cues:
    """What the photo shows where an eye should be, brightness over that of the face's skin.

    ring: the skin below the eye. foreign: how far its hue is from the skin's. likeness: correlation (-1..1) with a dark
    disc on a bright ground, or a blue one on a less blue ground, where the iris should be. contrast: white minus iris.
    plain: 1 where nothing stands out between the lids. opened: 0 closed to 1. bare: ring over that of nose and cheeks.
    """

    ring: float
    bare: float
    foreign: float
    likeness: float
    contrast: float
    plain: float
    opened: float

    @classmethod
    def of(cls, face: FaceSketch, eye: Eye, bare: float) -> Cues:
        """Measured in this frame's photo. bare: `bare_luma` of this face."""
        below = np.concatenate([eye.own_lower[3:-3:3] + eye.down * (eye.width * k) for k in (0.18, 0.28, 0.38)])
        colours = sample(face.photo, below)
        skin, middle = quantile(luma(colours), 0.5), middle_colour(colours)
        hues = middle / max(float(luma(middle)), 8.0) - face.photo_colour / face.photo_skin
        points = (eye.own_upper[2:-2] * (1 - LID_SHARES) + eye.own_lower[2:-2] * LID_SHARES).reshape(-1, 2)
        between = sample(face.photo, points)
        level = np.minimum(luma(between) / face.photo_skin, 1.5)
        away = level - level.sum() / level.size
        spread = math.sqrt(float(away @ away) / level.size)
        plain = smoothstep(0.09, 0.05, spread) * smoothstep(9, 15, eye.width)  # small eyes are blurred
        points = points - eye.iris
        across = points @ eye.right / max(length(eye.across), 1e-3)
        along = points @ eye.down / max(eye.radius, 1e-3)
        radius = np.hypot(across, along) * IRIS_GROWTH
        disc = np.clip((radius - 0.75) / 0.4, 0, 1)
        likeness = _correlation(disc, level)
        iris, white = radius < 0.75, radius > 1.15
        contrast = 0.0
        if iris.sum() > 2 and white.sum() > 2:
            contrast = quantile(level[white], 0.7) - quantile(level[iris], 0.5)
            # A light iris is hardly darker than the white, but bluer.
            bluer = between[:, 2] / np.maximum(between[:, 0], 8)
            share = smoothstep(*BLUE_IRIS, quantile(bluer[iris], 0.5) / max(quantile(bluer[white], 0.5), 0.05))
            likeness = max(likeness, share * -_correlation(disc, bluer))
        return cls(
            min(skin / face.photo_skin, 1.0), skin / max(bare, 8.0), float(np.abs(hues).max()), likeness, contrast,
            plain, eye.opened,
        )  # fmt: skip

    @property
    def score(self) -> float:
        """Above 0.1: most likely an uncovered eye. The weights were chosen on some hundred portraits."""
        skin = 1.6 * (self.ring - 0.5) - 3 * clamp(self.foreign - 0.25, 0, 0.5)  # a mirror's hue is no skin's
        pattern = 0.8 * self.likeness + 0.6 * clamp(self.contrast, -0.3, 0.5)
        return skin + self.opened * pattern + (1 - self.opened) * 0.3  # closed: only the skin tells

    @property
    def hidden(self) -> float:
        """0..1: how surely landmarks put an open eye where there is one plain patch: a hand, or a made-up lid."""
        shapeless = max(smoothstep(0.3, 0.1, self.likeness), smoothstep(0.1, 0.05, self.contrast))
        return self.opened * shapeless * self.plain


def bare_luma(face: FaceSketch) -> float:
    """Of nose and cheeks in the photo, mostly below glasses."""
    return quantile(luma(sample(face.photo, face.points.take(BARE, 0))), 0.7)


def _correlation(a: Floats, b: Floats) -> float:
    """Pearson's r; 0 where one is constant."""
    a, b = a - a.sum() / a.size, b - b.sum() / b.size
    return float((a * b).sum() / (np.sqrt((a * a).sum() * (b * b).sum()) + 1e-6))


def evidence(cues: list[Cues]) -> list[float]:
    """0..1 for each eye: how much the photo looks like an uncovered eye there.

    Dark glasses cover both eyes, so each eye has a say for the other, and skin that is very dark on one side hides
    both, unless an eye is unmistakable; but skin that is so much darker round both than nose and cheeks lies behind a
    lens, even where an eye shines through. A lens's glare is brighter than most whites, and no ring round an iris.
    """
    lit = smoothstep(0.22, 0.38, min(c.ring for c in cues))
    glare = max(smoothstep(*GLARE, c.contrast) * smoothstep(*NO_DISC, c.likeness) for c in cues)
    bare = smoothstep(*LENS, max(c.bare for c in cues))
    found = []
    for own, other in ((cues[0], cues[1]), (cues[1], cues[0])):
        clear = smoothstep(0.4, 0.6, own.likeness) * smoothstep(0.15, 0.3, own.contrast)
        uncovered = smoothstep(0.0, 0.12, 0.6 * own.score + 0.4 * other.score)
        found.append(max(lit, clear) * uncovered * (1 - own.hidden) * (1 - glare) * bare)
    return found


def remember_iris(
    face: FaceSketch, eyes: list[Eye], lights: list[Light], seen: list[float], memory: FaceMemory
) -> None:
    """Keeps the middle tone of both irises over the skin's, learnt from the frames that show them well.

    Over the skin's: so a lamp being switched on, or one that lights half the face, changes nothing in it.
    """
    found_in: list[tuple[float, Colour]] = []
    sure = 0.0
    bright = memory.get("white level", 1.0)
    for eye, light, trust in zip(eyes, lights, seen, strict=True):
        points = eye.iris + IRIS_POINTS @ np.array([eye.across, eye.along])
        inside = inside_lids(eye, points, 0.05 * eye.width)
        share = float(inside.mean()) * smoothstep(0.45, 0.85, eye.share) * smoothstep(1.5, 4.0, eye.radius)
        if share > 0.05:
            found = sample(face.photo, points[inside])
            level = luma(found)
            low, high = quantile(level, 0.3), quantile(level, 0.8)  # lashes below, reflections and white above
            found = found[(level >= low) & (level <= high)]
            # A small light iris is mixed with skin and lashes, which are less blue than it.
            blue = found[:, 2] / np.maximum(found[:, 0], 1)
            bluest = found[blue >= quantile(blue, 0.5)].mean(0)
            pale = smoothstep(*PALE, low / float(luma(light.photo)) / bright)
            found = found.mean(0)
            ratio = (found + pale * (bluest - found)) / light.photo
            # A light iris is no dark disc, but no skin, lid or lash is so much bluer than the skin round it.
            bluer = pale * smoothstep(*BLUER, float(ratio[2] / max(ratio[0], 0.02)))
            sure += share * max(trust, smoothstep(6, 10, eye.radius))  # one that is large is seen anyway
            share *= max(trust, bluer, 0.5 * smoothstep(6, 10, eye.radius))
            found_in.append((share, ratio))
    if len(found_in) == 2:  # one that is much bluer than the other shows a reflection of a screen or the sky
        over_red = [float(ratio[2] / max(ratio[0], 0.02)) for _, ratio in found_in]
        if max(over_red) > REFLECTING * min(over_red):
            found_in = [found_in[over_red.index(min(over_red))]]
    weight = sum(share for share, _ in found_in)
    ratios = sum((share * ratio for share, ratio in found_in), np.zeros(3, np.float32))
    trust = smoothstep(0.05, 0.5, max(weight, sure))
    ratio = IRIS_OVER_SKIN + trust * (ratios / max(weight, 1e-3) - IRIS_OVER_SKIN)
    memory.ease("iris", np.clip(ratio, 0.02, 1.5), IRIS_TAU_S, trust)


def _white_lit(skin: Colour, white_bluer: float) -> Colour:
    """RGB of skin of that brightness in white light; a coloured lamp's light stays as it is.

    Ruddy skin and a warm room make a grey iris brown by the numbers, while to the eye it is grey. white_bluer: blue
    over red of the white over the skin's. Between common skin and what this one is where the white is colourless.
    """
    level = max(float(luma(skin)), 1.0)
    bluer = (COMMON_SKIN[0] / COMMON_SKIN[2] / white_bluer) ** 0.25
    common = COMMON_SKIN * vector(1 / bluer, 1, bluer)
    common *= level / luma(common)
    tinted = smoothstep(*LAMP, float(np.abs(skin / level / COMMON_SKIN - 1).max()))
    return (common + tinted * (skin - common)).astype(np.float32)


def _vivid(colour: Colour) -> float:
    """Highest minus lowest channel over luma."""
    return float(np.ptp(colour)) / max(float(luma(colour)), 1.0)


def iris_colour(face: FaceSketch, light: Light, memory: FaceMemory) -> Colour:
    """RGB of the iris's middle tone in the drawing: a little more vivid than in the photo, never black or white."""
    ratio = memory["iris"]
    level = float(luma(ratio)) / memory.get("white level", 1.0)
    # In deep skin a black iris is nearly as bright as the skin, and less red than it: that makes none grey or blue.
    seen = ratio * light.photo
    deep = smoothstep(*DEEP_LUMA, face.skin_luma) * smoothstep(*DEEP_VIVID, _vivid(face.skin))
    deep *= smoothstep(*GREEN[::-1], float(seen[1] / max(seen[0], 1.0)))
    bluer, white_bluer = float(ratio[2] / max(ratio[0], 0.02)), memory.get("white bluer", 1.0)
    blue = smoothstep(*OVER_WHITE, bluer / white_bluer)
    light_one = smoothstep(*PALE, level + EASIER * blue)
    pale = light_one * (1 - deep)
    cool = pale * max(blue, smoothstep(1.0, 1.2, bluer), smoothstep(*PALER, level) * smoothstep(*AMBER, bluer))
    # Small dark irises come out of a camera as good as black: most of them are brown.
    dark = 0.5 * max(smoothstep(0.45, 0.22, min(float(luma(ratio)), 1.3 * level)), deep)
    colourless = smoothstep(*PLAIN_VIVID, _vivid(light.photo))
    dark *= smoothstep(0.1, 0.25, 1 - float(light.photo.min() / light.photo.max()))  # but in a picture without colour
    dark *= 1 - (1 - deep) * blue * smoothstep(*DARK_BLUE, level)
    brown = IRIS_OVER_SKIN * (luma(ratio) / luma(IRIS_OVER_SKIN))
    # The generator makes skin more vivid; an iris keeps its hue, so most of the gain is the brightness's alone.
    lit = light.photo + pale * (_white_lit(light.photo, white_bluer) - light.photo)
    photo = (ratio + dark * (brown - ratio)) * lit
    brighter = photo * (luma(light.drawing) / luma(light.photo))
    drawn = brighter + 0.3 * (light.drawn(photo) - brighter)
    red, green, blue = (float(v) for v in drawn)
    if red > green:
        # A brown iris in poor light looks pink to a camera. None is, but for a joke's vivid red; a grey one stays grey.
        warmth = red / max(green, 1.0)
        brown_share = smoothstep(2.2, 1.7, warmth) * smoothstep(1.03, 1.18, warmth)
        # But one that is pale and less red than the skin it lies in is blue or grey, however warm the light.
        brown_share *= 1 - cool
        allowed = vector(min(red, 1.45 * green), green, min(blue, 0.82 * green))
        drawn = drawn + brown_share * (allowed - drawn)
    if drawn[1] < min(drawn[0], drawn[2]):  # nor is one pink: that is a reflection, or skin seen with it
        drawn[1] += (
            0.8 * smoothstep(1.8, 1.3, float(max(drawn) / max(drawn[1], 1))) * (min(drawn[0], drawn[2]) - drawn[1])
        )
    grey = float(luma(drawn))
    vivid = grey + (drawn - grey) * 1.4
    # Pale but as warm as skin: a brown one, seen with the skin round it.
    aim = clamp((1.1 + 0.25 * cool - 0.35 * (light_one - cool)) * grey, 34, 155)
    # Nor has it a colour in a black-and-white picture, but for one whose eyes were left or painted in.
    vivid = vivid + colourless * smoothstep(*PLAIN_IRIS, _vivid(seen)) * (grey - vivid)
    return np.clip(vivid * (aim / max(grey, 1.0)), 8, 215).astype(np.float32)


def remember_white(face: FaceSketch, eye: Eye, light: Light, trust: float, memory: FaceMemory, side: int) -> None:
    """Keeps the RGB of the white in the drawing, "white {side}".

    It is the photo's where it can be seen, never much above the light on the lids.
    """
    level = float(luma(light.drawing))
    # What white paper would be in this light: paler than the skin, with the tint the light gives to common skin.
    tint = np.clip(light.drawing / max(level, 1.0) / COMMON_SKIN, 0.25, 2.0)
    # People's skins differ, and a black-and-white picture has none: only a coloured lamp goes beyond that.
    tint = 1 + smoothstep(0.25, 0.6, float(np.abs(tint - 1).max())) * (tint - 1)
    tint = tint / max(float(luma(tint)), 0.1)
    paper = vector(1, 0.985, 0.975) * (0.4 + 0.6 * tint) * (level + 0.46 * (250 - level)) * 0.83 + 0.17 * light.drawing
    inside = np.concatenate([eye.own_upper[3:-3] * (1 - k) + eye.own_lower[3:-3] * k for k in (0.4, 0.55, 0.7)])
    away = np.abs((inside - eye.iris) @ eye.right) > 1.1 * eye.radius / IRIS_GROWTH
    if away.sum() >= 4 and trust > 0.3:
        colours = sample(face.photo, inside[away])
        grey = luma(colours)
        seen = colours[grey >= quantile(grey, 0.6)].mean(0)
        hue = float(seen[2] / max(seen[0], 1.0) * light.photo[0] / light.photo[2])
        memory.ease_share("white bluer", clamp(hue, 1.0, 2.0), IRIS_TAU_S)
        memory.ease_share("white level", clamp(float(luma(seen) / luma(light.photo)), 1.0, 2.5), IRIS_TAU_S)
        measured = light.drawn(seen)
        aim = clamp(float(luma(measured)) * 1.15, 0.8 * level + 25, float(luma(paper)))
        # Reddened corners are not the white's colour: only its brightness is taken, with a trace of its hue.
        measured = 0.75 * paper * (aim / max(float(luma(paper)), 1.0)) + 0.25 * measured
        paper = 0.35 * paper + 0.65 * measured
    memory.ease(f"white {side}", np.clip(paper, 0, 246), LIGHT_TAU_S)
