"""One photo after the other: each is worked on by itself, and one that cannot be used does not stop the others."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EsgError, ImageError, InputError, OutOfMemory, OutputError
from ..memory import is_out_of_memory
from .console import Console
from .results import check_folder

if TYPE_CHECKING:
    from ..naming import Listed

FAILED = 2  # exit status


class UnusablePhoto(EsgError):
    """Something about this photo; the next one may be good."""


def work_through(
    photos: Sequence[Listed],
    empty: Sequence[Path],
    work: Callable[[Listed, str], str | None],
    console: Console,
    *,
    done: str,
    out: Path | None = None,
) -> int:
    """Works on every photo, and names in the end those that failed.

    Args:
        photos, empty: of `naming.list_images`.
        work: is given a photo and its place in the row, "[2/9] " or nothing, and says how it went if that is of
            interest; ImageError and UnusablePhoto leave the photo out, and so does an OutputError unless the disk is
            full.
        done: what was to be done with the photos, as in "2 of 9 photos could not be segmented".
        out: the output folder, if there is one.

    Returns:
        The exit status: 2 if a photo failed or a folder holds none.
    """
    unusable: list[Listed] = []
    unwritten: list[Listed] = []
    for number, photo in enumerate(photos, start=1):
        place = f"[{number}/{len(photos)}] " if len(photos) > 1 else ""
        try:
            with console.working_on(str(photo.path) if place else ""):
                said = work(photo, place)
            if said is not None:
                console.line(f"{place}{photo.path}: {said}")
        except (ImageError, UnusablePhoto) as error:
            console.complain(str(error))
            unusable.append(photo)
        except OutputError as error:
            if _is_disk_full(error) or out is None:
                raise
            console.complain(str(error))
            unwritten.append(photo)
            check_folder(out)  # if nothing at all can be written there any more, this ends the run
    for failed, sentence in (
        (unusable, f"{{}} of {{}} photos could not be {done}: {{}}"),
        (unwritten, "The files of {} of {} photos could not be written: {}"),
    ):
        if failed and len(photos) > 1:
            names = ", ".join(str(photo.path) for photo in failed)
            console.complain(sentence.format(len(failed), len(photos), names))
    for folder in empty:
        console.complain(f"The folder {folder} holds no pictures.")
    return FAILED if unusable or unwritten or empty else 0


@contextmanager
def enough_memory(photo: Listed, advice: str) -> Iterator[None]:
    """Makes an UnusablePhoto of a lack of memory."""
    try:
        yield
    except (MemoryError, RuntimeError, OutOfMemory) as error:
        if not isinstance(error, OutOfMemory) and not is_out_of_memory(error):
            raise
        raise UnusablePhoto(f"{photo.path} needs more memory than there is; try {advice}.") from None


@contextmanager
def about(photo: Listed) -> Iterator[None]:
    """Makes an UnusablePhoto of an InputError that has its reason in the photo or its masks, not in the machine."""
    try:
        yield
    except OutOfMemory:
        raise
    except InputError as error:
        raise UnusablePhoto(f"{photo.path}: {error}") from None


def entity_count(number: int) -> str:
    """ "1 entity", "5 entities"."""
    return "1 entity" if number == 1 else f"{number} entities"


def _is_disk_full(error: OutputError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
