"""Finds entities by points and boxes, given as objects or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from reprlib import repr as short
from typing import Any, TypeAlias

import numpy as np

from ..support.errors import InputError
from ..support.strips import strips
from .entity_map import EntityMap

Data: TypeAlias = "int | Mapping[str, Any] | Iterable[int | Mapping[str, Any]]"


def ids_at(entities: EntityMap, points: str | Data) -> list[int]:
    """The ids under points, in ascending order; points outside the picture or on background choose nothing.

    Args:
        entities: the map to choose from.
        points: a dict with "x" and "y" in pixels from the top left corner, a list of such dicts, or JSON of them. A
            point with "label" 0 removes the entity under it, wherever it is in the list.

    Raises:
        InputError: these are not points.

    >>> import numpy as np
    >>> entities = EntityMap.from_labels(np.array([[1, 1, 2], [1, 1, 2]]))
    >>> ids_at(entities, '[{"x": 2, "y": 0}]')
    [2]
    """
    added, taken = under(entities, listed(points))
    return sorted(added - taken)


def ids_in_boxes(entities: EntityMap, boxes: str | Data, *, min_fraction: float = 0.5) -> list[int]:
    """The ids that lie in at least one of the boxes, in ascending order.

    Args:
        entities: the map to choose from.
        boxes: a dict with "x", "y", "width" and "height" in pixels, a list of such dicts, or JSON of them; a pixel is
            in a box if its centre is, and other keys are ignored.
        min_fraction: the fraction of its area, 0..1, that an entity must have in a single box.

    Raises:
        InputError: these are not boxes.

    >>> import numpy as np
    >>> entities = EntityMap.from_labels(np.array([[1, 1, 2], [1, 1, 2]]))
    >>> ids_in_boxes(entities, {"x": 2, "y": 0, "width": 1, "height": 2})
    [2]
    """
    return sorted(boxed(entities, listed(boxes), min_fraction))


def under(entities: EntityMap, points: list[Any]) -> tuple[set[int], set[int]]:
    """The ids under points, and those under points with label 0."""
    added: set[int] = set()
    taken: set[int] = set()
    for point in points:
        x, y = _numbers(point, ("x", "y"), "A point")
        (taken if point.get("label", 1) == 0 else added).add(entities.at(x, y))
    return added - {0}, taken - {0}


def boxed(entities: EntityMap, boxes: list[Any], min_fraction: float) -> set[int]:
    if not 0 <= min_fraction <= 1:
        raise InputError(f"The part of an entity that must lie in a box is a number from 0 to 1, not {min_fraction}.")
    found: set[int] = set()
    for box in boxes:
        x, y, width, height = _numbers(box, ("x", "y", "width", "height"), "A box")
        if width < 0 or height < 0:
            raise InputError(f"A box cannot have a negative width or height: {short(dict(box))}.")
        x0, x1 = _first_centre(x, entities.width), _first_centre(x + width, entities.width)
        y0, y1 = _first_centre(y, entities.height), _first_centre(y + height, entities.height)
        found.update(entities.in_box(x0, y0, x1, y1, min_fraction=min_fraction))
    return found


def _first_centre(edge: float, size: int) -> int:
    """The first pixel of a row whose centre is not before an edge."""
    return int(min(max(np.ceil(edge - 0.5), 0), size))


def nearest(entities: EntityMap, x: float, y: float) -> list[int]:
    """The entity at a point, or else that of the nearest pixel with one; empty on an empty map."""
    if under := entities.at(x, y):
        return [under]
    least, nearest = np.inf, []
    for rows in strips(entities.height, entities.width):
        block = entities.labels[rows]
        row, column = np.nonzero(block)
        distance = (row + (rows.start + 0.5 - y)) ** 2 + (column + (0.5 - x)) ** 2
        if len(distance) and distance.min() < least:
            first = distance.argmin()
            least, nearest = distance[first], [int(block[row[first], column[first]])]
    return nearest


def listed(data: str | Data) -> list[Any]:
    """The items of a list or of JSON; a single item counts as a list of one."""
    if isinstance(data, str):
        text = data.strip()
        data, end = read_json(text, 0) if text else ([], 0)
        if end < len(text):
            raise InputError(f"The JSON must not be followed by {short(text[end:])}; remove it.")
    return [data] if isinstance(data, Mapping) or not isinstance(data, Iterable) else list(data)


def _numbers(item: Any, names: tuple[str, ...], what: str) -> list[float]:
    numbers = []
    for name in names:
        value: Any = item.get(name) if isinstance(item, Mapping) else None
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not is_number or not abs(value) < 1e15:  # also false for NaN
            raise InputError(
                f"{what} must be an object with the numbers {', '.join(names)}, in pixels, not {short(item)}."
            )
        numbers.append(float(value))
    return numbers


def read_json(text: str, place: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, place)
    except (ValueError, RecursionError):
        raise InputError(
            f'{short(text[place:])} is not valid JSON; points look like [{{"x": 40, "y": 30}}], '
            'boxes like [{"x": 40, "y": 30, "width": 99, "height": 50}].'
        ) from None
