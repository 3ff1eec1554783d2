"""Everyday names of the 133 categories of COCO panoptic, and their synonyms.

Some COCO names are not English that people use ("wall-other-merged"), and COCO knows only "person" where people say
"woman". The model learns the everyday name; synonyms are read as that name (see `known_words`). The words are in
`coco_names.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_ROWS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))

EVERYDAY: dict[str, str] = {row["category"]: row["name"] for row in _ROWS}
"""The everyday name of each category."""

NAMES: tuple[str, ...] = tuple(EVERYDAY.values())

ALSO: dict[str, tuple[str, ...]] = {row["name"]: tuple(row["also"]) for row in _ROWS if "also" in row}
"""More general names that are also true."""

ARGUABLE: dict[str, tuple[str, ...]] = {row["name"]: tuple(row["arguable"]) for row in _ROWS if "arguable" in row}
"""Debatable names, which never count as wrong."""

THINGS = frozenset(row["name"] for row in _ROWS if row["thing"])
"""The names of things that can be counted; the others are of stuff such as grass, and of parts of buildings."""

SYNONYMS: dict[str, str] = {other: row["name"] for row in _ROWS for other in row["synonyms"]}
"""The everyday name for each synonym, in the singular."""

SHAPES: dict[str, str] = {
    "circle": "disc",
    "square": "box",
    "rectangle": "box",
    "cube": "box",
    "oval": "ellipse",
    "blotch": "spot",
    "stripe": "strip",
    "woods": "forest",
    "banister": "railing",
}
"""Synonyms of the nouns in synthetic scenes (`esg.data.narration.words`)."""

UNCOUNTED = frozenset(
    [
        "sky",
        "grass",
        "water",
        "sea",
        "sand",
        "snow",
        "dirt",
        "gravel",
        "pavement",
        "paper",
        "food",
        "fruit",
        "broccoli",
        "cardboard",
        "trees",
        "stairs",
        "scissors",
        "skis",
        "ceiling",
        "floor",
    ]
)
"""Names that have the same form for one and for several."""

_IRREGULAR = {"person": "people", "knife": "knives", "shelf": "shelves", "computer mouse": "computer mice"}
_IRREGULAR |= {"sheep": "sheep"}
_MOST_NAMED = 6  # maximum number of names in a description
_LEAST_SHARE = 0.01  # minimum share of the image's area for a name to be in a description
_PART = 0.2  # an entity smaller than this share of the largest one of its name is likely to be a part of it
COUNTS = ("two", "three", "four")


def plural(name: str) -> str:
    """The plural of an everyday name, such as "wine glasses"; uncountable names are returned unchanged."""
    if name in UNCOUNTED:
        return name
    return _IRREGULAR.get(name) or name + ("es" if name.endswith(("x", "ch", "sh", "s")) else "s")


_SINGULAR = {plural(name): name for name in NAMES}


def counted(name: str, number: int) -> str:
    """ "dog", "two dogs", "several dogs"; uncountable names are returned unchanged."""
    if number == 1 or name in UNCOUNTED:
        return name
    return f"{COUNTS[number - 2] if number <= 4 else 'several'} {plural(name)}"


def without_count(name: str) -> str:
    """The inverse of `counted`: "dog" for "two dogs"."""
    first, _, rest = name.partition(" ")
    return _SINGULAR.get(rest, name) if first in COUNTS or first == "several" else name


def counted_names(names: Sequence[str], areas: Sequence[int] | np.ndarray, picture: int) -> list[str]:
    """The names that a description can mention, largest total area first: "person", "two dogs", "grass".

    Args:
        names: names of all entities that have one.
        areas: their areas in pixels.
        picture: area of the image in pixels.
    """
    total: dict[str, int] = {}
    for name, area in zip(names, areas):
        total[name] = total.get(name, 0) + int(area)
    order = sorted((name for name in total if total[name] >= _LEAST_SHARE * picture), key=lambda name: -total[name])
    listed = list(names)
    return [counted(name, listed.count(name)) for name in order[:_MOST_NAMED]]


def without_parts(names: Sequence[str], areas: Sequence[int] | np.ndarray) -> list[int]:
    """The indices of the entities that are large enough not to be a part of another one of their name.

    A segmenter that splits a cat into body and ear has not found two cats.

    >>> without_parts(["cat", "cat", "sofa"], [5000, 400, 300])
    [0, 2]
    """
    largest: dict[str, int] = {}
    for name, area in zip(names, areas):
        largest[name] = max(largest.get(name, 0), int(area))
    return [index for index, (name, area) in enumerate(zip(names, areas)) if area >= _PART * largest[name]]
