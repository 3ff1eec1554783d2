"""Writes files without ever leaving a half-written one behind."""

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
    """Yields a temporary path beside `path`, which replaces `path` if the block succeeds and is deleted otherwise.

    Missing folders are made. The temporary name keeps the suffix, from which some writers choose the format.

    Raises:
        OutputError: any OSError in the block (no space, no permission, not a folder …).
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
    """Checks, before long work, whether `write_atomically` could write `path`; creates neither file nor folder.

    Raises:
        OutputError: `path` cannot be written.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        try_folder(target.absolute().parent)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {_reason(error)}.") from error


def at_home(path: str | Path) -> Path:
    """Expands ~ in a path; `~unknown_user` is left unchanged, where `Path.expanduser` raises RuntimeError."""
    return Path(os.path.expanduser(path))


def try_folder(folder: Path) -> None:
    """Creates a file in the folder, or in its nearest existing parent, and deletes it again.

    Raises:
        OSError: the folder is not writable.
    """
    absolute = folder.absolute()
    nearest = next((place for place in (absolute, *absolute.parents) if os.path.lexists(place)), None)
    if nearest is None:  # on Windows: a drive or a share that does not exist
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if nearest.is_file():  # Windows would report a missing folder
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    # Not `tempfile`: on Windows it mistakes a refusal for a name clash and retries endlessly.
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
