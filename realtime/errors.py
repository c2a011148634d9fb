"""Everything that can go wrong and that a user can act on.

    LiveToonError            exit code
    |-- UsageError           2   wrong option or value; found before anything is opened
    |-- SourceError          3   the camera, clip or stream gives no (more) pictures
    |-- SinkError            4   a file, stream, camera or window takes no (more) pictures
    |-- EngineError          5   a generator cannot be compiled, loaded or trusted
    `-- ModelFileError       6   a model file is missing or damaged

Each message is one sentence or two: what happened, what was expected, what to do. A frame without a face is a value
and a late frame a counter; neither is an error.
"""

from __future__ import annotations


class LiveToonError(Exception):
    """A failure with a message for the user."""

    exit_code = 1


class UsageError(LiveToonError):
    """An option that cannot be honoured."""

    exit_code = 2


class SourceError(LiveToonError):
    """The source cannot be opened or failed while running."""

    exit_code = 3


class SinkError(LiveToonError):
    """A sink cannot be opened or failed while running."""

    exit_code = 4


class EngineError(LiveToonError):
    """An engine is missing, stale, damaged or gives wrong pictures."""

    exit_code = 5


class ModelFileError(LiveToonError):
    """A model file is missing or its content is not what the manifest says."""

    exit_code = 6
