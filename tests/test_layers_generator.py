from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.layers_generator import LayersGenerator, flattened
from realtime.raw import is_raw
from realtime.types import RgbImage, Size

PICTURE = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8)


@dataclass
class Negative:
    """An engine that gives the negative, with or without ink."""

    size: Size
    channels: int = 3
    seen: list[RgbImage] = field(default_factory=list)

    def run(self, rgb: RgbImage) -> NDArray[np.uint8]:
        self.seen.append(rgb)
        assert rgb.shape[:2] == (self.size.height, self.size.width)
        ink = np.full((*rgb.shape[:2], self.channels - 3), 9, np.uint8)
        return np.dstack([255 - rgb, ink])


def layers(engine: Negative, picture: RgbImage, strength: float = 1.0) -> NDArray[np.uint8]:
    size = Size(picture.shape[1], picture.shape[0])
    return LayersGenerator(engine, size, strength).run(picture)  # type: ignore[arg-type]


def test_a_picture_becomes_colour_without_ink() -> None:
    made = layers(Negative(Size(160, 90)), PICTURE)
    assert np.array_equal(made[..., :3], 255 - PICTURE)
    assert not made[..., 3].any()


@pytest.mark.parametrize("fixed", [Size(128, 128), Size(512, 64), Size(256, 256)])
def test_a_network_of_a_fixed_shape_sees_the_whole_frame_undistorted(fixed: Size) -> None:
    picture = np.full((90, 160, 3), 200, np.uint8)
    cv2.circle(picture, (80, 45), 30, (10, 60, 10), -1, cv2.LINE_AA)
    engine = Negative(fixed)
    made = layers(engine, picture)
    assert np.abs(made[..., :3].astype(int) - (255 - picture)).mean() < 6
    scale = min(fixed.width / 160, fixed.height / 90)
    disc = engine.seen[0][: round(90 * scale), : round(160 * scale), 0] < 100
    wide, high = (np.ptp(np.nonzero(disc.any(axis=axis))) for axis in (0, 1))
    assert abs(wide - high) <= 1, "a circle stays one"


def test_layers_of_a_fixed_size_keep_their_ink() -> None:
    made = layers(Negative(Size(64, 64), channels=4), PICTURE)
    assert made.shape == (90, 160, 4)
    assert (made[..., 3] == 9).all()


def test_less_strength_goes_to_flat_colours_and_never_to_the_frame() -> None:
    full, half, none = (layers(Negative(Size(160, 90)), PICTURE, s)[..., :3].astype(int) for s in (1.0, 0.5, 0.0))
    flat = flattened(PICTURE).astype(int)
    assert np.abs(none - flat).mean() < np.abs(half - flat).mean() < np.abs(full - flat).mean()
    assert not is_raw(none.astype(np.uint8), PICTURE)
