"""What a page in Chromium gets of the virtual camera, without a screen.

In: a folder for its profile. Out: what `camera.html` tells: the cameras it may choose from, the size and the colours of
a picture, or its error. On the caller's thread, with a server on one of its own.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

_ATTEMPTS, _WITHIN_S = 2, 150.0  # a third of it is enough where nobody else uses the processors
_COMMAND = [
    *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync"),
    "--enable-features=NetworkServiceInProcess2",  # as a process of its own it crashes at times where all is this slow
    "--use-fake-ui-for-media-stream",  # which says yes to the page
]


def ask_page(folder: Path) -> dict[str, Any]:
    """The page's answer; raises `TimeoutError` with the browser's last words."""
    answers: list[dict[str, Any]] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(Path(__file__).with_name("camera.html").read_bytes())

        def do_POST(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        log = folder / "chromium.log"
        for attempt in range(_ATTEMPTS):
            profile = f"--user-data-dir={folder / f'chromium-{attempt}'}"
            with log.open("w") as out:
                browser = subprocess.Popen(
                    [*_COMMAND, profile, f"http://127.0.0.1:{server.server_port}/"],
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            try:
                until_s = time.monotonic() + _WITHIN_S
                while not answers and time.monotonic() < until_s:
                    time.sleep(0.1)
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                browser.wait()
            if answers:
                break
            print(f"    Chromium did not answer within {_WITHIN_S:.0f} s", flush=True)
        server.shutdown()
    if not answers:
        raise TimeoutError("Chromium's page never answered; it printed:\n" + log.read_text()[-2000:])
    return answers[0]
