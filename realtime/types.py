"""The values that travel through the filter, from the camera to a sink.

    Frame -> Scene -> Styled -> Picture

Each richer value holds the one before; nothing is written back; arrays are read-only once they are in a value. A sink
takes a `Picture` and nothing else, and only `compose` and the privacy card make one: so a raw `Frame` cannot reach a
sink by accident. `eq=False`: a dataclass that holds arrays cannot be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.halved import halved

RgbImage = NDArray[np.uint8]  # (h, w, 3), red first, 0..255
GrayImage = NDArray[np.uint8]  # (h, w), 0..255
Mask = NDArray[np.float32]  # (h, w), 0..1
Flow = NDArray[np.float32]  # (h, w, 2), how far back in x and y each place was in the frame before


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def even(self) -> Size:
        """The size cut down to even numbers, as video encoders and virtual cameras want it."""
        return Size(max(2, self.width // 2 * 2), max(2, self.height // 2 * 2))


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One raw picture from a source. No sink accepts it.

    rgb: (h, w, 3) u8, read-only.
    t: seconds on the source's own clock, never decreasing: capture time of a live source, media time of a clip.
       Every temporal filter and every file's time stamps use it.
    grabbed_s: `time.monotonic()` when the picture left the camera or the decoder; latency is measured from it.
    index: counts the frames the source produced, from 0; a gap is a dropped frame.
    """

    rgb: RgbImage
    t: float
    grabbed_s: float
    index: int
    _half: list[RgbImage] = field(default_factory=list, init=False, repr=False)  # empty or one

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.rgb.shape[1], self.rgb.shape[0])

    @property
    def half(self) -> RgbImage:
        """The picture at half its size, (h // 2, w // 2, 3): made when it is first asked for."""
        if not self._half:
            self._half.append(read_only(halved(self.rgb)))
        return self._half[0]


@dataclass(frozen=True, slots=True)
class Missing:
    """Instead of a frame: there is none at the moment. A value, not an error; the sinks get a card.

    why: for the viewer, in a few words. size: of the frames that are missing. t, grabbed_s, index: as in `Frame`.
    """

    why: str
    size: Size
    t: float
    grabbed_s: float
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in a frame.

    landmarks: (478, 3) f32, x and y in pixels of the full frame, z in the same unit (negative towards the camera).
    blendshapes: MediaPipe's 52 scores by name ("eyeBlinkLeft", 0..1), None when unknown. Left is the person's left.
    pose: (4, 4) f32 head-to-camera matrix of MediaPipe's canonical face, None when unknown.
    track: the same number as long as the same face is followed from frame to frame; `steady` gives it.
    perceived: the landmarks before `steady` held them calm, where something is to be measured in the photo; None where
    `landmarks` are as perceived.
    """

    landmarks: NDArray[np.float32]
    blendshapes: Mapping[str, float] | None = None
    pose: NDArray[np.float32] | None = None
    track: int = 0
    perceived: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A frame and what was seen in it.

    person: (h, w) f32 0..1, how much each place belongs to a person. It covers the whole frame, mostly at a smaller
        size than the frame: enlarge it where it is used.
    faces: none is a value, not an error.
    flow: how the frame moved since the last, at low resolution, in pixels of the frame; None when not known; `steady`
        measures it.
    fresh: nothing seen before has to do with it (the first frame, a cut, a gap): stages forget; `steady` says so.
    """

    frame: Frame
    person: Mask
    faces: tuple[Face, ...]
    fresh: bool = False
    flow: Flow | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Styled:
    """The drawn picture so far.

    rgb: (h, w, 3) u8, the size of the frame. Writable where nobody else holds it: then the next stage may paint on it.
    lines: (h, w) u8, how much ink the generator put where (0 none, 255 full): thin dark structure such as glasses,
        which must stay on top of what is drawn later.
    """

    scene: Scene
    rgb: RgbImage
    lines: GrayImage


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A finished picture: the only thing a sink accepts.

    rgb: (h, w, 3) u8, read-only. alpha: (h, w) u8 or None for opaque. t, grabbed_s, index: as in its frame. card: it is
    a sentence to read, not a drawing, and no mirror swaps it.
    """

    rgb: RgbImage
    t: float
    grabbed_s: float
    index: int
    alpha: GrayImage | None = None
    card: bool = False

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.rgb.shape[1], self.rgb.shape[0])


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, no longer writable: a later stage that writes into it fails at once."""
    array.flags.writeable = False
    return array
