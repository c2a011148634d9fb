import subprocess
import sys

import pytest

from realtime.memory import EVERY_S, GiveBack


def test_memory_is_given_back_now_and_then() -> None:
    now = [0.0]
    asked: list[int] = []

    def trim(keep: int) -> int:
        asked.append(keep)
        return 1

    give_back = GiveBack(trim, lambda: now[0])
    for frame in range(300):
        now[0] = frame * EVERY_S / 100
        give_back()
    assert asked == [0, 0]


def test_where_the_library_cannot_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.memory.sys.platform", "win32")
    now = [0.0]
    give_back = GiveBack(None, lambda: now[0])
    now[0] = 10 * EVERY_S
    give_back()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted on Linux")
def test_pictures_that_are_made_and_freed_use_the_same_pages_again() -> None:
    program = """
import platform, resource
import numpy as np
from realtime.memory import GiveBack

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        pictures = [np.ones(2 * 2**20, np.uint8) for _ in range(10)]
        del pictures
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
GiveBack()
faults()
print(before, faults(), platform.libc_ver()[0])
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    if out[2] != "glibc":
        pytest.skip("not glibc")
    assert int(out[1]) < 500 < int(out[0])
