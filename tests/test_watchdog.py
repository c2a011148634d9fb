import threading

import pytest

from realtime.watchdog import Worker, within


def double(value: int) -> int:
    if value < 0:
        raise ValueError("negative")
    if value == 99:
        raise SystemExit(3)
    return 2 * value


def test_results_and_errors_come_back_and_the_thread_lives_on() -> None:
    worker = Worker(double, "test")
    for value in (1, 2):
        worker.give(value)
        assert worker.take(10) == 2 * value
    for value, kind in ((-1, ValueError), (99, RuntimeError)):
        worker.give(value)
        with pytest.raises(kind):
            worker.take(10)
        assert not worker.busy
    worker.give(4)
    assert worker.take(10) == 8
    assert worker.close(10) and not worker.alive


def test_a_call_that_hangs_can_be_asked_for_later() -> None:
    let_go = threading.Event()
    worker: Worker[int, int] = Worker(lambda value: value if let_go.wait(20) else 0, "test")
    worker.give(5)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            worker.take(0.0)
        assert worker.busy
    assert not worker.close(0.0)
    let_go.set()
    assert worker.take(10) == 5
    assert worker.close(10)


def test_a_time_limit() -> None:
    let_go = threading.Event()
    assert within(10, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)
    with pytest.raises(TimeoutError):
        within(0.02, lambda: let_go.wait(20))
    let_go.set()
