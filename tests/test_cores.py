import os

import pytest

from realtime.cores import allowed_cores, wait_quietly

NAMES = [f"OPENCV_THREAD_POOL_ACTIVE_WAIT_{who}" for who in ("WORKER", "MAIN")]


def test_there_is_at_least_one_core() -> None:
    assert 1 <= allowed_cores() <= (os.cpu_count() or 1)


def test_opencv_is_told_not_to_spin_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAMES[0], raising=False)
    monkeypatch.setenv(NAMES[1], "500")
    wait_quietly()
    assert [os.environ[name] for name in NAMES] == ["0", "500"]
    monkeypatch.delenv(NAMES[0])
