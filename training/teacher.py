"""The slow teacher: draws a photo as flat colour and ink, with all the time a webcam does not leave.

Comes in: an exposure-normalised RGB u8 photo (about 250 to 700 px wide), where the person is, the landmarks of the
faces. Goes out: the two layers a generator learns to draw in one pass. Mask and landmarks only tell the teacher what a
place is (skin, hair, cloth, room), so that it treats it as an artist would; the generator has to see it by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import Mask, RgbImage
from training.knobs import FlatKnobs, GradeKnobs, InkKnobs, Knobs

Field = NDArray[np.floating[Any]]  # (h, w) f32
LabImage = NDArray[np.floating[Any]]  # (h, w, 3) f32, CIE Lab: L 0..100
Landmarks = NDArray[np.float32]  # (478, 2 or 3), pixels

# MediaPipe face mesh indices (canonical face model)
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
JAW = (356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127)
EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
NOSE_BASE = (98, 97, 2, 326, 327, 331, 279, 294, 460, 250, 462, 370, 94, 141, 242, 20, 240, 64, 49, 102)
CHEEKS = (50, 101, 118, 205, 187, 280, 330, 347, 425, 411)
FOREHEAD_TOP, FOREHEAD, NOSE_TIP, CHIN = 10, 151, 4, 152

EYE_MIDDLES = ((33, 133, 159, 145), (263, 362, 386, 374))  # corners and lids: their mean is the middle of the opening

FOREHEAD_STEP = 3  # most that two neighbouring pixels of smoothed skin differ, 1/255
RAYS = 120  # directions in which the rim of glasses is sought around an eye
RIDGE = 0.02  # what a thin frame of low contrast gives in `_ridge`
SOFT_BELOW = 7.0  # difference of lightness and colour, in Lab, that softening takes for no edge
WEBTOON = Knobs()


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What the teacher drew. flat: (h, w, 3) RGB f32 0..1, no tone steps. ink: (h, w) f32, 0 none to 1 full line."""

    flat: NDArray[np.float32]
    ink: Field


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """What each place of the photo is, (h, w) f32 0..1 each; `unit` is the height of the largest face in pixels."""

    person: Field
    face: Field  # inside a face oval
    skin: Field  # face, ears, neck, hands: what has the colour of the cheeks
    hair: Field
    brows: Field
    features: Field  # eyes, nose base, mouth: lines belong here
    smooth: Field  # face skin where a line would be a wrinkle
    jaw: Field  # band along the jaw
    silhouette: Field  # band along the outline of the person
    unit: float
    skin_tone: NDArray[np.float32] | None = None  # Lab of the cheeks
    faces: Sequence[Landmarks] = ()


def draw(rgb: RgbImage, person: Mask, faces: Sequence[Landmarks] = (), knobs: Knobs = WEBTOON) -> Drawing:
    """Draws the exposure-normalised photo. `person` may have any size and is stretched over the photo."""
    photo = np.ascontiguousarray(rgb)
    lab = _lab(photo)
    calm = cv2.ximgproc.rollingGuidanceFilter(photo, d=-1, sigmaColor=22, sigmaSpace=2.5, numOfIter=4)
    places = _find_places(photo, calm, lab, person, faces)
    flat_lab = _flatten(calm, places, knobs.flat)
    ink = _ink(photo, flat_lab, places, knobs.ink)
    flat = cv2.cvtColor(_grade(flat_lab, places, knobs.grade), cv2.COLOR_LAB2RGB)
    return Drawing(np.clip(flat, 0, 1).astype(np.float32), ink)


# --- places ---------------------------------------------------------------------------------------------------------


def _find_places(photo: RgbImage, calm: RgbImage, lab: LabImage, person: Mask, faces: Sequence[Landmarks]) -> _Places:
    h, w = photo.shape[:2]
    mask = cv2.resize(person.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    # the segmenter's mask is coarse: the guided filter (He 2010) lays its edge onto the photo's edge
    mask = cv2.ximgproc.guidedFilter(photo, mask, 8, 60.0)
    mask = _smoothstep(0.25, 0.75, mask)
    points = [np.asarray(f, np.float32)[:, :2] for f in faces]
    heights = [float(np.linalg.norm(p[CHIN] - p[FOREHEAD_TOP])) for p in points]
    unit = max(heights, default=0.0) or 0.4 * h
    nothing = np.zeros((h, w), np.float32)
    if not points:
        outline = _band(mask, 3)
        return _Places(mask, *(nothing,) * 7, outline, unit)  # type: ignore[arg-type]

    face, brows, eyes, lips, nose, jaw = (nothing.copy() for _ in range(6))
    for p, height in zip(points, heights, strict=True):
        width_px = max(3, round(0.05 * height))
        _fill(face, p[list(OVAL)])
        for brow, eye in zip(BROWS, EYES, strict=True):
            _fill(brows, p[list(brow)], grow=0.022 * height)
            _fill(eyes, p[list(eye)], grow=0.03 * height)
        _fill(lips, p[list(LIPS)], grow=0.02 * height)
        _fill(nose, cv2.convexHull(p[list(NOSE_BASE)])[:, 0], grow=0.015 * height)
        cv2.polylines(jaw, [np.int32(p[list(JAW)])], False, 1.0, width_px, cv2.LINE_AA)
    face, brows, eyes, lips, nose, jaw = (
        cv2.GaussianBlur(m, (0, 0), 0.012 * unit) for m in (face, brows, eyes, lips, nose, jaw)
    )
    features = np.maximum(np.maximum(eyes, lips), nose)
    even = cv2.blur(lab, (5, 5))
    tone, spread = _skin_tone(even, points)
    unlike = even - tone
    skin = _skin(unlike, tone, spread) * mask
    # in a face all that is not much darker than the cheeks is skin, whatever its colour: shine, blush, reflections
    darker = np.clip(-unlike[..., 0], 0, None) / (14 + 1.5 * spread)
    # shine on dark skin has any colour but that of the cheeks; on light skin another colour is a fringe of hair
    dark = (1 - _ramp(48, 62, float(tone[0]))) * _above_mouth(points, heights, (h, w))  # moustaches may be white
    hue = np.exp(-0.5 * np.sum((unlike[..., 1:] / 14) ** 2, -1))
    shown = face * np.maximum(0.35, np.exp(-0.5 * darker**2) * np.maximum(dark, hue))
    shown = np.maximum(shown, dark * _forehead(calm, points, heights) * mask)
    skin = np.maximum(skin, shown * np.exp(-0.5 * darker**2))
    skin = cv2.GaussianBlur(skin, (0, 0), 0.012 * unit)
    hair = _hair_area(points, heights, (h, w)) * mask * (1 - skin) * (1 - face)
    hair = _smoothstep(0.3, 0.7, cv2.GaussianBlur(hair, (0, 0), 0.015 * unit))
    inner = cv2.erode(face, _disc(0.03 * unit))
    smooth = np.clip(inner - np.maximum(features, brows), 0, 1)
    outline = _band(mask, max(3, round(0.02 * unit)))
    return _Places(mask, face, skin, hair, brows, features, smooth, jaw, outline, unit, tone, points)


def _skin_tone(even: LabImage, faces: Sequence[Landmarks]) -> tuple[NDArray[np.float32], float]:
    """Lab colour of the brighter half of the largest face's cheeks, as the far one may lie in the dark or behind hair,
    and how much lightness varies there."""
    points = max(faces, key=lambda p: float(np.ptp(p[:, 1])))[list(CHEEKS)]
    h, w = even.shape[:2]
    x = np.clip(points[:, 0].round().astype(int), 0, w - 1)
    y = np.clip(points[:, 1].round().astype(int), 0, h - 1)
    small = even[y, x]
    bright = small[small[:, 0] >= np.median(small[:, 0])]
    return np.median(bright, 0).astype(np.float32), float(np.std(small[:, 0]))


def _skin(d: LabImage, tone: NDArray[np.float32], spread: float) -> Field:
    """Likeness to the cheeks, of whose `tone` all is `d` away: hue and chroma count much, lightness little."""
    width = np.clip(np.hypot(tone[1], tone[2]) / 22, 0.4, 1)  # grey hair is near to pale skin
    # shine is brighter and duller than the cheeks and still skin; what is darker soon is hair
    lightness = np.where(d[..., 0] > 0, np.float32(2), np.float32(1)) * np.float32(14 + 1.5 * spread)
    return np.exp(
        -0.5 * ((d[..., 1] / (7 * width)) ** 2 + (d[..., 2] / (10 * width)) ** 2 + (d[..., 0] / lightness) ** 2)
    )  # type: ignore[no-any-return]


def _forehead(photo: RgbImage, faces: Sequence[Landmarks], heights: Sequence[float]) -> Field:
    """What hangs together with the middle of the forehead without an edge between, a little beyond the landmarks."""
    h, w = photo.shape[:2]
    all_found = np.zeros((h, w), np.float32)
    step = (FOREHEAD_STEP,) * 3
    for p, height in zip(faces, heights, strict=True):
        x, y = (int(v) for v in p[FOREHEAD])
        if not (0 <= x < w and 0 <= y < h):
            continue
        found = np.zeros((h + 2, w + 2), np.uint8)
        cv2.floodFill(photo.copy(), found, (x, y), 0, step, step, 4 | cv2.FLOODFILL_MASK_ONLY | 255 << 8)
        near = np.zeros((h, w), np.float32)
        cv2.circle(near, (x, y), round(0.36 * height), 1.0, -1, cv2.LINE_AA)
        all_found = np.maximum(all_found, near * (found[1:-1, 1:-1] > 0))
    return _smoothstep(0.4, 0.7, cv2.blur(all_found, (5, 5)))


def _above_mouth(faces: Sequence[Landmarks], heights: Sequence[float], shape: tuple[int, int]) -> Field:
    """1 above the tip of every nose, 0 below."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    above = np.ones(shape, np.float32)
    for p, height in zip(faces, heights, strict=True):
        up = (p[FOREHEAD_TOP] - p[CHIN]) / max(height, 1e-3)
        rise = (x - p[NOSE_TIP][0]) * up[0] + (y - p[NOSE_TIP][1]) * up[1]
        near = np.hypot(x - p[NOSE_TIP][0], y - p[NOSE_TIP][1]) < height
        above = np.where(near, np.minimum(above, _smoothstep(-0.08 * height, 0.02 * height, rise)), above)
    return above


def _hair_area(faces: Sequence[Landmarks], heights: Sequence[float], shape: tuple[int, int]) -> Field:
    """A generous region around each head: over the crown, down to the shoulders at the sides."""
    area = np.zeros(shape, np.float32)
    for p, height in zip(faces, heights, strict=True):
        up = (p[FOREHEAD_TOP] - p[CHIN]) / max(height, 1e-3)
        middle = p[FOREHEAD_TOP] - 0.18 * height * up
        angle = float(np.degrees(np.arctan2(up[0], -up[1])))
        axes = (round(0.78 * height), round(0.85 * height))
        cv2.ellipse(area, (round(float(middle[0])), round(float(middle[1]))), axes, angle, 0, 360, 1.0, -1, cv2.LINE_AA)
    return area


def _band(mask: Mask, half_px: int) -> Field:
    inside = (mask > 0.5).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * half_px + 1,) * 2)
    edge = cv2.dilate(inside, kernel) - cv2.erode(inside, kernel)
    return cv2.GaussianBlur(edge.astype(np.float32), (0, 0), 0.6 * half_px)  # type: ignore[return-value]


# --- flat colour ----------------------------------------------------------------------------------------------------


def _flatten(calm: RgbImage, places: _Places, knobs: FlatKnobs) -> LabImage:
    """Lab of the colour areas: rolling guidance (Zhang 2014) takes texture away, mean shift (Comaniciu 2002) joins
    what is alike in the figure; the room is softened as paint is, and skin keeps its form only."""
    figure = cv2.medianBlur(cv2.pyrMeanShiftFiltering(calm, 7, knobs.figure_join, maxLevel=1), 5)

    h, w = calm.shape[:2]
    half = cv2.resize(calm, (w // 2, h // 2), interpolation=cv2.INTER_AREA)  # what wants no detail is done at half size
    far = cv2.ximgproc.rollingGuidanceFilter(half, d=-1, sigmaColor=knobs.room_join, sigmaSpace=3.0, numOfIter=3)
    far = cv2.medianBlur(cv2.bilateralFilter(far, -1, 20, 3.5), 5)
    far = cv2.GaussianBlur(cv2.resize(far, (w, h), interpolation=cv2.INTER_LINEAR), (0, 0), max(knobs.room_blur, 0.1))
    masses = cv2.ximgproc.rollingGuidanceFilter(half, d=-1, sigmaColor=30, sigmaSpace=2.0, numOfIter=3)
    masses = cv2.resize(
        cv2.pyrMeanShiftFiltering(masses, 5, knobs.hair_join, maxLevel=1), (w, h), interpolation=cv2.INTER_CUBIC
    )
    masses = cv2.medianBlur(masses, 7)

    lab = _softened(_lab(figure), knobs.figure_blur * places.unit)
    lab = _over(lab, _softened(_lab(masses), knobs.hair_blur * places.unit), places.hair)
    if places.skin_tone is not None:
        where = places.skin * (1 - places.features) * (1 - places.brows)
        lab = _over(lab, _form_of_skin(_lab(calm), where, places.unit, knobs), where)
    lab = _over(lab, _lab(far), 1 - places.person)
    # contours of the tone areas become smooth curves without crossing real edges
    lab[..., 0] = 100 * cv2.ximgproc.guidedFilter(lab[..., 0] / 100, lab[..., 0] / 100, 3, 2e-4)
    return lab


def _form_of_skin(lab: LabImage, skin: Field, unit: float, knobs: FlatKnobs) -> LabImage:
    """Light and shade of skin in few large shapes with smooth outlines, in one even colour.

    Medians move outlines by their curvature (Guichard and Morel 1995): corners go, edges stay. What is not skin is
    first filled with the skin around, so that hair and eyes do not grow into it.
    """
    around = 0.06 * unit
    amount = cv2.GaussianBlur(skin, (0, 0), around)[..., None] + 1e-3
    mean = cv2.GaussianBlur(lab * skin[..., None], (0, 0), around) / amount
    lightness = mean[..., 0] + _smoothstep(0.2, 0.7, skin) * (lab[..., 0] - mean[..., 0])
    side = 2 * max(1, round(knobs.skin_shapes * unit)) + 1
    u8 = np.clip(lightness * 2.55 + 0.5, 0, 255).astype(np.uint8)
    for _ in range(3):
        u8 = cv2.medianBlur(u8, side)
    lightness = cv2.GaussianBlur(u8.astype(np.float32) / 2.55, (0, 0), max(knobs.skin_blur, 1e-3) * unit)
    return np.dstack([lightness, mean[..., 1:]]).astype(np.float32)


def _grade(lab: LabImage, places: _Places, knobs: GradeKnobs) -> LabImage:
    """Bright, slightly warm, dull colours livelier; skin keeps its own tone and its form."""
    lightness: Field = np.clip(lab[..., 0] / 100, 0, 1)
    ab = lab[..., 1:]
    if places.skin_tone is not None:
        lightness, ab = _tame_highlights(lightness, ab, places)
    lifted = _lift(lightness, knobs.lift)
    if places.skin_tone is not None:
        skin = _skin_share(places)
        lifted = lifted + skin * (_model_skin(lifted, places, knobs) - lifted)
        ab = ab + knobs.skin_glow * _glow(lightness, places)
    chroma = np.hypot(ab[..., 0], ab[..., 1])[..., None]
    ab = ab * (1 + knobs.lively * np.exp(-chroma / 22))
    warm = np.array([0.25, 1.0], np.float32) * (knobs.warmth * lifted[..., None])
    return np.concatenate([100 * np.clip(lifted, 0, 1)[..., None], ab + warm], -1).astype(np.float32)


def _lift(lightness: Field, amount: float) -> Field:
    return lightness + amount * lightness**2 * (1 - lightness) + 0.015  # type: ignore[no-any-return]


def _model_skin(lifted: Field, places: _Places, knobs: GradeKnobs) -> Field:
    """The middle tone of fair skin comes to lie near 0.85, of darker skin near 0.71, in the midst of a tone step:
    lights and shades about it then show as steps of their own. Dark skin stays where it is. Light shades are deepened
    and deep ones held, so that skin has two or three tones in any light; brows, beard and fringe stay as dark as they
    are."""
    assert places.skin_tone is not None
    middle = float(places.skin_tone[0]) / 100
    bright = float(_lift(np.float32(middle), knobs.lift))  # type: ignore[arg-type]
    aim = middle + _ramp(0.40, 0.62, middle) * (0.71 + 0.14 * _ramp(0.73, 0.86, bright) - middle)
    about = (lifted - bright) * knobs.skin_relief
    sure = _smoothstep(0.55, 0.9, places.skin) * (1 - places.brows) * (1 - places.features)
    shade = 1.15 * about + sure * (0.30 * np.tanh(about * (1.5 / 0.30)) - 1.15 * about)
    return aim + np.where(about < 0, shade, about)  # type: ignore[no-any-return]


def _glow(lightness: Field, places: _Places) -> Field:
    """Red of light that went through skin, (h, w, 2) in Lab's a and b: strongest where shade begins."""
    assert places.skin_tone is not None
    sure = _smoothstep(0.4, 0.9, places.skin) * (1 - places.brows) * (1 - places.features)
    shade = np.clip((float(places.skin_tone[0]) / 100 - lightness) / 0.25, 0, 2)
    return (sure * shade * np.exp(1 - shade))[..., None] * np.array([1.0, 0.35], np.float32)  # type: ignore[no-any-return]


def _skin_share(places: _Places) -> Field:
    return np.maximum(places.skin, places.face) * places.person


def _tame_highlights(lightness: Field, ab: Field, places: _Places) -> tuple[Field, Field]:
    """Skin above its own middle tone is pressed together, and keeps at least most of its middle chroma."""
    assert places.skin_tone is not None
    middle = float(places.skin_tone[0]) / 100
    room = 0.06 + 0.12 * middle  # how far above the middle tone a highlight may rise
    above = np.clip(lightness - middle, 0, None)
    pressed = np.where(above > 0, middle + room * np.tanh(above / room), lightness)
    where = cv2.GaussianBlur(np.maximum(places.skin, places.face) * (1 - places.features), (0, 0), 0.02 * places.unit)
    where = where * places.person
    shine = (where * _smoothstep(0.04, 0.20, above))[..., None]
    tone = places.skin_tone[1:]
    return lightness + where * (pressed - lightness), ab + 0.85 * shine * (tone - ab)


# --- ink ------------------------------------------------------------------------------------------------------------


def _ink(photo: RgbImage, flat_lab: LabImage, places: _Places, knobs: InkKnobs) -> Field:
    """Flow-guided difference of Gaussians (Kang 2007; tanh ramp as in Winnemoeller 2012), with a threshold, weight
    and shortest line that depend on what the place is; rims of glasses as lines of their own."""
    calm = cv2.ximgproc.rollingGuidanceFilter(photo, d=-1, sigmaColor=18, sigmaSpace=1.6, numOfIter=2)
    lab = _lab(calm) * np.float32(0.01)
    fine = _Flow.of(lab, 2.2)
    line = fine.difference_of_gaussians(lab[..., 0], across_px=1.05, along_px=4.5)
    busy = _smoothstep(0.006, 0.016, cv2.boxFilter(np.abs(line), -1, (31, 31)))
    p = places
    drawn = _Flow.of(flat_lab * np.float32(0.01), 1.0).energy
    drawn = np.maximum(drawn, p.smooth * _Flow.of(lab, 1.0).energy)  # wrinkles: smoothed away, and worth a line
    edge = _smoothstep(0.008, 0.030, np.sqrt(cv2.GaussianBlur(drawn, (0, 0), 1.5)))

    outline = np.maximum(p.silhouette, p.jaw * p.face)
    threshold = 0.007 + 0.010 * busy
    threshold += (1 - p.person) * (1 - p.silhouette) * (0.008 + 0.008 * busy)
    threshold += 0.009 * p.smooth * (1 - p.jaw)
    threshold -= 0.005 * outline + 0.003 * p.features
    gain = 88.0 * (1 - 0.35 * (1 - p.person) * (1 - p.silhouette)) * (1 - 0.45 * p.smooth)
    gate = np.maximum(0.2 + 0.8 * edge, outline)
    ink = np.tanh(np.clip(line - threshold, 0, None) * gain) * gate * _smoothstep(0.12, 0.45, fine.coherence)

    ink = ink * _weights(knobs, p)
    strands = _strands(lab, p) * knobs.hair
    ink = ink * (1 - p.hair * (1 - p.silhouette)) + strands * p.hair * (1 - p.silhouette)
    ink = np.clip(ink * 1.2 - 0.1, 0, 1) * (1 - 0.9 * p.brows * (1 - p.features))
    ink = _without_short_lines(ink, p, knobs.shortest)
    ink = np.maximum(ink, _glasses(_lab(photo)[..., 0] * np.float32(0.01), p) * knobs.glasses)
    return ink.astype(np.float32)


def _weights(knobs: InkKnobs, places: _Places) -> Field | float:
    """How strong lines are by where they are."""
    if (knobs.figure, knobs.room, knobs.wrinkles) == (1, 1, 1):
        return 1.0
    inside = np.maximum(places.person, places.silhouette)
    wrinkles = places.smooth * (1 - places.jaw)
    return (knobs.room + (knobs.figure - knobs.room) * inside) * (1 + (knobs.wrinkles - 1) * wrinkles)


@dataclass(frozen=True, slots=True, eq=False)
class _Flow:
    """The smoothed structure tensor's axes: (nx, ny) unit vector across the edge; energy; coherence 0..1."""

    nx: Field
    ny: Field
    energy: Field
    coherence: Field

    @classmethod
    def of(cls, image: LabImage, sigma_px: float) -> _Flow:
        """Structure tensor of a (h, w, c) image, summed over channels (Brox 2006)."""
        xx = xy = yy = np.zeros(image.shape[:2], np.float32)
        for channel in cv2.split(image):
            gx = cv2.Scharr(channel, cv2.CV_32F, 1, 0) / 32
            gy = cv2.Scharr(channel, cv2.CV_32F, 0, 1) / 32
            xx, xy, yy = xx + gx * gx, xy + gx * gy, yy + gy * gy
        xx, xy, yy = (cv2.GaussianBlur(t, (0, 0), sigma_px) for t in (xx, xy, yy))
        angle = 0.5 * np.arctan2(2 * xy, xx - yy)
        root = np.sqrt((xx - yy) ** 2 + 4 * xy * xy)
        return cls(np.cos(angle), np.sin(angle), 0.5 * (xx + yy + root), root / (xx + yy + 1e-8))

    def difference_of_gaussians(self, gray: Field, across_px: float, along_px: float, ratio: float = 1.6) -> Field:
        """DoG across the edge, averaged along it; positive on an edge's dark side. `gray` (h, w) f32 0..1."""
        h, w = gray.shape
        y, x = np.mgrid[0:h, 0:w].astype(np.float32)
        wide_px = across_px * ratio
        narrow, wide, narrow_sum, wide_sum = 0.0, 0.0, 0.0, 0.0
        reach = int(np.ceil(2.2 * wide_px))
        for step in range(-reach, reach + 1):
            value = _sample(gray, x + step * self.nx, y + step * self.ny)
            a, b = np.exp(-(step**2) / (2 * across_px**2)), np.exp(-(step**2) / (2 * wide_px**2))
            narrow, wide, narrow_sum, wide_sum = narrow + a * value, wide + b * value, narrow_sum + a, wide_sum + b
        return self.along(np.asarray(wide / wide_sum - narrow / narrow_sum, np.float32), along_px)

    def along(self, field: Field, sigma_px: float) -> Field:
        """Gaussian average of `field` along the edge direction (line integral)."""
        h, w = field.shape
        y0, x0 = np.mgrid[0:h, 0:w].astype(np.float32)
        total, weight = field.copy(), 1.0
        for sign in (1, -1):
            x, y, dx, dy = x0, y0, -sign * self.ny, sign * self.nx
            for step in range(1, int(2 * sigma_px) + 1):
                x, y = x + dx, y + dy
                nx, ny = (
                    cv2.remap(axis, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
                    for axis in (self.nx, self.ny)
                )
                along = np.where(nx * dy - ny * dx < 0, np.float32(-1), np.float32(1))  # an axis has no sign
                dx, dy = -along * ny, along * nx
                share = np.exp(-(step**2) / (2 * sigma_px**2))
                total, weight = total + share * _sample(field, x, y), weight + share
        return (total / weight).astype(np.float32)  # type: ignore[no-any-return]


def _strands(lab: LabImage, places: _Places) -> Field:
    """Few long lines between masses of hair: a coarser filter that follows the strands far."""
    if not places.hair.any():
        return np.zeros_like(places.hair)
    h, w = places.hair.shape
    half = cv2.resize(lab, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
    flow = _Flow.of(half, 2.0)
    soft = cv2.GaussianBlur(half[..., 0], (0, 0), 0.7)
    line = flow.difference_of_gaussians(soft, across_px=1.0, along_px=6.0)
    strands = np.tanh(np.clip(line - 0.009, 0, None) * 85) * _smoothstep(0.3, 0.6, flow.coherence)
    return cv2.resize(strands.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC).clip(0, 1)  # type: ignore[no-any-return]


def _without_short_lines(ink: Field, places: _Places, factor: float) -> Field:
    """Takes out dashes and specks: lines shorter than an artist would bother to draw there."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 0.22).astype(np.uint8), connectivity=8)
    extent = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float32)
    shortest = np.full(count, 0.055 * places.unit, np.float32)
    for field, length in (
        (places.hair, 0.30),
        (places.smooth, 0.17),
        (1 - places.person, 0.15),
        (places.features, 0.02),
    ):
        inside = np.bincount(labels.ravel(), field.ravel(), count) / np.maximum(area, 1)
        shortest = np.where(inside > 0.5, length * places.unit, shortest)
    keep = np.clip((extent / np.maximum(factor * shortest, 1) - 0.8) / 0.4, 0, 1).astype(np.float32)
    keep[0] = 1.0
    return ink * cv2.blur(keep[cv2.dilate(labels.astype(np.float32), np.ones((3, 3))).astype(np.int32)], (3, 3))  # type: ignore[no-any-return]


def _glasses(lightness: Field, places: _Places) -> Field:
    """Rims of glasses as clean closed lines, and the bridge over the nose. `lightness` is unfiltered, f32 0..1.

    Around each eye the closed path along the thinnest sharp ridge, dark or bright, is sought by dynamic programming in
    polar coordinates (as active contours for circular shapes are). It is a rim, and no eye bag or wrinkle, if the ridge
    goes on without gaps below the eye, is sharper than what the skin elsewhere shows, lies well off the eye, and
    mirrors that of the other eye.
    """
    ink = np.zeros(lightness.shape, np.float32)
    for p in places.faces:
        middles = [p[list(corners)].mean(0) for corners in EYE_MIDDLES]
        distance = float(np.linalg.norm(middles[1] - middles[0]))
        if distance < max(20.0, 0.3 * float(np.linalg.norm(p[CHIN] - p[FOREHEAD_TOP]))):
            continue  # too small, or turned so far that one lens hides
        across = (middles[1] - middles[0]) / distance
        ridge = _ridge(lightness, max(0.8, 0.012 * distance)) / RIDGE
        free = (1 - 0.8 * places.brows) * (1 - places.features)
        rims = [_rim(ridge * free, middle, across, distance) for middle in middles]
        wrinkled = float(np.percentile(ridge[places.smooth > 0.8], 75)) if np.any(places.smooth > 0.8) else 1.0
        sure = _is_glasses(rims, wrinkled)
        if sure < 0.1:
            continue
        width = max(1, round(0.03 * distance))
        for rim in rims:
            weights = sure * _smoothstep(0.15, 0.45, rim.ridge)
            for start, end, weight in zip(rim.points, np.roll(rim.points, -1, 0), weights, strict=True):
                ends = np.round(16 * np.stack([start, end])).astype(np.int32)  # sixteenths of a pixel
                cv2.polylines(ink, [ends], False, float(weight), width, cv2.LINE_AA, 4)
        start, end, strength = _bridge(rims, ridge)
        ends = np.round(16 * np.stack([start, end])).astype(np.int32)
        cv2.polylines(ink, [ends], False, sure * _ramp(0.15, 0.45, strength), width, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(ink, (0, 0), 0.5)  # type: ignore[return-value]


def _bridge(rims: Sequence[_Rim], ridge: Field) -> tuple[Landmarks, Landmarks, float]:
    """The level line between the two rims that follows the strongest ridge: its ends, and its mean ridge."""
    found = []
    for i in range(16):
        start, end = rims[0].points[-i], rims[1].points[RAYS // 2 + i]
        along = start + np.linspace(0, 1, 12)[:, None] * (end - start)
        x, y = (along[None, :, axis].astype(np.float32) for axis in (0, 1))
        thick = cv2.dilate(ridge.astype(np.float32), np.ones((3, 1)))
        found.append((float(np.clip(cv2.remap(thick, x, y, cv2.INTER_LINEAR), 0, 1.5).mean()), i, start, end))
    strength, _, start, end = max(found, key=lambda f: f[:2])
    return start, end, strength


@dataclass(frozen=True, slots=True, eq=False)
class _Rim:
    """A closed path round an eye. points: (RAYS, 2) pixels, from the picture's right, clockwise; radius: (RAYS,) in
    eye distances; ridge: (RAYS,) how sharp a ridge it follows, 0 none to 1.5."""

    points: NDArray[np.floating[Any]]
    radius: NDArray[np.floating[Any]]
    ridge: NDArray[np.floating[Any]]


def _rim(ridge: Field, eye: Landmarks, across: Landmarks, distance: float) -> _Rim:
    down = np.array([-across[1], across[0]], np.float32)
    centre = eye + 0.06 * distance * down  # lenses hang a little below the eyes
    angles = np.linspace(0, 2 * np.pi, RAYS, endpoint=False)[:, None]
    radii = np.linspace(0.20, 0.58, 44)[None]
    right, below = 1.1 * distance * radii * np.cos(angles), 0.95 * distance * radii * np.sin(angles)
    x = (centre[0] + right * across[0] + below * down[0]).astype(np.float32)
    y = (centre[1] + right * across[1] + below * down[1]).astype(np.float32)
    found = np.clip(cv2.remap(ridge.astype(np.float32), x, y, cv2.INTER_LINEAR), 0, 1.5)

    twice = np.concatenate([found, found])  # two turns: the second half of the first and the first of the second close
    best, came_from = twice[0], np.zeros(twice.shape, np.int64)
    for i in range(1, len(twice)):
        steps = np.stack([np.r_[-9.0, best[:-1]] - 0.06, best, np.r_[best[1:], -9.0] - 0.06])
        came_from[i] = steps.argmax(0) - 1
        best = twice[i] + steps.max(0)
    path, at = np.zeros(len(twice), np.int64), int(best.argmax())
    for i in range(len(twice) - 1, -1, -1):
        path[i] = at
        at = int(np.clip(at + came_from[i][at], 0, radii.size - 1))
    path = np.r_[path[RAYS : RAYS + RAYS // 2], path[RAYS // 2 : RAYS]]

    rays = np.arange(RAYS)
    points = _round_trip(np.stack([x[rays, path], y[rays, path]], 1), 5)
    return _Rim(points, radii[0, path], _round_trip(found[rays, path][:, None], 7)[:, 0])


def _is_glasses(rims: Sequence[_Rim], wrinkled: float) -> float:
    """0..1, from what the rims are below the eyes, where no brow confuses. `wrinkled`: how ridged the other skin is."""
    low = slice(5, 56)
    unbroken = float(np.mean([np.percentile(rim.ridge[low], 20) for rim in rims]))
    radius = float(np.mean([rim.radius[low].mean() for rim in rims]))
    mirrored = rims[1].radius[(RAYS // 2 - np.arange(RAYS)) % RAYS]
    unlike = float(np.abs(rims[0].radius - mirrored)[low].mean())
    good = _ramp(1.3, 1.8, unbroken / max(wrinkled, 0.05)) * _ramp(0.28, 0.40, unbroken) * _ramp(0.28, 0.32, radius)
    return good * (1 - _ramp(0.48, 0.52, radius)) * (1 - _ramp(0.12, 0.17, unlike))


def _ridge(gray: Field, sigma_px: float) -> Field:
    """How much the picture bends across a thin line and not along it: from the eigenvalues of the Hessian, scale
    normalised (Lindeberg 1998), the same for dark and bright lines."""
    smooth = cv2.GaussianBlur(gray, (0, 0), sigma_px)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3) / 4
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3) / 4
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3) / 4
    root, mean = np.sqrt((xx - yy) ** 2 / 4 + xy * xy), np.abs(xx + yy) / 2
    return sigma_px**2 * (mean + root - 0.9 * np.abs(mean - root))  # type: ignore[no-any-return]


def _round_trip(values: NDArray[np.floating[Any]], length: int) -> NDArray[np.floating[Any]]:
    """(RAYS, n) values averaged over `length` neighbours on the closed path."""
    padded = np.concatenate([values[-length:], values, values[:length]]).astype(np.float32)
    return cv2.blur(padded, (1, length)).reshape(padded.shape)[length:-length]  # type: ignore[no-any-return]


# --- small things ---------------------------------------------------------------------------------------------------


def _lab(rgb: RgbImage) -> LabImage:
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)  # type: ignore[return-value]


def _softened(lab: LabImage, radius_px: float) -> LabImage:
    """Soft within areas and crisp between them (guided filter, He 2010)."""
    if radius_px < 0.5:
        return lab
    return cv2.ximgproc.guidedFilter(lab, lab, max(1, round(radius_px)), SOFT_BELOW**2)  # type: ignore[return-value]


def _over(below: LabImage, above: LabImage, share: Field) -> LabImage:
    return below + share[..., None] * (above - below)


def _smoothstep(low: float, high: float, x: Field) -> Field:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)  # type: ignore[no-any-return]


def _ramp(low: float, high: float, x: float) -> float:
    return float(_smoothstep(low, high, np.array(x)))


def _sample(field: Field, x: Field, y: Field) -> Field:
    return cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def _disc(radius_px: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius_px)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))  # type: ignore[return-value]


def _fill(mask: Field, polygon: Landmarks, grow: float = 0.0) -> None:
    shape = [np.int32(np.round(polygon))]
    cv2.fillPoly(mask, shape, 1.0, cv2.LINE_AA)
    if grow >= 0.5:
        cv2.polylines(mask, shape, True, 1.0, max(1, round(2 * grow)), cv2.LINE_AA)
