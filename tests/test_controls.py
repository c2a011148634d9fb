from pathlib import Path

import pytest

from realtime.controls import ACTIONS, MOST_WAITING, BusyError, Controls
from realtime.errors import UsageError
from realtime.ink.touch_up import TouchUp
from realtime.keys import HELP, KEYS, Keys
from realtime.layers import Finish
from realtime.page import Page
from realtime.reshape import Shape
from realtime.settings import Background, Look
from realtime.sinks.view import WINDOW_HELP
from realtime.styles import Style

STYLES = tuple(
    Style(n, n, "MIT", Path("b"), Path("f"), Finish(), TouchUp(), Page(), Shape())
    for n in ("manga", "pastel", "webtoon")
)


class Shown:
    """What was shown, and what was said."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.mirrored: list[bool] = []
        self.quits = 0
        self.said: list[str] = []
        self.controls = Controls(Look(), mirror=False, quit_=self._quit, say=self.said.append)
        self.controls.styles = STYLES
        self.controls.on_look = lambda look, style: self.looks.append(look)
        self.controls.on_mirror = self.mirrored.append
        self.keys = Keys(self.controls, self.said.append)

    def press(self, keys: str) -> None:
        for key in keys:
            self.keys(key)
            self.controls.apply()

    def _quit(self) -> None:
        self.quits += 1


def test_styles_go_round_both_ways_and_never_reach_the_raw_picture() -> None:
    shown = Shown()
    shown.press("nnnnp")
    assert [look.style for look in shown.looks] == ["manga", "pastel", "webtoon", "manga", "webtoon"]


def test_strength_stays_within_its_range() -> None:
    shown = Shown()
    shown.press("[" * 15)
    assert shown.looks[0].strength == 0.9
    assert shown.looks[-1].strength == 0
    shown.press("]" * 15)
    assert shown.looks[-1].strength == 1


def test_expression_and_steadiness_go_round_and_are_said() -> None:
    shown = Shown()
    shown.press("eee")
    assert [look.expression for look in shown.looks] == [1.25, 1.5, 1.0]
    shown.press("ttt")
    assert [look.steadiness for look in shown.looks[3:]] == [0.5, 0.0, 1.0]
    assert shown.controls.status == "webtoon"
    shown.press("et[b m")
    for word in ("webtoon", "90%", "expression 1.25", "steadiness 0.5", "blur", "PAUSED", "MIRRORED"):
        assert word in shown.controls.status


def test_the_other_keys() -> None:
    shown = Shown()
    shown.press("mm")
    assert shown.mirrored == [True, False]
    shown.press(" ")
    assert shown.controls.paused
    shown.press("s")
    path = shown.controls.take_snapshot()
    assert path is not None
    assert path.suffix == ".png"
    assert shown.controls.take_snapshot() is None, "one press, one picture"
    shown.press("q\x1b")
    assert shown.quits == 2
    shown.press("\x00é?")


def test_recording_is_started_and_ended_by_whoever_can() -> None:
    shown, recording = Shown(), [False]
    shown.press("r")
    assert shown.said == ["Recording is not available here."]
    shown.controls.on_record = lambda: recording.append(not recording[-1])
    shown.controls.recording = lambda: recording[-1]
    shown.press("rr")
    assert recording == [False, True, False]
    shown.controls.record(False)
    assert recording == [False, True, False], "it was not recording"


def test_every_key_has_an_action() -> None:
    assert set(KEYS.values()) == set(ACTIONS)


def test_every_key_is_explained_in_the_window_and_in_the_readme() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("## Keys in the preview window") : readme.index("## Profiles")]
    explained = " ".join(keys for keys, _ in (*HELP, *WINDOW_HELP)).split()
    for key in KEYS:
        assert {" ": "space", "\x1b": "Esc"}.get(key, key) in explained
    for key in explained:
        assert f"`{key}`" in table or key in ("space", "Esc"), key


def test_nothing_changes_before_the_loop_says_so() -> None:
    shown = Shown()
    done = shown.controls.act("next-style")
    assert not done.done()
    assert shown.controls.look == Look()
    shown.controls.apply()
    assert done.exception(0) is None
    assert shown.looks[-1].style == shown.controls.look.style == "manga"


def test_whoever_asks_is_told_what_fails_and_nothing_changes() -> None:
    shown = Shown()
    for fields, says in (({"style": "none"}, "manga, pastel, webtoon"), ({"style": "oil"}, "'oil' cannot")):
        done = shown.controls.ask(lambda fields=fields: shown.controls.change(**fields))  # type: ignore[misc]
        shown.controls.apply()
        assert says in str(done.exception(0))

    def refuses(_: Look) -> None:
        raise UsageError("No alpha here.")

    shown.controls.check = refuses
    done = shown.controls.ask(lambda: shown.controls.change(background=Background("transparent")))
    shown.controls.apply()
    assert str(done.exception(0)) == "No alpha here."
    assert shown.controls.look == Look()
    assert shown.looks == []
    with pytest.raises(UsageError, match="did you mean next-style"):
        shown.controls.act("nextstyle")


def test_a_command_that_breaks_does_not_end_the_show() -> None:
    shown = Shown()

    def breaks(look: Look, style: Style) -> None:
        raise ValueError("the filter broke")

    shown.controls.on_look = breaks
    shown.press("n")
    assert shown.said == ["the filter broke"]
    assert shown.controls.look == Look()


def test_too_many_commands_are_refused_and_a_key_held_down_is_not_an_error() -> None:
    shown = Shown()
    for _ in range(MOST_WAITING):
        shown.controls.act("next-style")
    with pytest.raises(BusyError):
        shown.controls.act("next-style")
    shown.keys("n")
    shown.controls.apply()
    assert len(shown.looks) == MOST_WAITING


def test_without_a_drawing_there_is_no_look_to_change() -> None:
    shown = Shown()
    shown.controls.styles = ()
    shown.press("nb[]")
    assert shown.looks == []
    assert "none" in shown.said[0]
