"""Overlapping masks: the order in which they are stacked, and which nested masks are whole objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..support.checks import is_number
from ..support.errors import InputError
from .orders import ORDERS
from .rle import Rle, paint, size_of

_WITHIN = 0.85  # fraction of a mask inside a larger one above which it is a part of that
_SCENE = 0.9  # fraction of the picture above which a mask is the scene, not an object in it
_FRAMED = 0.5  # likewise for a mask that touches all four sides


def check_order(order: object) -> None:
    """Raises InputError unless it is one of ORDERS."""
    if order not in ORDERS:
        raise InputError(f"The order of masks must be one of {', '.join(ORDERS)}, not {order!r}.")


def bottom_first(order: str, scores: np.ndarray, areas: np.ndarray, layers: Sequence[float] | None) -> np.ndarray:
    """The order in which masks are painted over each other, (N,) indices.

    Args:
        order: one of ORDERS.
        scores: (N,) floats.
        areas: (N,) pixels.
        layers: (N,) numbers; a higher layer is on top, whatever the order. None: there are no layers.
    """
    place = np.arange(len(areas))
    keys = {  # the last key counts most; masks equal in all keys are painted from last to first
        "score": (-place, -areas, scores),
        "smaller": (-place, scores, -areas),
        "larger": (-place, scores, areas),
        "first": (-place,),
        "last": (place,),
        "whole": (-place, scores, -areas),
    }[order]
    return np.lexsort(keys if layers is None else (*keys, np.asarray(layers, np.float64)))


def whole_objects(masks: Sequence[Rle], areas: np.ndarray) -> np.ndarray:
    """Marks the nested masks that are whole objects, (N,) bool.

    From the largest to the smallest, a mask is a part if 85 % of it lies within one that is kept, and a whole object
    otherwise. Masks of (nearly) the whole picture are the scene: they are kept, and do not make others parts.

    Args:
        masks: RLEs of the same size.
        areas: (N,) pixels.
    """
    kept = areas > 0
    if not len(masks):
        return kept
    height, width = size_of(masks[0])
    columns = np.zeros(width * height, np.int32)
    seen = np.zeros(width * height, bool)
    for index in np.lexsort((np.arange(len(areas)), -areas)):
        if not areas[index] or _is_scene(masks[index], int(areas[index]), height, width, seen):
            continue
        seen[:] = False
        paint(masks[index], seen, True)
        owners = np.bincount(columns[seen])
        owners[0] = 0
        if owners.max() >= _WITHIN * areas[index]:
            kept[index] = False
        else:
            paint(masks[index], columns, int(index) + 1)
    return kept


def _is_scene(mask: Rle, area: int, height: int, width: int, seen: np.ndarray) -> bool:
    if area >= _SCENE * height * width:
        return True
    if area < _FRAMED * height * width:
        return False
    seen[:] = False
    paint(mask, seen, True)
    inside = seen.reshape(width, height)
    return bool(inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any())


def check_layers(layers: Sequence[float] | None, count: int) -> None:
    """Raises InputError unless there is one number for each of `count` masks."""
    if layers is not None and (len(layers) != count or not all(is_number(one) for one in layers)):
        raise InputError(f"Layers must be one number for each of the {count} masks.")
