"""How many processor cores this process may use, and how its libraries share them.

Any thread; needs no package, so that the doctor can ask.
"""

from __future__ import annotations

import os

FRAMES_AT_ONCE = 2  # one is drawn while the next is begun


def allowed_cores() -> int:
    """At least 1; fewer than the machine has where the process is confined to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_a_frame() -> int:
    """How many threads a call of a library may spread over: two frames are worked on at once, and share the cores.

    Measured: spread over two cores a picture is 73 to 88 ms of work, on one 56.
    """
    return max(1, allowed_cores() // FRAMES_AT_ONCE)


def share_cores() -> None:
    """Tells OpenCV and NumPy how many threads to use, and to let them sleep between pieces of work instead of spinning.

    Before these are imported; what the user has set stays.
    """
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", str(threads_a_frame()))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # products here are small: waking another thread takes longer
    for who in ("WORKER", "MAIN"):
        os.environ.setdefault(f"OPENCV_THREAD_POOL_ACTIVE_WAIT_{who}", "0")
