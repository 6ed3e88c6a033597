"""Local files: any for a trusted caller, only those below the allowed folders for a remote one."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from voxtral_streaming.errors import AudioError, SourceForbidden

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # never waits for the writer of a pipe


def open_any(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for a trusted caller; `path` may be a `file://` URL. The caller closes it."""
    place = _path_of_url(path) if isinstance(path, str) and path[:7].lower() == "file://" else Path(path)
    try:
        return _regular_file(os.open(place, OPEN_FILE))
    except OSError as error:
        raise AudioError(f"{place} cannot be read: {error.strerror}", param="path") from error
    except ValueError as error:
        raise AudioError(f"{place} cannot be read: {error}", param="path") from error


def open_below(folders: Sequence[Path], path: str) -> BinaryIO:
    """Open a regular file for a remote caller, if it lies below one of `folders`. The caller closes it.

    No link is followed below the folder, nor a hidden name taken. Whatever is wrong, the error is the
    same, so that nobody can find out which files exist.
    """
    for folder in folders:
        try:
            return _walk(folder, _names_below(folder, path))
        except (OSError, ValueError):
            continue
    raise SourceForbidden("this file may not be read here", param="path")


def _path_of_url(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise AudioError(f"{url} names a file of another machine", param="path")
    return Path(url2pathname(parts.path))


def _names_below(folder: Path, path: str) -> list[str]:
    """The names to walk from `folder`; ValueError for a path that lies elsewhere or plays tricks."""
    prefix = f"{folder}/"
    names = path.removeprefix(prefix).split("/")
    if any(not name or name.startswith(".") for name in names):
        raise ValueError(f"not a plain path below {folder}")
    return names


def _walk(folder: Path, names: Sequence[str]) -> BinaryIO:
    """Open `names` one below the other, each relative to the folder that is already open."""
    with ExitStack() as stack:
        above = os.open(folder, OPEN_FOLDER & ~os.O_NOFOLLOW)
        stack.callback(os.close, above)
        for name in names[:-1]:
            above = os.open(name, OPEN_FOLDER, dir_fd=above)
            stack.callback(os.close, above)
        return _regular_file(os.open(names[-1], OPEN_FILE | os.O_NOFOLLOW, dir_fd=above))


def _regular_file(descriptor: int) -> BinaryIO:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    raise ValueError("not a regular file")
