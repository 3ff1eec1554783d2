"""Converts polygons to masks and back, pixel for pixel.

Points are x, y in pixels; (0, 0) is the outer corner of the picture. A pixel is inside a polygon if its centre is, by
the even-odd rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from .rle import Rle, encode_mask

_CROSSINGS_AT_ONCE = 1 << 20  # crossings of a polygon's edges with the rows of a picture


def box_of(polygons: Sequence[np.ndarray], height: int, width: int) -> tuple[int, int, int, int]:
    """left, top, right, bottom of the pixels that polygons can reach within a picture; at least one pixel."""
    points = np.concatenate(polygons) if len(polygons) else np.zeros((1, 2))
    left, top = np.clip(np.floor(points.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=0)), (left + 1, top + 1), (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def fill_polygons(
    polygons: Sequence[np.ndarray],
    height: int,
    width: int,
    *,
    holes: Sequence[np.ndarray] = (),
    packed: bool = True,
) -> Rle:
    """The RLE, `packed` as by `rle.encode_mask`, of the union of polygons, (P, 2) each, minus the `holes`."""
    left, top, right, bottom = box_of(polygons, height, width)
    inside = np.zeros((bottom - top, right - left), bool)
    for polygon in polygons:
        inside |= _fill(polygon - (left, top), *inside.shape)
    for hole in holes:
        inside &= ~_fill(hole - (left, top), *inside.shape)
    return encode_mask(inside, corner=(left, top), size=(height, width), packed=packed)


def _fill(points: np.ndarray, height: int, width: int) -> np.ndarray:
    ends = np.roll(points, -1, axis=0)
    upward = (ends[:, 1] < points[:, 1])[:, None]
    # From the upper end, whatever its direction: an edge drawn back and forth cancels out exactly.
    (x0, y0), (x1, y1) = np.where(upward, ends, points).T, np.where(upward, points, ends).T
    # The rows whose centre line an edge crosses, half open so that a shared corner counts once.
    first, last = (np.clip(np.ceil(y - 0.5), 0, height).astype(int) for y in (y0, y1))
    crossings = np.zeros((height, width + 1), bool)
    total = np.cumsum(last - first)
    groups = np.searchsorted(total, np.arange(_CROSSINGS_AT_ONCE, total[-1], _CROSSINGS_AT_ONCE))
    for some in np.split(np.arange(len(points)), groups):
        rows = (last - first)[some]
        edge = np.repeat(some, rows)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows - first[some], rows)
        x = x0[edge] + (row + 0.5 - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
        np.logical_xor.at(crossings, (row, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), True)
    return np.logical_xor.accumulate(crossings, axis=1)[:, :width]


def outline(mask: np.ndarray, corner: tuple[int, int] = (0, 0)) -> list[np.ndarray]:
    """The polygons along the pixels' edges that give exactly this mask when filled.

    A polygon cannot have holes, so each hole is joined to the rim by a seam drawn there and back, as tools that read
    polygons expect.

    Args:
        mask: (h, w) bool.
        corner: x, y of the mask in its picture.

    Returns:
        One (P, 2) int64 array of x, y for each piece of the mask; pieces that only meet at a corner are two.
    """
    regions, count = ndimage.label(mask)
    rims: list[list[np.ndarray]] = [[] for _ in range(count)]
    holes: list[list[np.ndarray]] = [[] for _ in range(count)]
    for ring in _rings(mask):
        x, y = ring[np.lexsort((ring[:, 0], ring[:, 1]))[0]]  # the leftmost of its topmost corners
        if mask[y, x]:
            rims[regions[y, x] - 1].append(ring)
        else:
            holes[regions[y, x - 1] - 1].append(ring)
    return [_joined(rim, inner) + corner for (rim,), inner in zip(rims, holes, strict=True)]


def _rings(mask: np.ndarray) -> list[np.ndarray]:
    """The closed boundary lines, each as its corners in order, (P, 2) x, y.

    In every row of corners, an edge joins the first and second, the third and fourth, and so on; likewise in every
    column. A point where two pixels meet diagonally is a corner of both.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    y, x = np.nonzero((a + b + c + d) % 2 == 1)
    twice_y, twice_x = np.nonzero((a == d) & (b == c) & (a != b))
    falling = a[twice_y, twice_x] == 1  # the upper left and the lower right pixel are inside
    y, x = np.concatenate([y, twice_y, twice_y]), np.concatenate([x, twice_x, twice_x])
    # The first of a double corner ends the edge on the left, the second begins the one on the right. The edge above
    # belongs to the first if the upper left pixel is inside, so that the two pixels stay separate.
    side = np.concatenate([np.zeros(len(y) - 2 * len(twice_y), int), np.zeros(len(twice_y), int), 1 + 0 * twice_y])
    above = np.concatenate([np.zeros(len(y) - 2 * len(twice_y), int), np.where(falling, 0, 1), np.where(falling, 1, 0)])
    beside, below = np.empty(len(y), int), np.empty(len(y), int)
    for order, partner in ((np.lexsort((side, x, y)), beside), (np.lexsort((above, y, x)), below)):
        partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
    across, down = beside.tolist(), below.tolist()
    seen = bytearray(len(across))
    corners = np.stack([x, y], axis=1)
    rings = []
    for start in range(len(across)):
        if seen[start]:
            continue
        ring, at = [], start
        while not seen[at]:
            other = across[at]
            seen[at] = seen[other] = 1
            ring += [at, other]
            at = down[other]
        rings.append(corners[ring])
    return rings


def _joined(rim: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Joins an outer line and its holes into one polygon, by seams from corner to nearest corner."""
    for hole in sorted(holes, key=lambda one: one[:, 0].min()):
        first = hole[np.argmin(hole[:, 0])]
        near = int(np.abs(rim - first).sum(axis=1).argmin())
        turned = np.roll(hole, -int(np.argmin(hole[:, 0])), axis=0)
        if _turns_right(turned) == _turns_right(rim):
            turned = np.roll(turned[::-1], 1, axis=0)  # opposite to the rim, for the non-zero rule, too
        rim = np.concatenate([rim[: near + 1], turned, turned[:1], rim[near:]])
    return rim


def _turns_right(ring: np.ndarray) -> bool:
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    return int((x0 * y1 - x1 * y0).sum()) > 0
