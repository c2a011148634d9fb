"""When the camera may rest, and what is said about it."""

from __future__ import annotations

from realtime.idle import AFTER_S, LOOK_S, Idle


class Scene:
    """A clock, a viewer, and the `Idle` between them."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.watched: bool | None = False
        self.looks = 0
        self.said: list[str] = []
        self.idle = Idle(self._look, self.said.append, lambda: self.now_s)
        self.idle.wanted = lambda: False

    def _look(self) -> bool | None:
        self.looks += 1
        return self.watched

    def after(self, seconds: float) -> bool:
        """Asked all the time; whether it rests at the end."""
        until_s = self.now_s + seconds
        while self.now_s < until_s - 1e-9:
            self.now_s += LOOK_S / 2
            rests = self.idle()
        return rests


def test_without_a_viewer_it_rests_after_a_while_and_wakes_at_once() -> None:
    scene = Scene()
    assert not scene.after(AFTER_S - 2 * LOOK_S)
    assert scene.after(4 * LOOK_S)
    assert scene.after(3600)
    scene.watched = True
    assert not scene.after(3 * LOOK_S)
    assert scene.said == [
        "Nobody watches the virtual camera: the camera is off until somebody does.",
        "Somebody watches: the camera is on again.",
    ]


def test_a_viewer_who_comes_back_soon_never_sees_it_rest() -> None:
    scene = Scene()
    for _ in range(10):
        scene.watched = not scene.watched
        assert not scene.after(AFTER_S - 2 * LOOK_S)


def test_a_glance_does_not_wake_it() -> None:
    scene = Scene()
    assert scene.after(AFTER_S + 1)
    for _ in range(5):
        scene.watched = True
        looks = scene.looks
        while scene.looks == looks:
            scene.after(LOOK_S / 2)
        scene.watched = False
        assert scene.after(1)


def test_what_else_wants_pictures_keeps_it_awake() -> None:
    scene = Scene()
    scene.idle.wanted = lambda: True
    assert not scene.after(AFTER_S + 10)
    assert scene.looks == 0 and scene.said == []
    scene.idle.wanted = lambda: False
    assert scene.after(AFTER_S + 1)
    scene.idle.wanted = lambda: True  # somebody starts a recording
    assert not scene.after(2 * LOOK_S)


def test_before_it_is_known_who_wants_pictures_it_is_awake() -> None:
    said: list[str] = []
    now = [0.0]
    idle = Idle(lambda: False, said.append, lambda: now[0])
    now[0] = 1000.0
    assert not idle() and said == []


def test_where_it_cannot_be_known_it_never_rests_and_says_so_once() -> None:
    scene = Scene()
    scene.watched = None
    assert not scene.after(AFTER_S * 10)
    assert len(scene.said) == 1 and scene.said[0].startswith("The camera stays on: it cannot be known here")
