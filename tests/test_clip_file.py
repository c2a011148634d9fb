"""Clip files as sinks: what is written can be read back, whatever happens while it is written."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.sinks import clip as clip_module
from realtime.sinks.clip import ClipFile
from realtime.source import open_source
from realtime.source.pattern import TestPattern, pattern_index
from realtime.types import Frame, Picture, Size, read_only

SMALL = Size(320, 180)
SUFFIXES = [".mp4", ".mkv", ".webm", ".gif"]


def pictures(count: int, size: Size = SMALL, times_s: list[float] | None = None) -> list[Picture]:
    source = TestPattern(size, 30)
    made = []
    for number in range(count):
        frame = source.read()
        assert frame is not None
        t = frame.t if times_s is None else times_s[number]
        made.append(Picture(frame.rgb, t, frame.grabbed_s, frame.index))
    return made


def write(path: Path, sent: list[Picture], clip: Path | None = None, said: list[str] | None = None) -> Path:
    size = Size(sent[0].rgb.shape[1], sent[0].rgb.shape[0])
    with ClipFile(path, size, 30, clip, (said if said is not None else []).append) as sink:
        for picture in sent:
            sink.send(picture)
    return path


def frames_of(path: Path) -> list[Frame]:
    with open_source(str(path), size=None, fps=None, pace=None, say=lambda _: None) as source:
        return list(iter(source.read, None))


def sound_of(path: Path) -> tuple[str, np.ndarray, float]:
    """Codec, samples of the first channel, and the time of the first."""
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        frames = list(container.decode(track))
        samples = np.concatenate([np.atleast_2d(frame.to_ndarray())[0] for frame in frames])
        return track.codec_context.name, samples, float(frames[0].time or 0.0)


def clip_with_sound(path: Path, codec: str, seconds: float = 2.0, click_s: float = 1.0, offset_s: float = 0.0) -> Path:
    """Black pictures that turn white when a tone begins, so that picture and sound can be compared."""
    rate = 48000
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=rate)
        layout = "mono"
        audio.layout = layout
        times = np.arange(round(seconds * rate)) / rate
        tone = np.where(times >= click_s, 0.5 * np.sin(2 * np.pi * 440 * times), 0).astype(np.float32)
        for index in range(round(seconds * 30)):
            rgb = np.full((48, 64, 3), 255 * (index / 30 >= click_s), np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts, frame.time_base = index + round(offset_s * 30), Fraction(1, 30)
            container.mux(video.encode(frame))
            samples = tone[index * 1600 : (index + 1) * 1600]
            sound = av.AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), "s16", layout)
            sound.sample_rate, sound.time_base = rate, Fraction(1, rate)
            sound.pts = index * 1600 + round(offset_s * rate)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def pictures_of(clip: Path) -> list[Picture]:
    return [Picture(frame.rgb, frame.t, frame.grabbed_s, frame.index) for frame in frames_of(clip)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_picture_comes_back_in_order_at_its_time(suffix: str, tmp_path: Path) -> None:
    frames = frames_of(write(tmp_path / f"out{suffix}", pictures(25)))
    assert [pattern_index(frame.rgb) for frame in frames] == list(range(25))
    np.testing.assert_allclose([frame.t for frame in frames], np.arange(25) / 30, atol=0.006)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_variable_rate_is_kept_from_the_first_picture_on(suffix: str, tmp_path: Path) -> None:
    times = [100.0, 100.02, 100.5, 100.6, 101.3]
    frames = frames_of(write(tmp_path / f"out{suffix}", pictures(5, times_s=times)))
    np.testing.assert_allclose([frame.t for frame in frames], np.array(times) - 100, atol=2e-3)


def test_times_that_stand_still_still_make_a_file(tmp_path: Path) -> None:
    assert len(frames_of(write(tmp_path / "out.mp4", pictures(5, times_s=[1.0] * 5)))) == 5


def test_rate_and_duration_are_those_of_the_pictures(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / "out.mp4", pictures(45)))) as container:
        track = container.streams.video[0]
        assert track.average_rate == 30 and track.frames == 45
        assert track.duration is not None and track.time_base is not None
        assert float(track.duration * track.time_base) == pytest.approx(1.5, abs=1e-3)
        assert track.start_time == 0


@pytest.mark.parametrize("size", [SMALL, Size(1280, 720)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_colours_come_back_and_are_tagged(size: Size, suffix: str, tmp_path: Path) -> None:
    colours = np.array([(200, 30, 30), (30, 180, 30), (30, 30, 200), (255, 255, 255), (0, 0, 0), (240, 200, 170)])
    rgb = np.repeat(colours.astype(np.uint8)[None], size.height, axis=0).repeat(size.width // 6 + 1, axis=1)
    rgb = read_only(np.ascontiguousarray(rgb[:, : size.width]))
    path = write(tmp_path / f"out{suffix}", [Picture(rgb, i / 30, 0.0, i) for i in range(3)])
    frame = frames_of(path)[-1]
    middles = (np.arange(6) + 0.5) * (size.width // 6 + 1)
    np.testing.assert_allclose(frame.rgb[size.height // 2, middles.astype(int)].astype(int), colours, atol=5)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert context.color_range == 1  # limited
        assert context.colorspace == (1 if size.height >= 720 else 6)


def test_odd_sizes_are_cut_where_they_must_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    odd = Size(321, 181)
    assert frames_of(write(tmp_path / "out.mp4", pictures(3, odd), said=said))[0].size == Size(320, 180)
    assert len(said) == 1 and "even sizes" in said[0]
    assert frames_of(write(tmp_path / "out.webm", pictures(3, odd)))[0].size == odd
    assert frames_of(write(tmp_path / "out.gif", pictures(3, odd)))[0].size == odd


@pytest.mark.parametrize(
    ("source", "codec", "target", "result"),
    [
        ("in.mp4", "aac", "out.mp4", "aac"),
        ("in.mp4", "aac", "out.mkv", "aac"),
        ("in.mp4", "aac", "out.webm", "opus"),
        ("in.mkv", "pcm_s16le", "out.mp4", "aac"),
        ("in.mkv", "libopus", "out.webm", "opus"),
        ("in.mkv", "libopus", "out.mp4", "aac"),
    ],
)
def test_sound_is_carried_over_in_step(source: str, codec: str, target: str, result: str, tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / source, codec)
    path = write(tmp_path / target, pictures_of(clip), clip)
    name, samples, first_s = sound_of(path)
    assert name == result
    assert len(samples) / 48000 == pytest.approx(2.0, abs=0.1)
    scale = np.abs(samples).max()
    tone_s = first_s + np.argmax(np.abs(samples) > 0.3 * scale) / 48000
    white_s = next(frame.t for frame in frames_of(path) if frame.rgb.mean() > 127)
    assert tone_s == pytest.approx(white_s, abs=0.03)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("offset_s", [0.0, 5.0])
def test_sound_is_cut_to_the_pictures_that_were_written(codec: str, offset_s: float, tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "in.mkv", codec, offset_s=offset_s)
    path = write(tmp_path / "out.mp4", pictures_of(clip)[15:45], clip)  # from 0.5 s on, up to 1.5 s
    _, samples, first_s = sound_of(path)
    assert len(samples) / 48000 == pytest.approx(1.0, abs=0.08)
    tone_s = first_s + np.argmax(np.abs(samples) > 0.3 * np.abs(samples).max()) / 48000
    assert tone_s == pytest.approx(0.5, abs=0.03)


def test_a_gif_and_a_silent_clip_have_no_sound(tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "in.mp4", "aac", 0.5, 0.2)
    silent = write(tmp_path / "silent.mp4", pictures(3))
    for path in (write(tmp_path / "out.gif", pictures(3), clip), write(tmp_path / "out.mp4", pictures(3), silent)):
        with av.open(str(path)) as container:
            assert not container.streams.audio


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_full_disk_is_one_error_and_what_was_written_can_be_played(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speckled = np.stack([picture.rgb for picture in pictures(80)])
    speckled[:, 10:] ^= np.random.default_rng(0).integers(0, 32, (80, 170, 320, 3), np.uint8)
    sent = [Picture(read_only(rgb), index / 10, 0.0, index) for index, rgb in enumerate(speckled)]
    path = tmp_path / f"out{suffix}"
    room = write(path, sent).stat().st_size // 2
    real_write = clip_module._File.write
    written = 0

    def full(file: clip_module._File, data: bytes) -> int:
        nonlocal written
        written += len(data)
        if written > room:
            file.error = file.error or OSError(28, "No space left on device")
        return real_write(file, data)

    monkeypatch.setattr(clip_module._File, "write", full)
    sink = ClipFile(path, SMALL, 30, None, lambda _: None)
    with pytest.raises(SinkError, match=r"No space left on device.*kept and can be played"):
        for picture in sent:
            sink.send(picture)
        sink.close()
    size_then = path.stat().st_size
    sink.close()
    assert path.stat().st_size <= size_then <= room
    numbers = [pattern_index(frame.rgb) for frame in frames_of(path)]
    assert len(numbers) >= 10 and numbers == list(range(len(numbers)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_file_that_is_never_closed_can_be_played(suffix: str, tmp_path: Path) -> None:
    sink = ClipFile(tmp_path / f"out{suffix}", SMALL, 30, None, lambda _: None)
    for picture in pictures(240):
        sink.send(picture)
    copy = tmp_path / f"copy{suffix}"
    copy.write_bytes((tmp_path / f"out{suffix}").read_bytes())  # as a killed process leaves it
    assert len(frames_of(copy)) >= 30
    sink.close()
    assert len(frames_of(tmp_path / f"out{suffix}")) == 240


def test_an_older_file_stays_until_the_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("precious")
    with ClipFile(path, SMALL, 30, None, lambda _: None):
        assert path.read_text() == "precious"
    assert path.read_text() == "precious"
    write(path, pictures(2))
    assert len(frames_of(path)) == 2


def test_nothing_is_made_without_a_picture(tmp_path: Path) -> None:
    ClipFile(tmp_path / "out.mp4", SMALL, 30, None, lambda _: None).close()
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_not_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path / "in.mp4", pictures(2))
    (tmp_path / "link.mp4").symlink_to(path)
    for name in ("in.mp4", "link.mp4"):
        with pytest.raises(SinkError, match="is the source itself"):
            ClipFile(tmp_path / name, SMALL, 30, path, lambda _: None)


def test_another_encoder_is_used_and_said_where_x264_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_module, "H264_ENCODERS", ("libx264-missing", "mpeg4"))
    said: list[str] = []
    frames = frames_of(write(tmp_path / "out.mp4", pictures(10), said=said))
    assert [pattern_index(frame.rgb) for frame in frames] == list(range(10))
    assert said == ["This build of PyAV lacks libx264-missing; mpeg4 is used, at a fixed bit rate."]


def test_a_smaller_picture_is_an_error(tmp_path: Path) -> None:
    with ClipFile(tmp_path / "out.mp4", SMALL, 30, None, lambda _: None) as sink:
        sink.send(pictures(1)[0])
        with pytest.raises(SinkError, match="64x48"):
            sink.send(pictures(1, Size(64, 48))[0])
    assert len(frames_of(tmp_path / "out.mp4")) == 1


def test_8k_is_written(tmp_path: Path) -> None:
    rgb = read_only(np.zeros((4320, 7680, 3), np.uint8))
    start_s = time.monotonic()
    path = write(tmp_path / "out.mp4", [Picture(rgb, 0.0, start_s, 0)])
    assert frames_of(path)[0].size == Size(7680, 4320)


def test_a_fragment_that_the_disk_took_a_part_of_is_cut_off(tmp_path: Path) -> None:
    sink = ClipFile(tmp_path / "out.mp4", SMALL, 30, None, lambda _: None)
    for picture in pictures(240):
        sink.send(picture)
    data = (tmp_path / "out.mp4").read_bytes()
    sink.close()
    for size in range(len(data) // 2, len(data), len(data) // 9):
        path = tmp_path / "cut.mp4"
        path.write_bytes(data[:size])
        clip_module._cut_to_whole_boxes(path)
        assert path.stat().st_size <= size
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= 30  # and no picture is damaged
