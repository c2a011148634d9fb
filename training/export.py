"""A checkpoint becomes the ONNX file that engines run.

Comes in: a checkpoint of `training.train`. Goes out: ONNX with input `rgb` (1, 3, h, w) and output `layers`
(1, 4, h, w), f32 0..1, written only after ONNX Runtime has agreed with torch on it. The background generator takes any
height and width that are multiples of 16; the face generator only its crop.

    python -m training.export face runs/face.pt webtoon-face.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from realtime.crop import CROP_PX
from training.data import KINDS
from training.student import Generator, Student

OPSET = 17
TOLERANCE = 1e-3  # of 0..1, between two f32 runtimes


def export(kind: str, student: Student, path: Path) -> float:
    """Writes `path` and returns the largest difference between torch and ONNX Runtime; raises above `TOLERANCE`."""
    generator = Generator(student.cpu().eval())
    part = path.with_suffix(".part.onnx")
    torch.onnx.export(
        generator,
        (torch.rand(1, 3, CROP_PX, CROP_PX),),
        str(part),
        input_names=["rgb"],
        output_names=["layers"],
        dynamic_axes={name: {2: "height", 3: "width"} for name in ("rgb", "layers")} if kind == "background" else None,
        opset_version=OPSET,
        dynamo=False,
    )
    sizes = [(CROP_PX, CROP_PX)] if kind == "face" else [(368, 640), (208, 224)]
    worst = max(_difference(generator, part, h, w) for h, w in sizes)
    if worst > TOLERANCE:
        part.unlink()
        raise ValueError(f"{path} was not written: ONNX Runtime and torch differ by {worst:.4f}, not {TOLERANCE}.")
    part.replace(path)
    return worst


def _difference(generator: Generator, path: Path, height: int, width: int) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    with torch.no_grad():
        expected = generator(torch.from_numpy(x)).numpy()
    return float(np.abs(session.run(["layers"], {"rgb": x})[0] - expected).max())


def student_from_checkpoint(path: Path) -> Student:
    """The running mean of the weights in a checkpoint."""
    student = Student()
    student.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["mean"])
    return student


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a trained generator as ONNX.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("onnx", type=Path)
    given = parser.parse_args()
    worst = export(given.kind, student_from_checkpoint(given.checkpoint), given.onnx)
    print(f"{given.onnx}: {given.onnx.stat().st_size / 1e6:.2f} MB, ONNX Runtime within {worst:.1e} of torch")


if __name__ == "__main__":
    main()
