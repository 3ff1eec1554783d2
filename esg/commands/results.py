"""The files that a command makes of a photo: all of them, or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError
from ..files import check_place, try_folder


def check_folder(folder: Path) -> None:
    """OutputError unless files can be made in the folder, or it can be made where it is missing; makes nothing."""
    with _refusal(folder):
        try_folder(folder)


def make_folder(folder: Path) -> None:
    """Makes a folder if it is missing; OutputError unless files can be made in it."""
    with _refusal(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try_folder(folder)


def check_result(path: Path, *, overwrite: bool) -> int:
    """How many files lie where a result goes, 0 or 1, before the work.

    Raises:
        OutputError: it cannot be written there, or there is one and it must not be replaced.
    """
    check_place(path)
    there = os.path.lexists(path)
    if there and not overwrite:
        raise OutputError(f"{path} is there already; choose another name, or leave out --no-overwrite.")
    return int(there)


def save_together(folder: Path, name: str, write: Callable[[Path], None], stale: Iterable[Path] = ()) -> int:
    """Writes the files of one photo below `folder`, where those of an earlier run are replaced.

    They are made in a hidden folder beside their places and moved there when all are complete.

    Args:
        folder: the output folder, made if it is missing.
        name: of the photo's results, see `naming.Listed`.
        write: makes the files; it is given their common path, to which it adds a suffix for each.
        stale: files of an earlier run that have no place beside the new ones and go.

    Returns:
        How many files of an earlier run were replaced or are gone.

    Raises:
        OutputError: they cannot be written; none of them is left then, and those of an earlier run are as they were.
    """
    make_folder(folder)
    with _refusal(folder), tempfile.TemporaryDirectory(prefix=".esg-", dir=folder) as temporary:
        stage = Path(temporary)
        try:
            write(stage / name)
        except OutputError as error:
            raise OutputError(str(error).replace(str(stage), str(folder))) from error.__cause__
        moves = [(path, folder / path.relative_to(stage)) for path in sorted(stage.rglob("*")) if path.is_file()]
        with tempfile.TemporaryDirectory(prefix=".esg-", dir=folder) as earlier:
            return _move(moves, list(stale), Path(earlier))


def _move(moves: list[tuple[Path, Path]], stale: list[Path], earlier: Path) -> int:
    """Moves files to their places, and what lies there and the stale ones to `earlier`; on failure all goes back.

    Gives the number of those that went to `earlier`.
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
                    f"{place} cannot be written: a folder lies in its place; choose another output folder."
                )
        taken = dict.fromkeys([*stale, *(place for _, place in moves if os.path.lexists(place))])
        aside = [(path, earlier / str(number)) for number, path in enumerate(taken)]
        for source, place in [*aside, *moves]:
            begun.append((source, place))
            with _refusal((source if place.parent == earlier else place).parent):
                source.replace(place)
    except BaseException:
        for source, place in reversed(begun):
            if not os.path.lexists(source):  # else it did not come to the move
                place.replace(source)
        for folder in reversed(made):
            folder.rmdir()
        raise
    return len(aside)


def replaced(count: int) -> str:
    """What to add to a line where files of an earlier run were replaced."""
    if not count:
        return ""
    return f" ({count} earlier {'file' if count == 1 else 'files'} replaced)"


@contextmanager
def _refusal(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"The output folder {folder} cannot be written to ({reason}); choose another one.") from error
