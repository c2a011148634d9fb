"""Compose: the only stage that makes a `Picture` of what was drawn.

Comes in: `Styled`. Goes out: `Picture` with the room the user chose, mirrored if asked. Runs on the filter's thread.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.crop import crop_matrix, edge_in_box, place
from realtime.errors import UsageError
from realtime.person_mask import along_edges
from realtime.settings import Background
from realtime.types import Frame, GrayImage, Mask, Picture, RgbImage, Scene, Size, Styled, read_only

BLUR_SHARE = 1 / 45  # blur radius (sigma) of the room over the picture's width
SOMEBODY = 0.5  # of the mask: less anywhere, and nobody was seen


class Compose:
    """Puts the drawn person before the chosen background. `background` and `mirror` may change between two frames.

    only: what is drawn, all, face, person or background; the rest is the camera's own picture, for the user named it.
    Where nothing of what is to be drawn was found, all is drawn.
    """

    def __init__(self, background: Background, mirror: bool, only: str = "all") -> None:
        self.only = only
        self.background = background
        self.mirror = mirror
        self._image: tuple[Background, Size, RgbImage] | None = None

    @property
    def hides(self) -> bool:
        """Whether the picture is not the drawing alone; then it must be known where the person is."""
        return self.background.kind != "style" or self.only != "all"

    def reset(self) -> None:
        """Nothing is remembered between frames but the background image."""

    def __call__(self, styled: Styled) -> Picture:
        """The finished picture; raises `UsageError` for a background image that cannot be read."""
        frame, rgb, alpha = styled.scene.frame, styled.rgb, None
        if (share := drawn_share(styled.scene, self.only)) is not None:
            rgb = cv2.blendLinear(rgb, frame.rgb, share, 1 - share)
        if self.background.kind != "style":
            person = along_edges(styled.scene.person, frame.rgb)
            if self.background.kind == "transparent":
                alpha = (person * 255 + 0.5).astype(np.uint8)
            else:
                rgb = cv2.blendLinear(rgb, self._room(rgb, frame.size), person, 1 - person)
        return _picture(rgb, alpha, frame, self.mirror)

    def _room(self, drawn: RgbImage, size: Size) -> RgbImage:
        """What stands behind the person, (h, w, 3) u8."""
        if self.background.kind == "blur":
            small = cv2.resize(drawn, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            small = cv2.GaussianBlur(small, (0, 0), max(1.0, 0.25 * BLUR_SHARE * size.width))
            return cv2.resize(small, (size.width, size.height))
        if self.background.kind == "color":
            return np.full_like(drawn, self.background.color)
        if self._image is None or self._image[:2] != (self.background, size):
            self._image = (self.background, size, _cover(read_background(self.background), size))
        return self._image[2]


class PassThrough:
    """The camera's own picture, for the style `none` only, which the user chose by name."""

    def __init__(self, mirror: bool) -> None:
        self.mirror = mirror

    def __call__(self, frame: Frame) -> Picture:
        """The raw frame as a picture."""
        return _picture(frame.rgb, None, frame, self.mirror)


def drawn_share(scene: Scene, only: str) -> Mask | None:
    """How much of each place is drawn, (h, w) f32 0..1; None for all of it."""
    size = scene.frame.size
    if only == "all" or (only == "face" and not scene.faces) or scene.person.max() < SOMEBODY:
        return None
    person = along_edges(scene.person, scene.frame.rgb)
    if only == "person":
        return person
    if only == "background":
        return 1 - person
    heads = np.zeros((size.height, size.width), np.float32)
    for face in scene.faces:
        if (there := place(crop_matrix(face.landmarks), size)) is not None:
            at = np.s_[there.top : there.bottom, there.left : there.right]
            heads[at] = np.maximum(heads[at], edge_in_box(there))
    return heads * person


def read_background(background: Background) -> RgbImage:
    """The user's background image, (h, w, 3) RGB u8; raises `UsageError` when it is no picture."""
    try:
        bgr = cv2.imread(str(background.image), cv2.IMREAD_COLOR)
    except cv2.error:  # larger than is allowed
        bgr = None
    if bgr is None:
        raise UsageError(f"--background image: {background.image} is not a picture that can be read; use PNG or JPEG.")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _cover(rgb: RgbImage, size: Size) -> RgbImage:
    """The picture enlarged or shrunk to fill `size`, what sticks out cut off."""
    h, w = rgb.shape[:2]
    scale = max(size.width / w, size.height / h)
    wide, high = max(size.width, round(w * scale)), max(size.height, round(h * scale))
    large = cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (wide - size.width) // 2, (high - size.height) // 2
    return np.ascontiguousarray(large[top : top + size.height, left : left + size.width])


def _picture(rgb: RgbImage, alpha: GrayImage | None, frame: Frame, mirror: bool) -> Picture:
    if mirror:
        rgb = cv2.flip(rgb, 1)
        alpha = None if alpha is None else cv2.flip(alpha, 1)
    return Picture(read_only(rgb), frame.t, frame.grabbed_s, frame.index, None if alpha is None else read_only(alpha))
