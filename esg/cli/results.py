"""The files that a command writes for a photo: either all of them, or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..support.errors import OutputError
from ..support.files import check_place, try_folder
from .console import counted


def check_folder(folder: Path) -> None:
    """Raises OutputError unless the folder is writable or, if it is missing, could be made; leaves no trace."""
    with _refusal(folder):
        try_folder(folder)


def make_folder(folder: Path) -> None:
    """Makes a folder if it is missing; OutputError unless it is writable."""
    with _refusal(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try_folder(folder)


def check_result(path: Path, *, overwrite: bool) -> int:
    """Checks, before the work, where a result will be written; returns the number of files there, 0 or 1.

    Raises:
        OutputError: the file cannot be written, or it exists and must not be replaced.
    """
    check_place(path)
    there = os.path.lexists(path)
    if there and not overwrite:
        raise OutputError(f"{path} already exists; choose another name, or omit --no-overwrite.")
    return int(there)


def save_together(folder: Path, name: str, write: Callable[[Path], None], stale: Iterable[Path] = ()) -> int:
    """Writes the files of one photo below `folder`, replacing those of an earlier run.

    They are written to a hidden folder next to their destination, and moved when all are complete.

    Args:
        folder: output folder, made if it is missing.
        name: name of the photo's results, see `listing.InputPhoto`.
        write: function that writes the files; it gets their common path and adds a suffix for each.
        stale: files of an earlier run that do not belong with the new ones; they are deleted.

    Returns:
        The number of files of an earlier run that were replaced or deleted.

    Raises:
        OutputError: the files cannot be written; then none of them is left, and those of an earlier run are unchanged.
    """
    make_folder(folder)
    with _refusal(folder), tempfile.TemporaryDirectory(prefix=".esg-", dir=folder) as temporary:
        stage = Path(temporary)
        try:
            write(stage / name)
        except OutputError as error:
            raise error.renamed(stage, folder) from error.__cause__
        moves = [(path, folder / path.relative_to(stage)) for path in sorted(stage.rglob("*")) if path.is_file()]
        with tempfile.TemporaryDirectory(prefix=".esg-", dir=folder) as earlier:
            return _move(moves, list(stale), Path(earlier))


def _move(moves: list[tuple[Path, Path]], stale: list[Path], earlier: Path) -> int:
    """Moves files to their places, and existing and stale files to `earlier`; on failure, undoes all moves.

    Returns the number of files moved to `earlier`.
    """
    made: list[Path] = []
    begun: list[tuple[Path, Path]] = []
    try:
        for folder in dict.fromkeys(place.parent for _, place in moves):
            with _refusal(folder):
                missing = [parent for parent in (folder, *folder.parents) if not os.path.lexists(parent)]
                for parent in reversed(missing):
                    parent.mkdir()
                    made.append(parent)
                try_folder(folder)
        for _, place in moves:
            if place.is_dir():
                raise OutputError(
                    f"{place} cannot be written: there is a folder with this name; choose another output folder."
                )
        taken = dict.fromkeys([*stale, *(place for _, place in moves if os.path.lexists(place))])
        aside = [(path, earlier / str(number)) for number, path in enumerate(taken)]
        for source, place in [*aside, *moves]:
            begun.append((source, place))
            with _refusal((source if place.parent == earlier else place).parent):
                source.replace(place)
    except BaseException:
        for source, place in reversed(begun):
            if not os.path.lexists(source):  # otherwise the move did not happen
                place.replace(source)
        for folder in reversed(made):
            folder.rmdir()
        raise
    return len(aside)


def replaced(count: int) -> str:
    """The addition to a line if files of an earlier run were replaced."""
    return "" if not count else f" ({counted(count, 'earlier file')} replaced)"


@contextmanager
def _refusal(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"Cannot write to the output folder {folder} ({reason}); choose another one.") from error
