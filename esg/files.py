"""Writing files so that nothing half-written stays behind."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; when the block ends well it replaces `path`, else it vanishes.

    Missing folders are made. The temporary name keeps the suffix, by which some writers choose the format.

    Raises:
        OutputError: for any OSError in the block (no space, no permission, not a folder …).
    """
    target = Path(path)
    temporary = target.parent / f".esg-{secrets.token_hex(6)}{target.suffix}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {_reason(error)}.") from error


def check_place(path: str | Path) -> None:
    """Tells before long work whether `write_atomically` could write `path`, and makes nothing, no folder either.

    Raises:
        OutputError: it could not.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        try_folder(target.absolute().parent)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {_reason(error)}.") from error


def at_home(path: str | Path) -> Path:
    """The path with ~ as a home; that of nobody stays as it is, where `Path.expanduser` raises a RuntimeError."""
    return Path(os.path.expanduser(path))


def try_folder(folder: Path) -> None:
    """Makes a file in the folder, or in the nearest one above it where it is missing, and takes it away again.

    Raises:
        OSError: none can be made there.
    """
    absolute = folder.absolute()
    nearest = next((place for place in (absolute, *absolute.parents) if os.path.lexists(place)), None)
    if nearest is None:  # on Windows: a drive or a share that is not there
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if nearest.is_file():  # which Windows calls a folder that is not there
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    # Not by `tempfile`: on Windows that takes a refusal for a clash of names and tries on and on.
    probe = nearest / f".esg-{secrets.token_hex(6)}"
    os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    probe.unlink()


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "its folder is not writable; choose another one"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "there is a file where its folder should be; choose another one"
    if error.errno == errno.EISDIR:
        return "there is a folder with this name; choose another name"
    return (error.strerror or str(error)).rstrip(".").lower()
