"""The size a frame is worked on at: its own, or a smaller one where the governor gives up size.

Comes in: frames and pictures. Goes out: the same, smaller or at the frame's size again. Any thread.
"""

from __future__ import annotations

from dataclasses import replace

import cv2

from realtime.types import Frame, Picture, Size, read_only


def scaled(size: Size, scale: float) -> Size:
    """The size with its sides times `scale`, even."""
    return size if scale == 1 else Size(round(size.width * scale), round(size.height * scale)).even


def shrunk_frame(frame: Frame, scale: float) -> Frame:
    """The frame with its sides times `scale`; itself at 1."""
    size = scaled(frame.size, scale)
    if size == frame.size:
        return frame
    rgb = cv2.resize(frame.rgb, (size.width, size.height), interpolation=cv2.INTER_AREA)
    return replace(frame, rgb=read_only(rgb))


def enlarged_picture(picture: Picture, size: Size) -> Picture:
    """The picture at `size`; itself where it has it."""
    if picture.size == size:
        return picture
    to = (size.width, size.height)
    alpha = None if picture.alpha is None else read_only(cv2.resize(picture.alpha, to))
    return replace(picture, rgb=read_only(cv2.resize(picture.rgb, to, interpolation=cv2.INTER_CUBIC)), alpha=alpha)
