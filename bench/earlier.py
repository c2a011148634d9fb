"""Another version of the project renders a clip: its own code, its own weights, through its own command line.

Comes in: a git ref and a clip. Goes out: a `Rendering` of the pictures it wrote. Main thread; the other version runs as
a process. Nothing of the checkout is touched: the version is unpacked into a temporary folder.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np

from bench.render import Rendering
from realtime.errors import EngineError, UsageError
from realtime.types import Frame, RgbImage

ROOT = Path(__file__).parent.parent


def is_ref(word: str) -> bool:
    """Whether git knows a commit by this name."""
    return _git("rev-parse", "--quiet", "--verify", f"{word}^{{commit}}").returncode == 0


def unpack(ref: str, folder: Path) -> Path:
    """The version's tree, in `folder`; raises `UsageError`."""
    done = _git("archive", "--format=tar", ref)
    if done.returncode != 0:
        raise UsageError(f"git cannot give the version {ref} ({done.stderr.decode(errors='replace').strip()}).")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def rendering_of(ref: str, tree: Path, clip: str, style: str, frames: int | None, folder: Path) -> Rendering:
    """What the version in `tree` draws of a clip, pictures in `folder`; raises `EngineError` if it cannot."""
    source = str(Path(clip).absolute()) if Path(clip).exists() else clip
    words = ["--source", source, "--sink", str(folder / "%05d.png"), "--style", style, "--pace", "all"]
    if frames is not None:
        words += ["--frames", str(frames)]
    done = subprocess.run([sys.executable, "run.py", *words], cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EngineError(f"The version {ref} does not draw {clip}: {last}")

    def draw(frame: Frame) -> RgbImage:
        bgr = cv2.imread(str(folder / f"{frame.index:05d}.png"))
        if bgr is None:
            raise EngineError(f"The version {ref} did not draw frame {frame.index} of {clip}.")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    return Rendering(ref, draw)


def version_now() -> str:
    """The commit of this checkout, with + if a file differs from it; "unknown" outside of git."""
    commit = _git("rev-parse", "--short=10", "HEAD")
    if commit.returncode != 0:
        return "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "realtime", "engines").stdout.strip()
    return commit.stdout.decode().strip() + ("+" if changed else "")


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    except OSError as error:
        raise UsageError("git is not installed, so no other version can be compared; name a style instead.") from error
