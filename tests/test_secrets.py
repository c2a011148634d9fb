from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.secrets import without_home, without_secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rtsp://me:secret@cam.local:554/live", "rtsp://cam.local:554/live"),
        ("rtsp://me:se/cr@et@cam/live", "rtsp://cam/live"),
        ("The stream http://cam/x?token=secret broke off.", "The stream http://cam/x?... broke off."),
        ("[Errno 111] refused: 'http://u:secret@h/x?key=secret'", "[Errno 111] refused: 'http://h/x?...'"),
        ("to rtmp://live.host/app/secret-key, again", "to rtmp://live.host/app/..., again"),
        ("HTTP://U:SECRET@H/", "HTTP://H/"),
        ("a mail to me@home and 3 // 4", "a mail to me@home and 3 // 4"),
        ("a clip.mp4 and http://cam/x.m3u8", "a clip.mp4 and http://cam/x.m3u8"),
    ],
)
def test_addresses_lose_what_is_secret(text: str, told: str) -> None:
    assert without_secrets(text) == told


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Z", "C"), exclude_characters="'\""), min_size=1)
)
def test_no_password_of_any_kind_is_told(password: str) -> None:
    mark = f"x{password}x7Kq"
    assert "x7Kq" not in without_secrets(f"The stream rtsp://user:{mark}@host/live failed.")


def test_the_home_folder_is_a_tilde() -> None:
    assert without_home(f"in {Path.home()}/clips/me.mp4") == "in ~/clips/me.mp4"
