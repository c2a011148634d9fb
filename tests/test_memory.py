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
