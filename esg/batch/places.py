"""A folder for results, on this machine's file system or at a URL of an object store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..support.errors import InputError, OutputError
from ..support.files import write_atomically


def is_url(where: str) -> bool:
    """Whether a path is a URL such as s3://bucket/folder."""
    return "://" in where


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        InputError: there is no such protocol, or its package is missing.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InputError(f"{url} cannot be opened: {str(error).rstrip('.')}.") from None
    except ValueError as error:
        raise InputError(f"{url} cannot be opened: {str(error).rstrip('.').lower()}.") from None


class Place:
    """Reads and writes the files of a run below a folder or a URL; every file is written whole or not at all.

    A file on disk gets its name once it is complete. Object stores show a file only once its upload is complete.

    Attributes:
        where: the folder or the URL.
    """

    def __init__(self, where: str) -> None:
        self.where = where.rstrip("/") if is_url(where) else os.path.abspath(where)
        self._remote = filesystem(self.where) if is_url(where) else None

    def write(self, name: str, make: Callable[[Path], None]) -> None:
        """Writes a file, replacing an earlier one.

        Args:
            name: its path in this place.
            make: function that writes the content to the path that it gets.

        Raises:
            OutputError: the file cannot be written; then it is unchanged.
        """
        if self._remote is None:
            with write_atomically(Path(self.where, name)) as temporary:
                make(temporary)
            return
        system, root = self._remote
        with tempfile.TemporaryDirectory(prefix="esg-") as folder:
            temporary = Path(folder, Path(name).name)
            make(temporary)
            try:
                system.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
                system.put_file(str(temporary), f"{root}/{name}")
            except OSError as error:
                raise OutputError(f"{self.where}/{name} cannot be written: {_reason(error)}.") from error

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file; see `write`."""
        self.write(name, lambda path: _write_text(path, text))

    def read_text(self, name: str) -> str | None:
        """The content of a text file; None if it does not exist."""
        try:
            if self._remote is None:
                return Path(self.where, name).read_text(encoding="utf-8")
            system, root = self._remote
            return system.cat_file(f"{root}/{name}").decode("utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{self.where}/{name} cannot be read: {_reason(error)}.") from None

    def remove(self, name: str) -> None:
        """Deletes a file, if it exists."""
        with suppress(FileNotFoundError):
            if self._remote is None:
                Path(self.where, name).unlink()
            else:
                system, root = self._remote
                system.rm_file(f"{root}/{name}")

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted, without those that are still being written."""
        try:
            if self._remote is None:
                found = os.listdir(Path(self.where, folder))
            else:
                system, root = self._remote
                system.invalidate_cache()
                found = [path.rpartition("/")[2] for path in system.ls(f"{root}/{folder}", detail=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{self.where}/{folder} cannot be read: {_reason(error)}.") from None
        return sorted(name for name in found if not name.startswith("."))

    def remove_unfinished(self, folder: str) -> None:
        """Deletes the temporary files that killed programs left in a folder on disk."""
        if self._remote is None:
            for path in Path(self.where, folder).glob(".esg-*"):
                path.unlink(missing_ok=True)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).rstrip(".").lower()
