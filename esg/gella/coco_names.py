"""The 133 categories of COCO panoptic in everyday words, and what else people call them.

COCO names stuff as nobody would ("wall-other-merged"), and knows a person where people see a woman. A model learns the
everyday name; other words are read as the name that they stand for (see `known_words`). The words are in
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
"""More general names that are true, too."""

ARGUABLE: dict[str, tuple[str, ...]] = {row["name"]: tuple(row["arguable"]) for row in _ROWS if "arguable" in row}
"""Names that one may argue about: nothing is asked of them."""

SYNONYMS: dict[str, str] = {other: row["name"] for row in _ROWS for other in row["synonyms"]}
"""Other words, in the singular, and the everyday name that each of them stands for."""

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
"""Other words for the nouns of synthetic scenes (`esg.data.telling.words`)."""

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
"""Names that are said in one form."""

_IRREGULAR = {"person": "people", "knife": "knives", "shelf": "shelves", "computer mouse": "computer mice"}
_IRREGULAR |= {"sheep": "sheep"}
_MOST_NAMED = 6  # names in a description
_LEAST_SHARE = 0.01  # of the picture, for what a description names
COUNTS = ("two", "three", "four")


def plural(name: str) -> str:
    """The plural of an everyday name: "wine glasses"; what is not counted stays as it is."""
    if name in UNCOUNTED:
        return name
    return _IRREGULAR.get(name) or name + ("es" if name.endswith(("x", "ch", "sh", "s")) else "s")


def counted(name: str, number: int) -> str:
    """ "dog", "two dogs", "several dogs"; what is not counted stays as it is."""
    if number == 1 or name in UNCOUNTED:
        return name
    return f"{COUNTS[number - 2] if number <= 4 else 'several'} {plural(name)}"


def counted_names(names: Sequence[str], areas: Sequence[int] | np.ndarray, picture: int) -> list[str]:
    """What a description of a picture can name, the largest first: "person", "two dogs", "grass".

    Args:
        names: of all entities that have one.
        areas: of the same entities, in pixels.
        picture: its area in pixels.
    """
    total: dict[str, int] = {}
    for name, area in zip(names, areas):
        total[name] = total.get(name, 0) + int(area)
    order = sorted((name for name in total if total[name] >= _LEAST_SHARE * picture), key=lambda name: -total[name])
    listed = list(names)
    return [counted(name, listed.count(name)) for name in order[:_MOST_NAMED]]
