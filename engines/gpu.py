"""The NVIDIA GPU of this machine, if there is one, as its driver tells it. Any thread; asked once a process."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU. architecture: "sm89" for compute capability 8.9."""

    name: str
    architecture: str
    driver: str

    def __str__(self) -> str:
        return f"{self.name} ({self.architecture}, driver {self.driver})"


@cache
def nvidia_gpu() -> Gpu | None:
    """The GPU that engines run on, or None where there is none or its driver does not answer."""
    query = ["nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read_answer(answer.stdout) if answer.returncode == 0 else None


def read_answer(lines: str) -> Gpu | None:
    """The first GPU of nvidia-smi's answer, one "name, 8.9, driver" a line; None if it is nothing of the kind."""
    fields = [field.strip() for field in lines.partition("\n")[0].split(",")]
    if len(fields) != 3 or not fields[1].replace(".", "", 1).isdigit():
        return None
    return Gpu(fields[0], f"sm{fields[1].replace('.', '')}", fields[2])
