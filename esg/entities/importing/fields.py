"""Reads the fields of other programs' files: returns the value, or says in our own words why it cannot be used."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

MAX_SIDE = 1 << 24  # pixels; no picture has a longer side
_FARTHEST = 1e9  # pixels; farther from the corner, coordinates lose precision
_SHOWN = 40  # characters of a value in a message


class Unusable(Exception):
    """A mask cannot be used; the message follows the mask's name and says why: "has fewer than three points"."""


def shown(value: Any) -> str:
    """A JSON value of any kind, as it is quoted in a message."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def number(value: Any) -> float | None:
    """A finite number, which may be written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def side(value: Any) -> int | None:
    """A height or width in pixels; None for anything else."""
    found = number(value)
    return int(found) if found is not None and found == int(found) and 1 <= found <= MAX_SIDE else None


def size(height: Any, width: Any) -> tuple[int, int] | None:
    """height, width; None unless both are valid."""
    h, w = side(height), side(width)
    return None if h is None or w is None else (h, w)


def identifier(value: Any) -> str | None:
    """An id in the notation in which ids are compared: "7", 7 and 7.0 are the same; None if it is missing."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.isdigit():
            return text.lstrip("0") or "0"
        return text or None
    if isinstance(value, (int, float)):
        return (
            str(int(value)) if isinstance(value, int) or (math.isfinite(value) and value == int(value)) else str(value)
        )
    return None


def text(value: Any) -> str:
    """A text without white space around it, or "" for anything else."""
    return value.strip() if isinstance(value, str) else ""


def records(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, with an empty one for each entry that is not an object; no objects for anything else."""
    return [one if isinstance(one, Mapping) else {} for one in value] if isinstance(value, list) else []


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def score(record: Mapping[str, Any]) -> float:
    """Its "score", otherwise SAM's "predicted_iou", otherwise "confidence", otherwise 1; null counts as missing.

    Raises:
        Unusable: it is not a number.
    """
    for key in ("score", "predicted_iou", "confidence"):
        value = record.get(key)
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value is not None:
            if isinstance(value, float) and not math.isfinite(value):
                raise Unusable(f"has the score {value}, which is not a finite number")
            percent = isinstance(value, str) and value.strip().endswith("%")
            found = number(value.strip(" %")) if percent else number(value)
            if found is None:
                raise Unusable(f"has {shown(value)} as its score, not a number")
            return found / 100 if percent else found
    return 1.0


def are_plain_numbers(values: list[Any]) -> bool:
    """Whether all values are numbers and not text, as nearly everywhere; looking at each of them takes much longer."""
    return set(map(type, values)) <= {int, float}


def _are_coordinates(value: list[Any]) -> bool:
    """Whether it is x, y, x, y, … in numbers, none of which is too far away or not finite."""
    return len(value) % 2 == 0 and are_plain_numbers(value) and all(-_FARTHEST <= one <= _FARTHEST for one in value)


def points(value: Any) -> np.ndarray:
    """Points x, y as (P, 2) float64, in any notation: x, y, x, y, …; [x, y], …; {"x": …, "y": …}, …; text.

    Raises:
        Unusable: they are not points.
    """
    if isinstance(value, list) and _are_coordinates(value):
        return np.array(value, np.float64).reshape(-1, 2)
    if isinstance(value, np.ndarray):
        flat: Iterable[Any] = value.ravel().tolist()
    elif isinstance(value, str) or (isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)):
        flat = [one for one in re.split(r"[\s,;]+", value if isinstance(value, str) else value[0]) if one]
    elif not isinstance(value, (list, tuple)):
        raise Unusable(f"has {shown(value)} where a list of points should be")
    elif all(isinstance(one, Mapping) for one in value):
        flat = [one.get(key) for one in value for key in ("x", "y")]
    elif all(isinstance(one, (list, tuple)) for one in value):
        if {len(one) for one in value} - {2} and {len(one) for one in value} != {3}:  # x, y, z
            raise Unusable("has a point that is not a pair x, y")
        flat = [coordinate for one in value for coordinate in one[:2]]
    else:
        flat = value
    flat = list(flat)
    if flat and all(isinstance(one, str) and one.strip().endswith("%") for one in flat):  # fractions, written so
        numbers = [None if (part := number(one.strip(" %"))) is None else part / 100 for one in flat]
    else:
        numbers = [number(one) for one in flat]
    wrong = [one for one, found in zip(flat, numbers) if found is None or abs(found) > _FARTHEST]
    if wrong:
        raise Unusable(f"has {shown(wrong[0])} as a coordinate")
    if len(numbers) % 2:
        raise Unusable(f"has {len(numbers)} coordinates, an odd number")
    return np.array(numbers, np.float64).reshape(-1, 2)
