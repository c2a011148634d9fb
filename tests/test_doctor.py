from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import realtime.source
from engines import assets
from realtime import doctor as module
from realtime.doctor import (
    CHECKS,
    Check,
    Finding,
    check_cache_folder,
    check_cameras,
    check_display,
    check_gpu,
    check_machine,
    check_model_files,
    check_packages,
    check_system_libraries,
    check_virtual_camera,
    doctor,
)
from realtime.source import CameraInfo


def found(check: Check) -> list[str]:
    return [str(finding) for finding in check()]


def report(*checks: Check, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    monkeypatch.setattr(module, "CHECKS", checks)
    said: list[str] = []
    return doctor(said.append), said


def fine() -> Iterator[Finding]:
    yield Finding("Something: there")


def poor() -> Iterator[Finding]:
    yield Finding("No camera was found.", "Connect one.")


def fatal() -> Iterator[Finding]:
    yield Finding("The engine is gone.", "Install it.", essential=True)


def check_broken_thing() -> Iterator[Finding]:
    yield Finding("Half of it: there")
    raise ImportError("no such library")


def test_the_whole_report_runs_here_and_each_problem_has_a_remedy() -> None:
    said: list[str] = []
    code = doctor(said.append)
    *findings, verdict = said
    assert code in (0, 1) and verdict.endswith(".")
    assert len(findings) >= len(CHECKS)
    assert all(line.startswith(("ok       ", "problem  ")) for line in findings)


def test_all_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert report(fine, fine, monkeypatch=monkeypatch) == (0, ["ok       Something: there"] * 2 + ["Everything works."])


def test_what_is_not_essential_is_said_and_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = report(fine, poor, monkeypatch=monkeypatch)
    assert code == 0
    assert said[1] == "problem  No camera was found. Connect one."


def test_what_is_essential_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = report(fatal, fine, monkeypatch=monkeypatch)
    assert code == 1
    assert said[1] == "ok       Something: there"  # the rest is still looked at


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = report(check_broken_thing, fine, monkeypatch=monkeypatch)
    assert code == 1
    assert said[0] == "ok       Half of it: there"
    assert said[1].startswith("problem  The broken thing could not be checked (ImportError: no such library).")
    assert said[2] == "ok       Something: there"


def test_python_is_named() -> None:
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in found(check_machine)[0]


def test_packages_missing_old_or_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"av": None, "numpy": "2.0.0", "opencv-python": "4.1"}
    real = module._version
    monkeypatch.setattr(module, "_version", lambda name: versions[name] if name in versions else real(name))
    said = "\n".join(found(check_packages))
    assert "not installed: av. Run: make setup" in said
    assert "numpy is 2.0.0, tried with 2." in said
    assert "pip uninstall -y opencv-python &&" in said
    assert "mediapipe 1." in said


def test_packages_of_other_systems_are_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_version", lambda name: None)
    monkeypatch.setattr("sys.platform", "linux")
    assert "cv2-enumerate-cameras" not in found(check_packages)[0]
    monkeypatch.setattr("sys.platform", "win32")
    assert "cv2-enumerate-cameras" in found(check_packages)[0]


def test_missing_system_libraries_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing_libraries", lambda: ["libEGL.so.1", "libGLESv2.so.2"])
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    (line,) = found(check_system_libraries)
    assert "libEGL.so.1, libGLESv2.so.2" in line and line.endswith("sudo apt-get install -y libegl1 libgles2")


def test_model_files_missing_and_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path))
    damaged = assets.manifest()["face_landmarker.task"].path
    damaged.parent.mkdir()
    damaged.write_bytes(b"half a file")
    said = "\n".join(found(check_model_files))
    assert f"{damaged} is damaged. Run: {sys.executable} -m engines.assets" in said
    assert "selfie_segmentation.tflite is not there." in said


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path / "new" / "folder"))
    assert found(check_cache_folder) == [f"ok       Cache folder: {tmp_path / 'new' / 'folder'}"]
    (tmp_path / "new").write_text("a file where the folder should be")
    assert "LIVETOON_CACHE" in found(check_cache_folder)[0]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("script", "line"),
    [
        (None, "ok       GPU: no NVIDIA driver here"),
        ("echo 'Card X, 550.1, 8192 MiB'", "ok       GPU: Card X, 550.1, 8192 MiB"),
        ("echo 'No devices were found'; exit 6", "problem  nvidia-smi fails (No devices were found)."),
        ("exit 9", "problem  nvidia-smi fails (nothing)."),
    ],
)
def test_the_gpu(script: str | None, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(check_gpu)[0].startswith(line)


def test_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "video0"
    cameras = [CameraInfo(0, str(device), "HD Cam", ("MJPG 1280x720@30",)), CameraInfo(1, None, "Other")]
    monkeypatch.setattr(realtime.source, "list_cameras", lambda: cameras)
    assert "problem  camera 0 (HD Cam) may not be opened" in found(check_cameras)[0]
    device.touch()
    assert found(check_cameras) == ["ok       Camera 0 (HD Cam): MJPG 1280x720@30", "ok       Camera 1 (Other)"]
    cameras.clear()
    assert found(check_cameras)[0].startswith("problem  No camera was found. Connect one")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert found(check_display)[0].startswith("problem  No display answers")


def test_no_virtual_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    assert "pyvirtualcam, which is not installed. Install it with:" in found(check_virtual_camera)[0]


def test_it_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=sys.platform != "win32")
    python = tmp_path / "bare" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    run = subprocess.run(
        [str(python), "-m", "realtime.doctor"], cwd=module.ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "Packages that are not installed: av, " in run.stdout
    assert run.stderr == ""
