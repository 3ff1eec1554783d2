"""The fusion of `fusion.fuse` on the device that holds the masks: all queries of a tile at once.

On a GPU, arithmetic is cheap, and waiting for the CPU is not. So no query is skipped, and the CPU reads nothing before
the whole label map is finished. Besides logits and label map, this needs the memory of a few tiles of all queries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...support.device import computing_in
from ...support.progress import Progress, Stage
from .fusion import Fusion
from .stability import stability
from .tiles import AxisTile, axis_tiles, views_of
from .views import ViewGeometry

Weights = dict[int, Tensor]  # interpolation weights of a tile along one axis, by view


def fuse_there(
    mask_logits: Tensor,
    class_scores: Tensor,
    geometry: ViewGeometry,
    *,
    stable: bool = False,
    progress: Progress | None = None,
) -> Fusion:
    """Fuses the mask logits of T views into a label map; arguments and result as in `fusion.fuse`.

    The result is the same up to rounding: pixels whose fused probability is almost exactly 0.5 may differ.
    """
    masks, ranking = mask_logits.detach().float(), class_scores.detach().float()
    device, count = masks.device, len(masks)
    if stable:
        ranking = ranking * stability(masks, geometry).to(device)
    queries = ranking.argsort(descending=True, stable=True)
    ranking = ranking[queries]
    rows, columns = (axis_tiles(geometry, axis, masks.shape[2 + axis]) for axis in (0, 1))
    row_weights, column_weights = ([_weights(tile, device) for tile in tiles] for tiles in (rows, columns))
    ranks = queries.argsort()[:, None, None] + 1  # by query, the best is 1

    labels = torch.zeros(geometry.image_size, dtype=torch.int32, device=device)
    areas = torch.zeros(count + 1, dtype=torch.int64, device=device)  # by rank; 0 stands for no query
    sums = torch.zeros(count + 1, dtype=torch.float64, device=device)
    with computing_in(torch.float32, device):  # half precision is too coarse for outlines
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                views = len(views_of(row, column))
                if not views:
                    continue
                total = _tile_sums(masks, row, column, row_weights[i], column_weights[j])  # (Q, rows, columns)
                won = torch.where(total > 0, ranks, count + 1).amin(0) % (count + 1)  # (rows, columns)
                labels[row.start : row.stop, column.start : column.stop] = won
                fused = 0.5 + total.gather(0, queries[won - 1][None])[0] / views
                won = won.flatten()
                areas.index_add_(0, won, torch.ones_like(won))
                sums.index_add_(0, won, fused.flatten().sigmoid().double())
            if progress is not None:
                progress(i + 1, len(rows), Stage.FUSION)
    scores = ranking * (sums[1:] / areas[1:].clamp(min=1)).float()
    return Fusion(*(part.cpu().numpy() for part in (labels, queries, ranking, scores, areas[1:])))


def _weights(tile: AxisTile, device: torch.device) -> Weights:
    return {view: torch.from_numpy(weights.matrix).to(device) for view, weights in tile.views.items()}


def _tile_sums(masks: Tensor, row: AxisTile, column: AxisTile, row_weights: Weights, column_weights: Weights) -> Tensor:
    """The sum of sigmoid - 1/2 over the views of a tile, (Q, rows, columns): `tiles.tile_sum` for all queries."""
    total: Tensor | float = 0.0
    for view in views_of(row, column):
        part = masks[:, view, row.views[view].source, column.views[view].source]
        total = total + (row_weights[view] @ (part @ column_weights[view].T)).sigmoid() - 0.5
    assert isinstance(total, Tensor)
    return total
