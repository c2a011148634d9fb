"""What gives way when the machine cannot hold the rate: quality in fixed steps, announced, never fluency first.

Comes in: how long each picture took and how much work it was. Goes out: an `Effort`, which the stages read before each
frame, and how often frames may be read. On the main thread. A step is taken back only after a while with room to spare,
and later each time it turned out to be too early, so that the picture does not change to and fro.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import expm1

from realtime.loop import Frames
from realtime.redraw import FACE_EVERY_S, ROOM_EVERY_S, Effort
from realtime.types import Frame, Missing, Picture

LOAD_TAU_S = 1.0  # that the load is averaged over
OVER, OVER_S = 0.97, 2.0  # time a picture takes over time there is for it: above for so long, a step is taken
UNDER, UNDER_S = 0.65, 10.0  # below for so long, one is taken back
LONGEST_UNDER_S = 160.0
GAP_S = 1.0  # between frames: a longer one says nothing
START_S = 2.0  # caches and engines warm up
EVERY_MOST_S = 0.9  # one costly picture must not stop the show


@dataclass(frozen=True, slots=True)
class Step:
    """What is given up, in words, and what is left."""

    gives_up: str
    effort: Effort


STEPS = (
    Step("everything is drawn in full", Effort(ROOM_EVERY_S, FACE_EVERY_S)),
    Step("room and faces are drawn half as often", Effort(2 * ROOM_EVERY_S, 2 * FACE_EVERY_S)),
    Step("the picture is drawn at three quarters of its size", Effort(2 * ROOM_EVERY_S, 2 * FACE_EVERY_S, 0.75)),
    Step("the picture is drawn at half of its size", Effort(2 * ROOM_EVERY_S, 2 * FACE_EVERY_S, 0.5)),
)


class Governor:
    """`drawn` is told of each picture; `effort` is what is to be done from then on, `every_s` how often at most.

    live: steps are taken; else, in a conversion, nothing is given up. share: 0..1 of all `cores` that may be used, or
    None for all; until enough is given up for it, or where that is too little even at the last step, pictures are left
    out.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        live: bool,
        share: float | None = None,
        cores: int = 1,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self.effort = replace(STEPS[0].effort)
        self._say = say
        self._live = live
        self._share = share
        self._cores = cores
        self._cpu_clock = cpu_clock
        self._cpu_s = cpu_clock()
        self._work_s = 0.0  # of all threads, a picture; 0 while unknown
        self._load = 0.0
        self._step = 0
        self._over_s = self._under_s = 0.0
        self._patience_s = UNDER_S
        self._since_up_s = float("inf")
        self._seen_s = 0.0
        self._last: Frame | None = None
        self._pictures = [0] * len(STEPS)  # drawn at each step

    @property
    def gives_up(self) -> str:
        """What is given up at the moment, in words; empty for nothing."""
        return STEPS[self._step].gives_up if self._step else ""

    @property
    def given_up(self) -> dict[str, int]:
        """What has been given up so far, step by step, and how many pictures were drawn with it."""
        steps = zip(STEPS[1:], self._pictures[1:], strict=True)
        return {step.gives_up: pictures for step, pictures in steps if pictures}

    def drawn(self, frame: Frame, busy_s: float) -> None:
        """The picture of `frame` was drawn; at best such pictures come `busy_s` apart."""
        cpu_s = self._cpu_clock()
        work_s, self._cpu_s = cpu_s - self._cpu_s, cpu_s
        self._pictures[self._step] += 1
        last, self._last = self._last, frame
        if last is None or not 0 < frame.t - last.t <= GAP_S or frame.index <= last.index:
            return  # the first, or after a gap
        dt_s = frame.t - last.t
        interval_s = dt_s / (frame.index - last.index)  # the source's; frames that were dropped count
        share = -expm1(-dt_s / LOAD_TAU_S)
        self._work_s = self._work_s + share * (work_s - self._work_s) if self._work_s else work_s
        load = max(busy_s, self.every_s) / interval_s
        self._load += share * (load - self._load)
        self._seen_s += dt_s
        if self._live and self._seen_s >= START_S:
            self._decide(dt_s, interval_s)

    def _decide(self, dt_s: float, interval_s: float) -> None:
        self._since_up_s += dt_s
        self._over_s = self._over_s + dt_s if self._load > OVER else 0.0
        self._under_s = self._under_s + dt_s if self._load < UNDER else 0.0
        if self._over_s >= OVER_S and self._step < len(STEPS) - 1:
            if self._since_up_s < UNDER_S:
                self._patience_s = min(2 * self._patience_s, LONGEST_UNDER_S)
            self._go(self._step + 1)
            limit = "the share of the processor it may take" if self.every_s > OVER * interval_s else "this machine"
            self._say(f"Too much for {limit} at {1 / interval_s:.0f} a second: {self.gives_up} from now on.")
        elif self._under_s >= self._patience_s and self._step:
            undone = self.gives_up
            self._go(self._step - 1)
            self._since_up_s = 0.0
            self._say(f"There is time to spare again; no longer so: {undone}.")

    def _go(self, step: int) -> None:
        self._step = step
        effort = STEPS[step].effort
        self.effort.room_every_s, self.effort.face_every_s = effort.room_every_s, effort.face_every_s
        self.effort.scale = effort.scale
        self._over_s = self._under_s = 0.0
        self._load = (OVER + UNDER) / 2  # what it was says nothing of what it will be

    @property
    def every_s(self) -> float:
        """Pictures may begin at most so often for their work to be no more than the share; 0 where all may be used."""
        if self._share is None:
            return 0.0
        return min(self._work_s / (self._share * self._cores), EVERY_MOST_S)


class Governed:
    """Draws, and tells the governor what it took.

    busy_s: asked after each picture how far apart such ones come at best; less than one takes where two are worked on
    at once.
    """

    def __init__(self, draw: Callable[[Frame], Picture], busy_s: Callable[[], float], governor: Governor) -> None:
        self._draw = draw
        self._busy_s = busy_s
        self._governor = governor

    def __call__(self, frame: Frame) -> Picture:
        """The drawn frame."""
        picture = self._draw(frame)
        self._governor.drawn(frame, self._busy_s())
        return picture


class Paced:
    """A source that is read as often as the governor's share allows; waits on the thread that reads it.

    Here and not before the drawing: a live frame that had been read would be old by then.
    """

    def __init__(
        self,
        source: Frames[Frame | Missing],
        governor: Governor,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source
        self._governor = governor
        self._clock, self._sleep = clock, sleep
        self._began_s = clock()

    def read(self) -> Frame | Missing | None:
        """The source's next frame, when it is time for it."""
        early_s = self._began_s + self._governor.every_s - self._clock()
        if early_s > 0:
            self._sleep(early_s)
        self._began_s = self._clock()
        return self._source.read()
