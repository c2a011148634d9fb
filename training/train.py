"""Trains a student to draw like the teacher.

Comes in: photos (and clips), drawn on the first run by `training.data`. Goes out: `<kind>.pt` in the output folder, a
checkpoint written every minute, from which `--resume` carries on and `training.export` makes the shipped file.

    python -m training.train face --photos DIR --clips DIR --out DIR --minutes 45 --landmarker FILE --segmenter FILE
"""

from __future__ import annotations

import argparse
import copy
import math
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from realtime.types import RgbImage
from training.data import Degradation, Example, add_arguments, batches, load, normalised, prepare
from training.student import MULTIPLE_PX, Generator, Student

BATCH = 12
CROP_PX = 192
LEARNING_RATE = 2e-3
AVERAGE = 0.998  # the shipped weights are a running mean over some 500 steps
TESTS = {
    "clean": Degradation(),
    "mild": Degradation(noise=0.02, jpeg=80),
    "dim": Degradation(exposure=0.3, noise=0.027, jpeg=60),
}


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


def _gradient_difference(a: Tensor, b: Tensor) -> Tensor:
    d = a - b
    across, down = d[..., 1:] - d[..., :-1], d[..., 1:, :] - d[..., :-1, :]
    return across.abs().mean() + down.abs().mean()


class Trainer:
    """One run: student, running mean, optimiser, and how many seconds it has trained."""

    def __init__(self, minutes: float, device: str) -> None:
        self.device = torch.device(device)
        self.student: Student = Student().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = copy.deepcopy(self.student)
        self.optimiser = torch.optim.Adam(self.student.parameters(), LEARNING_RATE, betas=(0.9, 0.99))
        self.budget_s = 60 * minutes
        self.spent_s = 0.0
        self.steps = 0

    def step(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
        """One step of Adam on a batch; returns its loss. Learning rate: warm-up, then half a cosine over the budget."""
        share = min(1.0, self.spent_s / self.budget_s)
        for group in self.optimiser.param_groups:
            warm = min(1.0, (self.steps + 1) / 100)
            group["lr"] = LEARNING_RATE * warm * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
        inputs = torch.from_numpy(x).to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            flat, ink = self.student(inputs)
        loss = loss_of(flat.float(), ink.float(), torch.from_numpy(y).to(self.device))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        keep = min(AVERAGE, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.student.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        return loss.item()

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
            },
            part,
        )
        part.replace(path)

    def load(self, path: Path) -> None:
        """Carries on from a checkpoint."""
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.student.load_state_dict(state["student"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.spent_s, self.steps = state["spent_s"], state["steps"]


def run_student(student: Student, rgb: RgbImage) -> NDArray[np.float32]:
    """Layers (h, w, 4) f32 0..1 of a picture, cut to multiples of 16."""
    h, w = (side // MULTIPLE_PX * MULTIPLE_PX for side in rgb.shape[:2])
    x = torch.from_numpy(rgb[:h, :w].transpose(2, 0, 1)[None].astype(np.float32) / 255)
    with torch.no_grad():
        layers = Generator(student)(x.to(next(student.parameters()).device))
    return layers[0].permute(1, 2, 0).cpu().numpy()  # type: ignore[no-any-return]


def measure(student: Student, examples: Sequence[Example]) -> dict[str, tuple[float, float]]:
    """Mean PSNR in dB of (flat, ink) on held-out examples: as taken, mildly and badly degraded."""
    result = {}
    for name, how in TESTS.items():
        rng = np.random.default_rng(5)
        scores = []
        for e in examples:
            layers = run_student(student, normalised(e.photo, e.whole, how, rng))
            target = np.dstack([e.flat, e.ink])[: layers.shape[0], : layers.shape[1]].astype(np.float32) / 255
            error = np.mean((layers - target) ** 2, (0, 1))
            scores.append((-10 * math.log10(error[:3].mean()), -10 * math.log10(error[3] + 1e-9)))
        flat, ink = np.mean(scores, 0)
        result[name] = (round(float(flat), 2), round(float(ink), 2))
    return result


def train(kind: str, folder: Path, out: Path, minutes: float, resume: bool, device: str = "cpu") -> Path:
    """Trains for `minutes` in all (resumed runs counted) and returns the checkpoint."""
    torch.manual_seed(0)
    trainer = Trainer(minutes, device)
    checkpoint = out / f"{kind}.pt"
    if resume and checkpoint.exists():
        trainer.load(checkpoint)
    examples, held_out = load(folder, held_out=False), load(folder, held_out=True)
    if not examples:
        raise ValueError(f"{folder} holds no examples; give a folder of photos with people in them.")
    held_out = held_out[:: max(1, len(held_out) // 24)]
    print(f"{kind}: {len(examples)} examples, {len(held_out)} held out, {trainer.steps} steps so far", flush=True)

    ready: queue.Queue[tuple[NDArray[np.float32], NDArray[np.float32]]] = queue.Queue(4)

    def produce() -> None:
        for pair in batches(examples, CROP_PX, BATCH, np.random.default_rng(trainer.steps)):
            ready.put(pair)

    threading.Thread(target=produce, daemon=True).start()
    saved_s, measured_s, losses = trainer.spent_s, trainer.spent_s, []
    while trainer.spent_s < trainer.budget_s:
        began = time.monotonic()
        losses.append(trainer.step(*ready.get()))
        trainer.spent_s += time.monotonic() - began
        if trainer.spent_s - saved_s > 60:
            trainer.save(checkpoint)
            saved_s = trainer.spent_s
            rate = len(losses) * BATCH / 60
            mean = sum(losses) / len(losses)
            minutes_in = trainer.spent_s / 60
            print(f"{minutes_in:5.1f} min, {trainer.steps} steps, {rate:.0f} crops/s, loss {mean:.4f}", flush=True)
            losses = []
        if trainer.spent_s - measured_s > 600 and held_out:
            measured_s = trainer.spent_s
            print("held out (flat, ink) dB:", measure(trainer.mean, held_out[::4]), flush=True)
    trainer.save(checkpoint)
    print(
        f"done, {trainer.steps * BATCH} crops; held out (flat, ink) dB: {measure(trainer.mean, held_out)}", flush=True
    )
    return checkpoint


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a generator on pictures that the teacher drew.")
    add_arguments(parser)
    parser.add_argument("--minutes", type=float, default=45.0, help="training time in all")
    parser.add_argument("--resume", action="store_true", help="carry on from the checkpoint in --out")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; 0: all cores")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--as-drawn", action="store_true", help="train on what is drawn already; draw nothing")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    if given.threads:
        torch.set_num_threads(given.threads)
    folder = given.out / f"examples-{given.kind}" if given.as_drawn else prepare(given)
    train(given.kind, folder, given.out, given.minutes, given.resume, given.device)


if __name__ == "__main__":
    main()
