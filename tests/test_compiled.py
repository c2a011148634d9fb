from pathlib import Path

import pytest

from engines.compiled import keep, kept


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path))
    return tmp_path


def test_what_is_kept_comes_back_for_the_same_only() -> None:
    assert kept("a", "version 1") is None
    keep("a", "version 1", b"network")
    assert kept("a", "version 1") == b"network"
    assert kept("a", "version 2") is None and kept("b", "version 1") is None


def test_what_is_out_of_date_is_written_over(cache: Path) -> None:
    keep("a", "version 1", b"old")
    keep("a", "version 2", b"new")
    assert kept("a", "version 2") == b"new" and kept("a", "version 1") is None
    assert len(list((cache / "compiled").iterdir())) == 1


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c[:-1] + b"?", lambda c: b"", lambda c: c[1:]])
def test_a_damaged_file_is_none(cache: Path, damage: object) -> None:
    keep("a", "version 1", b"network")
    file = cache / "compiled" / "a"
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    assert kept("a", "version 1") is None


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    (cache / "compiled").write_text("a file where the folder belongs")
    keep("a", "version 1", b"network")
    assert kept("a", "version 1") is None
