"""Stylize: the generators draw the frame.

Comes in: a `Scene`. Goes out: `Styled`, the frame and every face drawn, at the frame's size. In two halves, so that two
frames can be worked on at once: `begin` runs the networks and, on a thread beside, draws faces; `draw` draws the room
and puts all together. Each half keeps its own state and is called for one frame after the other, from whatever thread.

The whole frame goes through the background generator at about 640x360. Each face goes through the face generator as
an upright crop of fixed scale and is put back with a soft edge, so that both look drawn by one hand: they share
exposure, tone steps and ink.
"""

from __future__ import annotations

from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.beside import Beside
from realtime.crop import CROP_PX, RIM_PX, Place, crop_matrix, cut, edge_in_box, held, place
from realtime.exposure import Exposure, apply_exposure
from realtime.exposure_memory import ExposureMemory
from realtime.halved import halved
from realtime.landmarks import EYES, LIPS_OUTER
from realtime.layer_memory import FACE_LENIENT, LayerMemory
from realtime.layers import Finish, Layers, draw_layers
from realtime.motion import flow_in_crop
from realtime.redraw import Due, Effort, Redraw
from realtime.settings import Look
from realtime.styles import Style
from realtime.types import Face, Flow, GrayImage, Mask, RgbImage, Scene, Size, Styled, read_only

GENERATOR_PIXELS = 640 * 368  # the scale the background generator was trained at
MOOD_MIN, MOOD_STEP = 0.84, 0.01
FACE_FADE_S = 0.25
FACE_FORGET_S = 0.5
NEW_SHARE, FACE_NEW_SHARE = 0.012, 0.0015  # of the room, of a face crop: what changed is drawn at once
FACE_MIN_PX = 40  # forehead to chin: below, the background generator draws it as well


class Generator(Protocol):
    """What `stylize` needs of an engine."""

    @property
    def size(self) -> Size:
        """The fixed size it works at."""

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        """(h, w, 3) RGB u8 to (h, w, 4) u8: flat RGB and ink."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What a generator made of one picture region, or would have.

    layers: (h, w, 4), flat colour and ink; None where its last drawing, moved along the flow, still shows what is
    there. seen, flow: what it draws from and how that moved, at its size. late: layers that are to be shown from the
    next frame on.
    """

    layers: NDArray[np.uint8] | None
    seen: RgbImage
    flow: Flow | None
    late: Future[NDArray[np.uint8]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """Where the drawing of a crop cut by `to_crop` goes, at that presence; how much of it, (h, w) and (h, w, 3), and of
    what is there.
    """

    to_crop: NDArray[np.float32]
    presence: float
    there: Place
    share: GrayImage
    rest: GrayImage
    shares: RgbImage
    rests: RgbImage


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFace:
    """A face as it goes into the picture: (h, w, 3), its ink, (h, w), and where that is put."""

    rgb: RgbImage
    lines: GrayImage
    put: Put


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A scene after its networks; faces may still be drawn. dt_s: since the frame before; first: there was none."""

    scene: Scene
    finish: Finish
    room: Drawn
    faces: Future[list[DrawnFace]]
    dt_s: float
    first: bool


@dataclass(slots=True)
class _FaceState:
    """What is remembered of a face: when to draw it, its layers, how far it has faded in (0..1), when it was seen,
    where its crop was, and where that was put.
    """

    redraw: Redraw
    memory: LayerMemory
    presence: float
    seen_s: float
    to_crop: NDArray[np.float32] | None = None
    put: Put | None = None


def generator_size(frame: Size, pixels: int = GENERATOR_PIXELS) -> Size:
    """The background generator's size for a frame: the same shape, `pixels` large, multiples of 16."""
    scale = (pixels / (frame.width * frame.height)) ** 0.5

    def side(pixels: int) -> int:
        return int(np.clip(round(pixels * scale / 16), 2, 120)) * 16

    return Size(side(frame.width), side(frame.height))


def shrunk(rgb: RgbImage, size: Size, half: RgbImage | None = None) -> RgbImage:
    """The frame at `size`: the mean over each pixel's area.

    A frame of a little less than twice that is halved exactly, which is fast, and then enlarged by a cubic, which is as
    sharp; a drawing differs from that of the mean by as much as with sensor noise of one level. half: the frame at half
    its size, where that is known.
    """
    to = (size.width, size.height)
    if half_first(Size(rgb.shape[1], rgb.shape[0]), size) is not None:
        rgba = cv2.cvtColor(halved(rgb) if half is None else half, cv2.COLOR_RGB2RGBA)
        rgba = cv2.resize(rgba, to, interpolation=cv2.INTER_CUBIC)  # four channels in two thirds of the time of three
        return cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)
    return cv2.resize(rgb, to, interpolation=cv2.INTER_AREA)


def half_first(frame: Size, size: Size) -> Size | None:
    """Half of the frame's size where that is a little less than `size`."""
    half = Size(frame.width // 2, frame.height // 2)
    near = 0.95 * size.width <= half.width <= size.width and 0.95 * size.height <= half.height <= size.height
    return half if near and half != size else None


class Stylize:
    """Draws frame and faces with a style's two generators. What is public may change between two frames."""

    def __init__(
        self,
        background: Generator,
        face: Generator | None,
        finish: Finish,
        steadiness: float = 1.0,
        effort: Effort | None = None,
    ) -> None:
        """face: None leaves faces as the background generator draws them. steadiness: 0 each frame for itself, 1 fully
        steady. effort: None draws everything in each frame.
        """
        self.steadiness = steadiness
        self._effort = Effort() if effort is None else effort
        self.finish = finish
        self._background = background
        self._face = face
        self._beside = Beside("draw: beside")
        self._late: Future[NDArray[np.uint8]] | None = None  # the room's generator is at work, or was
        self.reset()

    def show(self, look: Look, style: Style) -> None:
        """Draw with these numbers from the next frame on."""
        self.finish, self.steadiness = with_strength(style.finish, look.strength), look.steadiness

    def reset(self) -> None:
        """Forget everything that was seen. While neither half is at work."""
        self._forget_seen()
        self._forget_drawn()

    def close(self) -> None:
        """Ends the thread beside, and waits for what it is at."""
        self._beside.close()

    def _forget_seen(self) -> None:
        self._redraw = Redraw(NEW_SHARE)
        self._exposure = ExposureMemory(self.steadiness)
        self._faces: dict[int, _FaceState] = {}  # by track
        self._last_s: float | None = None

    def _forget_drawn(self) -> None:
        self._memory = LayerMemory(self.steadiness)
        self._room: Drawn | None = None  # of the frame before

    def __call__(self, scene: Scene) -> Styled:
        """The drawn frame."""
        return self.draw(self.begin(scene))

    def begin(self, scene: Scene) -> Begun:
        """The first half, networks and faces; the next scene's may begin before this one's `draw`."""
        frame = scene.frame
        if scene.fresh:
            self._forget_seen()
        first = self._last_s is None
        dt_s = 0.0 if self._last_s is None else frame.t - self._last_s
        self._last_s = frame.t
        size = self._background.size
        small = shrunk(frame.rgb, size, frame.half)
        self._exposure.steadiness = self.steadiness
        exposure = self._exposure(small, dt_s)
        seen = apply_exposure(small, exposure)
        flow = None if scene.flow is None else scene.flow * np.float32(size.width / frame.size.width)
        finish = with_mood(self.finish, exposure)
        near = [] if self._face is None else [face for face in scene.faces if face_height(face) >= FACE_MIN_PX]
        faces = self._beside.submit(partial(self._draw_faces, near, scene, exposure, finish, self._faces, dt_s, first))
        return Begun(scene, finish, self._begin_room(seen, flow, dt_s), faces, dt_s, first)

    def _begin_room(self, seen: RgbImage, flow: Flow | None, dt_s: float) -> Drawn:
        due = self._redraw(seen, flow, dt_s, self._every_s(self._effort.room_every_s))
        if due is Due.SOON:
            self._late = self._beside.submit(partial(self._background.run, seen))
            return Drawn(None, seen, flow, self._late)
        if due is Due.NOW and self._late is not None:
            wait((self._late,))  # the generator draws one frame at a time
        return Drawn(self._background.run(seen) if due is Due.NOW else None, seen, flow)

    def _every_s(self, wanted_s: float) -> float:
        return wanted_s if self.steadiness > 0 else 0.0

    def _draw_faces(
        self,
        faces: list[Face],
        scene: Scene,
        exposure: Exposure,
        finish: Finish,
        states: dict[int, _FaceState],
        dt_s: float,
        first: bool,
    ) -> list[DrawnFace]:
        """On the thread beside; after a cut its own `states` are left to the frames before."""
        now_s = scene.frame.t
        for track in [track for track, state in states.items() if now_s - state.seen_s > FACE_FORGET_S]:
            del states[track]
        drawn = []
        for face in faces:
            memory = LayerMemory(self.steadiness, FACE_LENIENT)
            new = _FaceState(Redraw(FACE_NEW_SHARE, late=True), memory, float(first), now_s)
            state = states.setdefault(face.track, new)
            state.presence = min(1.0, state.presence + max(dt_s, 0.0) / FACE_FADE_S)
            drawn.append(self._draw_face(face, state, scene, exposure, finish, dt_s))
        return [face for face in drawn if face is not None]

    def _draw_face(
        self, face: Face, state: _FaceState, scene: Scene, exposure: Exposure, finish: Finish, dt_s: float
    ) -> DrawnFace | None:
        """None where it lies outside of the frame."""
        frame = scene.frame
        unseen_s, state.seen_s = frame.t - state.seen_s, frame.t
        before, state.to_crop = state.to_crop, held(state.to_crop, crop_matrix(face.landmarks))
        seen = apply_exposure(cut(frame.rgb, state.to_crop), exposure)
        flow = None
        if scene.flow is not None and before is not None:
            flow = flow_in_crop(scene.flow, frame.rgb.shape[:2], state.to_crop, before, CROP_PX, CROP_PX // 2)
        due = state.redraw(seen, flow, unseen_s, self._every_s(self._effort.face_every_s))
        assert self._face is not None
        drawn = Drawn(None if due is Due.NO else self._face.run(seen), seen, flow)
        live = None if drawn.layers is None else live_parts(face.landmarks, state.to_crop)
        layers = self._kept(state.memory, drawn, dt_s, live)

        if state.put is None or state.put.to_crop is not state.to_crop or state.put.presence != state.presence:
            state.put = _put(state.to_crop, state.presence, frame.size)  # mostly a crop stays where it is
        if state.put is None:
            return None
        there = state.put.there
        middle = np.s_[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
        rgb, ink = draw_layers(Layers(layers.flat[middle], layers.ink[middle]), Size(there.side, there.side), finish)
        box = (there.right - there.left, there.bottom - there.top)
        both = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)  # four channels are warped in less time than three
        cv2.insertChannel(ink, both, 3)  # `merge` takes twice as long, or writes past the caches
        both = cv2.warpAffine(both, there.matrix, box, flags=cv2.INTER_LINEAR)
        return DrawnFace(cv2.cvtColor(both, cv2.COLOR_RGBA2RGB), cv2.extractChannel(both, 3), state.put)

    def draw(self, begun: Begun) -> Styled:
        """The second half: the drawn frame."""
        if begun.first:
            self._forget_drawn()
        self._memory.restless = max(1.0, self.finish.restless)
        before, self._room = self._room, begun.room
        if before is not None and before.late is not None:
            self._memory.steadiness = self.steadiness
            self._memory.learn(before.late.result(), before.seen)
        layers = self._kept(self._memory, begun.room, begun.dt_s)
        rgb, lines = draw_layers(layers, begun.scene.frame.size, begun.finish)
        for face in begun.faces.result():
            there = face.put.there
            at = np.s_[there.top : there.bottom, there.left : there.right]
            _blend(rgb[at], face.rgb, face.put.shares, face.put.rests)
            _blend(lines[at], face.lines, face.put.share, face.put.rest)
        return Styled(begun.scene, rgb, read_only(lines))

    def _kept(self, memory: LayerMemory, drawn: Drawn, dt_s: float, live: Mask | None = None) -> Layers:
        memory.steadiness = self.steadiness
        if drawn.layers is None:
            return memory.carried(drawn.flow, dt_s)
        return memory(drawn.layers, dt_s, drawn.seen, drawn.flow, live)


def _put(to_crop: NDArray[np.float32], presence: float, frame: Size) -> Put | None:
    """None where it goes outside of the frame."""
    if (there := place(to_crop, frame)) is None:
        return None
    share = cv2.convertScaleAbs(edge_in_box(there), alpha=255 * presence)
    shares = cv2.cvtColor(share, cv2.COLOR_GRAY2RGB)
    return Put(to_crop, presence, there, share, cv2.bitwise_not(share), shares, cv2.bitwise_not(shares))


def _blend(
    target: NDArray[np.uint8], new: NDArray[np.uint8], share: NDArray[np.uint8], rest: NDArray[np.uint8]
) -> None:
    """Puts `share` (255 is all) of the new into `rest` of the target; all of one shape."""
    kept = cv2.multiply(target, rest, scale=1 / 255)
    cv2.add(cv2.multiply(new, share, scale=1 / 255), kept, dst=target)


def with_strength(finish: Finish, strength: float) -> Finish:
    """The finish at a strength of 0..1: at 0 the colour is still flat and drawn, steps and ink are faint."""
    return replace(
        finish,
        tone_share=finish.tone_share * strength,
        ink_weight=finish.ink_weight * (0.3 + 0.7 * strength),
        chroma=1 + (finish.chroma - 1) * strength,
        warm_chroma=1 + (finish.warm_chroma - 1) * strength,
        green_chroma=1 + (finish.green_chroma - 1) * strength,
        blue_chroma=1 + (finish.blue_chroma - 1) * strength,
        green_light=finish.green_light * strength,
        blue_light=finish.blue_light * strength,
        green_turn=finish.green_turn * strength,
        blue_turn=finish.blue_turn * strength,
        shade_tint=finish.shade_tint * strength,
        light_tint=finish.light_tint * strength,
        contrast=finish.contrast * strength,
        ink_grow=finish.ink_grow * strength,
    )


def with_mood(finish: Finish, exposure: Exposure) -> Finish:
    """The finish for a frame that was stretched: a dim room comes out a little darker than a bright one.

    Half of the gain, in stops, is taken back, down to `MOOD_MIN` of the light; in steps, as each is a table to make.
    """
    return _with_light(finish, round(min(max(exposure.gain**-0.5, MOOD_MIN), 1.0) / MOOD_STEP))


@lru_cache(maxsize=8)
def _with_light(finish: Finish, steps: int) -> Finish:
    return replace(finish, white=finish.white * steps * MOOD_STEP)


def face_height(face: Face) -> float:
    """Height of the landmarks' bounding box in pixels."""
    rows = face.landmarks[:, 1]
    return float(rows.max() - rows.min())


def live_parts(landmarks: NDArray[np.float32], to_crop: NDArray[np.float32]) -> Mask:
    """Where eyes and mouth are in the crop, at half its size: they are drawn as they are now."""
    places = np.rint((landmarks[:, :2] @ to_crop[:, :2].T + to_crop[:, 2]) / 2).astype(np.int32)
    live = np.zeros((CROP_PX // 2, CROP_PX // 2), np.float32)
    for part in (*(eye.opening for eye in EYES), LIPS_OUTER):
        cv2.fillConvexPoly(live, cv2.convexHull(places[part]), 1.0)
    return cv2.blur(cv2.dilate(live, np.ones((3, 3), np.uint8)), (3, 3))
