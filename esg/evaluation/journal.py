"""The results of single items in a file, from which an interrupted run continues."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..support.errors import InputError, OutputError
from ..support.files import write_atomically
from ..version import __version__


class Journal:
    """The results of a run by item: a file with a line of JSON about the run, and one for each item that is done.

    A line that was not written completely is ignored, so that its item is measured again.

    Args:
        path: the file, made if it is missing; None: the results are only kept in memory.
        about: what is measured, by name: data, models and options.
        replace: whether a file about another run is replaced, or else refused.

    Attributes:
        done: results by item; an item is a name or a number, a result is anything that JSON can hold.

    Raises:
        InputError: the file is about another run, is not such a file, or cannot be read.
        OutputError: it cannot be written.
    """

    def __init__(
        self, path: str | Path | None = None, about: Mapping[str, Any] | None = None, *, replace: bool = False
    ) -> None:
        self.path = None if path is None else Path(path)
        self.done: dict[str | int, Any] = {}
        if self.path is None:
            return
        run = json.loads(json.dumps({"version": __version__, **(about or {})}, default=str))
        if not self.path.exists() or not self._read(self.path, run, replace):
            with write_atomically(self.path) as temporary:
                temporary.write_text("".join(_lines(run, self.done)), encoding="utf-8")

    def add(self, item: str | int, result: Any) -> None:
        """Keeps the result of an item, and writes it at once; OutputError if that fails."""
        self.done[item] = result
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(item, result))
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {(error.strerror or str(error)).lower()}.") from None

    def remove(self) -> None:
        """Deletes the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self, path: Path, run: Mapping[str, Any], replace: bool) -> bool:
        """Reads the results of an earlier run; False if the file must be written again, without its broken lines."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
        first, *lines = content.splitlines() or [b""]
        try:
            earlier = json.loads(first)["run"]
            changes = _changes(earlier, run)
        except (ValueError, LookupError, TypeError, AttributeError):
            if replace:
                return False
            raise InputError(f"{path} does not contain results of an earlier run; give another name.") from None
        if changes and not replace:
            raise InputError(
                f"{path} has results of another run: {'; '.join(changes)}; give another name, or delete the file."
            )
        if changes:
            return False
        for line in lines:
            try:
                item, result = json.loads(line)
                self.done[item] = result
            except (ValueError, TypeError):
                continue
        return len(self.done) == len(lines) and content.endswith(b"\n")


def _changes(earlier: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """In words, how a run differs from an earlier one."""
    changes = []
    for name in {**earlier, **run}:
        before, now = earlier.get(name), run.get(name)
        if before == now:
            continue
        long = any(isinstance(value, list | dict) for value in (before, now))
        changes.append(f"{name} differs" if long else f"{name} was {before!r} and is now {now!r}")
    return changes


def _lines(run: Mapping[str, Any], done: Mapping[str | int, Any]) -> Iterator[str]:
    yield json.dumps({"run": run}) + "\n"
    for item, result in done.items():
        yield _line(item, result)


def _line(item: str | int, result: Any) -> str:
    return json.dumps([item, result]) + "\n"


def identity(path: str | Path) -> list[Any]:
    """Values that differ once a file or folder has changed: its path, and when it or a file in it was last changed."""
    path = Path(path)
    times = [one.stat().st_mtime_ns for one in (path, *(path.rglob("*") if path.is_dir() else ())) if one.exists()]
    return [str(path.resolve()), max(times, default=0), len(times)]
