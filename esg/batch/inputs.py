"""Lists the pictures and the archives of pictures that a run was given."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..pictures.listing import SUFFIXES, by_numbers, list_images
from ..support.errors import InputError
from .layouts import is_label_place
from .places import filesystem, is_url
from .shards import Source, unique

TARS = (".tar", ".tar.gz", ".tgz")
_OURS = ("entities/", "errors/", "_esg/")  # folders of an output folder
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_IMAGE_NAMES = ("image", "img", "photo", "picture", "jpg", "png", "image_bytes", "bytes")


def list_sources(
    inputs: Iterable[str], *, out: str = "", stride: int = 1, image_column: str | None = None
) -> list[Source]:
    """Lists pictures and archives, each once.

    An input is a file, a folder, a pattern, a URL of any of these, or @FILE, a text file that lists inputs, one in each
    line. In folders and their subfolders, pictures, tars and Parquet files are found, but not the results of earlier
    runs. WebDataset's ranges such as photos-{000..099}.tar are understood.

    Args:
        inputs: the inputs.
        out: the output folder; results in it are not inputs.
        stride: takes every n-th picture of each folder, in the order of the numbers in their names.
        image_column: the column of Parquet files that holds pictures; None: it is found by its name and type.

    Raises:
        InputError: an input does not exist or cannot be read, or nothing is found.
    """
    given = [one for text in inputs for one in _expanded(text)]
    local = [one for one in given if not is_url(one)]
    pictures, archives = _local(local, out)
    for url in (one for one in given if is_url(one)):
        found = list(_remote(url))
        pictures += [pair for pair in found if _kind(pair[0]) == "picture"]
        archives += [pair for pair in found if _kind(pair[0]) != "picture"]
    pictures = every_nth(pictures, stride)
    sources = [Source(photo, name) for photo, name in pictures]
    for photo, name in archives:
        source = Source(photo, name, _kind(photo))
        sources.append(_with_rows(source, image_column) if source.kind == "parquet" else source)
    if not sources:
        raise InputError(f"There are no pictures, tars or Parquet files in {', '.join(map(str, given)) or 'the list'}.")
    return unique(sources, ())


def every_nth(pictures: list[tuple[str, str]], stride: int) -> list[tuple[str, str]]:
    """Every n-th of the pictures (photo, name) of each folder, in the order of the numbers in their names.

    >>> every_nth([("10.jpg", "10"), ("9.jpg", "9"), ("11.jpg", "11")], 2)
    [('9.jpg', '9'), ('11.jpg', '11')]
    """
    if stride == 1:
        return pictures
    folders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for photo, name in pictures:
        folders[photo.rpartition("/")[0]].append((photo, name))
    return [
        pair
        for folder in folders.values()
        for pair in sorted(folder, key=lambda pair: by_numbers(pair[0].rpartition("/")[2]))[::stride]
    ]


def _expanded(text: str) -> Iterator[str]:
    """The inputs that a text stands for."""
    if text.startswith("@"):
        try:
            lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise InputError(f"The list {text[1:]} cannot be read: {reason.lower()}.") from None
        for line in lines:
            if line.strip():
                yield from _expanded(line.strip())
        return
    found = _RANGE.search(text)
    if found is None:
        yield text
        return
    first, last = found[1], found[2]
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{text[: found.start()]}{number:0{len(first)}d}{text[found.end() :]}")


def _kind(photo: str) -> str:
    lower = photo.lower()
    if lower.endswith(TARS):
        return "tar"
    return "parquet" if lower.endswith(".parquet") else "picture"


def _local(given: list[str], out: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The (absolute path, name) of pictures and of archives on this machine."""
    named: list[str] = []
    folders: list[str] = []
    for path in given:
        found = [path] if os.path.lexists(path) else sorted(glob.glob(path, recursive=True))
        if not found:
            raise InputError(f"{path} does not exist; give a picture, a folder, a pattern, an archive or a URL.")
        for one in found:
            (folders if os.path.isdir(one) else named).append(one)
    archives = [(os.path.abspath(path), Path(path).name) for path in named if _kind(path) != "picture"]
    archives += [pair for folder in folders for pair in _archives_in(folder)]
    kept = [(photo, _stem(name)) for photo, name in archives if not _is_result(photo, out)]
    looked_at = [path for path in named if _kind(path) == "picture"] + folders
    try:
        images = list_images(looked_at)[0] if looked_at else []
    except InputError:
        if not kept:
            raise
        images = []  # the folders hold only archives
    pictures = [(os.path.abspath(image.path), image.name) for image in images]
    return [pair for pair in pictures if not _is_result(pair[0], out)], kept


def _archives_in(folder: str) -> Iterator[tuple[str, str]]:
    for place, subfolders, files in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            if _kind(name) != "picture" and not name.startswith("."):
                path = os.path.join(place, name)
                yield os.path.abspath(path), os.path.relpath(path, folder).replace(os.sep, "/")


def _is_result(photo: str, out: str) -> bool:
    """Whether a file is the result of an earlier run; the output folder may also contain pictures."""
    if not out or is_url(out) or not Path(photo).is_relative_to(os.path.abspath(out)):
        return False
    path = Path(photo).relative_to(os.path.abspath(out)).as_posix()
    return path.startswith(_OURS) or is_label_place(path)


def _remote(url: str) -> Iterator[tuple[str, str]]:
    """The (URL, name) of pictures and archives at a URL."""
    system, path = filesystem(url)
    try:
        if glob.has_magic(path):
            found, base = sorted(system.glob(path)), ""
        elif system.isdir(path):
            found, base = sorted(system.find(path)), path.rstrip("/") + "/"
        else:
            found, base = [path], ""
    except Exception as error:  # each file system has errors of its own, for missing rights, hosts and folders
        raise InputError(f"{url} cannot be listed: {str(error).rstrip('.') or type(error).__name__}.") from None
    for one in found:
        name = one.removeprefix(base) if base else PurePosixPath(one).name
        picture = PurePosixPath(one).suffix.lower() in SUFFIXES
        if one == path or picture or _kind(one) != "picture":
            yield system.unstrip_protocol(one), _stem(name)


def _stem(name: str) -> str:
    """A name without the suffix of a picture or an archive."""
    lower = name.lower()
    ending = next((one for one in (*TARS, ".parquet") if lower.endswith(one)), PurePosixPath(name).suffix)
    return name[: len(name) - len(ending)]


def _with_rows(source: Source, column: str | None) -> Source:
    """A Parquet source with the sizes of its row groups and its column of pictures; only its end is read."""
    from .reading import parquet_file

    with parquet_file(source.photo) as file:
        rows = tuple(file.metadata.row_group(number).num_rows for number in range(file.num_row_groups))
        return replace(source, rows=rows, column=_image_column(file.schema_arrow, column, source.photo))


def _image_column(schema: Any, wanted: str | None, name: str) -> str:
    """The column of pictures: bytes, or Hugging Face's {bytes, path}; a named column may also hold paths and URLs."""
    import pyarrow as pa

    def holds_bytes(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    if wanted is not None:
        if wanted not in schema.names:
            raise InputError(f"{name} does not have the column {wanted}; it has {', '.join(schema.names)}.")
        kind = schema.field(wanted).type
        if not (holds_bytes(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(f"The column {wanted} of {name} holds {kind}, not pictures, paths or URLs.")
        return wanted
    possible = [field.name for field in schema if holds_bytes(field.type)]
    known = [one for one in possible if one.lower() in _IMAGE_NAMES]
    if len(possible) == 1 or known:
        return (known or possible)[0]
    raise InputError(
        f"{name} has {'several columns' if possible else 'no column'} of bytes; name the one that holds the pictures "
        f"with --image-column: {', '.join(possible or schema.names)}."
    )
