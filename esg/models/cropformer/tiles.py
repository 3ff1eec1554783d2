"""Evaluates the masks of queries on tiles of the photo, so that no (Q, H, W) stack is ever made.

The mask logits of a view are resized bilinearly to the padded size, cropped to remove the padding, and resized
bilinearly to the view's own size in the photo. Both steps are linear and separable, so on any tile of the photo a
view's logits are R · L · Cᵀ, where L holds the few low-resolution logits under the tile. The rows of R and C are convex
weights, so the extremes of L bound the logits on the tile, often without evaluating them.

The fused probability of n views is 1/2 + (sum of (sigmoid(logits) - 1/2)) / n. The functions here return that
sum, which is above 0 inside the mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from .views import ViewGeometry

MARGIN = 1e-5  # well above the rounding error of a tile's float32 values relative to their bounds
TILE = 128  # photo pixels: a float32 tile stays in a core's cache, and most tiles lie inside one entity


class Weights(NamedTuple):
    """The weights with which n photo pixels along one axis are interpolated from low-resolution logits.

    Attributes:
        source: the range of logits, of length m.
        matrix: (n, m) float32.
        taps: (n, 4) int64, the logits of each pixel, counted from the first of the range.
        shares: (n, 4) float32, the weight of each tap.
    """

    source: slice
    matrix: np.ndarray
    taps: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class AxisTile:
    """A range of photo pixels along one axis, and the interpolation weights of the views that cover it.

    Attributes:
        start, stop: the range; no view begins or ends within it.
        views: the weights of its pixels by view index.
    """

    start: int
    stop: int
    views: dict[int, Weights]


@dataclass(frozen=True)
class TwoStepTile:
    """Like `AxisTile`, but with separate weights for the two steps: to the view's working size, and on to the photo.

    Attributes:
        start, stop: the range.
        views: by view index, the range of low-resolution logits, of length m; the weights from these to the W working
            pixels that the tile needs, (W, m) float32; and from those to the photo, (stop - start, W) float32.
    """

    start: int
    stop: int
    views: dict[int, tuple[slice, np.ndarray, np.ndarray]]


def tile_sum(mask: np.ndarray, row: AxisTile, column: AxisTile) -> np.ndarray:
    """The sum of sigmoid - 1/2 over the views of a tile, (rows, columns) float32, for logits (T, h, w) of a query."""
    views = views_of(row, column)
    total = np.full((row.stop - row.start, column.stop - column.start), -len(views) / 2, np.float32)
    for view in views:
        down, across = row.views[view], column.views[view]
        logits = down.matrix @ (mask[view, down.source, across.source] @ across.matrix.T)
        total += torch.from_numpy(logits).sigmoid_().numpy()  # several times as fast as NumPy
    return total


def point_sums(
    logits: np.ndarray, queries: np.ndarray, row: AxisTile, column: AxisTile, ys: np.ndarray, xs: np.ndarray
) -> np.ndarray:
    """`tile_sum` of K queries at P pixels of a tile, (P, K) float32.

    Args:
        logits: (Q, T, h, w) of all queries.
        queries: (K,) int64.
        ys, xs: (P,) int64, rows and columns within the tile.
    """
    views = views_of(row, column)
    total = torch.full((len(ys), len(queries)), -len(views) / 2)
    for view in views:
        down, across = row.views[view], column.views[view]
        part = logits[:, view, down.source, across.source][queries].T  # (w, h, K)
        # PyTorch's product: NumPy's uses all cores, and waits for those that are busy with other work.
        resized = torch.from_numpy(across.matrix) @ torch.from_numpy(part.reshape(len(part), -1))  # (columns, h × K)
        taps = down.taps.take(ys, 0) + part.shape[1] * xs[:, None]
        total += F.embedding_bag(
            torch.from_numpy(taps),
            resized.view(-1, len(queries)),
            per_sample_weights=torch.from_numpy(down.shares.take(ys, 0)),
            mode="sum",
        ).sigmoid_()
    return total.numpy()


def tile_bounds(logits: np.ndarray, rows: list[AxisTile], columns: list[AxisTile]) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of `tile_sum` for logits (Q, T, h, w) on every tile: lowest and highest, (Q, rows, columns) float32."""
    shape = (len(logits), len(rows), len(columns))
    lowest, highest = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for view in range(logits.shape[1]):
        ys = [i for i, row in enumerate(rows) if view in row.views]
        xs = [j for j, column in enumerate(columns) if view in column.views]
        for bound, extreme in ((lowest, np.min), (highest, np.max)):
            by_row = np.stack([extreme(logits[:, view, rows[i].views[view].source], 1) for i in ys], 1)
            by_tile = np.stack([extreme(by_row[..., columns[j].views[view].source], 2) for j in xs], 2)
            bound[:, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] += np.tanh(by_tile / 2) / 2
    return lowest, highest


def views_of(row: AxisTile | TwoStepTile, column: AxisTile | TwoStepTile) -> list[int]:
    """The views that cover a tile."""
    return [view for view in row.views if view in column.views]


def axis_tiles(geometry: ViewGeometry, axis: int, low: int) -> list[AxisTile]:
    """Cuts an axis (0 = y, 1 = x) of the photo into tiles; `low` is the length of the mask logits along it."""
    taps = [
        _two_step_taps(low, geometry.padded_size[axis], size[axis], last - first)
        for (first, last), size in zip(_spans(geometry, axis), geometry.sizes, strict=True)
    ]
    return [
        AxisTile(
            start,
            stop,
            {view: _weights(*(values[start - first : stop - first] for values in taps[view])) for view, first in views},
        )
        for start, stop, views in _cuts(geometry, axis)
    ]


def two_step_tiles(geometry: ViewGeometry, axis: int, low: int) -> list[TwoStepTile]:
    """Cuts an axis into the same tiles as `axis_tiles`, with separate weights for the two steps."""
    spans = _spans(geometry, axis)
    to_padded = _taps(low, geometry.padded_size[axis])
    to_photo = [_taps(size[axis], last - first) for (first, last), size in zip(spans, geometry.sizes, strict=True)]
    tiles = []
    for start, stop, views in _cuts(geometry, axis):
        steps = {}
        for view, first in views:
            working, outer = _banded(*(values[start - first : stop - first] for values in to_photo[view]))
            logits, inner = _banded(*(values[working] for values in to_padded))
            steps[view] = logits, inner, outer
        tiles.append(TwoStepTile(start, stop, steps))
    return tiles


def _spans(geometry: ViewGeometry, axis: int) -> list[tuple[int, int]]:
    return [(box[1 - axis], box[3 - axis]) for box in geometry.boxes]


def _cuts(geometry: ViewGeometry, axis: int) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Start and stop of every tile, and for each view that covers it, its index and first photo pixel."""
    spans = _spans(geometry, axis)
    ends = sorted({0, geometry.image_size[axis], *(end for span in spans for end in span)})
    for begin, end in pairwise(ends):
        parts = -(-(end - begin) // TILE)
        cuts = [begin + (end - begin) * part // parts for part in range(parts + 1)]
        for start, stop in pairwise(cuts):
            covering = [(view, first) for view, (first, last) in enumerate(spans) if first <= start and stop <= last]
            yield start, stop, covering


def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear interpolation along one axis, align_corners=False: taps (target, 2) int64 and weights, float64."""
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0)
    lower = np.minimum(position.astype(np.int64), source - 1)
    fraction = position - lower
    return np.stack([lower, np.minimum(lower + 1, source - 1)], 1), np.stack([1 - fraction, fraction], 1)


def _two_step_taps(low: int, padded: int, resized: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Resizes low → padded, crops to resized, resizes to target: taps (target, 4) int64 into `low`, float64 weights."""
    inner_taps, inner_weights = _taps(low, padded)
    outer_taps, outer_weights = _taps(resized, target)
    taps, weights = inner_taps[outer_taps], outer_weights[..., None] * inner_weights[outer_taps]  # (target, 2, 2)
    return taps.reshape(target, 4), weights.reshape(target, 4)


def _weights(taps: np.ndarray, shares: np.ndarray) -> Weights:
    source, matrix = _banded(taps, shares)
    return Weights(source, matrix, taps - source.start, shares.astype(np.float32))


def _banded(taps: np.ndarray, weights: np.ndarray) -> tuple[slice, np.ndarray]:
    """Converts taps and weights (n, 2 or 4) to the range of values they use and a dense (n, length of it) matrix."""
    first, last = int(taps.min()), int(taps.max())
    matrix = np.zeros((len(taps), last + 1 - first))
    for tap, weight in zip(taps.T, weights.T, strict=True):
        matrix[np.arange(len(taps)), tap - first] += weight
    return slice(first, last + 1), matrix.astype(np.float32)
