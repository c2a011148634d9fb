"""Made-up scenes whose right drawing is known: a noisy still photo, a sweeping bar, cuts, one motion at several rates.

Comes in: renderings and a picture of a person. Goes out: figures. Main thread. All renderings see the same frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from bench.clip import Figures
from bench.metrics import Change, Region, change, ratio
from bench.render import Rendering
from realtime.perceive import Perceiver
from realtime.types import Frame, Mask, RgbImage, Size, read_only

NOISE_SIGMA, JPEG_QUALITY = 4.0, 80  # of 255; of a cheap webcam's MJPG
STILL_SECONDS, SETTLED_S = 2.0, 1.0
PERSON_MARGIN = 0.02  # of the width: what is nearer to the person counts as person

BAR_PX, BAR_SPEED_PX_S, BAR_FPS = 60, 1000.0, 30.0
BAR_LEVELS = (60, 130, 142, 158, 162, 170, 180, 240)  # on a wall of 150: dark, near the wall's tone, bright
WALL_LEVEL = 150
GHOST_FRAMES = 2
BAR_LEAD_IN, BAR_LOOKED_AT_EVERY = 10, 6  # frames

MOTION_RATES, MOTION_SECONDS, COMMON_FPS = (15, 30, 60), 1.2, 15
MOTION_PX, MOTION_HZ = 40.0, 0.8


def frame_at(rgb: RgbImage, t: float, index: int) -> Frame:
    """A made-up picture as a frame."""
    return Frame(read_only(np.ascontiguousarray(rgb)), t, 0.0, index)


def still_photo(
    photo: RgbImage,
    renderings: Sequence[Rendering],
    perceive: Perceiver,
    fps: float = 30.0,
    seconds: float = STILL_SECONDS,
) -> dict[str, Figures]:
    """Flicker of the drawing of one photo under fresh sensor noise and JPEG.

    flicker: mean |d| of consecutive drawings over that of their frames. jumping: share of pixels that change by more
    than 16/255. settled: largest change of any pixel outside the person after the first second; settled_median: of the
    frames' largest changes there the median.
    """
    person = perceive(frame_at(photo, 0.0, 0)).person
    outside = _outside(person, Size(photo.shape[1], photo.shape[0]))
    for rendering in renderings:
        rendering.reset()
    noisy = _noisy(photo, round(seconds * fps))
    before: dict[str, RgbImage] = {}
    source: list[Change] = []
    drawn: dict[str, list[tuple[Change, Change]]] = {rendering.name: [] for rendering in renderings}
    for number, rgb in enumerate(noisy):
        frame = frame_at(rgb, number / fps, number)
        if "" in before:
            source.append(change(before[""], rgb))
        before[""] = rgb
        for rendering in renderings:
            picture = rendering.draw(frame)
            if number:
                last = before[rendering.name]
                drawn[rendering.name].append((change(last, picture), change(last, picture, outside)))
            before[rendering.name] = picture
    from_source = float(np.mean([c.mean for c in source]))
    figures = {}
    for name, changes in drawn.items():
        settled = [there.largest for _, there in changes[round(SETTLED_S * fps) :]]
        figures[name] = {
            "flicker": ratio(float(np.mean([c.mean for c, _ in changes])), from_source),
            "mean_change": float(np.mean([c.mean for c, _ in changes])),
            "jumping": float(np.mean([c.jumping for c, _ in changes])),
            "settled": max(settled, default=float("nan")),
            "settled_median": float(np.median(settled)) if settled else float("nan"),
        }
    return figures


def sweeping_bar(renderings: Sequence[Rendering], size: Size) -> dict[str, Figures]:
    """How much of a bar that sweeps by at 1,000 px/s over a plain wall is left where it last was two frames before.

    ghost: the largest |d| there, in 1/255, from the same frame drawn by a filter that saw the empty wall only, less
    what the wall ahead of the bar differs by (exposure). Each level is a bar of its own brightness; `ghost` is the
    worst.
    """
    figures: dict[str, Figures] = {}
    for rendering in renderings:
        found = {f"ghost_{level}": _ghost(rendering, size, level) for level in BAR_LEVELS}
        figures[rendering.name] = {"ghost": max(found.values()), **found}
    return figures


def _ghost(rendering: Rendering, size: Size, level: int) -> float:
    """Rest of one bar, in 1/255: the largest of some moments."""
    wall = np.full((size.height, size.width, 3), WALL_LEVEL, np.uint8)
    step = BAR_SPEED_PX_S / BAR_FPS
    lefts = [round(n * step) for n in range(int((size.width - 3 * BAR_PX) / step))]
    moments = set(range(GHOST_FRAMES, len(lefts), BAR_LOOKED_AT_EVERY))
    drawn: dict[int, RgbImage] = {}
    rendering.reset()
    for number in range(-BAR_LEAD_IN, len(lefts)):
        rgb = wall if number < 0 else _barred(wall, lefts[number], level)
        index = number + BAR_LEAD_IN
        picture = rendering.draw(frame_at(rgb, index / BAR_FPS, index))
        if number in moments:
            drawn[number] = picture
    worst = 0.0
    for number, picture in drawn.items():
        rendering.reset()
        for index in range(BAR_LEAD_IN):
            rendering.draw(frame_at(wall, index / BAR_FPS, index))
        alone = rendering.draw(frame_at(_barred(wall, lefts[number], level), BAR_LEAD_IN / BAR_FPS, BAR_LEAD_IN))
        off = picture.astype(np.float32) - alone.astype(np.float32)
        off -= np.median(off[:, lefts[number] + 2 * BAR_PX :], axis=(0, 1))
        left_for_good = slice(lefts[number - GHOST_FRAMES], lefts[number - GHOST_FRAMES + 1])  # so many frames ago
        worst = max(worst, float(np.abs(off[:, left_for_good]).max()))
    return worst


def _barred(wall: RgbImage, left: int, level: int) -> RgbImage:
    rgb = wall.copy()
    rgb[:, left : left + BAR_PX] = level
    return rgb


def cuts(photo: RgbImage, renderings: Sequence[Rendering]) -> dict[str, Figures]:
    """The first picture after a hard cut, against the same frame drawn by a filter that saw nothing before.

    mean |d| and share of jumping pixels, for a cut to the mirrored picture, to a close-up and to a darker scene.
    """
    height, width = photo.shape[:2]
    close = photo[height // 8 : height // 8 + height // 2, width // 4 : width // 4 + width // 2]
    shots = {
        "mirrored": cv2.flip(photo, 1),
        "close": cv2.resize(close, (width, height), interpolation=cv2.INTER_CUBIC),
        "dark": cv2.convertScaleAbs(cv2.flip(photo, 1), alpha=0.35),
    }
    figures: dict[str, Figures] = {}
    for rendering in renderings:
        found: Figures = {}
        for name, shot in shots.items():
            rendering.reset()
            alone = rendering.draw(frame_at(shot, 0.0, 0))
            rendering.reset()
            for number in range(15):
                rendering.draw(frame_at(photo, number / 30, number))
            rest = change(alone, rendering.draw(frame_at(shot, 0.5, 15)))
            found[f"cut_{name}"], found[f"cut_{name}_jumping"] = rest.mean, rest.jumping
        found["cut"] = max(found[f"cut_{name}"] for name in shots)
        rendering.reset()
        found["reset"] = change(alone, rendering.draw(frame_at(shots["dark"], 0.0, 0))).mean
        figures[rendering.name] = found
    return figures


def same_motion(photo: RgbImage, renderings: Sequence[Rendering]) -> dict[str, Figures]:
    """The same sway of the picture at 15, 30 and 60 frames a second: how much drawings of the same moment differ.

    rate_15, rate_60: mean |d| in 1/255 from those at 30, over the moments that all have, the first third of a second
    left out; jumping: the larger share of jumping pixels.
    """
    figures: dict[str, Figures] = {}
    for rendering in renderings:
        at: dict[int, list[RgbImage]] = {}
        for rate in MOTION_RATES:
            rendering.reset()
            at[rate] = []
            for number in range(round(MOTION_SECONDS * rate) + 1):
                picture = rendering.draw(frame_at(_swayed(photo, number / rate), number / rate, number))
                if number % (rate // COMMON_FPS) == 0 and number / rate > 1 / 3:
                    at[rate].append(picture)
        found: Figures = {}
        for rate in (15, 60):
            changes = [change(a, b) for a, b in zip(at[30], at[rate], strict=True)]
            found[f"rate_{rate}"] = float(np.mean([c.mean for c in changes]))
            found[f"rate_{rate}_jumping"] = float(np.mean([c.jumping for c in changes]))
        figures[rendering.name] = found
    return figures


def _swayed(photo: RgbImage, t: float) -> RgbImage:
    """The photo, a little enlarged and shifted to and fro."""
    height, width = photo.shape[:2]
    x = MOTION_PX * np.sin(2 * np.pi * MOTION_HZ * t)
    move = np.array([[1.15, 0, -0.075 * width + x], [0, 1.15, -0.075 * height + 0.25 * x]], np.float32)
    return np.asarray(cv2.warpAffine(photo, move, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _noisy(photo: RgbImage, count: int) -> Iterator[RgbImage]:
    """The photo as a cheap webcam sends it again and again: fresh noise on every pixel, then JPEG."""
    for number in range(count):
        noise = np.random.default_rng(number).standard_normal(photo.shape, np.float32) * NOISE_SIGMA
        grainy = np.clip(photo + noise + 0.5, 0, 255).astype(np.uint8)
        _, data = cv2.imencode(
            ".jpg", cv2.cvtColor(grainy, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        yield np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def _outside(person: Mask, size: Size) -> Region:
    """Where surely no person is, at the frame's size."""
    mask = cv2.resize(person, (size.width, size.height), interpolation=cv2.INTER_LINEAR) > 0.1
    reach = 2 * round(PERSON_MARGIN * size.width) + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)) == 0)
