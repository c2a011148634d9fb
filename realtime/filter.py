"""The filter: one frame in, one picture out, through the stages in order.

Comes in: `Frame`. Goes out: `Picture`. Runs on the thread of `Hold`, which stands in when it fails; the first half of
the next frame is worked on beside it (`look_ahead.py`). What concerns the face only, and fails, is left out: the rest
of the picture is drawn.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace

import cv2

from realtime.compose import Compose
from realtime.cross_fade import CrossFade
from realtime.ink import Ink
from realtime.look_ahead import Coming, LookAhead, Looked
from realtime.open_style import Drawing, Opened, TwoStyles
from realtime.page import Page, Print, with_page_strength
from realtime.perceive import EVERYWHERE, Perceiver
from realtime.raw import is_raw
from realtime.redraw import Effort
from realtime.reshape import Reshape, Shape, with_shape_strength
from realtime.settings import Look
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.style_loader import StyleLoader, Wish
from realtime.styles import Style
from realtime.types import Frame, Picture, RgbImage, Scene, Styled
from realtime.working_size import enlarged_picture, shrunk_frame

SEEN_LEVELS, DRAWN_LEVELS = 12.0, 1.0  # standard deviation: where the frame has as much, so little is no drawing
_ROWS = 16  # that are looked at


class Filter:
    """The way of a frame. The look changes between two frames through `show`.

    resources: what `close` lets go of besides the stage stylize. loader: opens another style's generators; without one,
    only styles that share those of `stylize` can be shown. coming: see `LookAhead`. effort: its scale is that of the
    frame's sides in which everything is worked out; the picture has the frame's size. Raises what a stage raises that
    nothing can be drawn without.
    """

    def __init__(
        self,
        perceive: Perceiver,
        steady: Steady,
        stylize: Drawing,
        ink: Ink,
        compose: Compose,
        stats: Stats,
        resources: ExitStack | None = None,
        loader: StyleLoader | None = None,
        coming: Coming | None = None,
        effort: Effort | None = None,
    ) -> None:
        self._effort = Effort() if effort is None else effort
        self._reshape, self._print = Reshape(Shape()), Print(Page())  # nothing, until a style wants it: `show`
        self._look_ahead = LookAhead(perceive, steady, self._reshape, stylize, stats, self._effort, coming)
        self._stylize = stylize
        self._opened = stylize if isinstance(stylize, Opened) else None
        self._fade = CrossFade()
        self._loader = loader
        self._drawn = None if loader is None else loader.last
        self._ink = ink
        self._compose = compose
        self._steady = steady
        self._look_ahead.mask_wanted = compose.hides or (self._drawn is not None and self._drawn.look.needs_mask)
        self._stats = stats
        self._resources = ExitStack() if resources is None else resources
        self.trouble: Exception | None = None  # why the last picture was drawn without face work
        self.busy_s = 0.0  # see `__call__`
        self.ink = stats.timed("ink", ink)
        self.compose = stats.timed("compose", self._printed)

    def __call__(self, frame: Frame) -> Picture:
        """The drawn frame; `busy_s` is then how far apart such pictures come at best."""
        self.trouble = None
        self._take_loaded()
        looked = self._looked(frame)
        start_s = time.monotonic()
        self._stats.saw(len(looked.scene.faces))
        styled = self._inked(self._stylized(looked))
        if self._compose.hides and is_raw(styled.rgb, styled.scene.frame.rgb):
            raise RuntimeError("the person is not drawn")  # before another room, `Hold` could not tell any more
        picture = enlarged_picture(self.compose(styled), frame.size)
        drew_s = time.monotonic() - start_s
        self.busy_s = max(looked.took_s, drew_s) if self._look_ahead.overlaps else looked.took_s + drew_s
        return picture

    def show(self, look: Look, style: Style) -> None:
        """Draw in this look from the next frame on, or as soon as its style's generators are open."""
        self._ink.expression, self._steady.steadiness = look.expression, look.steadiness
        self._look_ahead.mask_wanted |= look.needs_mask  # before the room may be replaced
        self._compose.background = look.background
        wish = Wish(look, style)
        if self._loader is None or self._drawn is None or wish.shares_generators(self._drawn):
            if self._loader is not None:
                self._loader.cancel()
            self._draw_in(wish)
        else:
            self._loader.load(wish)

    @property
    def partly(self) -> bool:
        """Whether the user asked for a part of the frame undrawn."""
        return self._compose.only != "all"

    def mirror(self, mirror: bool) -> None:
        """Mirror what every sink gets, from the next frame on."""
        self._compose.mirror = mirror

    def reset(self) -> None:
        """Forget everything that was seen."""
        for stage in (self._look_ahead, self._stylize, self._ink, self._print, self._fade, self._compose):
            stage.reset()

    def close(self) -> None:
        """Lets go of models and engines."""
        self._look_ahead.close()
        if self._loader is not None:
            self._loader.cancel()
        if self._opened is not None:
            self._opened.close()
        self._resources.close()

    def _take_loaded(self) -> None:
        """Goes over to the style that was loaded, if one was, and lets go of the one before."""
        if self._loader is None or (ready := self._loader.take()) is None:
            return
        before, (wish, self._opened) = self._opened, ready
        self._stylize = self._opened
        self._look_ahead.draw_with(self._stylize)
        if before is not None:
            before.close()
        self._draw_in(wish)

    def _draw_in(self, wish: Wish) -> None:
        if self._drawn is None or wish.style != self._drawn.style:
            self._fade.begin()
        self._drawn = wish
        look, style = wish.look, wish.style
        self._stylize.show(look, style)
        self._ink.touch_up = style.touch_up
        self._reshape.shape = with_shape_strength(style.shape, look.strength)
        self._print.page = with_page_strength(style.page, look.strength)
        self._look_ahead.mask_wanted = self._compose.hides or look.needs_mask or style.page.wants_mask

    def _looked(self, frame: Frame) -> Looked:
        try:
            return self._look_ahead(frame)
        except Exception as error:
            if self._compose.hides:
                raise  # the room is to be hidden, and nothing knows where it is
            self._without_face(error)
            unseen = Scene(shrunk_frame(frame, self._effort.scale), EVERYWHERE, (), fresh=True)
            return Looked(frame, unseen, self._stylize.begin(unseen), None, masked=False, took_s=0.0)

    def _stylized(self, looked: Looked) -> Styled:
        draw = self._stats.timed("stylize", self._stylize.draw)
        try:
            if looked.error is not None:
                raise looked.error
            styled = draw(looked.begun)
        except Exception as error:
            if not looked.scene.faces:
                raise
            self._without_face(error)
            styled = draw(self._stylize.begin(replace(looked.scene, faces=(), fresh=True)))
        if _structure(styled.rgb) < DRAWN_LEVELS and _structure(styled.scene.frame.rgb) >= SEEN_LEVELS:
            raise RuntimeError("the same is drawn everywhere")
        return styled

    def _inked(self, styled: Styled) -> Styled:
        try:
            return self.ink(styled)
        except Exception as error:
            self._without_face(error)
            return styled

    def _printed(self, styled: Styled) -> Picture:
        printed = self._print(styled)
        if isinstance(self._stylize, TwoStyles):
            printed = self._stylize.with_room(printed)
        return self._compose(self._fade(printed))

    def _without_face(self, error: Exception) -> None:
        """Notes why, and forgets what may have led to it."""
        self.trouble = error.with_traceback(None)  # which would keep the frame
        self.reset()


def _structure(rgb: RgbImage) -> float:
    """Standard deviation of some rows in the channel where it is largest, in levels of 255."""
    return float(cv2.meanStdDev(rgb[:: max(1, rgb.shape[0] // _ROWS)])[1].max())
