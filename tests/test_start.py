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
arguments = "--source realtime/demo/demo.mp4 --sink null --size 640x360 --frames FRAMES"
run(arguments.split(), lambda line: None)
print(*sys.modules)
"""


def run_of(frames: int) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.replace("FRAMES", str(frames))
    child = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return child


@pytest.fixture(scope="module")
def imported() -> set[str]:
    return set(run_of(frames=1).stdout.split())


def test_no_library_writes_to_the_terminal_while_faces_are_found_followed_and_looked_for() -> None:
    assert run_of(frames=30).stderr == ""


def test_a_picture_is_drawn_without_what_only_others_need(imported: set[str]) -> None:
    assert {"cv2", "mediapipe", "openvino"} <= imported
    assert imported.isdisjoint({"matplotlib", "sounddevice", "_sounddevice", "torch", "onnx", "mss", "pyvirtualcam"})
    assert "openvino.tools.ovc.convert" not in imported
