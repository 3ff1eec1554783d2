"""YOLO's labels for segmentation: a text file for each photo, a line for each outline, as fractions of the picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..rle import Rle
from .canvas import Canvas
from .fields import Unusable, number, points
from .items import NO_MASK, Item, Picture

if TYPE_CHECKING:
    from ..entities import EntityMap

_BOX = (4, 5)  # numbers after the class: centre and size, and maybe a score
_BEYOND = 1.5  # from here on a coordinate is no fraction of the picture; what an outline overshoots is less


def looks_like_yolo(head: bytes) -> bool:
    """Whether a file begins with a line of a class and at least four numbers, or of a class and nothing."""
    line = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    return len(line.split()) >= 5 and all(
        number(word.decode("ascii", "replace")) is not None for word in line.split()[:5]
    )


def read(path: Path) -> Picture:
    """The picture of a file, which does not say what it is called or how large it is.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except ValueError:
        raise InputError(f"{path} is no text of YOLO's labels.") from None
    return Picture(
        (),
        None,
        lambda: [_item(place, line) for place, line in enumerate(lines, start=1) if line.strip()],
    )


def yolo_text(entities: EntityMap) -> str:
    """A map as YOLO's labels: one line an entity, all of class 0; pieces and holes are joined by seams."""
    lines = []
    for polygons in entities.to_polygons():
        outline = _joined(polygons) / (entities.width, entities.height)
        lines.append(" ".join(["0", *(f"{value:.6f}".rstrip("0").rstrip(".") for value in outline.ravel())]) + "\n")
    return "".join(lines)


def _item(place: int, line: str) -> Item:
    words = line.replace(",", " ").split()[1:]  # the first is the class
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
