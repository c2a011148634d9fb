"""What a start does without: each of these takes longer to import than the first picture takes to draw."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import sys
sys.path.insert(0, ".")
from realtime.session import run
run(["--source", "realtime/demo/demo.mp4", "--sink", "null", "--frames", "1", "--size", "320x180"], lambda line: None)
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def imported() -> set[str]:
    child = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return set(child.stdout.split())


def test_a_picture_is_drawn_without_what_only_others_need(imported: set[str]) -> None:
    assert {"cv2", "mediapipe", "openvino"} <= imported
    assert imported.isdisjoint({"matplotlib", "sounddevice", "_sounddevice", "torch", "onnx", "mss", "pyvirtualcam"})
    assert "openvino.tools.ovc.convert" not in imported
