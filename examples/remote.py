"""Controls a LiveToon that was started with `run.py --remote 8642`: for a stream deck, a key of the desktop, a script.

python examples/remote.py                            how it is now
python examples/remote.py stats                      figures of now
python examples/remote.py pause                      an action: see docs/remote.md
python examples/remote.py style=manga strength=0.7   settings

LIVETOON_PORT names another port. Needs LiveToon's Python, for the place of the token.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

import platformdirs

TOKEN = Path(platformdirs.user_data_dir("livetoon", appauthor=False)) / "remote-token"
ADDRESS = f"http://127.0.0.1:{os.environ.get('LIVETOON_PORT', '8642')}"


def ask(path: str, body: object = None) -> str:
    """The answer to a GET, or to a POST of `body`."""
    headers = {"Authorization": f"Bearer {TOKEN.read_text(encoding='utf-8').strip()}"}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    request = urllib.request.Request(ADDRESS + path, data, headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


def value(text: str) -> object:
    """A number, true, false or null as such, anything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def main(words: list[str]) -> int:
    """Does what the words say and prints the answer; the exit code."""
    try:
        if not words:
            print(ask("/state"))
        elif words == ["stats"]:
            print(ask("/stats"))
        elif all("=" in word for word in words):
            pairs = (word.split("=", 1) for word in words)
            print(ask("/state", {name: value(text) for name, text in pairs}))
        else:
            print(ask("/action", {"action": words[0]}))
    except urllib.error.HTTPError as error:
        print(error.read().decode(), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"LiveToon does not answer ({error}); is it running with --remote?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
