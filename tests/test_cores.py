import os

import pytest

from realtime import cores
from realtime.cores import allowed_cores, share_cores, threads_a_frame

NAMES = [f"OPENCV_THREAD_POOL_ACTIVE_WAIT_{who}" for who in ("WORKER", "MAIN")]


def test_there_is_at_least_one_core() -> None:
    assert 1 <= allowed_cores() <= (os.cpu_count() or 1)


def test_numpy_keeps_to_one_thread_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    share_cores()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    share_cores()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


def test_opencv_is_told_not_to_spin_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAMES[0], raising=False)
    monkeypatch.setenv(NAMES[1], "500")
    share_cores()
    assert [os.environ[name] for name in NAMES] == ["0", "500"]
    monkeypatch.delenv(NAMES[0])


@pytest.mark.parametrize(("allowed", "threads"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_two_frames_at_once_share_the_cores(monkeypatch: pytest.MonkeyPatch, allowed: int, threads: int) -> None:
    monkeypatch.setattr(cores, "allowed_cores", lambda: allowed)
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "")
    monkeypatch.delenv("OPENCV_FOR_THREADS_NUM")
    share_cores()
    assert threads_a_frame() == threads and os.environ["OPENCV_FOR_THREADS_NUM"] == str(threads)
