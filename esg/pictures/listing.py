"""Finds the pictures in a list of files and folders, and names their results."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..support.errors import InputError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif", ".heic", ".heif", ".hif", ".jxl"),
)
# pictures that ESG writes as results
RESULT_SUFFIXES = (".labels.png", ".panoptic.png", ".overlay.jpg", ".grounding.jpg", ".inpainted.png")
RESULT_FOLDERS = (".masks", ".labels", ".overlay")  # likewise, for folders


class InputPhoto(NamedTuple):
    """A picture and the name of its results.

    Attributes:
        path: file to read.
        name: relative path for results, without their suffix, unique in its list; results go to
            `out / f"{name}.labels.png"` and so on.
        clip: whether it is a clip: a video, an animation, or a folder of frames.
    """

    path: Path
    name: str
    clip: bool = False


def list_images(
    paths: Iterable[str | Path], *, is_clip: Callable[[Path], bool] = lambda path: False
) -> tuple[list[InputPhoto], list[Path]]:
    """Lists the named files, and the pictures in folders and their subfolders, sorted; and the folders without any.

    A named file keeps only its name, and a file found in a folder its path below that folder. If two names are the same
    (ignoring case, as some systems do), both add their extension, and if they are still the same, a number. In folders,
    hidden files, earlier results of ESG, pipes and devices are skipped; links to folders are followed. A named file is
    listed whatever its suffix, and even if it is missing: reading it will report that. If no file has the name of a
    pattern such as photos/*.jpg, which Windows shells leave to programs, the files that it matches are listed. A file
    that occurs twice is listed once, and in a folder at its own place rather than below a link to a folder.

    Args:
        paths: files, folders and patterns.
        is_clip: says whether a named file or folder is a clip; a folder that is one is listed itself.

    Raises:
        InputError: a folder cannot be read, or folders were given and no picture is found.
    """
    places: dict[Path, tuple[Path, Path]] = {}  # resolved file -> the file as named, its place in the output
    clips: set[Path] = set()
    empty = []
    for path in (one for given in paths for one in _matching(Path(given))):
        if is_clip(path):
            clips.add(path)
            found = [(path, Path(os.path.abspath(path).rpartition(os.sep)[2] or "clip"))]  # of ".", too
        else:
            found = _in_folder(path) if os.path.isdir(path) else [(path, Path(path.name))]  # Path.is_dir may raise
        if not found:
            empty.append(path)
        for file, place in found:
            places.setdefault(Path(os.path.realpath(file)), (file, place))
    if empty and not places:
        raise InputError(f"There are no pictures ({', '.join(SUFFIXES)}) in {', '.join(map(str, empty))}.")
    listed = list(places.values())
    stems = Counter(_key(place.with_suffix("")) for _, place in listed)
    names = [place if stems[_key(place.with_suffix(""))] > 1 else place.with_suffix("") for _, place in listed]
    numbered = zip(listed, _numbered(names), strict=True)
    return [InputPhoto(file, name, file in clips) for (file, _), name in numbered], empty


def by_numbers(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts names by the numbers in them.

    >>> sorted(["10.jpg", "9.jpg"], key=by_numbers)
    ['9.jpg', '10.jpg']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(True, int(part), "") if part[0] in "0123456789" else (False, 0, part) for part in parts]


def _matching(path: Path) -> list[Path]:
    """The files and folders that a pattern stands for, sorted; the path itself if there are none."""
    if os.path.lexists(path) or not glob.has_magic(str(path)):
        return [path]
    return sorted(map(Path, glob.glob(str(path), recursive=True))) or [path]


def _in_folder(folder: Path) -> list[tuple[Path, Path]]:
    def refuse(error: OSError) -> None:
        raise InputError(f"The folder {error.filename} cannot be read: {(error.strerror or str(error)).lower()}.")

    found: list[Path] = []
    seen: set[str] = set()  # links may form a loop
    waiting = [folder]
    while waiting:
        for place, subfolders, files in os.walk(waiting.pop(0), onerror=refuse):
            if os.path.realpath(place) in seen:
                subfolders.clear()
                continue
            seen.add(os.path.realpath(place))
            subfolders[:] = sorted(name for name in subfolders if _is_for_pictures(name))
            # os.walk does not follow links by itself: they come last, after everything that is really here.
            waiting += [Path(place, name) for name in subfolders if os.path.islink(os.path.join(place, name))]
            found += [Path(place, name) for name in files if is_picture(name) and not _is_pipe(Path(place, name))]
    return sorted(((file, file.relative_to(folder)) for file in found), key=lambda pair: pair[1].parts)


def _is_for_pictures(folder: str) -> bool:
    return not folder.startswith(".") and not folder.endswith(RESULT_FOLDERS)


def is_picture(name: str) -> bool:
    """Whether a file in a folder is a picture by its name, and neither hidden nor a result of ESG."""
    lower = name.lower()
    return os.path.splitext(lower)[1] in SUFFIXES and not lower.startswith(".") and not lower.endswith(RESULT_SUFFIXES)


def _is_pipe(path: Path) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)  # reading a dangling link will report it


def _key(name: Path) -> str:
    return name.as_posix().casefold()


def _numbered(names: list[Path]) -> list[str]:
    # Unique names stay; the others get the lowest free number, and the first of them none if possible.
    often = Counter(map(_key, names))
    taken = {_key(name) for name in names if often[_key(name)] == 1}
    result = []
    for name in names:
        unique, number = name, 1
        while often[_key(name)] > 1 and _key(unique) in taken:
            number += 1
            unique = name.with_name(f"{name.name}-{number}")
        taken.add(_key(unique))
        result.append(unique.as_posix())
    return result
