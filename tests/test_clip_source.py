"""Clip and picture files as sources: what each kind gives, and what damaged ones still give."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.errors import SourceError, UsageError
from realtime.settings import Pace, Play
from realtime.source import Source, open_source
from realtime.source.picture import read_picture
from realtime.types import Frame, Size

SMALL = Size(64, 48)
QUARTERS = ((220, 40, 40), (40, 200, 40), (40, 40, 220), (230, 230, 230))  # RGB, clockwise from the upper left


def quarters(width: int, height: int) -> NDArray[np.uint8]:
    """A picture that shows which way is up, and which colour is which."""
    rgb = np.empty((height, width, 3), np.uint8)
    x, y = width // 2, height // 2
    rgb[:y, :x], rgb[:y, x:], rgb[y:, x:], rgb[y:, :x] = QUARTERS
    return rgb


def corner_colours(frame: Frame) -> NDArray[np.int16]:
    """(4, 3): the middle of each quarter, clockwise from the upper left."""
    height, width = frame.rgb.shape[:2]
    x, y = width // 4, height // 4
    places = ((y, x), (y, width - x - 1), (height - y - 1, width - x - 1), (height - y - 1, x))
    return np.array([frame.rgb[p] for p in places], np.int16)


def write_clip(
    path: Path,
    size: Size = SMALL,
    times_s: list[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    times = times_s if times_s is not None else [i / 30 for i in range(6)]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        for t in times:
            frame = av.VideoFrame.from_ndarray(quarters(size.width, size.height), "rgb24")
            frame.pts, frame.time_base = round(t * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def open_(path: Path, said: list[str] | None = None, size: Size | None = None) -> Source:
    return open_source(str(path), size=size, fps=None, pace=None, say=(said if said is not None else []).append)


def frames_of(path: Path, said: list[str] | None = None, size: Size | None = None) -> list[Frame]:
    with open_(path, said, size) as source:
        return list(iter(source.read, None))


def assert_upright(frame: Frame, tolerance: int = 12) -> None:
    np.testing.assert_allclose(corner_colours(frame), QUARTERS, atol=tolerance)


@pytest.mark.parametrize("size", [Size(16, 16), Size(64, 48), Size(48, 64), Size(1280, 720)])
def test_sizes_are_kept(size: Size, tmp_path: Path) -> None:
    frames = frames_of(write_clip(tmp_path / "c.mp4", size, [0, 0.1]))
    assert [frame.size for frame in frames] == [size, size]


def test_untagged_small_video_is_read_as_bt601(tmp_path: Path) -> None:
    assert_upright(frames_of(write_clip(tmp_path / "c.mp4"))[0])  # what the encoder was given, by its default matrix


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mkv", Size(65, 49), codec="ffv1", pix_fmt="bgr0")
    frames = frames_of(path)
    assert frames[0].size == Size(65, 49) and len(frames) == 6
    assert_upright(frames[0])


def test_a_gif_is_a_clip(tmp_path: Path) -> None:
    frames = frames_of(write_clip(tmp_path / "c.gif", codec="gif", pix_fmt="rgb8", times_s=[0, 0.1, 0.2]))
    assert [round(frame.t, 2) for frame in frames] == [0, 0.1, 0.2]
    assert_upright(frames[0], 64)  # 8 bits a pixel


def test_times_of_variable_rate_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.033, 0.5, 0.6, 1.0]
    frames = frames_of(write_clip(tmp_path / "c.mkv", times_s=times))
    np.testing.assert_allclose([frame.t for frame in frames], times, atol=2e-3)


def test_missing_times_are_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "c.h264"  # a bare stream has no times
    write_clip(path)
    frames = frames_of(path)
    times = [frame.t for frame in frames]
    assert len(frames) == 6 and times == sorted(set(times))


def rotated(path: Path, degrees: int) -> Path:
    """Writes a display matrix into an MP4's track header: what a telephone does that is held upright."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version and flags, times, track, duration, layer, volume …
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = [cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_clip_that_is_marked_as_turned_is_turned(degrees: int, tmp_path: Path) -> None:
    path = rotated(write_clip(tmp_path / "c.mp4"), degrees)
    frame = frames_of(path)[0]
    assert frame.size == (Size(64, 48) if degrees == 180 else Size(48, 64))
    clockwise = degrees // 90  # tkhd's matrix turns the picture clockwise for display
    np.testing.assert_allclose(corner_colours(frame), np.roll(QUARTERS, clockwise, axis=0), atol=12)


def test_another_size_is_letterboxed(tmp_path: Path) -> None:
    frame = frames_of(write_clip(tmp_path / "c.mp4"), size=Size(128, 48))[0]
    assert frame.size == Size(128, 48)
    assert (frame.rgb[:, :30] == 0).all() and (frame.rgb[:, -30:] == 0).all()
    np.testing.assert_allclose(frame.rgb[12, 40], QUARTERS[0], atol=12)


def test_a_clip_cut_half_way_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "c.mp4", Size(320, 240), [i / 30 for i in range(60)], options={"movflags": "faststart"}
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    said: list[str] = []
    frames = frames_of(path, said)
    assert 5 < len(frames) < 60
    assert len(said) == 1 and "ends early" in said[0] and "of its 60" in said[0]


def test_a_whole_clip_says_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    frames_of(write_clip(tmp_path / "c.mkv"), said)
    assert said == []


def test_a_clip_cut_in_its_index_is_an_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4")
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(SourceError, match="cut short"):
        open_(path)


def test_sound_alone_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "c.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="sound but no picture"):
        open_(path)


def test_a_clip_without_a_frame_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "c.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(SourceError, match=r"no picture|no video|cannot be read"):
        open_(path)


@pytest.mark.parametrize("size", [Size(8, 48), Size(64, 15)])
def test_too_small_is_an_error(size: Size, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), quarters(size.width, size.height))
    with pytest.raises(SourceError, match="too small"):
        open_(tmp_path / "p.png")


def test_8k_works_and_more_wants_a_size(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    cv2.imwrite(str(path), np.zeros((4320, 7680, 1), np.uint8))
    assert frames_of(path)[0].size == Size(7680, 4320)
    cv2.imwrite(str(path), np.zeros((20, 8200, 1), np.uint8))
    with pytest.raises(SourceError, match="--size"):
        open_(path)
    assert frames_of(path, size=Size(640, 360))[0].size == Size(640, 360)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_every_kind_of_picture_is_one_frame(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pïcture{suffix}"
    _, data = cv2.imencode(suffix, cv2.cvtColor(quarters(61, 47), cv2.COLOR_RGB2BGR))
    path.write_bytes(data.tobytes())
    with open_(path) as source:
        frames = list(iter(source.read, None))
        assert source.frame_count == 1
    assert len(frames) == 1 and frames[0].size == Size(61, 47)
    assert_upright(frames[0], 16)


def test_grey_16_bit_and_alpha_become_rgb(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    cv2.imwrite(str(path), np.full((20, 20), 77, np.uint8))
    assert (read_picture(path) == 77).all()
    cv2.imwrite(str(path), np.full((20, 20, 3), 77 * 257, np.uint16))
    assert (read_picture(path) == 77).all()
    for kind in (np.uint8, np.uint16):
        full = int(np.iinfo(kind).max)
        bgra = np.zeros((20, 20, 4), kind)
        bgra[:10] = (0, 0, full, full)  # red above, nothing below
        cv2.imwrite(str(path), bgra)
        rgb = read_picture(path)
        assert (rgb[:10] == (255, 0, 0)).all() and (rgb[10:] == 255).all()


def test_the_orientation_of_a_photo_is_applied(tmp_path: Path) -> None:
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(quarters(64, 48), cv2.COLOR_RGB2BGR))
    # One Exif tag: orientation 6, to be turned a quarter clockwise.
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff
    path = tmp_path / "p.jpg"
    path.write_bytes(jpeg.tobytes()[:2] + exif + jpeg.tobytes()[2:])
    frame = frames_of(path)[0]
    assert frame.size == Size(48, 64)
    np.testing.assert_allclose(corner_colours(frame), np.roll(QUARTERS, 1, axis=0), atol=16)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
@pytest.mark.parametrize("offset_s", [0.0, 4.0])  # of the file's own first picture
def test_start_leaves_out_what_comes_before_and_no_more(tmp_path: Path, suffix: str, offset_s: float) -> None:
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    times = [offset_s + i / 10 for i in range(60)]
    path = write_clip(tmp_path / f"c.{suffix}", times_s=times, codec=codec, options={"g": "250"})
    said: list[str] = []
    with open_source(str(path), size=None, fps=None, pace=None, say=said.append, play=Play(2.5)) as source:
        frames = [frame.t for frame in iter(source.read, None)]
    with open_(path) as source:
        whole = [frame.t for frame in iter(source.read, None)]
    assert frames == pytest.approx(whole[25:], abs=0.002)
    assert said == []


def test_a_looped_clip_begins_at_its_start_again_and_its_clock_goes_on(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", times_s=[i / 10 for i in range(10)])
    said: list[str] = []
    with open_source(str(path), size=None, fps=None, pace=Pace.ALL, say=said.append, play=Play(0.6, True)) as source:
        times = [frame.t for frame in (source.read() for _ in range(11)) if frame is not None]
        assert source.frame_count is None
    assert np.diff(times) == pytest.approx(
        [0.1] * 3 + [1 / source.fps] + [0.1] * 3 + [1 / source.fps] + [0.1] * 2, abs=0.01
    )


def test_a_start_behind_the_end_and_a_start_of_no_clip_are_sentences(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4")
    with pytest.raises(SourceError, match="no picture at 9 s or later"):
        open_source(str(path), size=None, fps=None, pace=None, say=lambda _: None, play=Play(9))
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), quarters(64, 48))
    for word in (str(picture), "test", "screen", "rtsp://host/x"):
        with pytest.raises(UsageError, match="go with a clip"):
            open_source(word, size=None, fps=None, pace=None, say=lambda _: None, play=Play(loop=True))
