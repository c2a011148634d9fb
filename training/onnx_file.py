"""A student becomes the ONNX file that engines run, and a style's ONNX file becomes a student again.

Goes out: ONNX with input `rgb` (1, 3, h, w) and output `layers` (1, 4, h, w), f32 0..1, written only after ONNX Runtime
has agreed with torch on it. The background generator takes any height and width that are multiples of 16; the face
generator only its crop. The same weights always give the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from realtime.crop import CROP_PX
from realtime.errors import EngineError, UsageError
from training.student import Generator, Student

OPSET = 17
TOLERANCE = 1e-3  # of 0..1, between two f32 runtimes
_PREFIX = "student."  # of the weights' names in the file: where they are in `Generator`


def export(kind: str, student: Student, path: Path) -> float:
    """Writes `path` and returns the largest difference between torch and ONNX Runtime.

    Raises `EngineError`, and leaves what was there, above `TOLERANCE`.
    """
    generator = Generator(student.cpu().eval())
    part = path.with_suffix(".part.onnx")
    torch.onnx.export(
        generator,
        (torch.zeros(1, 3, CROP_PX, CROP_PX),),
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
        raise EngineError(f"{path} was not written: ONNX Runtime and torch differ by {worst:.4f}, not {TOLERANCE}.")
    part.replace(path)
    return worst


def _difference(generator: Generator, path: Path, height: int, width: int) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    with torch.no_grad():
        expected = generator(torch.from_numpy(x)).numpy()
    return float(np.abs(session.run(["layers"], {"rgb": x})[0] - expected).max())


def student_from_onnx(path: Path) -> Student:
    """The student whose weights a generator holds; raises `UsageError` for a network of another shape."""
    import onnx

    student = Student()
    wanted = {_PREFIX + name: value for name, value in student.state_dict().items()}
    try:
        weights = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(str(path)).graph.initializer}
        if {n: w.shape for n, w in weights.items()} != {n: tuple(v.shape) for n, v in wanted.items()}:
            raise ValueError
    except Exception as error:  # whatever a damaged file makes the parser raise
        raise UsageError(
            f"{path} cannot be built upon: its network has another shape than training/student.py now has; give a "
            "style that was trained with it."
        ) from error
    student.load_state_dict({n.removeprefix(_PREFIX): torch.from_numpy(w.copy()) for n, w in weights.items()})
    return student.eval()
