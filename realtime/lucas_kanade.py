"""Steps of motion made finer: by what the moved picture still differs from the new one.

Comes in: a flow that is about right, and the pictures it is between. Goes out: the flow, nearer to the truth. Any
thread. Source: Lucas and Kanade, "An Iterative Image Registration Technique with an Application to Stereo Vision",
IJCAI 1981, one step of it.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.types import Flow, GrayImage

AROUND = 4  # steps of the flow, each way together, that are taken to move alike
FLAT = 10.0  # square of levels a pixel: where the picture varies no more than by that, it tells little of motion
SHARE = 0.6  # of a step is gone: slopes of fine detail are underrated, and a whole step goes too far
FURTHEST = 0.5  # pixels of the flow
_SLOPE = 1 / 32  # Scharr's sums to levels a pixel


def refined(flow: Flow, now: GrayImage, before: GrayImage, places: Flow) -> Flow:
    """The flow, each step by up to `FURTHEST` of its pixels nearer to what leads from `now` back to `before`.

    now, before: (2 h, 2 w) u8, of twice the flow's sides, a little softened. places: (h, w, 2), which pixel of them
    each step of the flow begins at.
    """
    height, width = flow.shape[:2]
    every_other = np.s_[: 2 * height : 2, : 2 * width : 2]
    come_from = cv2.remap(
        before, cv2.scaleAdd(flow, 2, places), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    left = cv2.subtract(now[every_other], come_from, dtype=cv2.CV_16S)
    across, down = (cv2.Scharr(now, cv2.CV_16S, *way)[every_other] for way in ((1, 0), (0, 1)))
    products = [
        cv2.multiply(a, b, scale=scale, dtype=cv2.CV_32F)
        for a, b, scale in (
            (across, across, _SLOPE**2),
            (across, down, _SLOPE**2),
            (down, down, _SLOPE**2),
            (across, left, _SLOPE),
            (down, left, _SLOPE),
        )
    ]
    means = cv2.blur(cv2.merge(products), (AROUND, AROUND), anchor=((AROUND - 1) // 2,) * 2)
    xx, xy, yy, xt, yt = cv2.split(means)
    xx += FLAT
    yy += FLAT
    share = np.float32(SHARE / 2) / (xx * yy - xy * xy)
    step = cv2.merge([(yy * xt - xy * yt) * share, (xx * yt - xy * xt) * share])
    return flow + np.clip(step, -FURTHEST, FURTHEST)
