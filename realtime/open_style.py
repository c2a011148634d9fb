"""The stage stylize for a look: the generators of its style, opened, and those of a second one for the room.

Comes in: a `Scene`. Goes out: `Styled`. Opened on any thread; draws on the filter's and on the one beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import cv2

from engines.engine import Engine
from engines.select import open_engine
from realtime.crop import CROP_PX
from realtime.errors import EngineError
from realtime.layers_generator import LayersGenerator
from realtime.open_stylize import open_stylize
from realtime.page import Print, with_page_strength
from realtime.person_mask import full_size
from realtime.redraw import Effort
from realtime.settings import Look
from realtime.styles import Style, load_style
from realtime.stylize import GENERATOR_PIXELS, Begun, Stylize, generator_size, with_strength
from realtime.types import RgbImage, Scene, Size, Styled, read_only
from realtime.watchdog import within

if TYPE_CHECKING:
    from realtime.device.stylize import StylizeOnDevice

Say = Callable[[str], None]
OPENS_WITHIN_S = 180.0


class Drawing(Protocol):
    """What the filter needs of the stage: a frame is drawn in two halves, one of which may run ahead of the other."""

    def begin(self, scene: Scene, /) -> Any:
        """The first half, for `draw`; on any thread, one scene after the other."""

    def draw(self, begun: Any, /) -> Styled:
        """The second half: the drawn frame. One after the other, in the same order."""

    def show(self, look: Look, style: Style, /) -> None:
        """Draw with these numbers from the next frame on; the style has the generators of now."""

    def reset(self) -> None:
        """Forget everything that was seen."""


@runtime_checkable
class Opened(Drawing, Protocol):
    """A stage that holds engines."""

    def close(self) -> None:
        """Let go of them."""


class OpenStyle:
    """One style, open for frames of one size; raises what opening an engine raises.

    name, precision: of the engine that draws the whole frame.
    """

    def __init__(
        self, style: Style, look: Look, frame: Size, engine: str, say: Say, effort: Effort | None = None
    ) -> None:
        self._shown = look, style
        self._frame, self._say, self._effort = frame, say, effort
        self._fitted: list[LayersGenerator] = []
        self._stage: Stylize | StylizeOnDevice | None = None
        wanted, square = generator_size(frame, style.pixels or GENERATOR_PIXELS), Size(CROP_PX, CROP_PX)
        self._face: Engine | LayersGenerator | None = None
        with ExitStack() as opened:
            first = opened.enter_context(_open(style.background, style.size or wanted, engine, style, say))
            self.name, self.precision = first.name, first.precision
            self._background = self._of_layers(first, wanted)
            if style.faces and style.face == style.background and style.size is not None:
                self._face = self._of_layers(first, square)
            elif style.faces:
                second = opened.enter_context(_open(style.face, square, engine, style, say))
                self._face = self._of_layers(second, square)
            self._opened = opened.pop_all()

    def __call__(self, scene: Scene) -> Styled:
        """The drawn frame, both halves."""
        return self.draw(self.begin(scene))

    def begin(self, scene: Scene) -> Begun | Scene:
        """As `Drawing.begin`."""
        if self._stage is None:  # first on the thread that draws: a GPU's streams and recordings are made here
            look, style = self._shown
            finish = with_strength(style.finish, look.strength)
            self._stage = open_stylize(
                self._background, self._face, finish, self._frame, look.steadiness, self._say, self._effort
            )
        return self._stage.begin(scene)

    def draw(self, begun: Any) -> Styled:
        """As `Drawing.draw`."""
        assert self._stage is not None, "nothing is begun"
        return self._stage.draw(begun)

    def show(self, look: Look, style: Style) -> None:
        """As `Drawing.show`."""
        self._shown = look, style
        if self._stage is not None:
            self._stage.show(look, style)
        for generator in self._fitted:
            generator.strength = look.strength

    def reset(self) -> None:
        """As `Drawing.reset`."""
        if self._stage is not None:
            self._stage.reset()

    def close(self) -> None:
        """As `Opened.close`."""
        if isinstance(self._stage, Stylize):
            self._stage.close()
        self._stage = None
        self._opened.close()

    def _of_layers(self, engine: Engine, size: Size) -> Engine | LayersGenerator:
        if engine.channels == 4 and engine.size == size:
            return engine
        self._fitted.append(LayersGenerator(engine, size, self._shown[0].strength))
        return self._fitted[-1]


class TwoStyles:
    """People in one style, the room in another: both draw the frame, the mask decides. It costs both."""

    def __init__(self, people: OpenStyle, room: OpenStyle, look: Look, room_style: Style) -> None:
        self.name, self.precision = people.name, people.precision
        self._people, self._room, self._room_style = people, room, room_style
        self._print = Print(with_page_strength(room_style.page, look.strength))
        self._behind: RgbImage | None = None

    def __call__(self, scene: Scene) -> Styled:
        """Both halves."""
        return self.draw(self.begin(scene))

    def begin(self, scene: Scene) -> tuple[Any, Any]:
        """As `Drawing.begin`."""
        return self._room.begin(replace(scene, faces=())), self._people.begin(scene)

    def draw(self, begun: tuple[Any, Any]) -> Styled:
        """The frame drawn as people are; the room waits for `with_room`, when eyes and page are drawn."""
        room, people = begun
        self._behind = self._print(self._room.draw(room)).rgb
        return self._people.draw(people)

    def with_room(self, styled: Styled) -> Styled:
        """The people of this drawing before the room."""
        if self._behind is None:
            raise RuntimeError("the room is not drawn")
        share = full_size(styled.scene.person, styled.scene.frame.size)
        return replace(styled, rgb=read_only(cv2.blendLinear(styled.rgb, self._behind, share, 1 - share)))

    def show(self, look: Look, style: Style) -> None:
        """As `Drawing.show`, for people; the room keeps its style and follows the strength."""
        self._people.show(look, style)
        self._room.show(look, self._room_style)
        self._print.page = with_page_strength(self._room_style.page, look.strength)

    def reset(self) -> None:
        """As `Drawing.reset`."""
        self._behind = None
        for stage in (self._people, self._room, self._print):
            stage.reset()

    def close(self) -> None:
        """As `Opened.close`."""
        self._people.close()
        self._room.close()


def open_look(
    look: Look, style: Style, frame: Size, engine: str, say: Say, effort: Effort | None = None
) -> OpenStyle | TwoStyles:
    """The stage that draws in this look; raises what loading a style or opening an engine raises."""
    if look.room_style is None:
        return OpenStyle(style, look, frame, engine, say, effort)
    room_style = load_style(look.room_style)
    people = OpenStyle(style, look, frame, engine, say, effort)
    try:
        return TwoStyles(people, OpenStyle(room_style, look, frame, engine, say, effort), look, room_style)
    except Exception:
        people.close()
        raise


def _open(model: Path, size: Size, engine: str, style: Style, say: Say) -> Engine:
    """A style pack's network may be anything: one that takes for ever is given up."""
    try:
        opened = within(OPENS_WITHIN_S, lambda: open_engine(model, size, engine, say=say))
    except TimeoutError:
        raise EngineError(
            f"The generator {model} was not ready within {OPENS_WITHIN_S:.0f} s; use another --style or --engine."
        ) from None
    wanted = 3 if style.picture else 4
    if opened.channels != wanted:
        opened.close()
        kind = "layers" if style.picture else "picture"
        raise EngineError(
            f'The generator {model} gives {opened.channels} channels, not {wanted}; write kind = "{kind}" into the '
            f"style.toml of '{style.name}'."
        )
    return opened
