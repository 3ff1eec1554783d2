"""Finds the photo among the pictures of an annotation file, by their file names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from ...support.errors import InputError

# Exports add to a file's name: Roboflow writes "photo_jpg.rf.0a1b….jpg"; Label Studio and others put eight hexadecimal
# digits or a UUID in front of the names of uploads.
_ROBOFLOW = re.compile(r"(?:[._-](?:jpe?g|png|webp|bmp|tiff?))?\.rf\.[0-9a-z]{8,}$", re.IGNORECASE)
_UPLOAD = re.compile(r"^(?:[0-9a-f]{8}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[-_](?=.)", re.IGNORECASE)


def pick(pictures: Sequence[tuple[str, ...]], photo: str | Path | None, source: str, *, by_name: bool) -> int:
    """The index of the picture that is the photo.

    A single picture is taken whatever its name, unless `by_name`. Of several, it is the one whose path ends with the
    most parts of the photo's path; otherwise the only one with the same name without the suffix; otherwise the only one
    whose name differs only in case, Unicode form, %20 and the like, or the additions of an export.

    Args:
        pictures: the names of each picture, possibly none.
        photo: path or name of the photo.
        source: the file, for an error message.
        by_name: whether even a single picture must have the photo's name.

    Raises:
        InputError: none of them is the photo, or several may be.
    """
    if len(pictures) == 1 and not by_name:
        return 0
    if not pictures:
        raise InputError(f"{source} does not describe any pictures.")
    number = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
    called = ", ".join(names[0] if names else "without a name" for names in pictures[:3])
    several = f"{source} describes {number} ({called}{', …' if len(pictures) > 3 else ''})"
    if photo is None:
        raise InputError(f"{several}; say which one by the photo's file name.")
    wanted = _parts(photo)
    likeness = [max((_equal_parts(_parts(name), wanted) for name in names), default=0) for names in pictures]
    for same in (_stem, _spelled_alike, _without_export):
        if any(likeness):
            break
        likeness = [int(any(same(name) == same(photo) for name in names)) for names in pictures]
    best = max(likeness)
    if not best:
        raise InputError(f"{several}, and none is called {wanted[0]}; give the masks of this photo.")
    if likeness.count(best) > 1:
        raise InputError(f"{several}, and several are called {wanted[0]}; give the masks of this photo alone.")
    return likeness.index(best)


def is_called(name: str | Path, photo: str | Path) -> bool:
    """Whether a file's name without suffix is the photo's, apart from spelling and additions of exports."""
    kinds: tuple[Callable[[str | Path], str], ...] = (_stem, _spelled_alike, _without_export)
    return any(same(name) == same(photo) for same in kinds)


def _parts(file_name: str | Path) -> list[str]:
    """The parts of a path of any system, last first; at least one."""
    return re.split(r"[/\\]", str(file_name))[::-1]


def _equal_parts(one: list[str], other: list[str]) -> int:
    """The number of equal parts in front of the first that differs."""
    return [*(a == b for a, b in zip(one, other, strict=False)), False].index(False)


def _stem(file_name: str | Path) -> str:
    return PurePosixPath(_parts(file_name)[0]).stem


def _spelled_alike(file_name: str | Path) -> str:
    """The name without suffix, in one Unicode form and case, and without URL escapes."""
    name = _parts(unquote(str(file_name)).partition("?")[0])[0]
    return unicodedata.normalize("NFC", PurePosixPath(name).stem).casefold().strip()


def _without_export(file_name: str | Path) -> str:
    """Likewise, without the additions of an export; numbers are without leading zeros, as ids are written."""
    name = _ROBOFLOW.sub("", _UPLOAD.sub("", _spelled_alike(file_name)))
    name = re.sub(r"[\s_+]+", "_", name)
    return name.lstrip("0") or "0" if name.isascii() and name.isdigit() else name
