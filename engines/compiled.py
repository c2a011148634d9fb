"""A compiled network in the user's cache, for those that take much longer to compile than to read back.

In: a name, what the network was compiled from and for, its bytes. Out: those bytes, as long as all of it is the same.
There is one file for a name, so what is out of date is written over. Any thread, any number of processes.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from engines.cache import cache_folder, write_whole

_DIGEST_BYTES = 32


def kept(name: str, made_from: str) -> bytes | None:
    """What `keep` was given for exactly this; None when there is nothing, or it is damaged."""
    try:
        content = _file(name).read_bytes()
    except OSError:
        return None
    digest, network = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return network if digest == _digest(made_from, network) else None


def keep(name: str, made_from: str, network: bytes) -> None:
    """Keeps it; where the cache cannot be written, the next start compiles again, and that is all."""
    with suppress(OSError):
        write_whole(_file(name), _digest(made_from, network) + network)


def _digest(made_from: str, network: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(made_from.encode()).digest() + network).digest()


def _file(name: str) -> Path:
    return cache_folder() / "compiled" / name
