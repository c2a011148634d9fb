"""Remote control: other programs of this machine change the look, as keys do. `docs/remote.md` describes it.

Comes in: HTTP requests to 127.0.0.1, with a token. Goes out: commands to `Controls`, and answers as JSON. On threads of
its own; the loop does what they ask between two frames, a bounded number of times a second.

What a web page could do is refused before the token is looked at: a request from any origin, or to another host's name
(DNS rebinding). Only POST changes anything, and its body is JSON of at most `MOST_BODY` bytes.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import platformdirs

from realtime.controls import ACTIONS, BusyError, Controls
from realtime.errors import SinkError, UsageError
from realtime.settings import option_type, parsed_option, text_of

HOST = "127.0.0.1"
MOST_BODY = 4096
MOST_CONNECTIONS = 8
RATE, BURST = 50.0, 100.0  # requests a second, and at once
READ_S, REQUEST_S = 2.0, 5.0  # for a part of a request, and for all of it
ANSWER_S = 3.0  # for the loop to do what was asked
_OVER_S = 0.002  # for each request over the rate: a flood costs no more than this many
_SLOWER = b'HTTP/1.0 429 Too Many Requests\r\nContent-Type: application/json\r\n\r\n{"error": "Slower, please."}\n'
_DRAIN = 2 << 20  # bytes of a body that was refused, so that its sender can read why
# What can be set, each with an example, which also tells its type. The style none is no style that can be switched to.
SETTABLE: Mapping[str, object] = {
    "style": "webtoon",
    "background-style": "meadow",
    "strength": 1.0,
    "steadiness": 1.0,
    "expression": 1.0,
    "background": "blur",
    "mirror": False,
    "paused": False,
    "recording": False,
}
REMOTE_ACTIONS = tuple(name for name in ACTIONS if name != "quit")
_FIELDS = {"background-style": "room_style"}
_TOKEN = re.compile(r"[\w-]{43}")


class _RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


def token_path() -> Path:
    """The file that holds the token, for its user only."""
    return Path(platformdirs.user_data_dir("livetoon", appauthor=False)) / "remote-token"


def read_token() -> str:
    """The token, made at first use, and anew when others could have read it; raises `SinkError`."""
    path = token_path()
    try:
        if path.exists():
            token = path.read_text(encoding="utf-8").strip()
            private = os.name == "nt" or path.stat().st_mode & 0o077 == 0
            if private and _TOKEN.fullmatch(token):
                return token
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        token = secrets.token_urlsafe(32)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(token + "\n")
    except (OSError, ValueError) as error:
        raise SinkError(f"The token {path} for remote control cannot be kept ({error}); leave --remote out.") from error
    return token


class Remote:
    """A server on `port` of this machine. stats: figures of now; called on the loop's thread.

    Raises `UsageError` for a port that is taken.
    """

    def __init__(
        self,
        port: int,
        token: str,
        controls: Controls,
        stats: Callable[[], Mapping[str, object]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            self._server = _Server((HOST, port), token, controls, stats, clock)
        except OSError as error:
            raise UsageError(f"--remote {port} cannot be listened to ({error.strerror}); name another port.") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="remote", daemon=True)

    def __enter__(self) -> Remote:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # there it would let another program take the port over
    request_queue_size = 32

    def __init__(
        self,
        address: tuple[str, int],
        token: str,
        controls: Controls,
        stats: Callable[[], Mapping[str, object]],
        clock: Callable[[], float],
    ) -> None:
        self.token = token
        self.controls = controls
        self.stats = stats
        self._clock = clock
        self._allowed, self._allowed_s = BURST, clock()
        self._open: dict[socket.socket, float] = {}  # since when
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As of the parent, which would ask DNS for a name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuses what comes too fast or hangs on, before a thread is spent on it."""
        now_s = self._clock()
        self._allowed = min(BURST, self._allowed + (now_s - self._allowed_s) * RATE)
        self._allowed_s = now_s
        with self._lock:
            full = len(self._open) >= MOST_CONNECTIONS
        if self._allowed >= 1 and not full:
            self._allowed -= 1
            with self._lock:
                self._open[request] = now_s
            return True
        with suppress(OSError):
            request.setblocking(False)
            with suppress(BlockingIOError):
                request.recv(1 << 16)  # what is left unread would cut the answer off
            request.send(_SLOWER)
        time.sleep(_OVER_S)
        return False

    def shutdown_request(self, request: Any) -> None:
        """The end of a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cuts off who takes too long."""
        with self._lock:
            late = [request for request, since_s in self._open.items() if self._clock() - since_s > REQUEST_S]
        for request in late:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks off concerns nobody."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READ_S
    server_version, sys_version = "LiveToon", ""

    def do_GET(self) -> None:
        """Reads; changes nothing."""
        self._answered({"/state": self._state, "/stats": lambda: dict(self._done(self.server.stats))}, "POST")

    def do_POST(self) -> None:
        """Changes something."""
        self._answered({"/state": self._set, "/action": self._act}, "GET")

    def _answered(self, paths: Mapping[str, Callable[[], dict[str, object]]], other: str) -> None:
        try:
            self._check()
            if self.path not in paths:
                known = self.path in ("/state", "/stats", "/action")
                why = f"{self.path} is for {other}" if known else "there are /state, /stats and /action"
                raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND, why)
            answer = paths[self.path]()
        except _RefusedError as error:
            self._send(error.status, {"error": str(error)})
        except UsageError as error:
            self._send(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (BusyError, TimeoutError) as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error) or "The filter does not answer."})
        except OSError:
            raise
        except Exception as error:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"That failed ({type(error).__name__})."})
        else:
            self._send(HTTPStatus.OK, answer)

    def _check(self) -> None:
        """Who asks, from where, and for whom."""
        port = self.server.server_port
        if self.headers.get_all("Host", []) not in ([f"{HOST}:{port}"], [f"localhost:{port}"]):
            raise _RefusedError(HTTPStatus.FORBIDDEN, f"the Host is not {HOST}:{port}")
        if "Origin" in self.headers:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "web pages may not ask")
        given = self.headers.get("Authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, f"Bearer {self.server.token}".encode()):
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, f"the token is wrong or missing; it is in {token_path().name}")

    def _body(self) -> dict[str, object]:
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or re.fullmatch(r"[0-9]{1,18}", length) is None:
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
        if int(length) > MOST_BODY:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_BODY} bytes")
        if self.headers.get_content_type() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Type is not application/json")
        try:
            data = json.loads(self.rfile.read(int(length)), parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "the body is no JSON") from None
        if not isinstance(data, dict) or not data:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, 'the body is no object, for example {"strength": 0.5}')
        return data

    def _set(self) -> dict[str, object]:
        controls = self.server.controls
        look: dict[str, object] = {}
        switches: list[tuple[Callable[[bool], None], bool]] = []
        for name, value in self._body().items():
            if name == "background-style" and value is None:
                look["room_style"] = None
                continue
            option_type(name, value, SETTABLE)
            if isinstance(value, bool):
                switch = {"mirror": controls.set_mirror, "paused": controls.pause, "recording": controls.record}[name]
                switches.append((switch, value))
            else:
                look[_FIELDS.get(name, name)] = parsed_option(name, value, SETTABLE)

        def change() -> None:
            if look:
                controls.change(**look)
            for switch, on in switches:
                switch(on)

        self._done(change)
        return self._state()

    def _act(self) -> dict[str, object]:
        body = self._body()
        name = body.get("action")
        if set(body) != {"action"} or name not in REMOTE_ACTIONS:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, f'expected {{"action": one of {", ".join(REMOTE_ACTIONS)}}}')
        result = self._done(lambda: ACTIONS[str(name)](self.server.controls))
        return self._state() | ({"file": str(result.absolute())} if isinstance(result, Path) else {})

    def _done(self, command: Callable[[], Any]) -> Any:
        """Has the loop do it; raises what it raises, and `TimeoutError`."""
        done = self.server.controls.ask(command)
        try:
            return done.result(ANSWER_S)
        except TimeoutError:
            done.cancel()
            raise

    def _state(self) -> dict[str, object]:
        controls = self.server.controls
        look = controls.look
        return {
            "style": look.style,
            "background-style": look.room_style,
            "strength": look.strength,
            "steadiness": look.steadiness,
            "expression": look.expression,
            "background": text_of(look.background),
            "mirror": controls.mirror,
            "paused": controls.paused,
            "recording": controls.recording(),
            "styles": [style.name for style in controls.styles],
        }

    def _send(self, status: HTTPStatus, answer: Mapping[str, object]) -> None:
        data = (json.dumps(answer) + "\n").encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(data))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        if status >= HTTPStatus.BAD_REQUEST:
            self._drain()

    def _drain(self) -> None:
        """Reads what is left of a refused request: else its sender is cut off before the answer."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.2)
            left = _DRAIN
            while left > 0 and (data := self.connection.recv(1 << 16)):
                left -= len(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the parent finds wrong with a request, as JSON too."""
        self.command = getattr(self, "command", None) or ""
        self._send(HTTPStatus(code), {"error": message or HTTPStatus(code).phrase})

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not noted."""


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
