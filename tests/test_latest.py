from __future__ import annotations

import threading
import time

import pytest

from realtime.latest import Latest


def test_newest_wins_and_drops_are_counted() -> None:
    channel: Latest[int] = Latest()
    for value in (1, 2, 3):
        channel.put(value)
    assert channel.get() == 3
    assert channel.dropped == 2


def test_a_value_is_taken_once() -> None:
    channel: Latest[int] = Latest()
    channel.put(1)
    channel.get()
    with pytest.raises(TimeoutError):
        channel.get(timeout_s=0.0)


def test_the_last_value_comes_before_the_end() -> None:
    channel: Latest[int] = Latest()
    channel.put(1)
    channel.finish()
    channel.put(2)
    assert (channel.get(), channel.get(), channel.get()) == (1, None, None)
    assert channel.finished


def test_the_last_value_comes_before_the_error_and_the_first_end_counts() -> None:
    channel: Latest[int] = Latest()
    channel.put(1)
    channel.finish(ValueError("broken"))
    channel.finish()
    assert channel.get() == 1
    with pytest.raises(ValueError, match="broken"):
        channel.get()


def test_a_blocked_reader_gets_the_value_put_by_another_thread() -> None:
    channel: Latest[int] = Latest()
    taken: list[int | None] = []
    reader = threading.Thread(target=lambda: taken.append(channel.get(timeout_s=10)))
    reader.start()
    channel.put(7)
    reader.join(10)
    assert taken == [7]


def test_a_blocked_reader_leaves_quickly_when_finished() -> None:
    channel: Latest[int] = Latest()
    reader = threading.Thread(target=channel.get, daemon=True)
    reader.start()
    start = time.monotonic()
    channel.finish()
    reader.join(10)
    assert not reader.is_alive()
    assert time.monotonic() - start < 1


def test_order_is_kept_between_threads() -> None:
    channel: Latest[int] = Latest()

    def write() -> None:
        for value in range(2000):
            channel.put(value)
        channel.finish()

    threading.Thread(target=write).start()
    taken = list(iter(lambda: channel.get(timeout_s=10), None))
    assert taken == sorted(set(taken))
    assert taken[-1] == 1999
    assert len(taken) + channel.dropped == 2000
