"""Reads the pictures of a shard one after the other, a few ahead, so that never more than a few are in memory."""

from __future__ import annotations

import tarfile
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, TypeVar

from ..pictures.listing import SUFFIXES
from ..support.errors import ImageError, InputError
from .places import filesystem, is_url
from .shards import Shard, Source

if TYPE_CHECKING:
    import numpy as np

AHEAD = 3  # pictures that are decoded while one is segmented
_ROWS = 8  # of a Parquet file that are read together

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A picture of a shard.

    Attributes:
        photo: path or URL; for a picture in an archive, that of the archive, "#", and the member or the row number.
        name: relative path for results, without suffix.
        data: the content of its file; None: it is read from `photo`, or from `place`.
        place: path or URL to read instead of `photo`; empty for most.
        problem: why it cannot be read, if that is known already.
    """

    photo: str
    name: str
    data: bytes | None = None
    place: str = ""
    problem: str = ""


def entries(shard: Shard) -> Iterator[Entry]:
    """The pictures of a shard, in the same order every time. A broken archive ends with an entry that has a problem."""
    source = shard.sources[0]
    if source.kind == "picture":
        yield from (Entry(one.photo, one.name) for one in shard.sources)
        return
    read = _tar if source.kind == "tar" else _parquet
    found = 0
    try:
        for entry in read(source, shard.groups):
            yield entry
            found += 1
    except Exception as error:  # file systems and decoders have errors of their own
        reason = str(error).rstrip(".") or type(error).__name__
        pictures = "1 picture" if found == 1 else f"{found} pictures"
        said = f"{source.photo} cannot be read beyond its first {pictures} ({reason})."
        yield Entry(source.photo, source.name, problem=said)


def pixels_of(entry: Entry, max_pixels: int) -> np.ndarray:
    """The pixels of a picture, (H, W, 3) uint8.

    Raises:
        ImageError: it cannot be used.
    """
    from ..pictures.reading import read_image

    if entry.problem:
        raise ImageError(entry.problem)
    place = entry.place or entry.photo
    if entry.data is None and not is_url(place):
        return read_image(place, max_pixels=max_pixels)
    data = entry.data
    if data is None:
        try:
            with opened(place) as file:
                data = file.read()
        except OSError as error:
            raise ImageError(f"{place} cannot be read: {(error.strerror or str(error)).rstrip('.').lower()}.") from None
    # A file, because the readers of some formats go through it several times.
    with tempfile.TemporaryDirectory(prefix="esg-") as folder:
        path = Path(folder, "picture")
        path.write_bytes(data)
        try:
            return read_image(path, max_pixels=max_pixels)
        except ImageError as error:
            raise error.renamed(path, entry.photo) from None


def read_ahead(
    items: Iterator[Entry], load: Callable[[Entry], T], ahead: int = AHEAD
) -> Iterator[tuple[Entry, Callable[[], T]]]:
    """Pairs of a picture and a function that returns what `load` returned for it, or raises its error.

    Pictures are loaded in another thread while the caller works on an earlier one, at most `ahead` of them. With 0,
    each is loaded by its function.
    """
    if not ahead:
        for item in items:
            yield item, lambda item=item: load(item)  # type: ignore[misc]
        return
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        waiting: deque[tuple[Entry, Future[T]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(load, item)))
            if len(waiting) > ahead:
                done, future = waiting.popleft()
                yield done, future.result
        for done, future in waiting:
            yield done, future.result


@contextmanager
def opened(place: str) -> Iterator[IO[bytes]]:
    """A file or the object at a URL, opened for reading."""
    if not is_url(place):
        with Path(place).open("rb") as file:
            yield file
        return
    system, path = filesystem(place)
    with system.open(path, "rb") as file:
        yield file


@contextmanager
def parquet_file(place: str) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile`; InputError if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with opened(place) as file:
            yield pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{place} cannot be read as Parquet: {reason}.") from None


def _tar(source: Source, _: tuple[int, int]) -> Iterator[Entry]:
    names: set[str] = set()
    with opened(source.photo) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if not member.isfile() or path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            content = archive.extractfile(member)
            stem = "/".join(part for part in path.with_suffix("").parts if part not in ("/", "..", "."))
            name = stem if stem.casefold() not in names else stem + path.suffix.replace(".", "-")
            names.add(name.casefold())
            yield Entry(f"{source.photo}#{member.name}", f"{source.name}/{name}", content.read() if content else b"")


def _parquet(source: Source, groups: tuple[int, int]) -> Iterator[Entry]:
    row = sum(source.rows[: groups[0]])
    with parquet_file(source.photo) as file:
        for part in file.iter_batches(_ROWS, row_groups=list(range(*groups)), columns=[source.column]):
            for value in part.column(0).to_pylist():
                photo, name = f"{source.photo}#{row}", f"{source.name}/{row:08d}"
                if isinstance(value, dict):  # Hugging Face's {bytes, path}
                    value = value["bytes"] or value.get("path")
                if not value:
                    yield Entry(photo, name, problem=f"{photo} is empty.")
                elif isinstance(value, str):
                    beside = value if is_url(value) else f"{source.photo.rpartition('/')[0]}/{value}"
                    yield Entry(photo, name, place=value if value.startswith("/") else beside)
                else:
                    yield Entry(photo, name, value)
                row += 1
