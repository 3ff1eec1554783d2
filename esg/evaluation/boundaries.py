"""The pixels of a mask near its outline (Cheng et al., "Boundary IoU", CVPR 2021)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..entities import rle

WIDTH = 0.02
"""Width of the boundary, as a fraction of the photo's diagonal."""


def boundary(mask: rle.Rle, width: float = WIDTH) -> rle.Rle:
    """The pixels of a mask that are at most `width` of the diagonal from its outline, or from the photo's edge.

    Distances are the larger one of x and y, as in the authors' code, which erodes the mask with a square.
    """
    height, length = rle.size_of(mask)
    edges = np.cumsum(rle.read_counts(mask))
    starts, stops = edges[:-1:2], edges[1::2]
    if not len(starts):
        return mask
    first, last = int(starts[0]) // height, (int(stops[-1]) - 1) // height
    pixels = np.zeros((last - first + 1) * height, np.uint8)
    for start, stop in zip((starts - first * height).tolist(), (stops - first * height).tolist(), strict=True):
        pixels[start:stop] = 1
    columns = pixels.reshape(-1, height)  # (w, H): the columns that the mask touches
    rows = np.flatnonzero(columns.any(0))
    top = int(rows[0])
    inside = columns[:, top : int(rows[-1]) + 1]
    reach = max(1, round(width * float(np.hypot(height, length))))
    # A square is the same along both axes: eroding rows and then columns needs one pass each.
    core = ndimage.minimum_filter(inside, 2 * reach + 1, mode="constant", cval=0)
    return rle.encode_mask((inside > core).T, corner=(first, top), size=(height, length))
