"""Remote control over real sockets: what it does, and everything a stranger may try."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples import remote as example
from realtime.controls import Controls
from realtime.errors import SinkError, UsageError
from realtime.ink.touch_up import TouchUp
from realtime.layers import Finish
from realtime.page import Page
from realtime.remote import BURST, MOST_BODY, MOST_CONNECTIONS, REMOTE_ACTIONS, SETTABLE, Remote, read_token, token_path
from realtime.reshape import Shape
from realtime.settings import Look
from realtime.styles import Style

TOKEN = "t" * 43
FUZZ = int(os.environ.get("FUZZ_EXAMPLES", "60"))


class Running:
    """A remote control whose loop is a thread that does what is asked; `clock` refills the rate at will."""

    def __init__(self) -> None:
        self.clock_s = 0.0
        self.looks: list[Look] = []
        self.quits = 0
        self.controls = Controls(Look(), mirror=False, quit_=self.quit, say=lambda _: None)
        self.controls.styles = tuple(
            Style(n, n, "MIT", Path("b"), Path("f"), Finish(), TouchUp(), Page(), Shape()) for n in ("manga", "webtoon")
        )
        self.controls.on_look = lambda look, style: self.looks.append(look)
        self.ended = threading.Event()
        self.stands = threading.Event()
        self.remote = Remote(0, TOKEN, self.controls, lambda: {"fps": 18.0}, clock=lambda: self.clock_s)
        self.loop = threading.Thread(target=self.run, daemon=True)

    def quit(self) -> None:
        self.quits += 1

    def run(self) -> None:
        while not self.ended.wait(0.001):
            if not self.stands.is_set():
                self.controls.apply()

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes."""
        self.clock_s += 1.0
        with socket.create_connection(("127.0.0.1", self.remote.port), timeout=20) as connection:
            with suppress(OSError):  # it may hang up before all is sent
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(OSError):
                while part := connection.recv(65536):
                    answer += part
            return answer

    def ask(self, method: str, path: str, body: object = None, **headers: str | None) -> tuple[int, Any]:
        """The status and the JSON of an answer. headers: other ones, None for without."""
        self.clock_s += 1.0
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given: dict[str, str | None] = {
            "Host": f"127.0.0.1:{self.remote.port}",
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/json",
            "Content-Length": str(len(data)) if method == "POST" else None,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.remote.port, timeout=20)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    running = Running()
    running.loop.start()
    with running.remote:
        yield running
    running.ended.set()


@pytest.fixture(autouse=True)
def as_it_was(running: Running) -> Iterator[None]:
    yield
    running.stands.clear()
    running.controls.ask(lambda: setattr(running.controls, "look", Look())).result(20)
    running.looks.clear()


def test_settings_are_set_between_two_frames_and_read_back(running: Running) -> None:
    wanted = {"style": "manga", "strength": 0.5, "expression": 1.25, "steadiness": 0, "background": "color:#102030"}
    status, state = running.ask("POST", "/state", {**wanted, "background-style": "webtoon", "paused": True})
    assert status == 200 and wanted.items() <= state.items() and state["paused"] and not state["mirror"]
    assert state["background-style"] == "webtoon" and state["styles"] == ["manga", "webtoon"]
    assert len(running.looks) == 1, "one change, not one for each"
    status, state = running.ask("POST", "/state", {"background-style": None, "paused": False, "mirror": True})
    assert status == 200 and state["background-style"] is None and state["mirror"] and not state["paused"]
    assert running.ask("GET", "/state") == (200, state)
    assert running.ask("GET", "/stats") == (200, {"fps": 18.0})
    running.ask("POST", "/state", {"mirror": False})


def test_actions_are_those_of_the_keys_but_the_end(running: Running) -> None:
    assert running.ask("POST", "/action", {"action": "next-style"})[1]["style"] == "manga"
    assert running.ask("POST", "/action", {"action": "weaker"})[1]["strength"] == 0.9
    status, answer = running.ask("POST", "/action", {"action": "snapshot"})
    assert status == 200 and Path(answer["file"]).is_absolute() and answer["file"].endswith(".png")
    assert running.controls.take_snapshot() is not None
    assert running.ask("POST", "/action", {"action": "quit"})[0] == 400
    assert running.quits == 0 and "quit" not in REMOTE_ACTIONS


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/state", None, {"Authorization": None}, 401),
        ("GET", "/state", None, {"Authorization": "Bearer " + "u" * 43}, 401),
        ("GET", "/state", None, {"Authorization": "Bearer \xe9"}, 401),
        ("POST", "/action", {"action": "pause"}, {"Authorization": TOKEN}, 401),
        ("POST", "/action", {"action": "pause"}, {"Origin": "https://example.org"}, 403),
        ("POST", "/action", {"action": "pause"}, {"Origin": "null"}, 403),
        ("POST", "/action", {"action": "pause"}, {"Host": "example.org"}, 403),
        ("POST", "/action", {"action": "pause"}, {"Host": "127.0.0.1"}, 403),
        ("POST", "/action", {"action": "pause"}, {"Host": None}, 403),
        ("POST", "/action", {"action": "pause"}, {"Content_Type": "text/plain"}, 415),
        ("POST", "/action", {"action": "pause"}, {"Content_Length": None}, 411),
        ("POST", "/action", {"action": "pause"}, {"Content_Length": "-1"}, 411),
        ("POST", "/action", {"action": "pause"}, {"Content_Length": "\xb2"}, 411),
        ("POST", "/action", {"action": "pause"}, {"Transfer_Encoding": "chunked"}, 411),
        ("GET", "/action", None, {}, 405),
        ("GET", "/state?paused=true", None, {}, 404),
        ("POST", "/stats", {}, {}, 405),
        ("POST", "/", {}, {}, 404),
        ("PUT", "/state", {"paused": True}, {}, 501),
        ("OPTIONS", "/state", None, {}, 501),
        ("POST", "/state", b"a" * (1 << 20), {}, 413),
        ("POST", "/state", b"", {}, 400),
        ("POST", "/state", b"{", {}, 400),
        ("POST", "/state", b"\xff\xfe", {}, 400),
        ("POST", "/state", b"[" * MOST_BODY, {}, 400),
        ("POST", "/state", b'{"strength": NaN}', {}, 400),
        ("POST", "/state", b'{"strength": 1e999}', {}, 400),
        ("POST", "/state", [1], {}, 400),
        ("POST", "/state", {}, {}, 400),
        ("POST", "/state", {"strenght": 0.5}, {}, 400),
        ("POST", "/state", {"strength": "0.5"}, {}, 400),
        ("POST", "/state", {"strength": True}, {}, 400),
        ("POST", "/state", {"strength": 2}, {}, 400),
        ("POST", "/state", {"strength": None}, {}, 400),
        ("POST", "/state", {"paused": 1}, {}, 400),
        ("POST", "/state", {"recording": True}, {}, 400),
        ("POST", "/state", {"style": "none"}, {}, 400),
        ("POST", "/state", {"style": "/etc"}, {}, 400),
        ("POST", "/state", {"style": "--help"}, {}, 400),
        ("POST", "/state", {"background-style": "none"}, {}, 400),
        ("POST", "/state", {"only": "face"}, {}, 400),
        ("POST", "/state", {"split": True}, {}, 400),
        ("POST", "/state", {"paused": True, "strength": 9}, {}, 400),
        ("POST", "/action", {"action": "pause", "more": 1}, {}, 400),
        ("POST", "/action", {"action": ["pause"]}, {}, 400),
        ("POST", "/action", {"action": "v"}, {}, 400),
    ],
)
def test_whatever_is_wrong_is_one_sentence_and_changes_nothing(
    method: str, path: str, body: object, headers: dict[str, str | None], status: int, running: Running
) -> None:
    answered, answer = running.ask(method, path, body, **headers)
    assert answered == status
    assert isinstance(answer["error"], str) and "\n" not in answer["error"] and TOKEN not in answer["error"]
    assert running.looks == [] and not running.controls.paused


def test_a_loop_that_stands_still_is_said_and_nothing_is_done_later(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.remote.ANSWER_S", 0.05)
    running.stands.set()
    assert running.ask("POST", "/state", {"strength": 0.5}) == (503, {"error": "The filter does not answer."})
    running.stands.clear()
    running.controls.ask(lambda: None).result(20)
    assert running.looks == []


def test_a_flood_is_slowed_and_the_loop_is_asked_a_bounded_number_of_times(running: Running) -> None:
    running.clock_s += 100
    answers: Counter[str] = Counter()
    request = f"GET /stats HTTP/1.0\r\nHost: 127.0.0.1:{running.remote.port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    for _ in range(int(BURST) + 60):
        with socket.create_connection(("127.0.0.1", running.remote.port), timeout=20) as connection:
            connection.sendall(request.encode())
            with suppress(ConnectionResetError):
                answers[connection.recv(65536).split(b"\r\n")[0].decode()] += 1
    assert answers["HTTP/1.0 200 OK"] == BURST
    assert answers["HTTP/1.0 429 Too Many Requests"] >= 30
    assert running.ask("GET", "/stats")[0] == 200, "a second later it answers again"


def test_those_who_keep_silent_take_no_more_than_their_places(running: Running) -> None:
    silent = [socket.create_connection(("127.0.0.1", running.remote.port), timeout=20) for _ in range(MOST_CONNECTIONS)]
    for _ in range(400):
        if len(running.remote._server._open) == MOST_CONNECTIONS:
            break
        threading.Event().wait(0.01)
    assert running.raw(b"GET /state HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 429")
    running.clock_s += 100
    for connection in silent:
        assert connection.recv(1) == b"", "cut off"
        connection.close()
    assert running.ask("GET", "/state")[0] == 200


@settings(max_examples=FUZZ, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(
            st.sampled_from([b"GET", b"POST", b"HEAD", b"get", b"\x00"]),
            st.sampled_from([b" /state", b" /action", b" //", b" *", b" http://x/state"]),
            st.sampled_from([b" HTTP/1.1", b" HTTP/9", b"", b" HTTP/1.0"]),
            st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=4).map(b"\r\n".join),
        ).map(lambda parts: b"".join(parts[:3]) + b"\r\n" + parts[3] + b"\r\n\r\n"),
    )
)
def test_no_bytes_without_the_token_change_anything(running: Running, data: bytes) -> None:
    answer = running.raw(data)
    assert b" 200 " not in answer.split(b"\r\n")[0]
    assert running.looks == [] and not running.controls.paused


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@settings(max_examples=FUZZ, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["/state", "/action"]),
    st.dictionaries(st.one_of(st.sampled_from([*SETTABLE, "action"]), st.text(max_size=5)), json_values, max_size=4),
)
def test_any_json_is_a_change_within_the_ranges_or_one_error(running: Running, path: str, body: object) -> None:
    status, answer = running.ask("POST", path, body)
    assert status in (200, 400, 413)
    look = running.controls.look
    assert 0 <= look.strength <= 1 and 0 <= look.steadiness <= 1 and 1 <= look.expression <= 1.5
    assert look.style in ("manga", "webtoon")
    assert status == 200 or isinstance(answer["error"], str)


def test_it_listens_on_this_machine_only_and_a_port_that_is_taken_is_an_error(running: Running) -> None:
    assert running.remote._server.server_address[0] == "127.0.0.1"
    with pytest.raises(UsageError, match="name another port"):
        Remote(running.remote.port, TOKEN, running.controls, dict)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("realtime.remote.platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    return tmp_path / "data"


def test_the_token_is_made_once_for_its_user_only_and_anew_when_others_could_read_it(home: Path) -> None:
    token = read_token()
    assert len(token) == 43 and read_token() == token and token_path().parent == home
    assert stat.S_IMODE(token_path().stat().st_mode) == 0o600
    token_path().chmod(0o644)
    anew = read_token()
    assert anew != token and stat.S_IMODE(token_path().stat().st_mode) == 0o600
    token_path().write_text("short")
    assert len(read_token()) == 43


def test_a_place_that_keeps_no_token_is_an_error(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(SinkError, match="leave --remote out"):
        read_token()


def test_the_example_asks_as_it_should(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setattr(example, "TOKEN", tmp_path / "token")
    monkeypatch.setattr(example, "ADDRESS", f"http://127.0.0.1:{running.remote.port}")
    running.clock_s += 100
    assert example.main(["style=manga", "strength=0.7"]) == 0
    assert json.loads(capsys.readouterr().out)["strength"] == 0.7
    assert [example.main(words) for words in ([], ["stats"], ["next-style"])] == [0, 0, 0]
    assert example.main(["strength=7"]) == 1
    assert "not between 0 and 1" in capsys.readouterr().err
    monkeypatch.setattr(example, "ADDRESS", "http://127.0.0.1:9")
    assert example.main([]) == 1


def test_the_document_names_every_setting_and_action() -> None:
    text = (Path(example.__file__).parent.parent / "docs" / "remote.md").read_text(encoding="utf-8")
    assert [name for name in (*SETTABLE, *REMOTE_ACTIONS) if f"`{name}`" not in text] == []
