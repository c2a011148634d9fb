"""Text for the user, for files and for reports without what is nobody's business: passwords and keys in addresses, and
the name of the home folder. Any thread; standard library only.
"""

from __future__ import annotations

import re
from pathlib import Path

# Up to the last @ of the word: a password may hold an @ or a /, though an address may not.
_USER = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s'\"]*@", re.IGNORECASE)
_QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s'\"?#]*)[?#][^\s'\"),;]*", re.IGNORECASE)
# Where pictures are streamed to, the last part of the path is the key.
_KEY = re.compile(r"((?:rtmps?|srt)://[^\s'\"/]+/[^\s'\"/]+/)[^\s'\"),;]+", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text with every address in it cut to what may be seen: no user, password, key or query."""
    return _KEY.sub(r"\1...", _QUERY.sub(r"\1?...", _USER.sub(r"\1", text)))


def without_home(text: str) -> str:
    """The text with ~ for the home folder."""
    home = str(Path.home())
    return text if len(home) < 2 else text.replace(home, "~")  # "/" is the home of nobody who has one
