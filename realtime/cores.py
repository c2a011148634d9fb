"""How many processor cores this process may use. Any thread; needs no package, so that the doctor can ask."""

from __future__ import annotations

import os


def allowed_cores() -> int:
    """At least 1; fewer than the machine has where the process is confined to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
