"""A portrait photo becomes a puppet whose gaze, lids, mouth and head are moved by numbers.

Comes in: the photo, its landmarks, and an `Expression`. Goes out: the person in RGB and alpha, placed in the scene.
Skin is a layer with holes (lid openings, mouth); lids, lips and jaw are moved by warping it, and eyeballs, teeth and
the dark of the mouth lie behind it, so that nothing is stretched that is not skin. Runs on the main thread of
`make_demo`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.landmarks import (
    CHIN,
    EYES,
    LIPS_INNER_BOTTOM,
    LIPS_INNER_TOP,
    MOUTH_LEFT_CORNER,
    MOUTH_RIGHT_CORNER,
    NOSE_TIP,
    EyePoints,
)
from realtime.types import RgbImage, Size

Map = NDArray[np.float32]
Points = NDArray[np.float32]  # (n, 2)

SCALE = 1.9  # scene pixels per photo pixel
FACE_X, HAIR_Y = 226, 15  # where the head is in the photo
SCENE_X, SCENE_Y = 612, 78  # where that comes to lie in the scene
MARGIN_PX = 60  # of the person below the scene, for moving up

REST_MOUTH = 0.40  # opening of the photo's smile
MOUTH_OPEN_PX = 28.0  # gap of the inner lips at opening 1
GAZE_PX = 6.0  # shift of the iris at gaze 1
SUPERSAMPLE = 4


@dataclass(frozen=True, slots=True)
class Expression:
    """What the person does in one frame.

    gaze: -1..1, positive towards the person's left. gaze_down: -1..1. right_eye, left_eye: openness 0..1, the
    person's own sides. mouth: opening 0..1, 0.4 is the photo's smile. x, y: shift of the person in scene pixels.
    lean_deg: the whole person, roll_deg, yaw_deg: the head alone, positive turns clockwise and to the person's left.
    size: 1 as in the photo. breath: 0..1.
    """

    gaze: float = 0.0
    gaze_down: float = 0.0
    right_eye: float = 1.0
    left_eye: float = 1.0
    mouth: float = REST_MOUTH
    x: float = 0.0
    y: float = 0.0
    lean_deg: float = 0.0
    roll_deg: float = 0.0
    yaw_deg: float = 0.0
    size: float = 1.0
    breath: float = 0.0


class Portrait:
    """The puppet: made once from a photo, posed for every frame."""

    def __init__(self, photo: RgbImage, landmarks: Points, person: NDArray[np.float32], size: Size) -> None:
        """`landmarks`: (478, 2) in photo pixels. `person`: alpha of the person in the photo, 0..1. `size`: scene's."""
        self._size = size
        to_scene = np.array([[SCALE, 0, SCENE_X - SCALE * FACE_X], [0, SCALE, SCENE_Y - SCALE * HAIR_Y]], np.float32)
        shape = (size.width, size.height + MARGIN_PX)
        enlarged = cv2.warpAffine(photo, to_scene, shape, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
        soft = cv2.GaussianBlur(enlarged, (0, 0), 1.6)
        self._rgb = cv2.addWeighted(enlarged, 1.35, soft, -0.35, 0).astype(np.float32)
        alpha = cv2.warpAffine(person, to_scene, shape, flags=cv2.INTER_CUBIC)
        self._alpha = np.clip((cv2.GaussianBlur(alpha, (0, 0), 2.2) - 0.36) / 0.44, 0, 1)
        self._rgb = _without_background(self._rgb, self._alpha)
        self.landmarks = (landmarks @ to_scene[:, :2].T + to_scene[:, 2]).astype(np.float32)
        self._eyes = [_Eye(self._rgb, self.landmarks, eye) for eye in EYES]
        self._mouth = _Mouth(self._rgb, self.landmarks)
        self._head = (FACE_X, 98) @ to_scene[:, :2].T + to_scene[:, 2]

    def pose(self, expression: Expression) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The person in the scene: RGB f32 (h, w, 3) 0..255 and alpha f32 (h, w) 0..1."""
        rgb = self._rgb.copy()
        self._mouth.draw(rgb, expression.mouth)
        for eye, openness in zip(self._eyes, (expression.right_eye, expression.left_eye), strict=True):
            eye.draw(rgb, openness, expression.gaze, expression.gaze_down)
        map_x, map_y = self._motion(expression)
        moved = cv2.remap(rgb, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.remap(self._alpha, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return moved, alpha

    def _motion(self, expression: Expression) -> tuple[Map, Map]:
        """Backward map of body and head: for every scene pixel its place in the puppet.

        The head's displacement is a smooth field; its inverse is found by fixed-point iteration, on a quarter of the
        pixels.
        """
        coarse = 4
        height, width = self._size.height, self._size.width
        y, x = np.mgrid[0 : height + coarse : coarse, 0 : width + coarse : coarse].astype(np.float32)
        # the whole person: undo shift, then lean and size about a point below the picture
        pivot_x, pivot_y = float(self._head[0]), float(height) * 1.1
        cos, sin = _turn(-expression.lean_deg)
        from_x, from_y = x - expression.x - pivot_x, y - expression.y - pivot_y
        x = (cos * from_x - sin * from_y) / expression.size + pivot_x
        y = (sin * from_x + cos * from_y) / expression.size + pivot_y
        at_x, at_y = x.copy(), y.copy()
        for _ in range(4):
            dx, dy = self._head_shift(at_x, at_y, expression)
            at_x, at_y = x - dx, y - dy
        full = (width + coarse, height + coarse)
        grid = [cv2.resize(m, full, interpolation=cv2.INTER_LINEAR) for m in (at_x, at_y)]
        # `resize` aligns pixel corners, the grid was sampled at pixel centres
        place = np.array([[1, 0, (1 - coarse) / 2], [0, 1, (1 - coarse) / 2]], np.float32)
        fine = [
            cv2.warpAffine(m, place, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for m in grid
        ]
        return fine[0], fine[1]

    def _head_shift(self, x: Map, y: Map, expression: Expression) -> tuple[Map, Map]:
        """Forward displacement of head and breathing chest."""
        centre_x, centre_y = (float(c) for c in self._head)
        radius_x, radius_y = 78 * SCALE, 84 * SCALE
        distance = np.sqrt(((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2)
        head = 1 - _smoothstep(distance, 0.95, 1.8)
        neck_x, neck_y = centre_x, centre_y + 92 * SCALE
        cos, sin = _turn(expression.roll_deg)
        dx = (cos * (x - neck_x) - sin * (y - neck_y)) - (x - neck_x)
        dy = (sin * (x - neck_x) + cos * (y - neck_y)) - (y - neck_y)
        nose_x, nose_y = (float(c) for c in self.landmarks[NOSE_TIP])
        depth = 62 * SCALE * np.sqrt(np.clip(1 - distance**2, 0, 1))
        depth += 15 * SCALE * np.exp(-(((x - nose_x) / (13 * SCALE)) ** 2 + ((y - nose_y) / (16 * SCALE)) ** 2))
        turn = np.sin(np.deg2rad(expression.yaw_deg)) * cv2.GaussianBlur(depth.astype(np.float32), (0, 0), 4)
        chest = _smoothstep(y, neck_y, neck_y + 60 * SCALE) * (1 - head)
        return (head * dx + turn).astype(np.float32), (head * dy - 3.0 * expression.breath * chest).astype(np.float32)


def _turn(degrees: float) -> tuple[float, float]:
    return float(np.cos(np.deg2rad(degrees))), float(np.sin(np.deg2rad(degrees)))


def _smoothstep(x: Map, low: float, high: float) -> Map:
    t = np.clip((x - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _without_background(rgb: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours of the person carried outwards over the edge, so that no background shines through hair."""
    sure = (alpha > 0.95).astype(np.float32)
    spread, weight = rgb * sure[..., None], sure
    spread, weight = cv2.GaussianBlur(spread, (0, 0), 3), cv2.GaussianBlur(weight, (0, 0), 3)
    outer = spread / np.maximum(weight, 1e-3)[..., None]
    return np.asarray(np.where((alpha > 0.95)[..., None], rgb, outer), np.float32)


class _Strip:
    """A small upright picture along the line between two points: columns run along it, rows across it.

    All of an eye or the mouth is moved across this line only, so each column is a one-dimensional warp that is exact
    at the edge of the hole.
    """

    def __init__(self, start: Points, end: Points, reach: tuple[float, float, float]) -> None:
        """`reach`: pixels beside the line's ends, above and below it."""
        axis = end - start
        self.half = float(np.linalg.norm(axis)) / 2
        self._along = axis / (2 * self.half)
        self._across = np.array([-self._along[1], self._along[0]], np.float32)
        self._centre = (start + end) / 2
        side, up, down = reach
        self.left, self.top = int(np.floor(self.half + side)), int(np.ceil(up))
        self.b, self.a = np.mgrid[-self.top : int(np.ceil(down)) + 1, -self.left : self.left + 1].astype(np.float32)

    def local(self, points: Points) -> Points:
        """Scene pixels to (along, across)."""
        offset = points - self._centre
        return np.stack([offset @ self._along, offset @ self._across], 1).astype(np.float32)

    def cut(self, rgb: NDArray[np.float32], a: Map, b: Map) -> NDArray[np.float32]:
        """The picture at (along, across)."""
        x = self._centre[0] + a * self._along[0] + b * self._across[0]
        y = self._centre[1] + a * self._along[1] + b * self._across[1]
        return np.asarray(cv2.remap(rgb, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC), np.float32)

    def cut_local(self, part: NDArray[np.float32], b: Map) -> NDArray[np.float32]:
        """`part` with every pixel taken from row `b` of its column."""
        row = (b + self.top).astype(np.float32)
        return np.asarray(
            cv2.remap(part, self.a + self.left, row, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32
        )

    def paste(self, rgb: NDArray[np.float32], part: NDArray[np.float32], weight: Map) -> None:
        """Puts `part` back, `weight` 0..1; in place."""
        turn = np.stack([self._along, self._across], 1)  # local to scene
        corners = np.array(
            [[self.a[0, 0], self.b[0, 0]], [self.a[0, -1], self.b[0, 0]],
             [self.a[0, 0], self.b[-1, 0]], [self.a[0, -1], self.b[-1, 0]]]
        ) @ turn.T + self._centre  # fmt: skip
        x0, y0 = np.floor(corners.min(axis=0)).astype(int)
        x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + 1
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        local = self.local(np.stack([x.ravel(), y.ravel()], 1)).reshape(*x.shape, 2)
        at_x = (local[..., 0] + self.left).astype(np.float32)
        at_y = (local[..., 1] + self.top).astype(np.float32)
        alpha = cv2.remap(weight, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[..., None]
        new = cv2.remap(part, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        rgb[y0:y1, x0:x1] = rgb[y0:y1, x0:x1] * (1 - alpha) + new * alpha


def _curve(points: Points, a: NDArray[np.float32], smooth: float) -> NDArray[np.float32]:
    """The chain of points as across(along), 0 beyond its ends, rounded a little."""
    order = np.argsort(points[:, 0])
    curve = np.interp(a, points[order, 0], points[order, 1], left=points[order[0], 1], right=points[order[-1], 1])
    return np.asarray(cv2.GaussianBlur(curve[None].astype(np.float32), (0, 0), smooth)[0], np.float32)


class _Eye:
    """Eyeball and lids of one eye."""

    def __init__(self, rgb: NDArray[np.float32], landmarks: Points, eye: EyePoints) -> None:
        ends = landmarks[[eye.outer_corner, eye.inner_corner]]
        left, right = ends if ends[0, 0] < ends[1, 0] else ends[::-1]
        self._frame = frame = _Strip(left, right, (10, 32, 20))
        columns = frame.a[0]
        self._upper = _curve(frame.local(landmarks[eye.upper_lid]), columns, 1.2) - 0.1
        self._lower = np.maximum(_curve(frame.local(landmarks[eye.lower_lid]), columns, 1.2), self._upper)
        brow = float(frame.local(landmarks[eye.brow_bottom])[:, 1].mean())
        self._fold = 0.92 * (float(self._upper.min()) - brow)  # how far above the lid skin moves with it
        self._iris = frame.local(landmarks[[eye.iris_centre]])[0]
        ring = frame.local(landmarks[eye.iris_ring])
        self._iris_px = 1.02 * float(np.linalg.norm(ring - self._iris, axis=1).mean())
        rest = frame.cut(rgb, frame.a, frame.b)
        hole = ((frame.b > self._upper) & (frame.b < self._lower)).astype(np.uint8)
        self._colours(rest, hole)
        self._skin = cv2.inpaint(
            np.clip(rest, 0, 255).astype(np.uint8), cv2.erode(hole, np.ones((3, 1), np.uint8)), 3, cv2.INPAINT_TELEA
        ).astype(np.float32)
        edge = np.minimum(frame.left - np.abs(frame.a), np.minimum(frame.b + frame.top, frame.b[-1, 0] - frame.b))
        self._weight = np.clip(edge / 5, 0, 1).astype(np.float32)

    def _colours(self, rest: NDArray[np.float32], hole: NDArray[np.uint8]) -> None:
        frame = self._frame
        from_iris = np.hypot(frame.a - self._iris[0], frame.b - self._iris[1])
        white = rest[(hole > 0) & (from_iris > 1.25 * self._iris_px)]
        luma = white.mean(axis=1)
        self._white = np.median(white[luma >= np.percentile(luma, 60)], axis=0)
        brown = rest[(hole > 0) & (np.abs(from_iris / self._iris_px - 0.5) < 0.25)]
        luma = brown.mean(axis=1)
        brown = np.median(brown[luma <= np.percentile(luma, 55)], axis=0)
        self._brown = 0.75 * brown + 0.25 * brown.mean()
        lid = (frame.b < self._upper - 0.55 * self._fold) & (frame.b > self._upper - 0.9 * self._fold)
        self._lid = np.median(rest[lid & (np.abs(frame.a) < 0.8 * frame.half)], axis=0)

    def draw(self, rgb: NDArray[np.float32], openness: float, gaze: float, gaze_down: float) -> None:
        """Draws the eye into `rgb`, in place."""
        frame = self._frame
        closed = 1 - openness
        meet = self._upper + 0.80 * (self._lower - self._upper)
        upper = self._upper + closed * (meet - self._upper) + 0.16 * self._iris_px * max(gaze_down, 0)
        lower = np.maximum(self._lower + closed * (meet - self._lower), upper)
        upper_shift, lower_shift = upper - self._upper, lower - self._lower
        above = upper_shift * (1 - _smoothstep(upper - frame.b, 0, self._fold))
        below = lower_shift * (1 - _smoothstep(frame.b - lower, 0, 11))
        middle = (upper + lower) / 2
        skin = frame.cut_local(self._skin, np.where(frame.b < middle, frame.b - above, frame.b - below))
        # an open lid's skin is folded away in the dark of its crease: the lid that comes down is smooth and lit
        shown = _smoothstep(frame.b - self._upper, -7.0, -2.0) * (1 - _smoothstep(frame.b - upper, -2.5, -1.0))
        shown *= np.clip(1 - (frame.a / (1.02 * frame.half)) ** 2, 0, 1) ** 0.5
        shown = cv2.GaussianBlur((0.85 * np.clip(closed * 1.4, 0, 1) * shown).astype(np.float32), (0, 0), 1.3)[
            ..., None
        ]
        down = np.clip((frame.b - self._upper) / np.maximum(self._lower - self._upper, 4), -0.5, 1)
        lid = self._lid * (1.05 - 0.12 * np.abs(down - 0.25) - 0.06 * (frame.a / frame.half) ** 2)[..., None]
        skin = skin * (1 - shown) + lid * shown
        # a closed lid shows its lashes as one line
        lash = 0.75 * closed**2 * np.exp(-(((frame.b - upper + 0.2) / 1.3) ** 2)) * (self._lower - self._upper > 1.5)
        lash = cv2.GaussianBlur(lash.astype(np.float32), (0, 0), 0.6)[..., None]
        skin = skin * (1 - lash) + np.array([62, 40, 32], np.float32) * lash
        hole = np.clip(np.minimum(frame.b - upper, lower - frame.b) + 0.4, 0, 1)
        hole *= np.clip((lower - upper) / 1.5, 0, 1)
        hole = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 0.5)[..., None]
        ball = self._ball(upper, lower, gaze, gaze_down)
        frame.paste(rgb, skin * (1 - hole) + ball * hole, self._weight)

    def _ball(
        self, upper: NDArray[np.float32], lower: NDArray[np.float32], gaze: float, gaze_down: float
    ) -> NDArray[np.float32]:
        """Eyeball, iris and reflection behind the lids."""
        frame, many = self._frame, SUPERSAMPLE
        steps = (np.arange(many, dtype=np.float32) + 0.5) / many - 0.5
        a = (frame.a[0][:, None] + steps).ravel()[None, :]
        b = (frame.b[:, 0][:, None] + steps).ravel()[:, None]
        lid = np.repeat(upper, many)[None, :]
        round_shade = 1 - 0.30 * np.clip(np.abs(a) / frame.half, 0, 1.2) ** 3
        lid_shade = 1 - 0.50 * np.exp(-(np.clip((b - lid) / 3.2, 0, 9) ** 1.5))
        white = np.clip(self._white * 1.04, 0, 232)
        ball = (round_shade * np.ones_like(b))[..., None] * white
        corner = np.exp(-(((np.abs(a) - frame.half) / 3.0) ** 2))[..., None] * 0.45
        ball = ball * (1 - corner) + np.array([178, 118, 106]) * corner
        # iris: a disc, narrower where it turns away
        shift = GAZE_PX * gaze
        squeeze = np.cos(np.arcsin(np.clip(shift / (1.25 * frame.half), -1, 1)))
        x, y = a - self._iris[0] - shift, b - self._iris[1] - 3.0 * gaze_down
        r = np.hypot(x / squeeze, y) / self._iris_px
        low_light = 1 + 0.55 * np.clip(y / self._iris_px, -0.4, 0.9)
        spokes = 1 + 0.10 * np.sin(9 * np.arctan2(y, x)) * np.clip(r, 0, 1)
        iris = (1.25 * low_light * spokes * (1 - 0.45 * _smoothstep(r, 0.72, 1.0)))[..., None] * self._brown
        pupil = (1 - _smoothstep(r, 0.36, 0.46))[..., None]
        iris = iris * (1 - pupil) + np.array([22, 14, 12]) * pupil
        inside = (1 - _smoothstep(r, 0.93, 1.07))[..., None]
        ball = ball * (1 - inside) + iris * inside
        ball *= lid_shade[..., None]
        glint_x, glint_y = x + 0.22 * self._iris_px + 0.35 * shift, y + 0.26 * self._iris_px
        glint = (0.95 * np.exp(-((np.hypot(glint_x, glint_y) / (0.20 * self._iris_px)) ** 2)))[..., None]
        ball = ball * (1 - glint) + np.array([255, 252, 246]) * glint
        return np.asarray(
            cv2.resize(ball.astype(np.float32), (frame.a.shape[1], frame.a.shape[0]), interpolation=cv2.INTER_AREA),
            np.float32,
        )


class _Mouth:
    """Lips, jaw, teeth and the dark behind them."""

    def __init__(self, rgb: NDArray[np.float32], landmarks: Points) -> None:
        right, left = landmarks[MOUTH_RIGHT_CORNER], landmarks[MOUTH_LEFT_CORNER]
        chin = float(np.linalg.norm(landmarks[CHIN] - (right + left) / 2))
        self._frame = frame = _Strip(right, left, (60, 32, chin + 48))
        self._chin = chin
        columns = frame.a[0]
        upper, lower = frame.local(landmarks[LIPS_INNER_TOP]), frame.local(landmarks[LIPS_INNER_BOTTOM])
        self._upper = _curve(upper, columns, 1.5)
        self._lower = np.maximum(_curve(lower, columns, 1.5), self._upper)
        self._inner = float(np.abs(upper[:, 0]).max())
        self._rest_px = float((self._lower - self._upper).max())
        self._teeth = frame.cut(rgb, frame.a, frame.b)
        hole = ((frame.b > self._upper) & (frame.b < self._lower)).astype(np.uint8)
        self._skin = cv2.inpaint(
            np.clip(self._teeth, 0, 255).astype(np.uint8), cv2.dilate(hole, np.ones((3, 3), np.uint8)), 4,
            cv2.INPAINT_TELEA,
        ).astype(np.float32)  # fmt: skip
        edge = np.minimum(frame.left - np.abs(frame.a), np.minimum(frame.b + frame.top, frame.b[-1, 0] - frame.b))
        self._weight = np.clip(edge / 6, 0, 1).astype(np.float32)

    def draw(self, rgb: NDArray[np.float32], opening: float) -> None:
        """Draws mouth and jaw into `rgb`, in place."""
        frame = self._frame
        gap = opening * MOUTH_OPEN_PX
        shut = max(0.0, 1 - gap / self._rest_px)
        wide = max(0.0, gap - self._rest_px)
        across = np.clip(1 - (frame.a[0] / self._inner) ** 2, 0, 1)
        thickness = self._lower - self._upper
        upper = self._upper + shut * 0.38 * thickness - 0.10 * wide * across**0.8
        lower = self._lower - shut * 0.62 * thickness + 0.90 * wide * across**0.8
        drop = 0.90 * wide - 0.62 * shut * self._rest_px  # of the jaw, mostly
        beside = np.exp(-((frame.a / (1.75 * frame.half)) ** 2))
        from_lip = frame.b - lower
        jaw = 0.80 * drop * beside * (1 - _smoothstep(from_lip, 0.75 * self._chin, self._chin + 34))
        chin_share = _smoothstep(from_lip, 0, 20)
        below = (lower - self._lower) * (1 - chin_share) + jaw * chin_share
        above = (upper - self._upper) * (1 - _smoothstep(upper - frame.b, 4, 28))
        seam = (upper + lower) / 2
        skin = frame.cut_local(self._skin, np.where(frame.b < seam, frame.b - above, frame.b - below))
        line = 0.8 * shut**2 * np.exp(-(((frame.b - seam) / 1.4) ** 2)) * np.sqrt(across)
        line = cv2.GaussianBlur(line.astype(np.float32), (0, 0), 0.6)[..., None]
        skin = skin * (1 - line) + np.array([96, 42, 40], np.float32) * line
        hole = np.clip(np.minimum(frame.b - upper, lower - frame.b) + 0.5, 0, 1)
        hole *= np.clip((lower - upper) / 2, 0, 1)
        hole = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 0.6)[..., None]
        frame.paste(rgb, skin * (1 - hole) + self._inside(upper, lower) * hole, self._weight)

    def _inside(self, upper: NDArray[np.float32], lower: NDArray[np.float32]) -> NDArray[np.float32]:
        frame = self._frame
        depth = np.clip((frame.b - upper) / np.maximum(lower - upper, 1), 0, 1)
        dark = np.array([58, 20, 22]) * (1 - 0.35 * depth[..., None])
        tongue_top = lower - 0.42 * np.clip(lower - upper - self._rest_px, 0, None)
        tongue = _smoothstep(frame.b - tongue_top, -2, 5) * np.clip(1 - (frame.a / (0.7 * self._inner)) ** 2, 0, 1)
        dark = dark * (1 - 0.75 * tongue[..., None]) + np.array([158, 76, 74]) * 0.75 * tongue[..., None]
        teeth = (1 - _smoothstep(frame.b - self._lower, -3.0, -0.5))[..., None]
        shade = (1 - 0.25 * np.exp(-np.clip((frame.b - upper) / 2.5, 0, 9)))[..., None]
        return np.asarray((self._teeth * teeth + dark * (1 - teeth)) * shade, np.float32)
