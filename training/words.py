"""Command-line words of the training commands: argparse whose errors are the project's own."""

from __future__ import annotations

import argparse
from typing import NoReturn

from realtime.errors import UsageError


class Words(argparse.ArgumentParser):
    """A parser that raises `UsageError` in one sentence instead of leaving the program."""

    def error(self, message: str) -> NoReturn:
        """argparse's message as a sentence that names the help."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.")
