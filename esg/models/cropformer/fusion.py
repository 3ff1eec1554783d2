"""Fuses the views' masks into one label map at the photo's own size, in bounded memory.

Definition (paper Sec. 4, "Inference"): for each query and view, the mask logits are resized bilinearly to the padded
size, cropped to remove the padding, resized bilinearly to the view's own size in the photo, and passed through a
sigmoid. The mean over the views that cover a pixel is the query's fused probability there; above 0.5, the query claims
the pixel. If several queries claim a pixel, the one with the best class score gets it.

Method: both bilinear steps are linear and separable, so on any tile of the photo a view's logits are R · L · Cᵀ,
where L holds the few low-resolution logits under the tile. The rows of R and C are convex weights, so the extremes of L
bound the fused probability on the tile. This settles most pairs of query and tile without evaluating them: a query that
cannot exceed 0.5 is skipped, and so are all queries after one that is above 0.5 everywhere. The rest is evaluated, best
query first, until every pixel is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from ...support.errors import InputError
from ...support.progress import Progress, Stage
from .stability import stability
from .views import ViewGeometry

TILE = 128  # photo pixels: a float32 tile stays in a core's cache, and most tiles lie inside one entity
MARGIN = 1e-5  # well above the rounding error of a tile's float32 values relative to their bounds


@dataclass(frozen=True)
class FusionMode:
    """The predictions that a result is built from (paper Table 8b): decoder level, and views whose masks are fused."""

    level: Literal["image", "batch"]
    full: bool
    crops: bool


FUSIONS = {
    "io": FusionMode("image", full=True, crops=False),
    "bo": FusionMode("batch", full=True, crops=False),
    "bc": FusionMode("batch", full=False, crops=True),
    "boc": FusionMode("batch", full=True, crops=True),
}


def fusion_views(fusion: str, views: int) -> list[int]:
    """Indices of the views that `fusion` uses; view 0 of the `views` views is the full one.

    Raises:
        InputError: the mode is unknown, or needs crops and has no crops.
    """
    if fusion not in FUSIONS:
        raise InputError(f"There is no fusion {fusion!r}; use one of {', '.join(FUSIONS)}.")
    mode = FUSIONS[fusion]
    indices = [0] * mode.full + list(range(1, views)) * mode.crops
    if not indices:
        raise InputError(f"Fusion {fusion!r} uses only crops, but crops is 0; use 4 or 8 crops or another fusion.")
    return indices


@dataclass(frozen=True)
class Fusion:
    """The fused masks of one photo. "Result order" is by descending class score, ties by lower query index.

    Attributes:
        labels: (H, W) int32, 0 = no entity, k + 1 = the k-th in result order.
        queries: (Q,) int64, query index in result order.
        class_scores: (Q,) float32 in result order.
        scores: (Q,) float32 in result order: class score × mean over the query's pixels of sigmoid(fused probability).
            The second sigmoid is the authors' own; with it, published thresholds stay valid. 0 for a query without
            pixels.
        areas: (Q,) int64 in result order, pixels.
    """

    labels: np.ndarray
    queries: np.ndarray
    class_scores: np.ndarray
    scores: np.ndarray
    areas: np.ndarray


def fuse(
    mask_logits: torch.Tensor,
    class_scores: torch.Tensor,
    geometry: ViewGeometry,
    *,
    stable: bool = False,
    progress: Progress | None = None,
) -> Fusion:
    """Fuses the mask logits of T views into a label map of the photo.

    Always runs on the CPU in one thread (24 megapixels and 100 queries take about a second), so the same logits give
    the same result on any number of cores. Needs a few megabytes besides logits and label map.

    Args:
        mask_logits: (Q, T, h, w) of any float dtype, over the padded input of the model.
        class_scores: (Q,) score of each query for being an entity, 0..1.
        geometry: the T views.
        stable: whether class scores are multiplied by the `stability` of the masks, here and in the result.
        progress: called as `progress(done, total, Stage.FUSION)`.

    Raises:
        InputError: the shapes do not match.
    """
    if mask_logits.ndim != 4 or mask_logits.shape[:2] != (len(class_scores), len(geometry)):
        raise InputError(
            f"Mask logits of shape {tuple(mask_logits.shape)} do not fit {len(class_scores)} class scores "
            f"and {len(geometry)} views."
        )
    masks = mask_logits.detach().float().cpu()
    ranking = class_scores.detach().float().cpu()
    if stable:
        ranking = ranking * stability(masks, geometry)
    logits, entityness = masks.numpy(), ranking.numpy()
    queries = np.argsort(-entityness, kind="stable")
    entityness = entityness[queries]
    rows, columns = (_axis_tiles(geometry, axis, logits.shape[2 + axis]) for axis in (0, 1))
    candidates = _candidates(logits, queries, rows, columns)  # (Q, rows, columns), Q in result order

    labels = np.zeros(geometry.image_size, np.int32)
    areas = np.zeros(len(queries), np.int64)
    sums = np.zeros(len(queries), np.float64)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            ranks = np.flatnonzero(candidates[:, i, j])
            tile = labels[row.start : row.stop, column.start : column.stop]
            for rank, area, total in _fuse_tile(tile, logits, ranks, queries, row, column):
                areas[rank] += area
                sums[rank] += total
        if progress is not None:
            progress(i + 1, len(rows), Stage.FUSION)
    scores = entityness * (sums / np.maximum(areas, 1)).astype(np.float32)
    return Fusion(labels, queries, entityness, scores, areas)


@dataclass(frozen=True)
class _AxisTile:
    """A range of photo pixels along one axis, and the interpolation weights of the views that cover it.

    Attributes:
        start, stop: the range; no view begins or ends within it.
        views: by view index, (range of low-resolution logits, weights (stop - start, length of that range) float32).
    """

    start: int
    stop: int
    views: dict[int, tuple[slice, np.ndarray]]


def _axis_tiles(geometry: ViewGeometry, axis: int, low: int) -> list[_AxisTile]:
    """Cuts an axis (0 = y, 1 = x) of the photo into tiles; `low` is the length of the mask logits along it."""
    spans = [(box[1 - axis], box[3 - axis]) for box in geometry.boxes]
    taps = [
        _two_step_taps(low, geometry.padded_size[axis], size[axis], last - first)
        for (first, last), size in zip(spans, geometry.sizes, strict=True)
    ]
    ends = sorted({0, geometry.image_size[axis], *(end for span in spans for end in span)})
    tiles = []
    for begin, end in pairwise(ends):
        parts = -(-(end - begin) // TILE)
        cuts = [begin + (end - begin) * part // parts for part in range(parts + 1)]
        for start, stop in pairwise(cuts):
            views = {
                view: _banded(*(values[start - first : stop - first] for values in taps[view]))
                for view, (first, last) in enumerate(spans)
                if first <= start and stop <= last
            }
            tiles.append(_AxisTile(start, stop, views))
    return tiles


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


def _banded(taps: np.ndarray, weights: np.ndarray) -> tuple[slice, np.ndarray]:
    """Converts taps and weights (n, 4) to the range of logits they use and a dense (n, length of the range) matrix."""
    first, last = int(taps.min()), int(taps.max())
    matrix = np.zeros((len(taps), last + 1 - first))
    for tap, weight in zip(taps.T, weights.T, strict=True):
        matrix[np.arange(len(taps)), tap - first] += weight
    return slice(first, last + 1), matrix.astype(np.float32)


def _candidates(logits: np.ndarray, queries: np.ndarray, rows: list[_AxisTile], columns: list[_AxisTile]) -> np.ndarray:
    """Whether a query may win pixels of a tile: (Q, rows, columns) bool, Q in the order of `queries`."""
    shape = (len(queries), len(rows), len(columns))
    lowest, highest = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for view in range(logits.shape[1]):
        ys = [i for i, row in enumerate(rows) if view in row.views]
        xs = [j for j, column in enumerate(columns) if view in column.views]
        for bound, extreme in ((lowest, np.min), (highest, np.max)):
            by_row = np.stack([extreme(logits[:, view, rows[i].views[view][0]], 1) for i in ys], 1)
            by_tile = np.stack([extreme(by_row[..., columns[j].views[view][0]], 2) for j in xs], 2)
            bound[:, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] += np.tanh(by_tile / 2)
    possible, certain = (highest > -MARGIN)[queries], (lowest > MARGIN)[queries]
    decided_before = np.cumsum(certain, axis=0) > certain
    return possible & ~decided_before


def _fuse_tile(
    labels: np.ndarray, logits: np.ndarray, ranks: np.ndarray, queries: np.ndarray, row: _AxisTile, column: _AxisTile
) -> list[tuple[int, int, float]]:
    """Paints one tile of `labels` in place with the queries at these `ranks`, best first.

    As sigmoid(x) = (1 + tanh(x/2)) / 2, the fused probability of n views is 1/2 + (sum of tanh(logits/2)) / 2n.

    Returns:
        (rank, pixels won, sum of sigmoid(fused probability) over them) for each query that wins any pixel.
    """
    views = [view for view in row.views if view in column.views]
    won = []
    undecided = np.ones(labels.shape, bool)
    for rank in ranks if views else ():
        total = np.zeros(labels.shape, np.float32)
        for view in views:
            (ys, row_weights), (xs, column_weights) = row.views[view], column.views[view]
            half = row_weights @ (logits[queries[rank], view, ys, xs] @ column_weights.T / 2)
            total += np.tanh(half, out=half)
        claimed = (total > 0) & undecided
        area = int(np.count_nonzero(claimed))
        if area:
            labels += claimed * np.int32(rank + 1)
            # sigmoid(p) with p = 1/2 + total / 2n
            total *= 0.25 / len(views)
            total += 0.25
            np.tanh(total, out=total)
            won.append((int(rank), area, 0.5 * (area + float((total * claimed).sum()))))
            undecided ^= claimed
            if not undecided.any():
                break
    return won
