"""YOLO's labels for segmentation: a text file per photo, a line per outline, in fractions of the picture."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...support.text_files import decoded_text, read_text
from ..rle import Rle
from .canvas import Canvas
from .fields import Unusable, number, points, shown
from .items import NO_MASK, Item, Picture

if TYPE_CHECKING:
    from ..entity_map import EntityMap

_BOX = (4, 5)  # numbers after the class: centre, size, and possibly a score
_CLEARLY = 1.1  # how many times rounder outlines must be to be the right ones
_BEYOND = 1.5  # a coordinate this large is not a fraction of the picture; outlines overshoot by less

Line = tuple[int, list[str]]  # its number in the file, and its words without the class


def looks_like_yolo(head: bytes) -> bool:
    """Whether one of the first lines of a file is a class and at least four numbers, or all of them are blank."""
    text = decoded_text(head)
    lines = _lines(text)
    return not text.strip() or any(
        len(words) >= 4 and all(number(word) is not None for word in words[:4]) for _, words in lines
    )


def read(path: Path) -> Picture:
    """The picture of a file, which says neither its name nor its size.

    Raises:
        InputError: the file cannot be read.
    """
    lines = _lines(read_text(path))
    if _end_with_ids(lines):
        lines = [(place, words[:-1]) for place, words in lines]
    first = _scores_come_first(lines)
    return Picture((), None, lambda: [_item(place, words, first) for place, words in lines])


def yolo_text(entities: EntityMap) -> str:
    """A map as YOLO's labels: one line per entity, all of class 0; pieces and holes are joined by seams."""
    lines = []
    for polygons in entities.to_polygons():
        outline = _joined(polygons) / (entities.width, entities.height)
        lines.append(" ".join(["0", *(f"{value:.6f}".rstrip("0").rstrip(".") for value in outline.ravel())]) + "\n")
    return "".join(lines)


def _lines(text: str) -> list[Line]:
    """The lines except for blank ones and comments; their words may have commas or semicolons between them."""
    words = (
        (place, re.split(r"[\s,;]+", line.strip(" \t,;"))) for place, line in enumerate(text.splitlines(), start=1)
    )
    return [(place, some[1:]) for place, some in words if some[0] and some[0][0] != "#"]


def _has_score(words: list[str]) -> bool:
    """Whether a line has an outline, which has an even number of coordinates, and one number more."""
    return len(words) % 2 == 1 and len(words) > max(_BOX)


def _end_with_ids(lines: list[Line]) -> bool:
    """Whether every outline ends with a score and then the number of a track, as trackers write them."""
    outlines = [words for _, words in lines if len(words) > max(_BOX)]
    tracked = all(len(words) % 2 == 0 and words[-1].isdecimal() for words in outlines)
    return tracked and any(int(words[-1]) > _BEYOND for words in outlines)


def _scores_come_first(lines: list[Line]) -> bool:
    """Whether the scores of a file are in front of the outlines instead of behind them.

    If a score is taken for a coordinate, x and y are exchanged and one point is far from the others, so the outlines
    of the right reading are rounder and shorter. In doubt, the scores are behind, where Ultralytics writes them.
    """
    first = last = 0.0
    for _, words in lines:
        if _has_score(words):
            first, last = first + _compactness(words[1:]), last + _compactness(words[:-1])
    return first > _CLEARLY * last


def _compactness(words: list[str]) -> float:
    """The area of an outline, divided by the third power of its perimeter; 0 if it is not an outline."""
    try:
        corners = points(words)
    except Unusable:
        return 0.0
    x, y = corners.T
    following = np.roll(corners, -1, axis=0)
    length = float(np.hypot(*(following - corners).T).sum())
    return abs(float((x * following[:, 1] - y * following[:, 0]).sum())) / length**3 if length else 0.0


def _item(place: int, words: list[str], score_first: bool) -> Item:
    certain = None
    if _has_score(words):
        score, words = (words[0], words[1:]) if score_first else (words[-1], words[:-1])
        certain = partial(_score, score)
    return Item(f"line {place}", partial(_draw, words), certain)


def _score(word: str) -> float:
    found = number(word)
    if found is None:
        raise Unusable(f"has {shown(word)} as its score")
    return found


def _draw(words: list[str], canvas: Canvas) -> Rle:
    if len(words) in _BOX:
        raise Unusable(NO_MASK)
    corners = points(words)
    if len(corners) and np.abs(corners).max() > _BEYOND:
        raise Unusable("has coordinates that are not fractions of the picture, 0 to 1")
    height, width = canvas.size
    return canvas.polygons([corners * (width, height)])


def _joined(polygons: list[np.ndarray]) -> np.ndarray:
    """Several outlines as one, joined from corner to nearest corner by seams that are drawn there and back."""
    whole = polygons[0]
    for other in polygons[1:]:
        distances = np.abs(whole[:, None] - other[None]).sum(axis=2) if len(whole) * len(other) < 1 << 22 else None
        here, there = (0, 0) if distances is None else np.unravel_index(distances.argmin(), distances.shape)
        turned = np.roll(other, -int(there), axis=0)
        whole = np.concatenate([whole[: here + 1], turned, turned[:1], whole[here:]])
    return whole
