"""Fuses the views' masks into one label map at the photo's own size, in bounded memory.

Definition (paper Sec. 4, "Inference"): for each query and view, the mask logits are resized bilinearly to the padded
size, cropped to remove the padding, resized bilinearly to the view's own size in the photo, and passed through a
sigmoid. The mean over the views that cover a pixel is the query's fused probability there; above 0.5, the query claims
the pixel. If several queries claim a pixel, the one with the best class score gets it.

Method: the low-resolution logits bound the fused probability on any tile of the photo (see `tiles`). This settles most
pairs of query and tile without evaluating them: a query that cannot exceed 0.5 is skipped, and so are all queries after
one that is above 0.5 everywhere. The rest is evaluated, best query first, until every pixel is claimed.

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
from .tiles import MARGIN, AxisTile, axis_tiles, tile_bounds, tile_sum, views_of
from .views import ViewGeometry


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
    rows, columns = (axis_tiles(geometry, axis, logits.shape[2 + axis]) for axis in (0, 1))
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


def _candidates(logits: np.ndarray, queries: np.ndarray, rows: list[AxisTile], columns: list[AxisTile]) -> np.ndarray:
    """Whether a query may win pixels of a tile: (Q, rows, columns) bool, Q in the order of `queries`."""
    lowest, highest = tile_bounds(logits, rows, columns)
    possible, certain = (highest > -MARGIN)[queries], (lowest > MARGIN)[queries]
    decided_before = np.cumsum(certain, axis=0) > certain
    return possible & ~decided_before


def _fuse_tile(
    labels: np.ndarray, logits: np.ndarray, ranks: np.ndarray, queries: np.ndarray, row: AxisTile, column: AxisTile
) -> list[tuple[int, int, float]]:
    """Paints one tile of `labels` in place with the queries at these `ranks`, best first.

    Returns:
        (rank, pixels won, sum of sigmoid(fused probability) over them) for each query that wins any pixel.
    """
    views = len(views_of(row, column))
    won = []
    undecided = np.ones(labels.shape, bool)
    for rank in ranks if views else ():
        total = tile_sum(logits[queries[rank]], row, column)
        claimed = (total > 0) & undecided
        area = int(np.count_nonzero(claimed))
        if area:
            labels += claimed * np.int32(rank + 1)
            # sigmoid(p) with p = 1/2 + total / 2n
            total *= 0.25 / views
            total += 0.25
            np.tanh(total, out=total)
            won.append((int(rank), area, 0.5 * (area + float((total * claimed).sum()))))
            undecided ^= claimed
            if not undecided.any():
                break
    return won
