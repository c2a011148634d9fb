"""LiveToon: a camera or a clip goes in, a drawn picture comes out.

Command-line words -> Settings -> open everything -> the loop. Exit codes: 0 done or stopped by the user; 2 wrong
usage; 3 the source failed; 4 a sink failed; 5 an engine failed; 6 a model file is missing or damaged.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import NoReturn

from realtime.cores import share_cores
from realtime.secrets import without_secrets
from realtime.system_libraries import missing_libraries, remedy


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code."""
    if "--doctor" in arguments:  # before the imports that a broken installation fails on
        from realtime.doctor import doctor

        return doctor(print)
    if missing := missing_libraries():
        _say(remedy(missing))
        return 2
    share_cores()
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(0))  # an interrupted import is a broken one
    from realtime.crash import write_report  # only now: these import OpenCV and NumPy
    from realtime.errors import LiveToonError
    from realtime.session import run

    signal.signal(signal.SIGINT, before)
    try:
        return run(arguments, _say)
    except LiveToonError as error:
        _say(str(error))
        _trace(error, arguments)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        _trace(error, arguments)
        path = write_report(error, arguments)
        where = "run again with --verbose and report what it prints" if path is None else f"a report is in {path}"
        _say(f"LiveToon stopped on an unexpected failure ({type(error).__name__}: {error}); {where}.")
        return 1


def _trace(error: BaseException, arguments: Sequence[str]) -> None:
    if "--verbose" in arguments:
        _say("".join(traceback.format_exception(error)).rstrip())


def _say(message: str) -> None:
    print(without_secrets(message), file=sys.stderr, flush=True)


def _leave(code: int) -> NoReturn:
    """Ends the process, at once where a device or an engine still blocks a thread: nothing can wait for it."""
    if any(thread.daemon and thread.name.startswith(("source", "sink", "draw")) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _leave(main(sys.argv[1:]))
