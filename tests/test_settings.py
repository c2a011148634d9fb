from pathlib import Path

import pytest

from realtime.errors import UsageError
from realtime.settings import Background, Pace, settings_from_arguments
from realtime.types import Size


def test_nothing_given_leaves_every_choice_open() -> None:
    settings = settings_from_arguments([])
    assert settings.source is None
    assert settings.sinks == ()
    assert settings.look.style == "webtoon"
    assert settings.look.strength == 1
    assert settings.look.steadiness == 1
    assert settings.pace is None
    assert settings.mirror is None


def test_every_word_of_the_contract_is_understood(tmp_path: Path) -> None:
    picture = tmp_path / "room.png"
    picture.write_bytes(b"")
    settings = settings_from_arguments(
        f"--source clip.mp4 --sink out.mp4 --sink null --style manga --strength 0.5 --background image:{picture} "
        f"--size 640x360 --fps 25 --no-mirror --engine openvino --pace all --frames 5 --seconds 2.5 "
        f"--stats {tmp_path}/s.json --expression 1.3 --remote 8642".split()
    )
    assert settings.sinks == ("out.mp4", "null")
    assert (settings.look.expression, settings.profile, settings.remote, settings.calibrate) == (1.3, None, 8642, False)
    assert settings.look.background == Background("image", image=picture)
    assert settings.size == Size(640, 360)
    assert settings.mirror is False
    assert settings.pace is Pace.ALL
    assert (settings.frames, settings.seconds, settings.fps) == (5, 2.5, 25)


def test_colour_is_read_as_red_green_blue() -> None:
    background = settings_from_arguments(["--background", "color:#ff8000"]).look.background
    assert background.color == (255, 128, 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--strength 1.2", "between 0 and 1"),
        ("--strength nan", "between 0 and 1"),
        ("--steadiness 1.1", "between 0 and 1"),
        ("--steadiness calm", "not a number"),
        ("--strength much", "not a number"),
        ("--expression 1.6", "between 1 and 1.5"),
        ("--expression 0.9", "between 1 and 1.5"),
        ("--size 640", "1280x720"),
        ("--size 641x360", "even"),
        ("--size 8x8", "even sides between 16"),
        ("--fps 0", "above 0"),
        ("--fps inf", "above 0"),
        ("--frames 0", "whole number"),
        ("--frames 2.5", "whole number"),
        ("--seconds -1", "above 0"),
        ("--pace slow", "neither live nor all"),
        ("--engine cuda", "onnxruntime"),
        ("--background green", "color:#rrggbb"),
        ("--background color:green", "#20a060"),
        ("--background image:nowhere.png", "no picture"),
        ("--sink out.avi", ".mp4"),
        ("--sink rtmp:///live", "names no server"),
        ("--sink srt://user:secret@host", "srt://host names no port"),
        ("--sink rtsp://host:port/x", "names no port"),
        ("--start -1", "below 0"),
        ("--sink srt://host:9000 --pace all", "sent as it happens"),
        ("--json", "--list"),
        ("--list things", "cameras"),
        ("--stats nowhere/s.json", "does not exist"),
        ("--remote 80", "between 1024"),
        ("--profile ../me", "neither a name"),
        ("--profile no-such-profile", "--save-profile no-such-profile"),
        ("--nonsense", "--nonsense"),
        ("--str 1", "--str"),
    ],
)
def test_a_wrong_word_is_one_sentence_that_says_what_is_expected(words: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings_from_arguments(words.split())
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2
