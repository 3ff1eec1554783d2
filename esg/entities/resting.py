"""The entity that another one stands, sits or lies on, judged by what is under its lowest points in the picture."""

from __future__ import annotations

import numpy as np

_FEET = 0.15  # the lowest part of an entity, as a share of its height
_GAP = 0.01  # distance below it, as a share of the picture's height: outlines are not exact to the pixel
_MOST = 0.5  # minimum share of the lowest points that are above the other entity
_LONGEST = 512  # long side in pixels of the map that is looked at; finer ones give the same answers


def rests_on(labels: np.ndarray, number: int) -> int:
    """The entity that another one rests on; 0 if there is none, or if the edge of the picture cuts off its lowest part.

    A thing in the air in front of a meadow seems to rest on it, so callers ask only for things that do not fly.

    Args:
        labels: (H, W) integer, 0 = no entity.
        number: the id of the entity that may rest on another one.

    >>> rests_on(np.array([[3, 3, 3], [3, 1, 3], [2, 1, 2], [2, 2, 2]]), 1), rests_on(np.array([[2], [1]]), 1)
    (2, 0)
    """
    step = max(1, max(labels.shape) // _LONGEST)
    small = labels[::step, ::step]
    mask = small == number
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return 0
    height = len(small)
    bottoms = height - 1 - mask[::-1, columns].argmax(axis=0)
    tall = bottoms.max() + 1 - mask.any(axis=1).argmax()
    low = bottoms >= bottoms.max() - _FEET * tall
    rows = bottoms[low] + max(1, round(_GAP * height))
    inside = rows < height
    under = np.bincount(small[rows[inside], columns[low][inside]], minlength=number + 1)
    under[[0, number]] = 0
    return int(under.argmax()) if under.max() >= _MOST * np.count_nonzero(low) else 0
