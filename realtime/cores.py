"""How many processor cores this process may use, and how its libraries wait on them.

Any thread; needs no package, so that the doctor can ask.
"""

from __future__ import annotations

import os


def allowed_cores() -> int:
    """At least 1; fewer than the machine has where the process is confined to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_quietly() -> None:
    """Lets OpenCV's threads sleep between their pieces of work, which else spin on cores that others need.

    Before OpenCV is imported; what the user has set stays.
    """
    for who in ("WORKER", "MAIN"):
        os.environ.setdefault(f"OPENCV_THREAD_POOL_ACTIVE_WAIT_{who}", "0")
