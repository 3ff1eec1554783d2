"""Shards: the parts that a run is divided into. Each is computed by one worker and written in one piece."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count

LEAST, MOST = 16, 1000  # photos per shard, for many photos


@dataclass(frozen=True)
class Source:
    """A picture, or an archive of pictures, that a run was given.

    Attributes:
        photo: absolute path or URL; it identifies the source in later runs.
        name: relative path for results, without suffix, unique in the run.
        kind: "picture", "tar" or "parquet".
        rows: number of pictures in each part of a Parquet file that can be read alone; empty for other kinds.
        column: the column of a Parquet file that holds the pictures.
    """

    photo: str
    name: str
    kind: str = "picture"
    rows: tuple[int, ...] = ()
    column: str = ""


@dataclass(frozen=True)
class Shard:
    """A part of a run.

    Attributes:
        number: its place in the plan; its files are named after it.
        sources: pictures, or one archive.
        groups: first and last + 1 of the row groups of a Parquet file.
        key: short hash of the sources and the settings. A worker of an earlier, other run that is still dying can
            therefore not write the files of this one.
    """

    number: int
    sources: tuple[Source, ...]
    groups: tuple[int, int] = (0, 0)
    key: str = ""

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"part-{self.number:06d}-{self.key}"

    def with_key(self, settings: str) -> Shard:
        """The shard with its key for these settings."""
        return replace(self, key=sha256((self.to_json() + settings).encode()).hexdigest()[:8])

    @property
    def photos(self) -> int | None:
        """The number of pictures; None for a tar, which is not opened before its turn."""
        kind = self.sources[0].kind
        if kind == "picture":
            return len(self.sources)
        return sum(self.sources[0].rows[slice(*self.groups)]) if kind == "parquet" else None

    def to_json(self) -> str:
        """The shard in one line."""
        content = vars(self) | {"sources": [vars(source) for source in self.sources]}  # `asdict` is ten times slower
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Shard:
        """The inverse of `to_json`."""
        content = json.loads(text)
        sources = tuple(Source(**{**one, "rows": tuple(one["rows"])}) for one in content["sources"])
        return cls(content["number"], sources, (content["groups"][0], content["groups"][1]), content["key"])


def unique(sources: Iterable[Source], taken: Iterable[str]) -> list[Source]:
    """The sources, each photo once and with numbers after names that occur again, in `taken` or in the list."""
    photos: set[str] = set()
    names = {name.casefold() for name in taken}
    result = []
    for source in sources:
        if source.photo in photos:
            continue
        name, number = source.name, 1
        while name.casefold() in names:
            number += 1
            name = f"{source.name}-{number}"
        photos.add(source.photo)
        names.add(name.casefold())
        result.append(source if name == source.name else replace(source, name=name))
    return result


def photos_per_shard(photos: int, workers: int) -> int:
    """The number of photos in a shard: a thousandth of all, but at least four shards for each worker.

    A larger shard makes fewer files; a smaller one loses less work when a machine dies.
    """
    usual = min(max(photos // 1000, LEAST), MOST)
    return max(1, min(usual, math.ceil(photos / (4 * workers))))


def divide(sources: Sequence[Source], size: int, first: int = 0) -> list[Shard]:
    """Divides sources into shards, numbered from `first`.

    Pictures are put together, `size` in each shard. A tar is a shard of its own, because it is read from its beginning
    to its end. A Parquet file is divided between its row groups.
    """
    numbers = count(first)
    pictures = [source for source in sources if source.kind == "picture"]
    shards = [Shard(next(numbers), tuple(pictures[start : start + size])) for start in range(0, len(pictures), size)]
    for source in sources:
        if source.kind == "tar":
            shards.append(Shard(next(numbers), (source,)))
        elif source.kind == "parquet":
            shards += [Shard(next(numbers), (source,), groups) for groups in _groups(source.rows, size)]
    return shards


def _groups(rows: Iterable[int], size: int) -> Iterator[tuple[int, int]]:
    """Ranges of row groups of at least `size` rows each; the last one may be smaller."""
    start, held, stop = 0, 0, 0
    for stop, number in enumerate(rows, start=1):
        held += number
        if held >= size:
            yield start, stop
            start, held = stop, 0
    if held:
        yield start, stop
