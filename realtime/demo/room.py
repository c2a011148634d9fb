"""A room out of focus, as it stands behind a person before a webcam: window, curtain, shelves, plant.

Goes out: RGB u8 picture. Drawn with shapes at twice the size, then blurred like a lens would. A plan, not a photo: no
rights of anybody are in it. Runs on the main thread of `make_demo`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import RgbImage, Size

OVERSAMPLE = 2
BLUR_PX = 4.0  # radius of the lens blur in the finished picture

Canvas = NDArray[np.float32]  # (h, w, 3) RGB, 0..255
Colour = tuple[int, int, int]


def draw_room(size: Size, ornament: NDArray[np.uint8] | None = None) -> RgbImage:
    """The room at `size`. `ornament`: (h, w, 4) RGBA of a thing that stands on the upper shelf."""
    rng = np.random.default_rng(7)
    height, width = 720 * OVERSAMPLE, 1280 * OVERSAMPLE
    room = _wall(height, width, rng)
    _window(room, rng)
    _curtain(room, rng)
    _sideboard(room, rng)
    _plant(room, (150, 560), 1.15, rng)
    _framed_picture(room)
    _shelves(room, rng)
    if ornament is not None:
        _place(room, ornament, (1085, 258), 190)
    _plant(room, (960, 455), 0.55, rng)
    small = cv2.resize(room, (size.width, size.height), interpolation=cv2.INTER_AREA)
    return _lens(small, rng)


def _box(room: Canvas, x: float, y: float, width: float, height: float, colour: Colour) -> None:
    scale = OVERSAMPLE
    start, end = (round(x * scale), round(y * scale)), (round((x + width) * scale), round((y + height) * scale))
    cv2.rectangle(room, start, end, colour, -1)


def _shade(room: Canvas, x: float, y: float, width: float, height: float, darkness: float, blur: float) -> None:
    """A soft shadow over a rectangle."""
    s = OVERSAMPLE
    pad = round(3 * blur) + 1
    left, top = max(round(x) - pad, 0) * s, max(round(y) - pad, 0) * s
    part = room[top : round(y + height + pad) * s, left : round(x + width + pad) * s]
    shade = np.zeros(part.shape[:2], np.float32)
    start, end = (
        (round(x * s) - left, round(y * s) - top),
        (round((x + width) * s) - left, round((y + height) * s) - top),
    )
    cv2.rectangle(shade, start, end, darkness, -1)
    part *= 1 - cv2.GaussianBlur(shade, (0, 0), blur * s)[..., None]


def _noise(shape: tuple[int, int], sigma: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of deviation 1; `sigma` is its grain along x and y in pixels."""
    coarse = rng.standard_normal((shape[0] // 4 + 1, shape[1] // 4 + 1)).astype(np.float32)
    smooth = cv2.GaussianBlur(coarse, (0, 0), sigmaX=sigma[0] / 4, sigmaY=sigma[1] / 4)
    noise = cv2.resize(smooth, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return (noise / max(float(noise.std()), 1e-6)).astype(np.float32)


def _wall(height: int, width: int, rng: np.random.Generator) -> Canvas:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 0.72 + 0.34 * np.exp(-(((x / width - 0.30) / 0.50) ** 2 + ((y / height - 0.30) / 0.8) ** 2))
    light += 0.008 * _noise((height, width), (240, 240), rng) + 0.004 * _noise((height, width), (8, 8), rng)
    return (light[..., None] * np.array([209, 204, 194], np.float32)).astype(np.float32)


def _window(room: Canvas, rng: np.random.Generator) -> None:
    s = OVERSAMPLE
    x, y, width, height = 70, 36, 300, 400
    _shade(room, x - 12, y - 8, width + 40, height + 44, 0.22, 10)
    _box(room, x - 16, y - 16, width + 32, height + 32, (236, 234, 226))
    rows, columns = height * s, width * s
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    sky = np.array([196, 221, 246], np.float32) * (1 - down) + np.array([250, 250, 244], np.float32) * down
    outside = np.repeat(sky, columns, axis=1)
    roof = np.array([[0, 300], [90, 250], [190, 296], [190, 400], [0, 400]]) * s
    cv2.fillPoly(outside, [roof.astype(np.int32)], (176, 132, 112))
    for _ in range(420):  # trees: many leaf clumps, dark below, sunlit above
        cx, cy = rng.normal(215, 80), rng.normal(300, 58)
        lit = float(np.clip((330 - cy) / 160 + rng.normal(0, 0.25), 0, 1))
        colour = np.array([52, 92, 44]) * (1 - lit) + np.array([168, 200, 104]) * lit
        cv2.circle(outside, (int(cx * s), int(cy * s)), int(rng.uniform(6, 20) * s), tuple(colour.tolist()), -1)
    outside = cv2.GaussianBlur(outside, (0, 0), 5 * s)
    room[y * s : (y + height) * s, x * s : (x + width) * s] = np.clip(outside * 1.03, 0, 255)
    for bar in (width / 2 - 7,):
        _box(room, x + bar, y, 14, height, (228, 226, 218))
        _box(room, x + bar + 9, y, 5, height, (196, 194, 188))
    _box(room, x, y + 150, width, 10, (228, 226, 218))
    _box(room, x, y + 157, width, 4, (196, 194, 188))
    _shade(room, x - 20, y + height + 16, width + 50, 22, 0.25, 8)
    _box(room, x - 30, y + height + 10, width + 60, 20, (240, 238, 230))
    _box(room, x - 30, y + height + 26, width + 60, 5, (188, 184, 176))


def _curtain(room: Canvas, rng: np.random.Generator) -> None:
    s = OVERSAMPLE
    height, width = room.shape[0], 92 * s
    x = np.arange(width, dtype=np.float32) / s
    folds = np.sin(x * 0.42 + 1.2 * np.sin(x * 0.11)) + 0.35 * np.sin(x * 0.97 + 1)
    sheet = (0.84 + 0.12 * folds)[None, :, None] * np.array([214, 168, 122], np.float32)
    sheet = np.repeat(sheet, height, axis=0) * (1 + 0.012 * _noise((height, width), (2, 60), rng))[..., None]
    edge = np.clip((width / s - x + 3 * np.sin(np.arange(height, dtype=np.float32)[:, None] / 150)) / 2, 0, 1)[
        ..., None
    ]
    _shade(room, 0, 0, 104, 720, 0.25, 9)
    room[:, :width] = room[:, :width] * (1 - edge) + sheet * edge


def _sideboard(room: Canvas, rng: np.random.Generator) -> None:
    _shade(room, -20, 540, 500, 30, 0.3, 14)
    _wood(room, 0, 556, 470, 164, (168, 120, 82), rng)
    _wood(room, -4, 548, 484, 14, (196, 148, 104), rng)
    _shade(room, 0, 562, 470, 8, 0.35, 4)
    for x in (228, 349):
        _box(room, x, 572, 3, 150, (98, 66, 44))
    for x in (214, 244):
        _box(room, x, 618, 5, 34, (222, 206, 160))
    for k, colour in enumerate([(70, 104, 128), (214, 196, 160), (150, 62, 54)]):  # lying books
        _box(room, 300 + 5 * k, 534 - 14 * k, 128 - 14 * k, 14, colour)
        _box(room, 300 + 5 * k, 545 - 14 * k, 128 - 14 * k, 3, tuple(int(c * 0.6) for c in colour))  # type: ignore[arg-type]


def _wood(room: Canvas, x: int, y: int, width: int, height: int, colour: Colour, rng: np.random.Generator) -> None:
    s = OVERSAMPLE
    grain = 1 + 0.05 * _noise((height * s, width * s), (90, 3), rng)
    left, top = max(x, 0) * s, y * s
    part = room[top : top + height * s, left : (x + width) * s]
    part[:] = grain[: part.shape[0], : part.shape[1], None] * np.array(colour, np.float32)


def _framed_picture(room: Canvas) -> None:
    x, y, width, height = 776, 84, 96, 128
    _shade(room, x + 6, y + 8, width, height, 0.35, 7)
    _box(room, x, y, width, height, (58, 50, 46))
    _box(room, x + 6, y + 6, width - 12, height - 12, (240, 236, 226))
    _box(room, x + 18, y + 22, width - 36, height - 44, (238, 198, 150))
    s = OVERSAMPLE
    cv2.circle(room, ((x + 54) * s, (y + 52) * s), 13 * s, (222, 98, 66), -1)
    hills = [
        [x + 18, y + 84],
        [x + 40, y + 66],
        [x + 58, y + 80],
        [x + 78, y + 70],
        [x + 78, y + 106],
        [x + 18, y + 106],
    ]
    cv2.fillPoly(room, [np.array(hills, np.int32) * s], (66, 98, 110))


def _shelves(room: Canvas, rng: np.random.Generator) -> None:
    for y in (258, 455):
        _shade(room, 918, y + 14, 340, 26, 0.30, 12)
        _wood(room, 905, y, 345, 15, (186, 136, 92), rng)
        _shade(room, 905, y + 11, 345, 5, 0.4, 1)
    _books(room, 915, 258, 118, rng)
    _books(room, 1060, 455, 180, rng)
    # a cabinet below
    _shade(room, 880, 590, 420, 30, 0.3, 14)
    _wood(room, 890, 600, 390, 120, (120, 88, 66), rng)
    _wood(room, 880, 590, 400, 13, (150, 110, 80), rng)
    # a lamp: shade and its glow
    s = OVERSAMPLE
    _box(room, 1176, 540, 8, 50, (120, 110, 96))
    lamp = np.array([[1142, 548], [1160, 488], [1202, 488], [1220, 548]]) * s
    cv2.fillPoly(room, [lamp.astype(np.int32)], (255, 226, 168))
    y, x = np.mgrid[0 : room.shape[0], 0 : room.shape[1]].astype(np.float32)
    glow = np.exp(-(((x / s - 1181) / 120) ** 2 + ((y / s - 530) / 90) ** 2))[..., None]
    room += glow * np.array([60, 44, 16], np.float32)


def _books(room: Canvas, x: float, base: float, width: float, rng: np.random.Generator) -> None:
    palette = [
        (158, 60, 52),
        (58, 84, 122),
        (224, 208, 172),
        (74, 116, 92),
        (206, 148, 60),
        (88, 72, 98),
        (210, 214, 214),
    ]
    end = x + width
    before = -1
    while x < end - 10:
        choice = int(rng.integers(len(palette)))
        if choice == before:
            continue
        before = choice
        colour = palette[choice]
        thick, tall = rng.uniform(11, 23), rng.uniform(74, 118)
        thick = min(thick, end - x)
        _box(room, x, base - tall, thick - 1, tall, colour)
        _box(room, x + thick - 4, base - tall, 3, tall, tuple(int(c * 0.66) for c in colour))  # type: ignore[arg-type]
        _box(room, x, base - tall, 2.5, tall, tuple(min(255, int(c * 1.18)) for c in colour))  # type: ignore[arg-type]
        band = tuple(min(255, int(c * 0.5 + 110)) for c in colour)
        _box(room, x + 2, base - tall * 0.80, thick - 6, 8, band)  # type: ignore[arg-type]
        x += thick
    _shade(room, end - width, base - 6, width, 6, 0.25, 3)


def _plant(room: Canvas, foot: tuple[int, int], scale: float, rng: np.random.Generator) -> None:
    s = OVERSAMPLE
    x, y = foot
    pot = np.array([[-30, -58], [30, -58], [22, 0], [-22, 0]], np.float32) * scale + (x, y)
    for k in range(46):
        angle = float(np.pi / 2 + rng.normal(0, 0.62))
        reach = float(rng.uniform(55, 135)) * scale
        lit = float(np.clip(rng.normal(0.35 + k / 90, 0.25), 0, 1))
        colour = np.array([34, 74, 46]) * (1 - lit) + np.array([138, 182, 92]) * lit
        t = np.linspace(0, 1, 14)
        bend = rng.normal(0, 0.5)
        along = angle + bend * t
        mid = np.stack([np.cumsum(np.cos(along)), -np.cumsum(np.sin(along))], 1) * reach / 14 + (x, y - 56 * scale)
        normal = np.stack([np.sin(along), np.cos(along)], 1)
        leaf = np.sin(np.pi * t**0.8)[:, None] * rng.uniform(5, 10) * scale
        outline = np.concatenate([mid + normal * leaf, (mid - normal * leaf)[::-1]])
        cv2.fillPoly(room, [(outline * s).astype(np.int32)], tuple(colour.tolist()), cv2.LINE_AA)
        cv2.polylines(room, [(mid * s).astype(np.int32)], False, tuple((colour * 1.25).tolist()), s, cv2.LINE_AA)
    cv2.fillPoly(room, [(pot * s).astype(np.int32)], (206, 126, 92), cv2.LINE_AA)
    shadow = pot.copy()
    shadow[[0, 3], 0] += 30 * scale
    cv2.fillPoly(room, [(shadow * s).astype(np.int32)], (168, 96, 70), cv2.LINE_AA)
    rim = np.array([[-34, -66], [34, -66], [34, -54], [-34, -54]], np.float32) * scale + (x, y)
    cv2.fillPoly(room, [(rim * s).astype(np.int32)], (220, 144, 108), cv2.LINE_AA)


def _place(room: Canvas, thing: NDArray[np.uint8], foot: tuple[int, int], height: int) -> None:
    """Puts an RGBA picture so that its lower middle stands on `foot`."""
    s = OVERSAMPLE
    width = round(height * thing.shape[1] / thing.shape[0])
    large = cv2.resize(thing, (width * s, height * s), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    _shade(room, foot[0] - width / 2 + 10, foot[1] - height + 14, width, height - 14, 0.10, 14)
    top, left = (foot[1] - height) * s, (foot[0] - width // 2) * s
    cut = max(0, -top)
    part = room[top + cut : top + height * s, left : left + width * s]
    alpha = large[cut:, :, 3:] / 255
    part[:] = part * (1 - alpha) + large[cut:, :, :3] * alpha


def _lens(room: Canvas, rng: np.random.Generator) -> RgbImage:
    """Out-of-focus blur with a round aperture, in linear light so that bright spots stay bright; soft vignette."""
    radius = BLUR_PX
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    linear = np.power(np.clip(room / 255, 0, 1), 2.2)
    blurred = cv2.filter2D(linear, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    blurred = cv2.GaussianBlur(blurred, (0, 0), 1.0)
    height, width = room.shape[:2]
    gy, gx = np.mgrid[0:height, 0:width].astype(np.float32)
    corner = ((gx / width - 0.5) ** 2 + (gy / height - 0.5) ** 2)[..., None]
    out = np.power(blurred * (1 - 0.35 * corner), 1 / 2.2) * 255
    return np.clip(out + rng.normal(0, 0.3, out.shape), 0, 255).astype(np.uint8)
