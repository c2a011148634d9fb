"""The filter: one frame in, one picture out, through the stages in order.

Comes in: `Frame`. Goes out: `Picture`. Runs on the main thread. Whatever breaks inside, what comes out is a drawing,
the last good drawing or a card that says so, never the raw frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from realtime.card import card
from realtime.compose import Compose
from realtime.errors import LiveToonError
from realtime.ink import Ink
from realtime.perceive import Perceiver
from realtime.settings import Look
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.styles import Style
from realtime.stylize import Stylize, with_strength
from realtime.types import Frame, Picture, Scene

HOLD_LIMIT_S = 2.0  # of the source's time: a filter that fails for longer is broken and says so


class Filter:
    """The way of a frame. The look changes between two frames through `show`."""

    def __init__(
        self, perceive: Perceiver, steady: Steady, stylize: Stylize, ink: Ink, compose: Compose, stats: Stats
    ) -> None:
        self._stages = (perceive, steady, stylize, ink, compose)
        self._stylize = stylize
        self._ink = ink
        self._compose = compose
        self._stats = stats
        self.perceive = stats.timed("perceive", perceive)
        self.steady = stats.timed("steady", steady)
        self.stylize = stats.timed("stylize", stylize)
        self.ink = stats.timed("ink", ink)
        self.compose = stats.timed("compose", compose)

    def __call__(self, frame: Frame) -> Picture:
        """The drawn frame."""
        scene: Scene = self.steady(self.perceive(frame))
        self._stats.saw(len(scene.faces))
        return self.compose(self.ink(self.stylize(scene)))

    def show(self, look: Look, style: Style) -> None:
        """Draw in this look from the next frame on; `style` must share the generators that are loaded."""
        self._stylize.finish = with_strength(style.finish, look.strength)
        self._ink.touch_up, self._ink.expression = style.touch_up, look.expression
        self._compose.background = look.background

    def mirror(self, mirror: bool) -> None:
        """Mirror what every sink gets, from the next frame on."""
        self._compose.mirror = mirror

    def reset(self) -> None:
        """Forget everything that was seen."""
        for stage in self._stages:
            stage.reset()


class Held:
    """A filter that does not fail for a moment: while it would, the last good picture stays, or a card.

    Raises what the filter raised once that lasts longer than `HOLD_LIMIT_S`, and at once for an error the user must
    act on.
    """

    def __init__(self, draw: Callable[[Frame], Picture], reset: Callable[[], None], say: Callable[[str], None]) -> None:
        self._draw = draw
        self._reset = reset
        self._say = say
        self._last: Picture | None = None
        self._failing_since_s: float | None = None
        self.frames = 0  # how many pictures were held

    def __call__(self, frame: Frame) -> Picture:
        """The drawn frame, or what stands in for it."""
        try:
            picture = self._draw(frame)
        except LiveToonError:
            raise
        except Exception as error:
            self._reset()
            if self._failing_since_s is None:
                self._failing_since_s = frame.t
                self._say(f"A frame could not be drawn ({error}); the last picture is held.")
            if frame.t - self._failing_since_s > HOLD_LIMIT_S:
                raise
            self.frames += 1
            if self._last is None:
                return card("LiveToon cannot draw this frame", frame.size, frame)
            return replace(self._last, t=frame.t, grabbed_s=frame.grabbed_s, index=frame.index)
        self._failing_since_s = None
        self._last = picture
        return picture
