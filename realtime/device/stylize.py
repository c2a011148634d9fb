"""Stylize on the device: what `realtime.stylize` does, with the frame going up once and the drawing coming down once.

Comes in: a `Scene`. Goes out: `Styled`, the same within the tolerance that its test states. Runs on the filter's
thread, on streams of its own. `submit` waits for the frame's light only, 40 KB of it: so frame n + 1 may travel up
while n is drawn and n - 1 travels down.

What has the same size in every frame is recorded once (`record.py`); a face is another size in each, so its cutting
and placing are queued piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.engine import DeviceGenerator
from realtime import layer_memory
from realtime.colours import colour_numbers
from realtime.crop import CROP_PX, RIM_PX, SOFTENED_PX, crop_matrix, edge_matrix, held, part_to_cut, place, soft_edge
from realtime.device.layers import ROWS, TABLES, colours, drawn, tables
from realtime.device.memory import LayerMemory
from realtime.device.record import recorded
from realtime.device.resample import affine, inverted, shrunk, softened
from realtime.device.transfer import Transfer
from realtime.errors import EngineError
from realtime.exposure_memory import ExposureMemory
from realtime.layers import Finish
from realtime.motion import flow_in_crop
from realtime.settings import Look
from realtime.styles import Style
from realtime.stylize import (
    FACE_FADE_S,
    FACE_FORGET_S,
    FACE_MIN_PX,
    face_height,
    live_parts,
    with_mood,
    with_strength,
)
from realtime.types import Face, Flow, RgbImage, Scene, Size, Styled, read_only

Tensor = Any
Say = Callable[[str], None]

LEAST = 1e-6  # of steadiness: below, each frame is by itself
_EVERY = 16  # rows and columns that are looked at
_SEEN_LEVELS, _DRAWN_LEVELS = 8.0, 1.0  # standard deviations: what shows so much is not drawn as so little


@dataclass(slots=True)
class _FaceState:
    """What is remembered of one face: its layers, how far it has faded in (0..1), when it was seen, where it was."""

    presence: float
    seen_s: float
    memory: tuple[Tensor, ...] = ()
    to_crop: NDArray[np.float32] | None = None


class StylizeOnDevice:
    """Draws frames of one size with the two generators of a style. `finish` and `steadiness` may change between two
    frames; another steadiness is made ready with the next, which costs a moment.

    `mark` is called with the name of each part of the work once it is queued: a bench times them by it.
    """

    def __init__(
        self,
        background: DeviceGenerator,
        face: DeviceGenerator,
        finish: Finish,
        frame: Size,
        steadiness: float = 1.0,
        *,
        say: Say,
        device: str = "cuda",
    ) -> None:
        """frame: the size that is made ready; frames of another cost a moment. say: gets a line for what has to be done
        in a slower way.
        """
        self.finish = finish
        self.mark: Say = _nothing
        self._generators = background, face
        self.steadiness = self._ready_for = steadiness
        self._say = say
        self._device = device
        self._transfer = Transfer(device)
        self._stream = None if device == "cpu" else torch.cuda.Stream()
        self._make_ready(frame)

    def show(self, look: Look, style: Style) -> None:
        """As `Stylize.show`."""
        self.finish, self.steadiness = with_strength(style.finish, look.strength), look.steadiness

    def reset(self) -> None:
        """Forget everything that was seen."""
        self._exposure = ExposureMemory(self._ready_for)
        self._faces: dict[int, _FaceState] = {}  # by track
        self._last_s: float | None = None

    def __call__(self, scene: Scene) -> Styled:
        """The drawn frame."""
        return self.submit(scene)()

    def begin(self, scene: Scene) -> Scene:
        """As `Stylize.begin`; nothing to do, for the device does all of it at once."""
        return scene

    def draw(self, begun: Scene) -> Styled:
        """The drawn frame."""
        return self(begun)

    def submit(self, scene: Scene) -> Callable[[], Styled]:
        """Queues a frame; calling the answer waits for the drawing, and raises `EngineError` if it shows nothing."""
        if scene.frame.size != self._size or self.steadiness != self._ready_for:
            self._make_ready(scene.frame.size)
        elif scene.fresh:
            self.reset()
        with self._queueing():
            if self._fixed_for != _fixed_of(self.finish):
                self._fix(self.finish)
            arriving = self._queue(scene)

        def wait() -> Styled:
            rgb, lines = arriving()
            step = np.s_[::_EVERY, ::_EVERY]
            if scene.frame.rgb[step].std() >= _SEEN_LEVELS and rgb[step].std() < _DRAWN_LEVELS:
                raise EngineError("The GPU draws the same everywhere.")
            return Styled(scene, read_only(rgb), read_only(lines))

        return wait

    def _queue(self, scene: Scene) -> Callable[[], list[NDArray[Any]]]:
        frame = scene.frame
        first = self._last_s is None
        dt = 0.0 if self._last_s is None else max(frame.t - self._last_s, 0.0)
        self._last_s = frame.t
        self.mark("start")
        picture = self._lit(frame.rgb, dt)
        flow = None if scene.flow is None else self._uploaded_flow(scene.flow)
        self.mark("upload")
        self._generate()
        self.mark("background")
        if first or self._ready_for < LEAST:
            self._memory.start()
        elif dt > 0:
            self._memory.move(None if flow is None else flow * (self._small.shape[3] / self._size.width), dt)
            self._follow()
        self.mark("steady")
        self._compose()
        self.mark("compose")
        self._faces = {n: face for n, face in self._faces.items() if frame.t - face.seen_s <= FACE_FORGET_S}
        for face in scene.faces:
            if face_height(face) >= FACE_MIN_PX:
                self._draw_face(scene, face, picture, first, dt)
        self.mark("faces")
        return self._transfer.download(self._rgb, self._lines)

    @contextmanager
    def _queueing(self) -> Iterator[None]:
        """Everything inside is queued on this stage's stream, and torch keeps no gradients."""
        with torch.inference_mode(), nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            yield

    def _make_ready(self, frame: Size) -> None:
        """Recorded work for frames of this size, and what it reads and writes, which stays at its address."""
        background, face = self._generators
        self._size, self._ready_for = frame, self.steadiness
        with self._queueing():
            self._allocate(background.size)
            self._generate = self._recorded(lambda: self._network_work(background, self._small, self._memory))
            self._follow = self._recorded(self._memory.follow)
            self._fix(self.finish)
            self._generate_face = self._recorded(lambda: self._network_work(face, self._crop, self._face_memory))
            self._follow_face = self._recorded(self._face_memory.follow)
        self.reset()

    def _fix(self, finish: Finish) -> None:
        """Records what is not read from tables: it is done anew for a finish that differs in it."""
        table = colours(finish)
        self._fixed_for = _fixed_of(finish)
        self._fixed = (finish.ink_grow, finish.simplify, None if table is None else self._transfer.upload(table))
        self._compose = self._recorded(self._compose_work)

    def _recorded(self, work: Callable[[], None]) -> Callable[[], None]:
        return recorded(work, self._device, self._say)

    def _allocate(self, background: Size) -> None:
        height, width = self._size.height, self._size.width
        steadiness = max(self._ready_for, LEAST)
        tau_s = layer_memory.TAU_S * steadiness
        self._rgb = torch.zeros((height, width, 3), dtype=torch.uint8, device=self._device)
        self._lines = torch.zeros((height, width), dtype=torch.uint8, device=self._device)
        self._small = torch.zeros((1, 3, background.height, background.width), device=self._device)
        self._crop = torch.zeros((1, 3, CROP_PX, CROP_PX), device=self._device)
        self._light = torch.zeros(2, device=self._device)  # gain, and offset in levels
        self._tables = torch.zeros((ROWS, TABLES), device=self._device)
        self._tables_of: Finish | None = None
        self._memory = LayerMemory(background, tau_s, self._device)
        self._face_memory = LayerMemory(Size(CROP_PX, CROP_PX), tau_s, self._device, layer_memory.FACE_LENIENT)
        self._edge = torch.from_numpy(soft_edge().copy()).to(self._device)[None, None]

    def _lit(self, rgb: RgbImage, dt: float) -> Tensor:
        """The frame on the device. Its light is measured on this side, where what was seen before is known."""
        with self._transfer.uploading():
            picture = self._transfer.upload(rgb)
            small = shrunk(picture, Size(self._small.shape[3], self._small.shape[2]))
            samples = self._transfer.fetch(small[0, :, ::4, ::4].to(torch.uint8).permute(1, 2, 0).contiguous())
        self._transfer.arrived(picture, small)
        sampled = np.zeros((*self._small.shape[2:], 3), np.uint8)
        sampled[::4, ::4] = samples  # the places that the exposure looks at
        exposure = self._exposure(sampled, dt)
        light = np.array([exposure.gain, exposure.offset * 255 + 0.5], np.float32)
        self._small.copy_(small)
        self._light.copy_(self._transfer.upload(light))
        finish = with_mood(self.finish, exposure)
        if finish != self._tables_of:
            self._tables_of = finish
            self._tables.copy_(self._transfer.upload(tables(finish)))
        return picture

    def _uploaded_flow(self, flow: Flow) -> Tensor:
        return self._transfer.upload(flow).permute(2, 0, 1)[None]

    def _exposed(self, planes: Tensor) -> Tensor:
        """The stretched picture in whole levels, (1, h, w, channels)."""
        return (planes * self._light[0] + self._light[1]).clamp_(0, 255).floor_().permute(0, 2, 3, 1)

    def _network_work(self, generator: DeviceGenerator, planes: Tensor, memory: LayerMemory) -> None:
        memory.seen.copy_(self._exposed(planes))
        stream = 0 if self._stream is None else torch.cuda.current_stream().cuda_stream
        generator.queue(memory.seen, memory.layers, stream)

    def _compose_work(self) -> None:
        rgb, ink = drawn(self._memory.shown, self._size, self._tables, *self._fixed)
        self._rgb.copy_(_levels(rgb)[0].permute(1, 2, 0))
        self._lines.copy_(ink[0, 0])

    def _draw_face(self, scene: Scene, face: Face, picture: Tensor, first: bool, dt: float) -> None:
        """Draws one face into the picture on the device."""
        state = self._faces.setdefault(face.track, _FaceState(1.0 if first else 0.0, scene.frame.t))
        to_crop = held(state.to_crop, crop_matrix(face.landmarks))
        state.seen_s = scene.frame.t
        state.presence = min(1.0, state.presence + dt / FACE_FADE_S)
        part = part_to_cut(to_crop, self._size)
        small = shrunk(picture[part.top : part.bottom, part.left : part.right], part.size)
        if part.sigma > 0:
            small = softened(small, SOFTENED_PX, part.sigma).round_()
        self._crop.copy_(affine(small, inverted(part.matrix), Size(CROP_PX, CROP_PX)).round_())
        self._generate_face()
        self._remember_face(scene, face, state, to_crop, dt)

        there = place(to_crop, self._size)
        if there is None:
            return
        middle = self._face_memory.shown[..., RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
        rgb, ink = drawn(middle, Size(there.side, there.side), self._tables, *self._fixed)
        box = Size(there.right - there.left, there.bottom - there.top)
        moved = affine(torch.cat([_levels(rgb), ink], 1), inverted(there.matrix), box)[0]
        share = affine(self._edge, inverted(edge_matrix(there)), box, "zeros")[0, 0, ..., None] * state.presence
        at = np.s_[there.top : there.bottom, there.left : there.right]
        for target, new in ((self._rgb[at], moved[:3]), (self._lines[at][..., None], moved[3:])):
            old = target.to(torch.float32)
            target.copy_((old + (new.permute(1, 2, 0) - old) * share).round_())

    def _remember_face(
        self, scene: Scene, face: Face, state: _FaceState, to_crop: NDArray[np.float32], dt: float
    ) -> None:
        """Keeps the face's layers steady: the one memory is lent to each face in turn."""
        memory = self._face_memory
        if not state.memory or self._ready_for < LEAST:
            memory.start()
        else:
            for lent, own in zip(memory.state, state.memory, strict=True):
                lent.copy_(own)
            if dt > 0:
                flow = None
                if scene.flow is not None and state.to_crop is not None:
                    height, width = self._size.height, self._size.width
                    step = flow_in_crop(scene.flow, (height, width), to_crop, state.to_crop, CROP_PX, CROP_PX // 2)
                    flow = self._uploaded_flow(step)
                memory.move(flow, dt)
                memory.live.copy_(self._transfer.upload(live_parts(face.landmarks, to_crop))[None, None])
                self._follow_face()
        state.to_crop = to_crop
        state.memory = tuple(tensor.clone() for tensor in memory.state)


def _fixed_of(finish: Finish) -> tuple[object, ...]:
    """What of a finish is part of the recorded work."""
    return finish.ink_grow, finish.simplify, colour_numbers(finish)


def _levels(planes: Tensor) -> Tensor:
    return planes.round_().clamp_(0, 255)


def _nothing(_: str) -> None:
    """Nobody times the parts."""
