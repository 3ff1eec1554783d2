"""Lists of names to look for: the categories of COCO and ADE20K, and the user's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..language.coco_names import EVERYDAY
from ..support.errors import InputError
from ..support.text_files import read_text
from .categories import Categories

_FOLDER = Path(__file__).parent.parent / "language"
KNOWN = {"coco": "coco_names.json", "ade20k": "ade20k_names.json"}
"""Lists that come with ESG: COCO's 133 panoptic categories (CC BY 4.0) and ADE20K's 150 (BSD 3-Clause)."""


@dataclass(frozen=True)
class NameList:
    """Categories, and the words with which a model is asked for them.

    Attributes:
        categories: names as in the data set, ids, and which of them are things.
        spoken: everyday names, such as "wall" for "wall-other-merged"; all are different.

    >>> names = NameList.read("coco")
    >>> len(names.spoken), names.categories.names[-1], names.spoken[-1], names.categories.things[-1]
    (133, 'rug-merged', 'rug', False)
    """

    categories: Categories
    spoken: tuple[str, ...]

    @classmethod
    def read(cls, source: str | Path | Iterable[Any]) -> NameList:
        """Reads a list of names.

        Args:
            source: "coco" or "ade20k"; a JSON file with COCO's "categories", or a text file with one name per line; or
                a list of names, or of objects as in COCO's "categories". Names without "isthing" are things.

        Raises:
            InputError: the file cannot be read or has no names, or two names are the same.
        """
        if isinstance(source, str) and source.lower() in KNOWN:
            rows = _rows(source.lower())
            categories = Categories(
                tuple(row["category"] for row in rows),
                tuple(row["thing"] for row in rows),
                tuple(row["id"] for row in rows),
            )
            return cls(categories, tuple(row["name"] for row in rows))
        if isinstance(source, (str, Path)) and Path(source).suffix.lower() != ".json":
            source = _lines(Path(source))
        categories = Categories.read(source)
        spoken = _spoken(categories.names)
        once: dict[str, str] = {}
        for name, words in zip(categories.names, spoken):
            if (other := once.setdefault(words.casefold(), name)) is not name:
                raise InputError(f"The list has the name {words!r} twice, for {other!r} and {name!r}; leave one out.")
        return cls(categories, spoken)


def _lines(path: Path) -> list[str]:
    if not path.exists():
        raise InputError(f"There is no list of names {str(path)!r}; give {', '.join(KNOWN)} or a file.")
    names = [" ".join(line.split()) for line in read_text(path).splitlines()]
    names = [name for name in names if name]
    if not names:
        raise InputError(f"{path} has no names; write one per line.")
    return names


def _rows(name: str) -> list[Mapping[str, Any]]:
    return json.loads((_FOLDER / KNOWN[name]).read_text(encoding="utf-8"))


def _spoken(names: tuple[str, ...]) -> tuple[str, ...]:
    """Everyday names; those of the data set if all of the names are from it, else their first synonym."""
    for known in (EVERYDAY, {row["category"]: row["name"] for row in _rows("ade20k")}):
        if all(name in known for name in names):
            return tuple(known[name] for name in names)
    return tuple(name.split(",")[0].strip() or name for name in names)
