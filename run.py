"""LiveToon: a camera or a clip goes in, a drawn picture comes out.

Command-line words -> Settings -> open everything -> the loop. Exit codes: 0 done or stopped by the user; 2 wrong
usage; 3 the source failed; 4 a sink failed; 5 an engine failed; 6 a model file is missing or damaged.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from realtime.system_libraries import missing_libraries, remedy


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code."""
    if "--doctor" in arguments:  # before the imports that a broken installation fails on
        from realtime.doctor import doctor

        return doctor(print)
    if missing := missing_libraries():
        _say(remedy(missing))
        return 2
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(0))  # an interrupted import is a broken one
    from realtime.errors import LiveToonError  # only now: these import OpenCV and NumPy
    from realtime.session import run

    signal.signal(signal.SIGINT, before)
    try:
        return run(arguments, _say)
    except LiveToonError as error:
        _say(str(error))
        if "--verbose" in arguments:
            traceback.print_exc()
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        if "--verbose" in arguments:
            traceback.print_exc()
        _say(f"LiveToon stopped on an unexpected failure ({type(error).__name__}: {error}); "
             "run again with --verbose and report what it prints.")  # fmt: skip
        return 1


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
