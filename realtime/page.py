"""Page: what the drawing is printed or drawn with: screen tone, pencil hatching, paper, glow.

Comes in: `Styled` with its live eyes. Goes out: `Styled` at the same size. Runs on the filter's thread, on the CPU on
every path. Screen tone and hatching stick to what they shade: the room, every head and the rest of the person each have
their own sheet of it, which is moved as that part moves; a sheet does not turn or stretch, so its dots stay round and
its strokes straight. Paper is the page itself and stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.landmarks import CHIN, EYES, FACE_OVAL, FOREHEAD_TOP, LIPS_OUTER
from realtime.types import Face, Flow, GrayImage, Mask, RgbImage, Scene, Size, Styled, read_only

FAR_PX = 0.05  # share of the picture's width that a part may move between two frames: more is another scene
HEAD, HAIR = 1.75, 0.25  # a head with its hair: so much larger than its face oval, so many of its heights further up
DOT_EDGE, STROKE_EDGE = 4.4, 1.8  # levels of ink a level of tone: how sharp the edge of a dot or stroke is
GLOW_SHRINK = 8
EYE_SPARED, EYE_SPARED_HEIGHT = 0.6, 0.32  # half axes of what is left free of tone, in widths of the eye
LEAST_PITCH_PX = 4.5  # finer dots and strokes would be a plain grey


@dataclass(frozen=True, slots=True)
class Page:
    """The table [page] of a style. All lengths are shares of the picture's height.

    dots: how dark the dots of screen tone are, 0 none to 1 black; hatch: the same of pencil strokes. pitch: from
    one dot or stroke to the next. tone_from, tone_to: lightness (0..1) where tone begins and where it is closed.
    chroma: factor on the colourfulness of all that was drawn. fade: how far what is lighter than black fades to
    paper, 0..1. paper: how rough the paper is, 0..1. paper_red, paper_green, paper_blue: its colour, 0..1. grain:
    how much the paper breaks what is dark, 0..1, as pencil does. glow: how much light shines over its edge, 0..1.
    """

    dots: float = 0.0
    hatch: float = 0.0
    pitch: float = 0.010
    tone_from: float = 0.75
    tone_to: float = 0.15
    chroma: float = 1.0
    fade: float = 0.0
    paper: float = 0.0
    paper_red: float = 1.0
    paper_green: float = 1.0
    paper_blue: float = 1.0
    grain: float = 0.0
    glow: float = 0.0

    def __post_init__(self) -> None:
        """Raises `ValueError` for a number that no page can have."""
        for name, most in ({field.name: 1.0 for field in fields(self)} | {"pitch": 0.1, "chroma": 2.0}).items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"'{name}' of the page is not between 0 and {most:g}")

    @property
    def wants_mask(self) -> bool:
        """Whether it must be known where the person is."""
        return self.dots > 0 or self.hatch > 0


NOTHING = Page()


def with_page_strength(page: Page, strength: float) -> Page:
    """The page at a strength of 0..1."""
    numbers = {name: getattr(page, name) * strength for name in ("dots", "hatch", "fade", "paper", "grain", "glow")}
    ones = ("chroma", "paper_red", "paper_green", "paper_blue")
    paper = {name: 1 + (getattr(page, name) - 1) * strength for name in ones}
    return replace(page, **numbers, **paper)


class Print:
    """The stage. `page` may change between two frames."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.reset()

    def reset(self) -> None:
        """The sheets lie as at first."""
        self._room = self._person = np.zeros(2, np.float32)  # where each sheet has moved, pixels
        self._heads: dict[int, NDArray[np.float32]] = {}  # by track

    def __call__(self, styled: Styled) -> Styled:
        """The drawing on its page."""
        if self.page == NOTHING:
            return styled
        rgb = styled.rgb
        if self.page.glow > 0:
            rgb = _glowing(rgb, self.page.glow)
        luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if self.page.chroma != 1:
            grey = cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB)
            rgb = cv2.addWeighted(rgb, self.page.chroma, grey, 1 - self.page.chroma, 0)
        if self.page.fade > 0:
            rgb = cv2.LUT(rgb, _fade_table(self.page.fade))
        dark = self._tone(styled.scene, luma) if self.page.wants_mask else None
        return replace(styled, rgb=read_only(_on_paper(rgb, luma, dark, self.page)))

    def _tone(self, scene: Scene, luma: GrayImage) -> GrayImage:
        """(h, w) u8, how much dots or strokes darken each place."""
        size = scene.frame.size
        self._follow(scene)
        page = self.page
        pitch = max(LEAST_PITCH_PX, page.pitch * size.height)
        sheet = _dots(size, pitch) if page.dots > 0 else _strokes(size, pitch)
        threshold = _moved(sheet, self._room, size)
        person = (cv2.resize(scene.person, (size.width, size.height)) > 0.5).astype(np.uint8)
        cv2.copyTo(_moved(sheet, self._person, size), person, threshold)
        for face in scene.faces:
            oval = face.landmarks[FACE_OVAL, :2]
            up = HAIR * (face.landmarks[FOREHEAD_TOP, :2] - face.landmarks[CHIN, :2])
            head = np.zeros(luma.shape, np.uint8)
            middle = oval.mean(axis=0)
            cv2.fillConvexPoly(head, np.round(middle + up + HEAD * (oval - middle)).astype(np.int32), 1)
            cv2.copyTo(_moved(sheet, self._heads[face.track], size), cv2.min(head, person), threshold)
        tone = cv2.LUT(luma, _tone_table(page.tone_from, page.tone_to))
        for face in scene.faces:
            _spare_features(tone, face, mouth=page.dots > 0)
        edge = DOT_EDGE if page.dots > 0 else STROKE_EDGE
        covered = cv2.addWeighted(tone, edge, threshold, -edge, 128)
        none = cv2.compare(tone, 0, cv2.CMP_EQ)
        return cv2.convertScaleAbs(cv2.subtract(covered, none), alpha=max(page.dots, page.hatch))

    def _follow(self, scene: Scene) -> None:
        """Moves the sheets as room, person and heads moved since the last frame."""
        if scene.fresh:
            self.reset()
        heads = {face.track: self._heads.get(face.track, self._person) for face in scene.faces}
        if scene.flow is not None:
            flow, person = scene.flow, cv2.resize(scene.person, scene.flow.shape[1::-1])
            share = np.array(flow.shape[1::-1], np.float32) / (scene.frame.size.width, scene.frame.size.height)
            furthest = FAR_PX * scene.frame.size.width
            self._room = self._room + _step(flow, person < 0.3, furthest)
            self._person = self._person + _step(flow, person > 0.7, furthest)
            for face in scene.faces:
                inside = np.zeros(person.shape, np.uint8)
                cv2.fillConvexPoly(inside, np.round(face.landmarks[FACE_OVAL, :2] * share).astype(np.int32), 1)
                heads[face.track] = heads[face.track] + _step(flow, inside > 0, furthest)
        self._heads = heads


def _spare_features(tone: GrayImage, face: Face, mouth: bool) -> None:
    """No tone where eyes, shut or open, live: they are drawn already; nor on the mouth, which pencil has to shade."""
    points = face.landmarks[:, :2]
    for eye in EYES:
        across = points[eye.inner_corner] - points[eye.outer_corner]
        width, middle = float(np.linalg.norm(across)), points[eye.opening].mean(axis=0)
        turned = float(np.degrees(np.arctan2(across[1], across[0])))
        axes = (EYE_SPARED * width, EYE_SPARED_HEIGHT * width)
        box = (tuple(map(float, middle)), (2 * axes[0], 2 * axes[1]), turned)
        cv2.ellipse(tone, box, 0, -1)
    if mouth:
        cv2.fillConvexPoly(tone, cv2.convexHull(np.round(points[LIPS_OUTER]).astype(np.int32)), 0)


def _step(flow: Flow, where: NDArray[np.bool_], furthest_px: float) -> NDArray[np.float32]:
    """How a part of the frame moved on, in pixels: the median, for a hand or a curtain may move by itself."""
    steps = flow[::2, ::2][where[::2, ::2]]  # the median of a quarter of them is as good
    if len(steps) < 8:
        return np.zeros(2, np.float32)
    return np.clip(-np.median(steps, axis=0), -furthest_px, furthest_px).astype(np.float32)


def _moved(sheet: GrayImage, by: NDArray[np.float32], size: Size) -> GrayImage:
    """The sheet, which repeats itself, moved by so many pixels and cut to `size`."""
    rest = sheet.shape[0] - size.height  # how far it may be moved either way before it repeats itself
    x, y = (float(v) % rest for v in by)
    matrix = np.array([[1, 0, x - rest], [0, 1, y - rest]], np.float32)
    return cv2.warpAffine(sheet, matrix, (size.width, size.height), flags=cv2.INTER_LINEAR)


@lru_cache(maxsize=2)
def _dots(size: Size, pitch: float) -> GrayImage:
    """A sheet of screen tone at 45 degrees, as thresholds: the darker the tone, the more of it is under it.

    It repeats itself after `side` pixels each way and is that much larger than the picture. (Ulichney, "Digital
    Halftoning", 1987: clustered dots.)
    """
    turns = 8
    side = round(pitch * turns * 2**0.5)  # the next dot lies across: both ways half a wave on
    y, x = np.mgrid[0 : size.height + side, 0 : size.width + side].astype(np.float32)
    wave = 2 * np.pi * turns / side
    bright = 0.5 + 0.5 * np.cos(wave * x) * np.cos(wave * y)
    order = np.sort(bright[:side, :side].ravel())
    return (255 * np.searchsorted(order, bright).astype(np.float32) / order.size).astype(np.uint8)  # even in tone


@lru_cache(maxsize=2)
def _strokes(size: Size, pitch: float) -> GrayImage:
    """A sheet of pencil hatching as thresholds: strokes one way, and across them where it is darker."""
    repeat = max(64, round(pitch * 48 / 2) * 2)
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:repeat, 0:repeat].astype(np.float32)

    def noise(sigma: float) -> NDArray[np.float32]:
        field = rng.standard_normal((repeat, repeat)).astype(np.float32)
        field = cv2.GaussianBlur(np.tile(field, (3, 3)), (0, 0), sigma)[repeat : 2 * repeat, repeat : 2 * repeat]
        return np.asarray(field / field.std(), np.float32)

    layers = []
    for across, along, dark in ((40, 26, 0.0), (36, -30, 0.5)):
        phase = 2 * np.pi * (across * x + along * y) / repeat
        wobble = 0.55 * noise(2.2 * pitch)
        line = 0.5 - 0.5 * np.cos(phase + wobble)  # 0 in the middle of a stroke
        pressure = np.clip(0.5 + 0.22 * noise(1.2 * pitch), 0, 1)
        layers.append(np.clip(dark + (1 - dark) * (0.75 * line + 0.25 * pressure), 0, 1))
    sheet = np.minimum(*layers)
    order = np.sort(sheet.ravel())
    sheet = (255 * np.searchsorted(order, sheet) / order.size).astype(np.uint8)
    return np.tile(sheet, (2 + size.height // repeat, 2 + size.width // repeat))[
        : size.height + repeat, : size.width + repeat
    ]


@lru_cache(maxsize=4)
def _tone_table(tone_from: float, tone_to: float) -> NDArray[np.uint8]:
    """Luma to how much of the sheet is covered."""
    return (255 * np.clip((tone_from - np.arange(256) / 255) / max(tone_from - tone_to, 1e-3), 0, 1)).astype(np.uint8)


@lru_cache(maxsize=8)
def _fade_table(fade: float) -> NDArray[np.uint8]:
    """Levels to levels nearer to white; black stays black."""
    level = np.arange(256) / 255
    gone = fade * np.clip((level - 0.12) / 0.2, 0, 1)
    return (255 * (level + gone * (1 - level)) + 0.5).astype(np.uint8)


@lru_cache(maxsize=2)
def _paper(size: Size) -> Mask:
    """The relief of the paper, (h, w) f32, 0 its valleys to 1 its peaks: fibres of two sizes."""
    rng = np.random.default_rng(11)
    scale = max(1.0, size.height / 540)
    small = (round(size.height / scale), round(size.width / scale))
    relief = sum(
        weight * cv2.GaussianBlur(rng.standard_normal(small).astype(np.float32), (0, 0), sigma) * sigma
        for sigma, weight in ((0.7, 1.0), (1.6, 0.35))
    )
    relief = cv2.resize(np.asarray(relief, np.float32), (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    return np.clip(0.5 + 0.3 * (relief - relief.mean()) / relief.std(), 0, 1).astype(np.float32)


@lru_cache(maxsize=2)
def _sheet_of_paper(size: Size, page: Page) -> tuple[RgbImage, GrayImage]:
    """The empty page, (h, w, 3) u8, and what part of dark its relief takes, (h, w) u8 of 255."""
    relief = _paper(size)
    shade = 1 - 0.16 * page.paper * (1 - relief)
    colour = 255 * np.array([page.paper_red, page.paper_green, page.paper_blue], np.float32)
    takes = 1 - page.grain * (1 - np.clip(relief * 1.6, 0, 1))
    return (shade[..., None] * colour).astype(np.uint8), (255 * takes).astype(np.uint8)


def _on_paper(rgb: RgbImage, luma: GrayImage, dark: GrayImage | None, page: Page) -> RgbImage:
    """The drawing darkened by its tone, printed on the page: light times light."""
    size = Size(rgb.shape[1], rgb.shape[0])
    plain = page.paper == 0 and page.grain == 0 and (page.paper_red, page.paper_green, page.paper_blue) == (1, 1, 1)
    sheet, takes = (None, None) if plain else _sheet_of_paper(size, page)
    if dark is not None:
        light = cv2.bitwise_not(dark)
        rgb = cv2.multiply(rgb, cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    if sheet is None or takes is None:
        return rgb
    if page.grain > 0:
        missing = cv2.bitwise_not(rgb)
        rgb = cv2.bitwise_not(cv2.multiply(missing, cv2.cvtColor(takes, cv2.COLOR_GRAY2RGB), scale=1 / 255))
    return cv2.multiply(rgb, sheet, scale=1 / 255)


def _glowing(rgb: RgbImage, glow: float) -> RgbImage:
    """What is bright shines over its edges: added as light is, never above white (screen)."""
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (max(1, width // GLOW_SHRINK), max(1, height // GLOW_SHRINK)), interpolation=cv2.INTER_AREA)
    bright = cv2.LUT(small, _bright_table())
    bright = cv2.GaussianBlur(bright, (0, 0), max(0.8, 0.018 * height / GLOW_SHRINK * 2))
    bright = cv2.resize(bright, (width, height), interpolation=cv2.INTER_LINEAR)
    rest = cv2.bitwise_not(rgb)
    return cv2.add(rgb, cv2.multiply(bright, rest, scale=glow / 255))


@lru_cache(maxsize=1)
def _bright_table() -> NDArray[np.uint8]:
    level = np.arange(256) / 255
    return (255 * np.clip((level - 0.45) / 0.55, 0, 1) ** 1.5).astype(np.uint8)
