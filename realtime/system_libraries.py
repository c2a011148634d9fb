"""Shared libraries that the Python packages expect of the system: which ones are missing, and the command that helps.

In: nothing. Out: names of missing libraries. Standard library only, for it runs before anything is installed and before
the first import that would fail (`import cv2`, `import mediapipe`). Any thread.

    python -m realtime.system_libraries    say what is missing and how to install it
"""

import ctypes
import shutil
import sys

# Read off the wheels with objdump: what their libraries need and do not bring along. Name -> Debian's package.
_FOR_LINUX = {
    "libEGL.so.1": "libegl1",  # MediaPipe
    "libGLESv2.so.2": "libgles2",  # MediaPipe
    "libGL.so.1": "libgl1",  # OpenCV's window, loaded on `import cv2`; so are the rest
    "libICE.so.6": "libice6",
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libxcb.so.1": "libxcb1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
}


def missing_libraries() -> list[str]:
    """Names of the shared libraries that cannot be loaded here; always empty on macOS and Windows."""
    if not sys.platform.startswith("linux"):
        return []
    return [name for name in _FOR_LINUX if not _loads(name)]


def debian_packages(libraries: list[str]) -> list[str]:
    """Debian's and Ubuntu's packages that hold these libraries, each once."""
    return sorted({_FOR_LINUX[name] for name in libraries})


def remedy(libraries: list[str]) -> str:
    """What is missing and the one command that installs it."""
    if shutil.which("apt-get"):
        how = "Install with: sudo apt-get install -y " + " ".join(debian_packages(libraries))
    else:
        how = "Install them with this system's package manager."
    return f"The system lacks shared libraries that MediaPipe and OpenCV need: {', '.join(libraries)}. {how}"


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def main() -> int:
    """Says what is missing and gives 2 if something is, else 0; with `--packages` prints the packages' names only."""
    missing = missing_libraries()
    if "--packages" in sys.argv[1:]:
        print(*debian_packages(missing))
        return 0
    if missing:
        print(remedy(missing), file=sys.stderr)
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
