"""YOLO's labels for segmentation: a text file for each photo, a line for each outline, as fractions of the picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...support.text_files import decoded_text, read_text
from ..rle import Rle
from .canvas import Canvas
from .fields import Unusable, number, points
from .items import NO_MASK, Item, Picture

if TYPE_CHECKING:
    from ..entity_map import EntityMap

_BOX = (4, 5)  # numbers after the class: centre and size, and maybe a score
_BEYOND = 1.5  # from here on a coordinate is no fraction of the picture; what an outline overshoots is less


def looks_like_yolo(head: bytes) -> bool:
    """Whether the first line of a file that is no comment is a class and at least four numbers."""
    lines = _lines(decoded_text(head))
    words = lines[0][1] if lines else []
    return len(words) >= 5 and all(number(word) is not None for word in words[1:5])


def read(path: Path) -> Picture:
    """The picture of a file, which does not say what it is called or how large it is.

    Raises:
        InputError: the file cannot be read.
    """
    lines = _lines(read_text(path))
    return Picture((), None, lambda: [_item(place, words) for place, words in lines])


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """The number and the words of each line, which may have commas between them; without empty lines and comments."""
    lines = enumerate(text.splitlines(), start=1)
    return [(place, words) for place, line in lines if (words := line.replace(",", " ").split()) and words[0][0] != "#"]


def yolo_text(entities: EntityMap) -> str:
    """A map as YOLO's labels: one line an entity, all of class 0; pieces and holes are joined by seams."""
    lines = []
    for polygons in entities.to_polygons():
        outline = _joined(polygons) / (entities.width, entities.height)
        lines.append(" ".join(["0", *(f"{value:.6f}".rstrip("0").rstrip(".") for value in outline.ravel())]) + "\n")
    return "".join(lines)


def _item(place: int, words: list[str]) -> Item:
    words = words[1:]  # the first is the class
    # An even number of numbers after the class is an outline; one more is the score that a prediction ends with.
    certain = number(words[-1]) if len(words) % 2 and len(words) > len(_BOX) + 2 else None
    return Item(
        f"line {place}",
        partial(_draw, words[: len(words) - len(words) % 2] if len(words) > max(_BOX) else words),
        None if certain is None else lambda: certain,
    )


def _draw(words: list[str], canvas: Canvas) -> Rle:
    if len(words) in _BOX:
        raise Unusable(NO_MASK)
    corners = points(words)
    if len(corners) and np.abs(corners).max() > _BEYOND:
        raise Unusable("has coordinates that are no fractions of the picture")
    height, width = canvas.size
    return canvas.polygons([corners * (width, height)])


def _joined(polygons: list[np.ndarray]) -> np.ndarray:
    """One outline of several, joined from corner to nearest corner by seams that are drawn there and back."""
    whole = polygons[0]
    for other in polygons[1:]:
        distances = np.abs(whole[:, None] - other[None]).sum(axis=2) if len(whole) * len(other) < 1 << 22 else None
        here, there = (0, 0) if distances is None else np.unravel_index(distances.argmin(), distances.shape)
        turned = np.roll(other, -int(there), axis=0)
        whole = np.concatenate([whole[: here + 1], turned, turned[:1], whole[here:]])
    return whole
