import threading

import pytest

from realtime.beside import Beside


def test_calls_are_made_in_order_beside_the_caller_and_errors_come_with_their_own_result() -> None:
    beside, here = Beside("beside"), threading.get_ident()
    may_go, made = threading.Event(), []

    def waits() -> int:
        assert may_go.wait(20)
        made.append(1)
        return threading.get_ident()

    def fails() -> None:
        made.append(2)
        raise KeyError("no")

    first, second, third = beside.submit(waits), beside.submit(fails), beside.submit(lambda: made.append(3))
    assert made == []
    may_go.set()
    assert first.result(20) != here
    with pytest.raises(KeyError, match="no"):
        second.result(20)
    third.result(20)
    assert made == [1, 2, 3]
    beside.close()


def test_closing_ends_the_thread_after_what_was_asked_for() -> None:
    beside = Beside("one of a kind")
    asked = [beside.submit(lambda: 1) for _ in range(3)]
    beside.close()
    assert [a.result(20) for a in asked] == [1, 1, 1]
    assert not [t for t in threading.enumerate() if t.name == "one of a kind" and t.is_alive()]
