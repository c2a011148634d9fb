"""Trains a student to draw like the teacher.

Comes in: examples that `training.data` drew. Goes out: `<kind>.pt` in the output folder, a checkpoint written every
minute from which the next call carries on, and a contact sheet `<kind>.png` of held-out pictures every few minutes.
Both kinds train at once, each in a process of its own: a network this small gains little from a second core.
"""

from __future__ import annotations

import copy
import math
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from realtime.errors import LiveToonError, UsageError
from training.data import KINDS, Job, batches, load
from training.report import write_sheet
from training.student import Student

BATCH = 12
CROP_PX = 192
LEARNING_RATE = 2e-3
LEARNING_RATE_ON = 1e-3  # from the weights of another style: enough to learn another hand, too little to forget
BATCHES_AHEAD = 4
AVERAGE = 0.998  # the shipped weights are a running mean over some 500 steps
STEADY = 2.0  # weight of steadiness beside likeness
RIM_PX = 16  # of a crop, where a network sees what lies beyond as nothing: other things in two crops of one place
SAVE_EVERY_S = 60
SHEET_EVERY_S = 300
SHEET_ROWS = 12


class Stop(Protocol):
    """What tells a run to end early."""

    def is_set(self) -> bool:
        """Whether it is to end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train. minutes: for each kind, earlier runs counted; threads: of both kinds together; start: the
    network of another style to start from, by kind."""

    examples: Path
    jobs: tuple[Job, ...]
    out: Path
    minutes: float
    device: str
    threads: int
    start: dict[str, Path]


def loss_of(flat: Tensor, ink_logits: Tensor, target: Tensor) -> Tensor:
    """L1 of colour, of its gradients and of its means over areas, and the same for ink, whose lines count triple."""
    flat_target, ink_target = target[:, :3], target[:, 3:]
    ink = torch.sigmoid(ink_logits)
    colour = (flat - flat_target).abs().mean() + 1.5 * _gradient_difference(flat, flat_target)
    # averages over 4 pixels, and over 16: a wide pale stain is a small error everywhere, and very visible
    fine, wide = (functional.avg_pool2d(flat - flat_target, side).abs().mean() for side in (4, 16))
    lines = ((ink - ink_target).abs() * (1 + 2 * ink_target)).mean() + _gradient_difference(ink, ink_target)
    weight = torch.tensor(2.0, device=target.device)
    sure = functional.binary_cross_entropy_with_logits(ink_logits, ink_target, pos_weight=weight)
    return colour + 0.5 * fine + wide + 0.4 * lines + 0.15 * sure


def unsteadiness(flat: Tensor, ink_logits: Tensor, steps: NDArray[np.intp]) -> Tensor:
    """L1 of how differently one place is drawn in two frames of a camera; see `training.data.batches` for `steps`.

    What differs is noise, and how what is seen lies to the pixels: a drawing that depends on either crawls. After
    Zheng et al., "Improving the Robustness of Deep Neural Networks via Stability Training", CVPR 2016.
    """
    both = torch.cat([flat, torch.sigmoid(ink_logits)], 1)
    side = both.shape[-1]
    found = []
    for first, second, (down, right) in zip(both[::2], both[1::2], steps.tolist(), strict=True):
        rows = slice(RIM_PX + max(0, down), side - RIM_PX + min(0, down))
        columns = slice(RIM_PX + max(0, right), side - RIM_PX + min(0, right))
        there = first[:, rows, columns]
        again = second[:, rows.start - down : rows.stop - down, columns.start - right : columns.stop - right]
        apart = there - again
        found.append(apart.abs().mean() + 0.5 * functional.avg_pool2d(apart, 4).abs().mean())
    return torch.stack(found).mean()


def _gradient_difference(a: Tensor, b: Tensor) -> Tensor:
    d = a - b
    across, down = d[..., 1:] - d[..., :-1], d[..., 1:, :] - d[..., :-1, :]
    return across.abs().mean() + down.abs().mean()


class Trainer:
    """One run: student, running mean, optimiser, and how many seconds it has trained."""

    def __init__(self, minutes: float, device: str, start: Student | None = None) -> None:
        self.device = torch.device(device)
        student = Student() if start is None else start
        self.rate = LEARNING_RATE if start is None else LEARNING_RATE_ON
        self.student: Student = student.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = copy.deepcopy(self.student).eval()
        self.student.train()
        self.optimiser = torch.optim.Adam(self.student.parameters(), self.rate, betas=(0.9, 0.99), fused=True)
        self.budget_s = 60 * minutes
        self.spent_s = 0.0
        self.steps = 0
        self.crops = 0

    def step(self, x: NDArray[np.uint8], y: NDArray[np.uint8], steps: NDArray[np.intp]) -> float:
        """One step of Adam on a batch of `training.data.batches`; returns its loss.

        Learning rate: warm-up, then half a cosine over the budget.
        """
        share = min(1.0, self.spent_s / self.budget_s)
        for group in self.optimiser.param_groups:
            warm = min(1.0, (self.steps + 1) / 100)
            group["lr"] = self.rate * warm * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
        inputs = self._tensor(x)
        with torch.autocast(self.device.type, torch.bfloat16):
            flat, ink = self.student(inputs)
        flat, ink = flat.float().contiguous(), ink.float().contiguous()
        loss = loss_of(flat, ink, self._tensor(y).contiguous()) + STEADY * unsteadiness(flat, ink, steps)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        self.crops += len(x)
        keep = min(AVERAGE, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.student.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        return loss.item()

    def _tensor(self, u8: NDArray[np.uint8]) -> Tensor:
        """(n, h, w, c) u8 to (n, c, h, w) f32 0..1 in memory order channels-last."""
        return torch.from_numpy(u8).to(self.device).permute(0, 3, 1, 2).float().div_(255)

    def save(self, path: Path) -> None:
        """Writes the checkpoint so that a reader always finds a whole one."""
        part = path.with_suffix(".part")
        torch.save(
            {
                "student": self.student.state_dict(),
                "mean": self.mean.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "spent_s": self.spent_s,
                "steps": self.steps,
                "crops": self.crops,
            },
            part,
        )
        part.replace(path)

    def load(self, path: Path) -> None:
        """Carries on from a checkpoint; raises `UsageError` if it is none."""
        state = read_checkpoint(path, self.device)
        self.student.load_state_dict(state["student"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.spent_s, self.steps, self.crops = state["spent_s"], state["steps"], state["crops"]


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `Trainer.save` wrote; raises `UsageError` for anything else."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        Student().load_state_dict(state["mean"])
    except Exception as error:  # whatever a damaged file makes torch raise
        raise UsageError(
            f"{path} is not a checkpoint of this training; remove it to train anew, or give another --out."
        ) from error
    return state


def student_from_checkpoint(path: Path) -> Student:
    """The running mean of the weights in a checkpoint."""
    student = Student()
    student.load_state_dict(read_checkpoint(path)["mean"])
    return student.eval()


def train(kind: str, plan: Plan, stop: Stop, position: int = 0) -> None:
    """Trains one kind until its minutes are spent or `stop` is set, and leaves its checkpoint in `plan.out`."""
    from training.onnx_file import student_from_onnx

    torch.manual_seed(0)
    checkpoint = plan.out / f"{kind}.pt"
    carried_on = checkpoint.exists()
    start = student_from_onnx(plan.start[kind]) if kind in plan.start and not carried_on else None
    trainer = Trainer(plan.minutes, plan.device, start)
    if carried_on:
        trainer.rate = LEARNING_RATE_ON if kind in plan.start else LEARNING_RATE
        trainer.load(checkpoint)
    if trainer.spent_s >= trainer.budget_s:
        return
    examples = load(plan.examples / kind, [job for job in plan.jobs if not job.held_out])
    held_out = evenly(load(plan.examples / kind, [job for job in plan.jobs if job.held_out]), SHEET_ROWS)

    pairs = batches(examples, CROP_PX, BATCH, np.random.default_rng(trainer.steps))
    parent = parent_process()
    saved_s = sheet_s = trainer.spent_s
    loss = None
    began, crops = time.monotonic(), trainer.crops
    with (
        ThreadPoolExecutor(1) as ahead,
        tqdm(
            total=round(trainer.budget_s),
            initial=int(trainer.spent_s),
            desc=f"{kind:10}",
            unit="s",
            position=position,
            dynamic_ncols=True,
            mininterval=1 if sys.stderr.isatty() else SAVE_EVERY_S,
            bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed} so far, {remaining} left {postfix}",
        ) as bar,
    ):
        ready = deque(ahead.submit(next, pairs) for _ in range(BATCHES_AHEAD))
        while trainer.spent_s < trainer.budget_s:
            if stop.is_set() or (parent is not None and not parent.is_alive()):
                break
            step_began = time.monotonic()
            ready.append(ahead.submit(next, pairs))
            now = trainer.step(*ready.popleft().result())
            trainer.spent_s += time.monotonic() - step_began
            loss = now if loss is None else 0.98 * loss + 0.02 * now
            rate = (trainer.crops - crops) / max(time.monotonic() - began, 1e-3)
            bar.set_postfix_str(f"{trainer.steps} steps, {rate:.0f} crops/s, loss {loss:.4f}", refresh=False)
            bar.update(min(round(trainer.spent_s), round(trainer.budget_s)) - bar.n)
            if trainer.spent_s - saved_s > SAVE_EVERY_S:
                trainer.save(checkpoint)
                saved_s = trainer.spent_s
            if trainer.spent_s - sheet_s > SHEET_EVERY_S and held_out:
                write_sheet(trainer.mean, held_out, plan.out / f"{kind}.png")
                sheet_s = trainer.spent_s
    trainer.save(checkpoint)
    if held_out and not stop.is_set():
        write_sheet(trainer.mean, held_out, plan.out / f"{kind}.png")


def evenly(examples: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of them, spread over all."""
    return [examples[i * len(examples) // most] for i in range(most)] if len(examples) > most else list(examples)


def train_both(plan: Plan, say: Callable[[str], None]) -> None:
    """Trains both kinds at once, each with half of the threads. Raises `KeyboardInterrupt` once both are saved.

    Measured on two cores: one kind on two threads 64 crops a second, two kinds on one thread each 40 and 40.
    """
    left = [kind for kind in KINDS if not _is_trained(plan, kind, say)]
    processes = get_context("spawn")
    stop = processes.Event()
    threads = max(1, plan.threads // max(1, len(left)))
    running = [processes.Process(target=_run, args=(k, plan, threads, stop, i)) for i, k in enumerate(left)]
    interrupted = False
    for process in running:
        process.start()
    while any(process.is_alive() for process in running):
        try:
            for process in running:
                process.join()
                if process.exitcode != 0:
                    stop.set()
        except KeyboardInterrupt:
            interrupted = True
            stop.set()
    if interrupted:
        raise KeyboardInterrupt
    if failed := [kind for kind, process in zip(left, running, strict=True) if process.exitcode != 0]:
        raise LiveToonError(f"The training of {' and '.join(failed)} failed; the reason stands above.")


def _is_trained(plan: Plan, kind: str, say: Callable[[str], None]) -> bool:
    path = plan.out / f"{kind}.pt"
    if not path.exists():
        return False
    state = read_checkpoint(path)
    say(f"Re-used: {path}, {state['steps']} steps in {state['spent_s'] / 60:.1f} minutes.")
    return bool(state["spent_s"] >= 60 * plan.minutes)


def _run(kind: str, plan: Plan, threads: int, stop: Stop, position: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone decides
    cv2.setNumThreads(1)
    torch.set_num_threads(threads)
    try:
        train(kind, plan, stop, position)
    except LiveToonError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
