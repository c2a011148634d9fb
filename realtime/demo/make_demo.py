"""Makes the demo clip: a person before a webcam who moves, looks left and right, blinks, winks and speaks.

    python -m realtime.demo.make_demo [FOLDER]

Goes out: `demo.mp4` (1280x720, 30 pictures a second, 7 s, runs in a circle) and `demo.json` with the true gaze, lid,
mouth and head signals of every picture. Made from NASA's portrait of Eileen Collins, in the public domain, as
scikit-image ships it (`skimage.data.astronaut`); the room is drawn by `room.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.assets import perception_files
from realtime.demo.portrait import Expression, Portrait
from realtime.demo.room import draw_room
from realtime.perceive import Perceiver
from realtime.types import Frame, RgbImage, Size

SIZE = Size(1280, 720)
FPS = 30
SECONDS = 7.0
NOISE = 1.6  # deviation of the sensor noise, of 255
BIT_RATE_FACTOR = "18"  # libx264's constant rate factor: under 2 MB

# Rough outlines in the photo, (x, y); GrabCut finds the exact ones.
PERSON = [
    (226, 12), (180, 22), (152, 60), (152, 95), (172, 125), (178, 147), (140, 150), (118, 180), (112, 205), (60, 240),
    (30, 300), (18, 400), (20, 512), (512, 512), (500, 440), (470, 380), (430, 350), (380, 342), (360, 360), (356, 300),
    (345, 265), (306, 238), (296, 190), (262, 170), (276, 130), (302, 100), (300, 60), (280, 30),
]  # fmt: skip
SHUTTLE = [
    (415, 0), (402, 4), (396, 40), (382, 45), (380, 95), (372, 180), (356, 222), (368, 270), (368, 285), (470, 284),
    (472, 276), (458, 268), (456, 225), (454, 60), (450, 44), (436, 44), (430, 8), (420, 0),
]  # fmt: skip

# Key values (seconds, value); between them a smooth step. Each begins and ends alike, so the clip runs in a circle.
GAZE = [(0, 0), (1.00, 0), (1.12, -0.9), (1.80, -0.9), (1.95, 0.9), (2.75, 0.9), (2.88, 0), (3.55, 0), (3.65, 0.35),
        (4.25, 0.35), (4.36, -0.4), (4.90, -0.4), (5.02, 0), (7, 0)]  # fmt: skip
GAZE_DOWN = [(0, 0), (3.55, 0), (3.65, 0.3), (4.25, 0.3), (4.36, 0), (7, 0)]
MOUTH = [(0, 0.40), (2.80, 0.40), (3.00, 0.10), (3.12, 0.75), (3.26, 0.30), (3.38, 0.62), (3.50, 0.02), (3.62, 0.02),
         (3.74, 0.95), (3.92, 0.55), (4.02, 0.78), (4.16, 0.20), (4.28, 0.50), (4.40, 0.05), (4.54, 0.60),
         (4.68, 0.35), (4.80, 0.88), (4.98, 0.25), (5.10, 0.48), (5.24, 0.04), (5.50, 0.0), (6.00, 0.0),
         (6.50, 0.40), (7, 0.40)]  # fmt: skip
BLINKS_S = (0.50, 1.83, 3.20, 4.62, 6.62)  # when the lids begin to close; one lies in the change of gaze
BLINK = [(0, 1), (0.09, 0), (0.14, 0), (0.32, 1)]
WINK = [(0, 1), (5.66, 1), (5.80, 0), (6.10, 0), (6.32, 1), (7, 1)]  # of the person's left eye
WINK_SQUINT = [(0, 1), (5.66, 1), (5.80, 0.82), (6.10, 0.82), (6.32, 1), (7, 1)]  # what the other eye does then
YAW = [(0, 0), (1.05, 0), (1.5, -6), (1.9, -6), (2.35, 7), (2.7, 7), (3.3, 0), (4.0, 2), (4.8, -3), (5.6, 0), (7, 0)]
ROLL = [(0, 0), (1.2, 1.2), (2.2, -1.6), (3.3, 0.8), (4.1, -1.0), (5.0, 1.4), (5.9, 2.6), (6.4, 1.0), (7, 0)]


def truth(number: int) -> Expression:
    """What the person does in picture `number`."""
    t = number / FPS
    turn = 2 * np.pi * t / SECONDS
    blink = min(_at(BLINK, t - start) for start in BLINKS_S)
    return Expression(
        gaze=_at(GAZE, t),
        gaze_down=_at(GAZE_DOWN, t),
        right_eye=min(blink, _at(WINK_SQUINT, t)),
        left_eye=min(blink, _at(WINK, t)),
        mouth=_at(MOUTH, t),
        x=float(16 * np.sin(turn) + 5 * np.sin(2 * turn)),
        y=float(3 * np.sin(2 * turn + 0.6)),
        lean_deg=float(0.8 * np.sin(turn + 0.9)),
        roll_deg=_at(ROLL, t),
        yaw_deg=_at(YAW, t),
        size=float(1 + 0.012 * (1 - np.cos(turn))),
        breath=float(0.5 - 0.5 * np.cos(2 * turn)),
    )


def _at(keys: Sequence[tuple[float, float]], t: float) -> float:
    times, values = zip(*keys, strict=True)
    if t <= times[0] or t >= times[-1]:
        return float(values[0] if t <= times[0] else values[-1])
    after = int(np.searchsorted(times, t, side="right"))
    share = (t - times[after - 1]) / (times[after] - times[after - 1])
    share = share * share * (3 - 2 * share)
    return float(values[after - 1] + share * (values[after] - values[after - 1]))


def draw_pictures(photo: RgbImage, numbers: range) -> list[RgbImage]:
    """These pictures of the clip."""
    person = _cut_out(photo, PERSON)
    shuttle = np.dstack([photo, (255 * _cut_out(photo, SHUTTLE)).astype(np.uint8)])[2:286, 350:478]
    room = draw_room(SIZE, shuttle).astype(np.float32)
    portrait = Portrait(photo, _landmarks(photo), person, SIZE)
    rng = np.random.default_rng(11)
    pictures = []
    for number in numbers:
        rgb, alpha = portrait.pose(truth(number))
        scene = room + alpha[..., None] * (rgb - room)
        grey = rng.standard_normal(scene.shape[:2], np.float32)[..., None]
        colour = rng.standard_normal(scene.shape, np.float32)
        scene += NOISE * (0.85 * grey + 0.5 * colour)
        pictures.append(np.clip(scene + 0.5, 0, 255).astype(np.uint8))
    return pictures


def _cut_out(photo: RgbImage, outline: list[tuple[int, int]]) -> NDArray[np.float32]:
    """The thing within a rough outline, 0..1."""
    rough = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(rough, [np.array(outline, np.int32)], 1)
    near, core = np.ones((13, 13), np.uint8), np.ones((21, 21), np.uint8)
    if rough.mean() < 0.1:
        near, core = np.ones((7, 7), np.uint8), np.ones((9, 9), np.uint8)
    labels = np.full(rough.shape, cv2.GC_BGD, np.uint8)
    labels[cv2.dilate(rough, near) > 0] = cv2.GC_PR_BGD
    labels[rough > 0] = cv2.GC_PR_FGD
    labels[cv2.erode(rough, core) > 0] = cv2.GC_FGD
    cv2.setRNGSeed(1)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(photo[..., ::-1].copy(), labels, None, background, foreground, 5, cv2.GC_INIT_WITH_MASK)
    cut = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(cut)
    return np.asarray(parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])), np.float32)


def _landmarks(photo: RgbImage) -> NDArray[np.float32]:
    """(478, 2) in pixels, measured on the enlarged photo."""
    enlarged = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    with Perceiver(*perception_files(), max_faces=1) as perceive:
        for index in range(4):  # the landmarker refines a face that it follows
            scene = perceive(Frame(enlarged, index / FPS, 0.0, index))  # type: ignore[arg-type]
    return np.asarray((scene.faces[0].landmarks[:, :2] - 0.5) / 2, np.float32)


def write_clip(path: Path, pictures: list[RgbImage]) -> None:
    """Writes the pictures as H.264."""
    import av

    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": BIT_RATE_FACTOR, "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = SIZE.width, SIZE.height, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_truth(path: Path, count: int) -> None:
    """Writes what truly happens in every picture."""
    frames = [{key: round(value, 4) for key, value in asdict(truth(number)).items()} for number in range(count)]
    about = {
        "source": "Portrait of Eileen Collins, NASA, public domain (scikit-image: data.astronaut); warped",
        "size": [SIZE.width, SIZE.height],
        "fps": FPS,
        "meaning": "see Expression in realtime/demo/portrait.py",
    }
    lines = ",\n".join("  " + json.dumps(frame) for frame in frames)
    head = ",\n ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items())
    path.write_text(f'{{{head},\n "frames": [\n{lines}\n]}}\n')


def main(folder: Path) -> None:
    """Makes both files in `folder`."""
    from skimage.data import astronaut

    count = round(FPS * SECONDS)
    write_clip(folder / "demo.mp4", draw_pictures(astronaut(), range(count)))
    write_truth(folder / "demo.json", count)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
