"""Figures, with the items that could not be measured; and a file from which an interrupted run continues."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.problems import Problems
from ..support.errors import ImageError, InputError, OutputError
from .entity_sources import NoEntities


@dataclass(frozen=True)
class Measured:
    """The result of an evaluation.

    Attributes:
        figures: fractions and counts by name; nan if there is nothing to average.
        problems: what was left out, and what counts as wrong because the model cannot read it.
    """

    figures: dict[str, float]
    problems: Problems = field(default_factory=Problems)


@contextmanager
def leaving_out(problems: Problems) -> Iterator[None]:
    """Notes a photo that cannot be read, or whose entities cannot be found, instead of ending the run."""
    try:
        yield
    except ImageError as error:
        problems.add("photos that cannot be read", error)
    except NoEntities as error:
        problems.add("photos whose masks cannot be used", error)


class Results:
    """The results of single items, in a JSON Lines file, so that an interrupted run continues where it stopped.

    A line that was not written completely is measured again.

    Args:
        path: the file, made if it is missing; None: the results are only kept in memory.
        run: what was measured: results of other data, another model or other options are refused.

    Raises:
        InputError: the file is of another run, or of another kind.
        OutputError: it cannot be written.
    """

    def __init__(self, path: str | Path | None = None, run: Mapping[str, Any] | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._found: dict[str, Any] = {}
        if self.path is None:
            return
        run = json.loads(json.dumps(dict(run or {}), default=str))
        if self.path.exists():
            self._read(self.path, run)
        else:
            self._write({"run": run})

    def __len__(self) -> int:
        return len(self._found)

    def get(self, item: str) -> Any:
        """The result of an item; None if it has not been measured."""
        return self._found.get(item)

    def add(self, item: str, result: Any) -> None:
        """Keeps the result of an item; OutputError if the file cannot be written."""
        self._found[item] = result
        if self.path is not None:
            self._write({"item": item, "result": result})

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:  # type: ignore[union-attr]
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {(error.strerror or str(error)).lower()}.") from None

    def _read(self, path: Path, run: Mapping[str, Any]) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputError(f"{path} cannot be read as results of an earlier run; give another name.") from None
        lines = text.splitlines()
        try:
            earlier = json.loads(lines[0])["run"]
            for number, line in enumerate(lines[1:], start=2):
                try:
                    one = json.loads(line)
                except ValueError:
                    if number == len(lines):  # the run was interrupted while it wrote this line
                        break
                    raise
                self._found[one["item"]] = one["result"]
        except (ValueError, KeyError, IndexError, TypeError):
            raise InputError(f"{path} does not contain results of an earlier run; give another name.") from None
        other = [name for name in {**earlier, **run} if earlier.get(name) != run.get(name)]
        if other:
            raise InputError(
                f"{path} has results of another run: {other[0]} was {earlier.get(other[0])!r} and is now "
                f"{run.get(other[0])!r}; give another name, or delete the file."
            )
        if text and not text.endswith("\n"):
            self._repair(path, run)

    def _repair(self, path: Path, run: Mapping[str, Any]) -> None:
        """Writes the file again without the line that was not completed."""
        found = [{"run": run}, *({"item": item, "result": result} for item, result in self._found.items())]
        try:
            path.write_text("".join(json.dumps(line) + "\n" for line in found), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.") from None
