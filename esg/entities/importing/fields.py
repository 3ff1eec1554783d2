"""The fields of files that other programs wrote: the value, or in words of ours why it is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

MAX_SIDE = 1 << 24  # pixels; a side that no picture has
_FARTHEST = 1e9  # pixels from the corner that a point may lie; beyond, arithmetic loses its places
_SHOWN = 40  # characters of a value in a sentence


class Unusable(Exception):
    """A mask cannot be used; the message says why, after the mask's name: "has fewer than three points"."""


def shown(value: Any) -> str:
    """A value of any kind of JSON, as it is quoted in a sentence."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def number(value: Any) -> float | None:
    """A finite number, which may be written as text; None if it is something else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def side(value: Any) -> int | None:
    """A height or width in pixels; None if it is none."""
    found = number(value)
    return int(found) if found is not None and found == int(found) and 1 <= found <= MAX_SIDE else None


def size(height: Any, width: Any) -> tuple[int, int] | None:
    """height, width, where both are there."""
    h, w = side(height), side(width)
    return None if h is None or w is None else (h, w)


def identifier(value: Any) -> str | None:
    """An id in the one spelling by which ids are compared: "7", 7 and 7.0 are the same; None if there is none."""
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
    """A text, or "" where there is none."""
    return value.strip() if isinstance(value, str) else ""


def records(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; of anything else none, and what is no object in the list is an empty one."""
    return [one if isinstance(one, Mapping) else {} for one in value] if isinstance(value, list) else []


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one where there is something else."""
    return value if isinstance(value, Mapping) else {}


def score(record: Mapping[str, Any]) -> float:
    """Its "score", else SAM's "predicted_iou", else "confidence", else 1; null is none.

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


def points(value: Any) -> np.ndarray:
    """Points x, y as (P, 2) float64, from any of the ways to write them: x, y, x, y, …; [x, y], …; {"x": …, "y": …}, ….

    Raises:
        Unusable: they are no points.
    """
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
