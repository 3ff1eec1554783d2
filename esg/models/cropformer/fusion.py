"""Fuses the views' masks into one label map at the photo's own size, in bounded memory.

Definition (paper Sec. 4, "Inference"): for each query and view, the mask logits are resized bilinearly to the padded
size, cropped to remove the padding, resized bilinearly to the view's own size in the photo, and passed through a
sigmoid. The mean over the views that cover a pixel is the query's fused probability there; above 0.5, the query claims
the pixel. If several queries claim a pixel, the one with the best class score gets it.

Method: the low-resolution logits bound the fused probability on any tile of the photo (see `tiles`). This settles most
pairs of query and tile without evaluating them: a query that cannot exceed 0.5 is skipped, and so are all queries after
one that is above 0.5 everywhere. The rest is evaluated, best query first, until every pixel is claimed: on the whole
tile as long as most of it is unclaimed, then for several queries at once on the remaining pixels.

Threshold: the paper's text drops queries by their entityness; the authors' code first paints all of them, and then
drops results whose score (`Fusion.scores`) is below 0.5. ESG follows the code, because the published figures were
measured with it. They differ little: a query with a low class score is painted beneath all others, so only one with a
high class score and a vague mask takes pixels from others before it is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ...support.errors import InputError
from ...support.progress import Progress, Stage
from .stability import stability
from .tiles import MARGIN, AxisTile, axis_tiles, point_sums, tile_bounds, tile_sum, views_of
from .views import ViewGeometry

TOGETHER = 16  # minimum number of queries evaluated at once on individual pixels; fewer are not worth the overhead
SINGLES = 1 << 16  # number of values evaluated at once on individual pixels; so many stay in a core's cache


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

    Always runs on the CPU, and the same logits give the same result on any number of cores. 24 megapixels and 100
    queries take about a second, unless the masks are noise, and a few megabytes besides logits and label map.

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
    rows, columns = (axis_tiles(geometry, axis, logits.shape[2 + axis]) for axis in (0, 1))
    candidates = _candidates(logits, queries, rows, columns)  # (Q, rows, columns), Q in result order

    labels = np.zeros(geometry.image_size, np.int32)
    areas = np.zeros(len(queries), np.int64)
    sums = np.zeros(len(queries), np.float64)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            ranks = np.flatnonzero(candidates[:, i, j])
            tile = labels[row.start : row.stop, column.start : column.stop]
            _fuse_tile(tile, logits, ranks, queries, row, column, areas, sums)
        if progress is not None:
            progress(i + 1, len(rows), Stage.FUSION)
    scores = entityness * (sums / np.maximum(areas, 1)).astype(np.float32)
    return Fusion(labels, queries, entityness, scores, areas)


def _candidates(logits: np.ndarray, queries: np.ndarray, rows: list[AxisTile], columns: list[AxisTile]) -> np.ndarray:
    """Whether a query may win pixels of a tile: (Q, rows, columns) bool, Q in the order of `queries`."""
    lowest, highest = tile_bounds(logits, rows, columns)
    possible, certain = (highest > -MARGIN)[queries], (lowest > MARGIN)[queries]
    decided_before = np.cumsum(certain, axis=0) > certain
    return possible & ~decided_before


def _fuse_tile(
    labels: np.ndarray,
    logits: np.ndarray,
    ranks: np.ndarray,
    queries: np.ndarray,
    row: AxisTile,
    column: AxisTile,
    areas: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Paints the queries at these `ranks`, best first, into one tile of `labels`, which holds zeros.

    Adds to `areas` and `sums`, by rank, the pixels that each query wins and their sigmoid(fused probability).
    """
    views = len(views_of(row, column))
    ranks = ranks if views else ranks[:0]
    undecided = np.ones(labels.shape, bool)
    # Evaluating a query on the whole tile costs as much as on half of its pixels one by one, or on even fewer pixels if
    # only a handful of queries is left.
    while len(ranks) and 2 * np.count_nonzero(undecided) > labels.size * min(len(ranks) / TOGETHER, 1):
        rank, ranks = ranks[0], ranks[1:]
        total = tile_sum(logits[queries[rank]], row, column)
        claimed = (total > 0) & undecided
        if area := np.count_nonzero(claimed):
            labels += claimed * np.int32(rank + 1)
            areas[rank] += area
            sums[rank] += (_confidence(total, views) * claimed).sum()
            undecided ^= claimed
    ys, xs = np.nonzero(undecided)
    while len(ranks) and len(ys):
        some, ranks = np.split(ranks, [max(TOGETHER, SINGLES // len(ys))])
        totals = point_sums(logits, queries[some], row, column, ys, xs)
        first = (totals > 0).argmax(axis=1)
        total = totals[np.arange(len(ys)), first]
        claimed = total > 0
        winners = some[first[claimed]]
        labels[ys[claimed], xs[claimed]] = winners + 1
        areas += np.bincount(winners, minlength=len(areas))
        sums += np.bincount(winners, _confidence(total[claimed], views), minlength=len(sums))
        ys, xs = ys[~claimed], xs[~claimed]


def _confidence(total: np.ndarray, views: int) -> np.ndarray:
    """Sigmoid of the fused probability, for sums of `views` views."""
    return torch.from_numpy(total / views + np.float32(0.5)).sigmoid_().numpy()
