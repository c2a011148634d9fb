"""A folder of clips and pictures becomes a folder of drawn ones; what was broken off goes on where it was.

Comes in: two folders. Goes out: a file for each clip and picture, whole or not at all, and an exit code. On the main
thread.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from realtime.errors import LiveToonError, SinkError, SourceError
from realtime.settings import CLIP_SUFFIXES, PICTURE_SUFFIXES
from realtime.source.picture import PICTURE_SUFFIXES as READABLE_PICTURES

_READABLE_CLIPS = (*CLIP_SUFFIXES, ".mov", ".m4v", ".avi", ".ts", ".mts", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp")
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)

Convert = Callable[[Path, Path], bool]  # one file into another; false when the user stopped it


def convert_folder(source: Path, sink: Path, convert: Convert, say: Callable[[str], None]) -> int:
    """Converts every clip and picture of `source`, not of folders in it, that is not in `sink` yet.

    A file is written under a hidden name first and gets its own when it is complete, so what is there is done. One that
    fails is said and left out; the exit code is that of the first. Raises `SourceError` when there is nothing to
    convert, and `SinkError` when the disk takes no more.
    """
    files = _files_in(source)
    _make(sink)
    done, before, failed, stopped = 0, 0, list[str](), False
    code = 0
    try:
        for number, file in enumerate(files, 1):
            out = sink / _name_for(file)
            if out.exists():
                before += 1
                continue
            say(f"{number}/{len(files)} {file.name}")
            part = out.with_name(f".{out.stem}.part{out.suffix}")
            try:
                if not convert(file, part):
                    stopped = True
                    break
                part.replace(out)
                done += 1
            except Exception as error:
                if (why := _of_the_disk(error)) is not None:
                    raise SinkError(
                        f"{sink} takes no more files ({why}). Free some space; the same command goes on where it was."
                    ) from error
                failed.append(file.name)
                code = code or (error.exit_code if isinstance(error, LiveToonError) else 1)
                what = str(error) if isinstance(error, LiveToonError) else f"{type(error).__name__}: {error}"
                say(f"{file.name} is left out. {what}")
            finally:
                part.unlink(missing_ok=True)
    except KeyboardInterrupt:  # between two files
        stopped = True
    finally:
        there = f", {before} already there" if before else ""
        lost = f", {len(failed)} failed: {', '.join(failed)}" if failed else ""
        say(f"{done} of {len(files)} files are drawn now in {sink}{there}{lost}.")
    if stopped:
        say("Stopped; the same command goes on where it was.")
        return 0
    return code


def _files_in(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise SourceError(f"The folder {folder} cannot be read ({error.strerror}).") from error
    known = (*_READABLE_CLIPS, *READABLE_PICTURES)
    files = [f for f in entries if f.suffix.lower() in known and not f.name.startswith(".") and f.is_file()]
    if not files:
        raise SourceError(f"There is no clip or picture in {folder}; expected for example MP4, MOV, JPEG or PNG files.")
    return files


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SinkError(f"The folder {folder} cannot be made ({error.strerror}); name another --sink.") from error


def _name_for(file: Path) -> str:
    """Its own name; with a suffix added where that kind cannot be written: clip.mov.mp4."""
    suffix = file.suffix.lower()
    if suffix in CLIP_SUFFIXES + PICTURE_SUFFIXES:
        return file.name
    return file.name + (".mp4" if suffix in _READABLE_CLIPS else ".png")


def _of_the_disk(error: Exception) -> str | None:
    """Why every other file would fail the same way; None when it would not."""
    cause = error.__cause__ if isinstance(error, SinkError) else error
    return cause.strerror if isinstance(cause, OSError) and cause.errno in _OF_THE_DISK else None
