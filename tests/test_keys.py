from pathlib import Path

from realtime.ink.touch_up import TouchUp
from realtime.keys import Keys
from realtime.layers import Finish
from realtime.settings import Look
from realtime.styles import Style

STYLES = tuple(Style(n, n, "MIT", Path("b"), Path("f"), Finish(), TouchUp()) for n in ("manga", "webtoon"))


class Shown:
    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.mirrored: list[bool] = []
        self.quits = 0
        self.said: list[str] = []
        self.keys = Keys(Look(), mirror=False, quit_=self._quit, say=self.said.append)
        self.keys.styles = STYLES
        self.keys.on_look = lambda look, style: self.looks.append(look)
        self.keys.on_mirror = self.mirrored.append

    def _quit(self) -> None:
        self.quits += 1


def test_styles_go_round_and_never_reach_the_raw_picture() -> None:
    shown = Shown()
    for _ in range(5):
        shown.keys("n")
    assert [look.style for look in shown.looks] == ["manga", "webtoon", "manga", "webtoon", "manga"]


def test_strength_stays_within_its_range() -> None:
    shown = Shown()
    for _ in range(15):
        shown.keys("[")
    assert shown.looks[0].strength == 0.9
    assert shown.looks[-1].strength == 0
    for _ in range(15):
        shown.keys("]")
    assert shown.looks[-1].strength == 1


def test_expression_goes_round_and_is_said() -> None:
    shown = Shown()
    for _ in range(3):
        shown.keys("e")
    assert [look.expression for look in shown.looks] == [1.25, 1.5, 1.0]
    shown.keys("e")
    assert "expression 1.25" in shown.keys.status


def test_the_other_keys() -> None:
    shown = Shown()
    shown.keys("b")
    assert shown.looks[-1].background.kind == "blur"
    shown.keys("m")
    shown.keys("m")
    assert shown.mirrored == [True, False]
    shown.keys(" ")
    assert shown.keys.paused
    assert "PAUSED" in shown.keys.status
    shown.keys("s")
    path = shown.keys.take_snapshot()
    assert path is not None
    assert path.suffix == ".png"
    assert shown.keys.take_snapshot() is None, "one press, one picture"
    pressed: list[str] = []
    shown.keys.on_record = lambda: pressed.append("r")
    shown.keys("r")
    assert pressed == ["r"]
    shown.keys("h")
    assert "quit" in shown.keys.status
    for key in ("q", "\x1b"):
        shown.keys(key)
    assert shown.quits == 2
    shown.keys("\x00")
    shown.keys("é")


def test_without_loaded_styles_keys_change_nothing() -> None:
    shown = Shown()
    shown.keys.styles = ()
    for key in "nb[]":
        shown.keys(key)
    assert shown.looks == []
