"""What the preview's window shows, as pixels, and its own keys.

Comes in: a drawing, the photo it was made from where the user asked for it, lines of status, keys and the mouse. Goes
out: a picture of the window's size. In the window's own process, on its main thread; nothing here can reach a sink.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from realtime.types import RgbImage, Size

PAPER = (44, 34, 38)  # BGR, as of a card
BRIGHT, GREY = (240, 240, 240), (206, 200, 198)
WIPE_STEP = 0.05
ESCAPE = "\x1b"
WINDOW_HELP = (
    ("f", "full screen"),
    ("v", "photo beside the drawing, in this window only"),
    (", .", "move the line between them (or drag it)"),
    ("c", "clean: no text"),
    ("h", "show or hide these keys"),
)
PHOTO_LABEL, DRAWING_LABEL = "photo, in this window only", "drawing, as others see it"
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_PX = 22.0  # height of a capital letter at scale 1
_GRAB_PX = 40


class View:
    """How the window looks now.

    help_: keys and what they do, before the window's own. split: whether the photo is wanted. wipe: where it ends,
    0..1 of the picture's width.
    """

    def __init__(self, help_: Sequence[tuple[str, str]]) -> None:
        self._help = (*help_, *WINDOW_HELP)
        self.full_screen = False
        self.split = False
        self.wipe = 0.5
        self._clean = False
        self._help_shown = False
        self._dragging = False

    def key(self, key: str) -> str | None:
        """Does what a key of the window says; gives back a key that is not for the window."""
        if key == "f":
            self.full_screen = not self.full_screen
        elif key == "v":
            self.split = not self.split
        elif key in (",", "."):
            step = WIPE_STEP if key == "." else -WIPE_STEP
            self.wipe = min(1.0, max(0.0, self.wipe + step))
        elif key == "c":
            self._clean = not self._clean
        elif key in ("h", "?"):
            self._help_shown = not self._help_shown
        elif key == ESCAPE and self._help_shown:
            self._help_shown = False
        elif key == ESCAPE and self.full_screen:
            self.full_screen = False
        else:
            return key
        return None

    def mouse(self, x: int, *, pressed: bool, picture: Size, window: Size) -> None:
        """The mouse is at `x` of a window that shows a picture; while a button is held the line comes along."""
        left, _, width, _ = fitted(picture, window)
        if not (self.split and pressed):
            self._dragging = False
        elif self._dragging or abs(x - left - self.wipe * width) <= _GRAB_PX:
            self._dragging = True
            self.wipe = min(1.0, max(0.0, (x - left) / width))

    def pixels(self, drawn: RgbImage | None, photo: RgbImage | None, status: Sequence[str], window: Size) -> RgbImage:
        """The window's content, (h, w, 3) u8 BGR. drawn: None before the first picture. photo: of the same size."""
        out = np.full((window.height, window.width, 3), PAPER, np.uint8)
        if drawn is None:
            _centred(out, "LiveToon starts", max(0.5, window.height / 600))
            return out
        left, top, width, height = fitted(Size(drawn.shape[1], drawn.shape[0]), window)
        place = out[top : top + height, left : left + width]
        cv2.cvtColor(_resized(drawn, width, height), cv2.COLOR_RGB2BGR, place)
        scale = float(np.clip(window.height / 720, 0.55, 2.2)) * 0.62
        if self.split and photo is not None:
            self._put_photo(place, _resized(photo, width, height), scale)
        if status and not self._clean:
            _put_status(out, status, scale)
        if self._help_shown:
            self._put_help(out, scale)
        return out

    def _put_photo(self, place: RgbImage, photo: RgbImage, scale: float) -> None:
        """The label stays in a clean window too: nobody should take the photo for what others see."""
        height, width = place.shape[:2]
        at = round(self.wipe * width)
        if at > 0:
            place[:, :at] = cv2.cvtColor(np.ascontiguousarray(photo[:, :at]), cv2.COLOR_RGB2BGR)
        cv2.line(place, (at, 0), (at, height), BRIGHT, max(1, round(3 * scale)), cv2.LINE_AA)
        radius = round(16 * scale)
        cv2.circle(place, (at, height // 2), radius, BRIGHT, -1, cv2.LINE_AA)
        for side in (-1, 1):
            tip = np.array([[0.75 * side, 0], [0.3 * side, -0.4], [0.3 * side, 0.4]]) * radius + (at, height // 2)
            cv2.fillConvexPoly(place, np.round(tip * 16).astype(np.int32), PAPER, cv2.LINE_AA, 4)
        margin, end = round(14 * scale), 0
        for text, is_photo in ((PHOTO_LABEL, True), (DRAWING_LABEL, False)):
            (wide, high), _ = cv2.getTextSize(text, _FONT, scale, 1)
            x = max(margin, at - margin - wide) if is_photo else max(end, at) + margin
            if at > 0 if is_photo else x + wide < width:
                end = x + wide
                box = place[margin // 2 : margin // 2 + 2 * high, x - margin // 2 : end + margin // 2]
                box[:] = box // 3
                cv2.putText(place, text, (x, margin // 2 + round(1.5 * high)), _FONT, scale, BRIGHT, 1, cv2.LINE_AA)

    def _put_help(self, out: RgbImage, scale: float) -> None:
        height, width = out.shape[:2]
        rows = len(self._help)
        line = 2.1 * _FONT_PX * scale
        line *= min(1.0, 0.92 * height / ((rows + 1) * line))
        scale = line / (2.1 * _FONT_PX)
        sizes = [cv2.getTextSize(text, _FONT, scale, 1)[0][0] for _, text in self._help]
        keys_wide = max(cv2.getTextSize(key, _FONT, scale, 1)[0][0] for key, _ in self._help)
        gap = round(1.2 * line)
        wide, high = keys_wide + max(sizes) + 3 * gap, round((rows + 1) * line)
        left, top = max(0, (width - wide) // 2), max(0, (height - high) // 2)
        panel = out[top : top + high, left : left + wide]
        cv2.addWeighted(panel, 0.16, np.full_like(panel, PAPER), 0.84, 0, panel)
        for row, (key, text) in enumerate(self._help):
            y = top + round((row + 1.15) * line)
            cv2.putText(out, key, (left + gap, y), _FONT, scale, BRIGHT, 1, cv2.LINE_AA)
            cv2.putText(out, text, (left + 2 * gap + keys_wide, y), _FONT, scale, GREY, 1, cv2.LINE_AA)


def fitted(picture: Size, window: Size) -> tuple[int, int, int, int]:
    """Left, top, width and height of a picture that fills as much of the window as it can, centred."""
    scale = min(window.width / picture.width, window.height / picture.height)
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return (window.width - width) // 2, (window.height - height) // 2, width, height


def _resized(rgb: RgbImage, width: int, height: int) -> RgbImage:
    if rgb.shape[:2] == (height, width):
        return rgb
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_LINEAR)


def _centred(out: RgbImage, text: str, scale: float) -> None:
    (wide, high), _ = cv2.getTextSize(text, _FONT, scale, 1)
    at = ((out.shape[1] - wide) // 2, (out.shape[0] + high) // 2)
    cv2.putText(out, text, at, _FONT, scale, BRIGHT, 1, cv2.LINE_AA)


def _put_status(out: RgbImage, lines: Sequence[str], scale: float) -> None:
    """The lines on a dark strip along the lower edge."""
    height, width = out.shape[:2]
    line = round(1.7 * _FONT_PX * scale)
    strip = out[max(0, height - line * len(lines) - line // 3) :]
    strip[:] = strip // 3
    for row, text in enumerate(reversed(lines)):
        (wide, _), _ = cv2.getTextSize(text, _FONT, scale, 1)
        smaller = scale * min(1.0, (width - line) / max(wide, 1))
        at = (line // 2, height - line // 2 - row * line)
        cv2.putText(out, text, at, _FONT, smaller, BRIGHT, 1, cv2.LINE_AA)
