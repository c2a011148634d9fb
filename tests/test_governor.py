from itertools import pairwise

import numpy as np
import pytest

from realtime.governor import STEPS, UNDER_S, Governed, Governor, Paced
from realtime.redraw import FACE_EVERY_S, ROOM_EVERY_S, Effort
from realtime.types import Frame, Picture, read_only

PICTURE = read_only(np.full((72, 128, 3), 90, np.uint8))


class Machine:
    """A machine on a clock of its own: a picture costs `work_s` at full effort and a share of it at each later step."""

    COSTS = (1.0, 0.85, 0.75, 0.55, 0.4)

    def __init__(self, work_s: float, *, live: bool = True, share: float | None = None, cores: int = 2) -> None:
        self.work_s = work_s
        self.cpu_s = self.now_s = self.busy_s = 0.0
        self.index = 0
        self.said: list[str] = []
        self.governor = Governor(self.said.append, live=live, share=share, cores=cores, cpu_clock=lambda: self.cpu_s)
        self.governed = Governed(self.draw, lambda: self.busy_s, self.governor)
        self.paced = Paced(self, self.governor, lambda: self.now_s, self.sleep)
        self.fps = 30.0

    @property
    def step(self) -> int:
        return [step.effort for step in STEPS].index(self.governor.effort)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def draw(self, frame: Frame) -> Picture:
        cost_s = self.work_s * self.COSTS[self.step]
        self.now_s += cost_s
        self.busy_s = cost_s
        self.cpu_s += 1.5 * cost_s
        return Picture(read_only(frame.rgb.copy()), frame.t, frame.grabbed_s, frame.index)

    def read(self) -> Frame:
        due = int(self.now_s * self.fps) + 1  # the camera's next frame to come
        self.index = max(self.index + 1, due)
        self.now_s = max(self.now_s, self.index / self.fps)
        return Frame(PICTURE, self.index / self.fps, self.now_s, self.index)

    def run(self, seconds: float, fps: float = 30) -> list[int]:
        """A camera's newest frames for so long; gives the step of each picture."""
        steps, until_s, self.fps = [], self.now_s + seconds, fps
        while self.now_s < until_s:
            frame = self.paced.read()
            assert isinstance(frame, Frame) and frame.grabbed_s == self.now_s, "not an old one"
            self.governed(frame)
            steps.append(self.step)
        return steps


def test_a_machine_that_holds_the_rate_gives_up_nothing_and_says_nothing() -> None:
    machine = Machine(0.025)
    assert set(machine.run(60)) == {0}
    assert machine.said == [] and machine.governor.given_up == {}


def test_steps_are_taken_in_order_until_the_rate_is_held_and_each_is_said() -> None:
    machine = Machine(0.046)
    steps = machine.run(60)
    assert steps[-1] == 2 + 1, "0.75 of the work is still too much for 33 ms a picture, 0.55 is not"
    assert all(b - a in (0, 1) for a, b in pairwise(steps))
    assert [STEPS[n].gives_up in line for n, line in enumerate(machine.said, 1)] == [True] * 3
    assert list(machine.governor.given_up) == [step.gives_up for step in STEPS[1:4]]
    assert machine.governor.given_up[STEPS[3].gives_up] == steps.count(3) - 1, "all but the one that led to the step"


def test_a_slow_moment_of_a_second_changes_nothing() -> None:
    machine = Machine(0.025)
    machine.run(10)
    machine.work_s = 0.06
    machine.run(1)
    machine.work_s = 0.025
    assert set(machine.run(30)) == {0}


def test_what_was_given_up_comes_back_when_there_is_room_and_not_before() -> None:
    machine = Machine(0.036)
    machine.run(20)
    assert machine.step == 1
    machine.work_s = 0.015
    steps = machine.run(3 * UNDER_S)
    assert steps[int(0.8 * UNDER_S * 30)] == 1 and steps[-1] == 0
    assert "spare" in machine.said[-1]


def test_a_step_that_was_taken_back_too_early_is_taken_back_later_and_later() -> None:
    machine = Machine(0.0345)  # too much at first; then 0.62 of the time
    machine.COSTS = (1.0, 0.6, 0.5, 0.4, 0.3)
    steps = machine.run(600)
    changes = sum(a != b for a, b in pairwise(steps))
    assert 4 <= changes <= 14, "without patience it would be a hundred"


def test_frames_that_the_camera_gives_slowly_are_not_the_machines_fault() -> None:
    machine = Machine(0.05)
    assert set(machine.run(30, fps=15)) == {0}


def test_a_conversion_gives_up_nothing() -> None:
    machine = Machine(0.5, live=False)
    assert set(machine.run(60)) == {0}
    assert machine.said == []


@pytest.mark.parametrize("live", [True, False])
def test_no_more_than_its_share_of_the_processor_is_taken(live: bool) -> None:
    machine = Machine(0.028, live=live, share=0.2, cores=2)
    for _ in range(8):  # from the first moment on
        began, cpu = machine.now_s, machine.cpu_s
        steps = machine.run(15)
        taken = (machine.cpu_s - cpu) / (machine.now_s - began) / 2
        assert 0.11 < taken < 0.215, "it also waits for the camera's next frame"
    assert set(steps) == {len(STEPS) - 1 if live else 0}, "quality goes before pictures are left out"
    assert all("share" in line for line in machine.said)


def test_a_share_that_is_enough_changes_nothing() -> None:
    machine = Machine(0.02, share=0.9)
    assert set(machine.run(30)) == {0} and machine.governor.every_s < 1 / 30


def test_two_pictures_worked_on_at_once_may_take_longer_than_the_time_between_them() -> None:
    machine = Machine(0.045)  # of 33 ms, but while one is drawn the next is begun
    machine.governed = Governed(machine.draw, lambda: 0.6 * machine.busy_s, machine.governor)
    assert set(machine.run(30)) == {0}


def test_full_effort_is_room_and_faces_at_their_usual_rates() -> None:
    assert STEPS[0].effort == Effort(ROOM_EVERY_S, FACE_EVERY_S)
