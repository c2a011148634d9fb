"""The filter: one frame in, one picture out, through the stages in order.

Comes in: `Frame`. Goes out: `Picture`. Runs on the thread of `Hold`, which stands in when it fails. What concerns the
face only, and fails, is left out: the rest of the picture is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

from realtime.compose import Compose
from realtime.cross_fade import CrossFade
from realtime.ink import Ink
from realtime.open_style import Drawing, Opened, TwoStyles
from realtime.page import Page, Print, with_page_strength
from realtime.perceive import EVERYWHERE, Perceiver
from realtime.raw import is_raw
from realtime.reshape import Reshape, Shape, with_shape_strength
from realtime.settings import Look
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.style_loader import StyleLoader, Wish
from realtime.styles import Style
from realtime.types import Frame, Picture, RgbImage, Scene, Styled
from realtime.watchdog import Worker

_LOOK_S = 3600.0  # for ever: whoever waits for this thread sees that it hangs
SEEN_LEVELS, DRAWN_LEVELS = 12.0, 1.0  # standard deviation: where the frame has as much, so little is no drawing


class Filter:
    """The way of a frame. The look changes between two frames through `show`.

    resources: what `close` lets go of besides the stage stylize. loader: opens another style's generators; without one,
    only styles that share those of `stylize` can be shown. peek: gives the next frame where it is there already; then
    faces are looked for in it while this one is drawn. Raises what a stage raises that nothing can be drawn without.
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
        peek: Callable[[], Frame | None] | None = None,
    ) -> None:
        self._peek = peek
        self._looker: Worker[Frame, Scene] | None = None if peek is None else Worker(self._look, "draw: look ahead")
        self._ahead: Frame | None = None  # what the looker looks at
        self._ahead_masked = False  # for certain with the person's mask
        self._reshape, self._print = Reshape(Shape()), Print(Page())  # nothing, until a style wants it: `show`
        self._stylize = stylize
        self._opened = stylize if isinstance(stylize, Opened) else None
        self._fade = CrossFade()
        self._loader = loader
        self._drawn = None if loader is None else loader.last
        self._ink = ink
        self._compose = compose
        self._perceiver, self._steady = perceive, steady
        self._following = False  # whether frames were seen since the start or a reset
        perceive.mask_wanted = compose.hides or (self._drawn is not None and self._drawn.look.needs_mask)
        self._stats = stats
        self._resources = ExitStack() if resources is None else resources
        self.trouble: Exception | None = None  # why the last picture was drawn without face work
        self.perceive = stats.timed("perceive", perceive)
        self.steady = stats.timed("steady", steady)
        self.stylize = stats.timed("stylize", stylize)
        self.ink = stats.timed("ink", ink)
        self.compose = stats.timed("compose", self._printed)

    def __call__(self, frame: Frame) -> Picture:
        """The drawn frame."""
        self.trouble = None
        self._take_loaded()
        scene = self._perceived(frame)
        self._stats.saw(len(scene.faces))
        styled = self._inked(self._stylized(scene))
        if self._compose.hides and is_raw(styled.rgb, frame.rgb):
            raise RuntimeError("the person is not drawn")  # before another room, `Hold` could not tell any more
        return self.compose(styled)

    def show(self, look: Look, style: Style) -> None:
        """Draw in this look from the next frame on, or as soon as its style's generators are open."""
        self._ink.expression, self._steady.steadiness = look.expression, look.steadiness
        self._perceiver.mask_wanted |= look.needs_mask  # before the room may be replaced
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
        self._drop_ahead()
        self._following = False
        before, after = (self._perceiver, self._steady, self._reshape), (self._ink, self._print, self._fade)
        for stage in (*before, self._stylize, *after, self._compose):
            stage.reset()

    def close(self) -> None:
        """Lets go of models and engines."""
        self._drop_ahead()
        if self._looker is not None:
            self._looker.close(_LOOK_S)
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
        self.stylize = self._stats.timed("stylize", self._opened)
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
        self._perceiver.mask_wanted = self._compose.hides or look.needs_mask or style.page.wants_mask

    def _perceived(self, frame: Frame) -> Scene:
        try:
            scene = self._looked_at(frame)
            self._look_ahead()
            return scene
        except Exception as error:
            if self._compose.hides:
                raise  # the room is to be hidden, and nothing knows where it is
            self._without_face(error)
            return Scene(frame, EVERYWHERE, (), fresh=True)

    def _look(self, frame: Frame) -> Scene:
        scene: Scene = self.steady(self.perceive(frame))
        if scene.fresh and self._following:  # another scene: faces were still looked for where they had been
            self._perceiver.reset()
            self._steady.reset()
            scene = self.steady(self.perceive(frame))
        self._following = True
        return scene

    def _looked_at(self, frame: Frame) -> Scene:
        """The frame's scene, of the look ahead if that was at this frame and saw all that is wanted now."""
        if self._ahead is frame and self._looker is not None:
            self._ahead = None
            scene = self._looker.take(_LOOK_S)
            if self._ahead_masked or not self._perceiver.mask_wanted:
                return scene
            self._perceiver.reset()  # it has seen this frame
            self._steady.reset()
            self._following = False
        else:
            self._drop_ahead()
        return self._look(frame)

    def _look_ahead(self) -> None:
        self._ahead = None if self._peek is None else self._peek()
        if self._ahead is not None and self._looker is not None:
            self._ahead_masked = self._perceiver.mask_wanted
            self._looker.give(self._ahead)

    def _drop_ahead(self) -> None:
        """Waits until nobody looks ahead, and forgets what was seen."""
        self._ahead = None
        if self._looker is not None and self._looker.busy:
            with suppress(Exception):
                self._looker.take(_LOOK_S)

    def _stylized(self, scene: Scene) -> Styled:
        try:
            styled = self.stylize(self._reshape(scene))
        except Exception as error:
            if not scene.faces:
                raise
            self._without_face(error)
            styled = self.stylize(replace(scene, faces=(), fresh=True))
        if _structure(scene.frame.rgb) >= SEEN_LEVELS and _structure(styled.rgb) < DRAWN_LEVELS:
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
    """Standard deviation of some pixels, in levels of 255."""
    return float(rgb[::16, ::16].std())
