"""Profiles: settings in a file under what the command line says, a person's numbers, and saving while it runs."""

import json
import os
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

import run
from realtime.controls import Controls
from realtime.errors import SinkError, UsageError
from realtime.ink.touch_up import TouchUp
from realtime.layers import Finish
from realtime.page import Page
from realtime.profile import Profile, read_profile, write_profile
from realtime.profile_watch import ProfileWatch
from realtime.reshape import Shape
from realtime.settings import PROFILE, Background, Look, Settings, explained_options, given_options
from realtime.settings import settings_from_arguments as settings_from
from realtime.styles import Style
from realtime.types import Size

ME = Profile((0.3, 0.28), (0.1, 0.1), (-0.2, 0.3), (0.5, 0.4, 0.3), True)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("realtime.profile.platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    return tmp_path / "data" / "profiles"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_command_line_wins_over_a_profile(home: Path) -> None:
    written(
        home / "work.toml",
        'source = 1\nsink = ["preview", "out.mp4"]\nstyle = "manga"\nstrength = 1\nbackground = "color:#102030"\n'
        'size = "640x360"\nmirror = true\nfps = 25\nbackground-style = "meadow"\n',
    )
    settings = settings_from(["--profile", "work"])
    assert settings.source == "1" and settings.sinks == ("preview", "out.mp4") and settings.mirror
    assert settings.look == Look("manga", background=Background("color", (16, 32, 48)), room_style="meadow")
    assert (settings.size, settings.fps, settings.profile) == (Size(640, 360), 25.0, home / "work.toml")
    words = ["--sink", "null", "--style", "webtoon", "--strength", "0.5", "--no-mirror", "--profile", "work"]
    settings = settings_from(words)
    assert settings.sinks == ("null",) and settings.look.style == "webtoon" and settings.look.strength == 0.5
    assert settings.mirror is False and settings.size == Size(640, 360)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("strenght = 0.5", "did you mean strength?"),
        ("colour = 1", "there are: source, sink"),
        ("strength = 1.5", "strength: 1.5 is not between 0 and 1"),
        ('strength = "much"', "strength is 'much', not a number"),
        ("strength = true", "strength is 'True', not a number"),
        ("mirror = 1", "mirror is '1', not true or false"),
        ('sink = "out.mp4"', "not a list of texts"),
        ("sink = [1]", "not a list of texts"),
        ('sink = ["out.avi"]', "--sink out.avi is unknown"),
        ('background-style = "none"', "use --only person"),
        ("style = 3", "style is '3', not text in quotes"),
        ("remote = 80", "remote: '80' is not a port"),
        ('style = "none"', "only be named on the command line"),
        ('only = "face"', "there is no 'only'"),
        ('size = "--style=none"', "size: '--style=none' is not WIDTHxHEIGHT"),
        ("style =", "cannot be used"),
        ("[person]\nopenness = [0.3, 0.3]", "closed is missing"),
        ("person = 3", "no table"),
    ],
)
def test_what_is_wrong_in_a_profile_is_one_sentence_with_its_name(text: str, says: str, tmp_path: Path) -> None:
    path = written(tmp_path / "p.toml", text)
    with pytest.raises(UsageError) as raised:
        settings_from(["--profile", str(path)])
    assert says in str(raised.value) and str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_save_profile_writes_what_was_given_for_its_user_only(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--style manga --strength 0.7 --background color:#ff8000 --no-mirror --size 640x360 --sink preview"
    assert run.main([*words.split(), "--save-profile", "work"]) == 0
    path = home / "work.toml"
    assert path.stat().st_mode & 0o077 == 0 or os.name == "nt"
    assert "run.py --profile work" in capsys.readouterr().err
    assert settings_from(["--profile", "work"]).look == settings_from(words.split()).look
    assert settings_from(["--profile", "work"]).sinks == ("preview",)
    text = path.read_text(encoding="utf-8")
    assert "# 0 barely to 1 fully drawn\nstrength = 0.7\n" in text
    assert "# steadiness = 1.0" in text, "what was not chosen is explained and left out"
    everything = "\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line)
    assert set(tomllib.loads(everything)) == set(PROFILE), "each example is one"
    assert run.main(["--style", "none", "--save-profile", "raw"]) == 2


def test_what_a_user_wrote_stays_when_a_profile_is_written_again(home: Path) -> None:
    path = written(home / "work.toml", "# mine\nstyle = 'manga'  # dark\n")
    write_profile(path, person=ME)
    write_profile(path, options={"strength": 0.5, "style": "cel"})
    assert read_profile("work").person == ME
    assert dict(read_profile("work").options) == {"style": "cel", "strength": 0.5}
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# mine\n") and "# dark" in text
    assert settings_from(["--profile", "work"]).person == ME
    written(home / "broken.toml", "style =")
    with pytest.raises(UsageError):
        write_profile(home / "broken.toml", person=ME)
    assert (home / "broken.toml").read_text() == "style ="


def test_numbers_of_earlier_versions_are_read_and_taken_over(home: Path) -> None:
    written(home / "me.json", json.dumps(asdict(ME)))
    assert settings_from(["--profile", "me"]).person == ME
    assert settings_from(["--profile", str(home / "me.json")]).person == ME
    write_profile(home / "me.toml", options={"strength": 0.5}, explained=explained_options())
    assert read_profile("me") == read_profile(str(home / "me.toml"))
    assert read_profile("me").person == ME


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}",
     '{"openness": [0.3, 0.3], "closed": [0.4, 0.4], "gaze": [0, 1], "iris": [1, 1, 1], "glasses": false}',
     '{"openness": [0.3], "closed": [0.1, 0.1], "gaze": [0, 1], "iris": [1, 1, 1], "glasses": false}',
     '{"openness": [0.3, NaN], "closed": [0.1, 0.1], "gaze": [0, 1], "iris": [1, 1, 1], "glasses": false}'],
)  # fmt: skip
def test_damaged_numbers_are_one_sentence(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "p.json", text)
    with pytest.raises(UsageError) as raised:
        read_profile(str(path))
    assert "--calibrate" in str(raised.value) and "\n" not in str(raised.value)


def test_a_place_that_takes_no_profile_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "p.toml", tmp_path, tmp_path / "p.json"):
        with pytest.raises(SinkError, match="cannot be written"):
            write_profile(path, person=ME)


def test_given_options_are_those_of_the_words_and_the_profile(home: Path) -> None:
    written(home / "work.toml", 'style = "manga"\nfps = 25\n')
    assert given_options(["--profile", "work", "--style", "cel", "--loop", "--background", "blur"]) == {
        "style": "cel", "fps": 25, "background": "blur"
    }  # fmt: skip
    assert given_options([]) == {}


class Watched:
    """A profile, the controls it changes, and what is said."""

    def __init__(self, path: Path, words: list[str] | None = None) -> None:
        self.path, self.said, self.mirrored = path, list[str](), list[bool]()
        self.words = ["--profile", str(path), *(words or [])]
        settings: Settings = settings_from(self.words)
        self.controls = Controls(settings.look, mirror=bool(settings.mirror), quit_=lambda: None, say=self.said.append)
        self.controls.styles = tuple(
            Style(n, n, "MIT", Path("b"), Path("f"), Finish(), TouchUp(), Page(), Shape()) for n in ("manga", "webtoon")
        )
        self.controls.on_mirror = self.mirrored.append
        self.watch = ProfileWatch(path, settings, lambda: settings_from(self.words), self.controls, self.said.append)

    def save(self, text: str) -> None:
        written(self.path, text)
        self.watch.check()
        self.watch.check()
        self.controls.apply()


def test_a_profile_that_is_saved_changes_what_changed_in_it_and_no_more(tmp_path: Path) -> None:
    watched = Watched(written(tmp_path / "p.toml", 'style = "manga"\nstrength = 0.5\n'))
    watched.controls.change(expression=1.5)
    watched.controls.change(strength=0.9)
    watched.save('style = "webtoon"\nstrength = 0.5\nmirror = true\nsize = "640x360"\n')
    look = watched.controls.look
    assert (look.style, look.strength, look.expression, watched.mirrored) == ("webtoon", 0.9, 1.5, [True])
    assert watched.said == ["p.toml: size will change at the next start.", "p.toml is read anew."]


def test_a_file_is_read_when_it_is_written_to_the_end(tmp_path: Path) -> None:
    watched = Watched(written(tmp_path / "p.toml", "strength = 0.5\n"))
    written(watched.path, "strength = 0.")
    watched.watch.check()
    assert watched.said == []
    written(watched.path, "strength = 0.25\n")
    watched.watch.check()
    watched.path.rename(tmp_path / "elsewhere")
    watched.watch.check()
    (tmp_path / "elsewhere").rename(watched.path)
    watched.watch.check()
    watched.controls.apply()
    assert watched.controls.look.strength == 0.25 and len(watched.said) == 1


def test_a_mistake_is_said_once_and_changes_nothing(tmp_path: Path) -> None:
    watched = Watched(written(tmp_path / "p.toml", "strength = 0.5\n"), ["--expression", "1.2"])
    watched.save("strenght = 0.5\n")
    watched.watch.check()
    assert len(watched.said) == 1 and "did you mean strength?" in watched.said[0]
    watched.save('strength = 0.5\nstyle = "oil"\n')
    assert "'oil' cannot be switched to" in watched.said[1]
    watched.save("strength = 0.75\nexpression = 1.5\n")
    assert (watched.controls.look.strength, watched.controls.look.expression) == (0.75, 1.2), "the command line wins"


def test_a_person_measured_before_heights_were_is_still_good(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    write_profile(path, person=ME)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("drop")), encoding="utf-8")
    assert read_profile(str(path)).person == ME
