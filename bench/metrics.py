"""The measures, as plain arithmetic on signals and pictures.

Comes in: arrays. Goes out: numbers. No state, no files, no networks, any thread: what each number must be is known for
made-up input, and the tests use that.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import GrayImage, RgbImage

Signal = NDArray[np.float64]  # (n,), NaN where nothing was seen
Region = NDArray[np.bool_]  # (h, w)
Flow = NDArray[np.float32]  # (h, w, 2): where in the picture before each pixel was, as a step in pixels

HIGH_PASS_SIGMA_PX = 2.0
STRONG_EDGE = 0.045  # high-pass of 0..1 above which a pixel belongs to an edge, not to a texture
EDGE_REACH_PX = 4
JUMP = 16  # change of a pixel in 1/255 that an eye sees as flicker
OPEN_SHARE = 0.5  # of an eye's usual openness: below, it closes. MediaPipe reads about a third of it off a shut eye


def pearson(a: Signal, b: Signal) -> float:
    """Pearson's r where both are known; NaN for fewer than 3 values or a constant."""
    known = np.isfinite(a) & np.isfinite(b)
    x, y = a[known], b[known]
    if len(x) < 3 or min(np.std(x), np.std(y)) < 1e-9:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def follows(source: Signal, drawn: Signal, least_motion: float) -> float:
    """Pearson's r of a signal and its drawing; NaN where the source's standard deviation is below `least_motion`."""
    known = source[np.isfinite(source)]
    if len(known) == 0 or np.std(known) < least_motion:
        return float("nan")
    return pearson(source, drawn)


def delay_frames(source: Signal, late: Signal, reach: int = 6) -> float:
    """By how many frames `late` comes after `source`: the shift, -reach..reach, at which they correlate best.

    Between whole frames the peak is that of the parabola through the three highest values. NaN where nothing
    correlates.
    """
    scores = np.array([_shifted(source, late, shift) for shift in range(-reach, reach + 1)])
    if not np.isfinite(scores).any():
        return float("nan")
    best = int(np.nanargmax(scores))
    peak = float(best - reach)
    if 0 < best < 2 * reach:
        before, top, after = scores[best - 1 : best + 2]
        bend = before - 2 * top + after
        if np.isfinite(bend) and bend < 0:
            peak += float(0.5 * (before - after) / bend)
    return peak


def _shifted(source: Signal, late: Signal, shift: int) -> float:
    if abs(shift) >= len(source):
        return float("nan")
    if shift >= 0:
        return pearson(source[: len(source) - shift], late[shift:])
    return pearson(source[-shift:], late[:shift])


def closings(openness: Signal, level: float) -> list[slice]:
    """The runs of frames in which an eye's openness is below `level`; what is not known counts as open."""
    low = np.nan_to_num(openness, nan=np.inf) < level
    steps = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]]).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in zip(steps[::2], steps[1::2], strict=True)]


def drawn_closed(true: list[slice], drawn: Signal, level: float, slack: int = 1) -> int:
    """In how many of the `true` closings, a frame more or less, the drawn openness goes below `level`."""
    return sum(bool(np.nanmin(_part(drawn, run, slack), initial=np.inf) < level) for run in true)


def _part(signal: Signal, run: slice, slack: int) -> Signal:
    return signal[max(0, run.start - slack) : run.stop + slack]


def usual(openness: Signal) -> float:
    """How open an eye mostly is."""
    known = openness[np.isfinite(openness)]
    return float(np.median(known)) if len(known) else float("nan")


def backward_flow(before: GrayImage, now: GrayImage) -> Flow:
    """DIS optical flow (Kroeger, "Fast Optical Flow using Dense Inverse Search", 2016) from `now` back to `before`."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(dis.calc(now, before, None), np.float32)


def unsteadiness(before: RgbImage, now: RgbImage, flow: Flow) -> float:
    """Mean absolute difference, in 1/255, of a picture and the one before it moved along `flow`."""
    height, width = now.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(before, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(cv2.absdiff(now, moved).mean())


def texture(rgb: RgbImage, regions: tuple[Region, ...]) -> tuple[float, ...]:
    """How much fine structure lies in the quiet places of each region.

    Mean of |gray - Gaussian of sigma 2 px| (gray 0..1) over the pixels that have none of the picture's strong edges
    within 4 px; NaN for a region without such pixels.
    """
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    high_pass = cv2.absdiff(gray, cv2.GaussianBlur(gray, (0, 0), HIGH_PASS_SIGMA_PX))
    reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * EDGE_REACH_PX + 1,) * 2)
    quiet = cv2.dilate((high_pass > STRONG_EDGE).astype(np.uint8), reach) == 0
    return tuple(float(high_pass[quiet & r].mean()) if (quiet & r).any() else float("nan") for r in regions)


@dataclass(frozen=True, slots=True)
class Change:
    """From one picture to the next: mean |d| and largest |d| in 1/255, share of pixels that jump."""

    mean: float
    jumping: float
    largest: float


def change(before: RgbImage, now: RgbImage, where: Region | None = None) -> Change:
    """How much two pictures differ, in `where` or everywhere; a pixel jumps if a channel changes by more than 16."""
    each = cv2.absdiff(before, now)
    if where is not None:
        each = each[where].reshape(-1, 1, 3)
    if each.size == 0:
        return Change(float("nan"), float("nan"), float("nan"))
    highest = each.max(axis=2)
    return Change(float(each.mean()), float((highest > JUMP).mean()), float(highest.max()))


def ratio(part: float, whole: float) -> float:
    """`part / whole`, NaN where there is nothing to divide by."""
    return part / whole if whole > 0 else float("nan")


def median(values: list[float]) -> float:
    """The median of what is known; NaN where nothing is."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
